// Fuzzing: requests generated from openapi.json, from valid to nonsense, against a real broker with real connections.
// Every response must be as described, never a 500, and without secrets.
//
// FUZZ_SEED seeds the requests (fixed by default); FUZZ_RUNS is the number of requests per operation: with the fixed seed, more
// of them repeat what earlier runs have found, so that those that look for something new name another seed and more runs.
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Description, type Operation, operationsOf } from '../../../src/http/openapi/document.ts';
import { type ByteUpstream, startByteUpstream } from '../../support/byte-upstream.ts';
import { createResponseValidator } from '../../support/openapi-validation.ts';
import { withoutIntendedSecret } from '../../support/recorder.ts';
import { type RestartableBroker, startRestartableBroker } from '../../support/restartable-broker.ts';
import { createSecrets, type Secrets } from '../../support/secrets.ts';
import { createClient, requestOf } from './requests.ts';
import type { Pools } from './values.ts';

const SEED = Number(process.env.FUZZ_SEED ?? 20_260_302);
const RUNS = Number(process.env.FUZZ_RUNS ?? 40);
const RING = randomBytes(32).toString('base64url');

const canary = (kind: string) => `${kind}-${randomBytes(24).toString('base64url')}`;

/** Deletions come last, so that other operations find objects. */
const isLast = (id: string) => /^(delete|revoke)/.test(id);

/** Operations without input need few runs: their responses hardly differ. */
const takes = ({ parameters = [], requestBody }: Operation) => parameters.length > 0 || requestBody !== undefined;

let restartable: RestartableBroker;
/** What calls through the proxy reach. */
let api: ByteUpstream;
let secrets: Secrets;
let failures: Map<string, string | undefined>;
let outputs: Record<'answers' | 'logs' | 'metrics' | 'audit', Buffer>;
let statuses: Map<number, number>;

beforeAll(async () => {
  restartable = await startRestartableBroker({ env: { VALETKEY_LOG_LEVEL: 'trace', VALETKEY_KEYS: `k1:${RING}` } });
  api = await startByteUpstream();
  secrets = createSecrets();
  secrets.add('key of the ring', RING);
  secrets.add('admin key', restartable.adminKey);
  secrets.add('client secret', String(restartable.integrationBody.client_secret));
  const description = (await restartable.ask('GET', '/openapi.json')).body as unknown as Description;
  const { pools, keys } = await furnish();

  const validate = createResponseValidator(description);
  const client = createClient(restartable.current().url);
  const answers: string[] = [];
  statuses = new Map();
  failures = new Map();
  const places = operationsOf(description).sort(
    (a, b) => Number(isLast(a.operation.operationId)) - Number(isLast(b.operation.operationId)),
  );
  for (const { path, method, operation } of places) {
    const request = requestOf({
      document: description,
      path,
      method,
      operation,
      pools: pools(operation.operationId),
      keys,
    });
    const asked = fc.asyncProperty(request, async (one) => {
      const said = await client.ask(one);
      statuses.set(said.status, (statuses.get(said.status) ?? 0) + 1);
      answers.push(`${JSON.stringify([...said.headers])}\n${publicPart(said)}`);
      const fault = said.status >= 500 ? `${said.status}: ${said.text}` : validate(said);
      if (fault) throw new Error(fault);
    });
    const { failed, seed, counterexample, errorInstance } = await fc.check(asked, {
      seed: SEED,
      numRuns: takes(operation) ? RUNS : RUNS / 10,
    });
    const why = failed
      ? `FUZZ_SEED=${seed}: ${JSON.stringify(counterexample)?.slice(0, 2_000)}: ${errorInstance}`
      : undefined;
    failures.set(`${method.toUpperCase()} ${path}`, why);
  }

  for (const { answer } of restartable.proxy.requests)
    for (const name of ['access_token', 'refresh_token', 'id_token'])
      if (answer[name] !== undefined) secrets.add(name.replaceAll('_', ' '), String(answer[name]));
  const audit: unknown[] = [];
  for (let cursor: unknown = ''; cursor !== null; ) {
    const { body } = await restartable.ask('GET', `/v1/audit?limit=500${cursor && `&cursor=${cursor}`}`);
    audit.push(body.data);
    cursor = body.next_cursor;
  }
  const metrics = await (await fetch(new URL('/metrics', restartable.current().url))).text();
  client.close();
  await restartable.current().stop();
  outputs = {
    answers: Buffer.from(answers.join('\n')),
    logs: Buffer.from(restartable.current().output()),
    metrics: Buffer.from(metrics),
    audit: Buffer.from(JSON.stringify(audit)),
  };
}, 180_000);
afterAll(() => Promise.all([restartable?.close(), api?.close()]));

/** Tokens in requests are arbitrary; the provider's real ones are added to the secrets. */
function publicPart({
  method,
  path,
  status,
  text,
}: {
  method: string;
  path: string;
  status: number;
  text: string;
}): string {
  const add: Secrets['add'] = (kind, value) => kind !== 'access token' && secrets.add(kind, value);
  return withoutIntendedSecret(`${method} ${path.split('?')[0]}`, status < 300, text, { add });
}

/** Creates connections, sessions and callers, and returns ids, names and secrets for requests. */
async function furnish() {
  const post = async (path: string, body: object) => {
    const answer = await restartable.ask('POST', path, body);
    expect(answer.status, JSON.stringify(answer.body)).toBe(201);
    return answer.body;
  };
  const owners = ['user_1', 'user_2', 'user_3', 'user_4', 'user_5'];
  const connections: string[] = [];
  const add = async (place: object, credentials: object) => {
    const { id } = await post('/v1/connections', { integration: 'acme', ...place, credentials });
    connections.push(String(id));
    return `/v1/connections/${id}`;
  };
  for (const owner of owners) {
    const path = await add({ owner }, { refresh_token: await restartable.mintRefreshToken(owner) });
    secrets.add('access token', String((await restartable.ask('GET', `${path}/token`)).body.access_token));
    if (owner === 'user_5') await restartable.ask('DELETE', path);
  }
  await add({ owner: 'user_2', label: 'work' }, { refresh_token: await restartable.mintRefreshToken('user_2') });
  const brought = Array.from({ length: 8 }, (_, i) => canary(`brought-${i}`));
  for (const one of brought) secrets.add('brought secret', one);
  const refused = await add({ owner: 'user_3', label: 'work' }, { refresh_token: brought[0] });
  expect((await restartable.ask('GET', `${refused}/token`)).body.code).toBe('reauthorization_required');
  await restartable.ask('PUT', '/v1/integrations/static', {
    provider: 'sendgrid',
    overrides: { api_base_url: `${api.url}/static` },
  });
  const apiKey = `SG.${randomBytes(16).toString('base64url')}.${randomBytes(32).toString('base64url')}`;
  secrets.add('API key', apiKey);
  await add({ integration: 'static', owner: 'user_1' }, { api_key: apiKey });
  const sessions: { id: string; secret: string }[] = [];
  const return_origins = [new URL(restartable.provider.issuer).origin];
  const { overrides } = restartable.integrationBody as { overrides: object };
  await restartable.ask('PUT', '/v1/integrations/acme', {
    ...restartable.integrationBody,
    overrides: { ...overrides, api_base_url: `${api.url}/acme` },
    return_origins,
  });
  for (const [i, owner] of owners.entries()) {
    // With `finish`, the link leads to the provider at once; else a page is confirmed first.
    const finish = i % 2 === 0 && { finish: true, return_url: `${restartable.provider.issuer}/done` };
    const { id, url } = await post('/v1/connect-sessions', { integration: 'acme', owner, label: 'new', ...finish });
    sessions.push({ id: String(id), secret: String(url).split('/').at(-1)! });
    secrets.add('connect link', String(url).split('/').at(-1));
  }
  const grants = [{ actions: ['token', 'connections:read'], integrations: ['acme'], owners: ['user_1'] }];
  const callers = [
    await post('/v1/callers', { name: 'one', grants }),
    await post('/v1/callers', { name: 'none', grants: [] }),
  ];
  const keys = callers.map(({ key }) => String(key));
  for (const key of keys) secrets.add('caller key', key);

  // No requests leave this machine: no provider of the catalogue, and no outside address.
  const local = [restartable.provider.issuer, 'http://127.0.0.1:1/x', 'https://localhost/y'];
  const common: Pools = {
    integration: ['acme', 'acme', 'static', 'nothing'],
    owner: [...owners, 'user_9'],
    name: ['billing', 'mailer'],
    label: ['work', 'home', ''],
    provider: ['generic-oauth2', 'generic-oidc', 'nothing'],
    connection_id: [...connections, 'con_nothing'],
    key_id: [...callers.map(({ key_id }) => String(key_id)), 'key_nothing'],
    issuer: local,
    return_url: local,
    return_origins: [[], [new URL(restartable.provider.issuer).origin]],
    url: local,
    secret: [...sessions.map((one) => one.secret), 'nothing'],
    token: [...brought, 'a.b.c'],
    state: ['x', ...brought],
    params: [{}],
    captured: [{}],
    workloads: [[]],
    metadata: [{}, { plan: 'team' }],
    expires_at: ['2040-01-01T00:00:00Z', '2020-01-01T00:00:00Z'],
    key_expires_at: ['2040-01-01T00:00:00Z'],
    code: brought,
  };
  for (const name of ['authorization_url', 'token_url', 'revocation_url', 'userinfo_url', 'api_base_url'])
    Object.assign(common, { [name]: local });
  for (const name of ['refresh_token', 'access_token', 'rejected_token', 'client_secret', 'private_key', 'certificate'])
    Object.assign(common, { [name]: brought });
  const byPath = (operationId: string): readonly string[] => {
    if (/Caller/.test(operationId)) return [...callers.map(({ id }) => String(id)), 'clr_nothing'];
    if (/ConnectSession/.test(operationId)) return sessions.map((one) => one.id);
    // Integrations with connections are not replaced.
    if (/putIntegration|applyDeclaration/.test(operationId)) return ['spare', 'spare-2'];
    if (/Integration/.test(operationId)) return ['acme', 'static', 'spare', 'nothing'];
    if (/Provider/.test(operationId)) return ['slack', 'generic-oidc', 'nothing'];
    return [...connections, ...brought.slice(0, 1), 'con_nothing'];
  };
  const endpoints = { authorization_url: local[1], token_url: local[1] };
  return {
    pools: (operationId: string): Pools => ({
      ...common,
      id: byPath(operationId),
      ...(operationId === 'applyDeclaration' && {
        callers: [[], [{ name: 'declared', grants: [] }]],
        trusted_issuers: [[]],
      }),
      ...(/putIntegration|applyDeclaration/.test(operationId) && { params: [endpoints, { issuer: local[1] }] }),
    }),
    keys: [restartable.adminKey, ...keys],
  };
}

describe('fuzz', () => {
  it('calls through the proxy go below the base URL, each with the credential of its connection and none of the caller', () => {
    expect(api.requests.length).toBeGreaterThan(20);
    for (const { line, headers } of api.requests) {
      expect(line).toMatch(/^[A-Z]+ \/(acme|static)(\/|\?| )/);
      expect(headers.filter(([name]) => name.toLowerCase() === 'authorization')).toHaveLength(1);
      expect(JSON.stringify(headers)).not.toContain(restartable.adminKey);
      expect(line).not.toMatch(/\/\.{1,2}([/?; ]|$)|\/%2e|%5c|%00|\\/i);
    }
  });

  it('every operation responds as described, and never with a 500', () => {
    expect([...failures].filter(([, why]) => why !== undefined)).toEqual([]);
    console.info('answers by status:', JSON.stringify(Object.fromEntries([...statuses].sort(([a], [b]) => a - b))));
  });

  it('many requests are accepted, and many refused', () => {
    const total = [...statuses.values()].reduce((sum, count) => sum + count, 0);
    const taken = [...statuses].reduce((sum, [status, count]) => sum + (status < 400 ? count : 0), 0);
    expect(taken / total).toBeGreaterThan(0.15);
    expect(taken / total).toBeLessThan(0.8);
    expect([...statuses.keys()]).toEqual(
      expect.arrayContaining([200, 201, 204, 302, 400, 401, 403, 404, 409, 410, 413, 415]),
    );
  });

  it.each(['answers', 'logs', 'metrics', 'audit'] as const)('no secret leaks into the %s', (place) => {
    expect(outputs[place].length).toBeGreaterThan(1_000);
    expect(secrets.foundIn(outputs[place])).toEqual([]);
  });
});
