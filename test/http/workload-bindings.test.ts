// Workload bindings have to say which workload they mean: those that every token of an issuer fits are refused, and those
// that an earlier version has stored are warned of.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKeyRing, parseKeyRing } from '../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import { authenticateStore } from '../../src/broker/secrets/index.ts';
import { openSqlite } from '../../src/stores/sqlite/store.ts';
import { anEntry } from '../stores/builders.ts';
import { type Answer, type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../support/contract.ts';
import { type Issuer, startIssuer } from '../support/issuer.ts';
import { createTerminal } from '../support/terminal.ts';

const DOMAIN = 'spiffe://acme.example';
let issuer: Issuer;
let social: Issuer;
let folder: string;
let env: Record<string, string>;
let declared: { trusted_issuers: Json[] };
let broker: TestBroker;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-bindings-'));
  [issuer, social] = await Promise.all([startIssuer(), startIssuer()]);
  env = {
    VALETKEY_DATABASE_URL: `file:${join(folder, 'valetkey.db')}`,
    VALETKEY_KEYS: `k1:${randomBytes(32).toString('base64url')}`,
  };
  declared = { trusted_issuers: [{ issuer: issuer.url }, { issuer: DOMAIN, jwks_uri: `${issuer.url}/jwks` }] };
  broker = await startTestBroker(env, declared);
});
afterAll(async () => {
  await Promise.all([broker.stop(), issuer.close(), social.close()]);
  await rm(folder, { recursive: true, force: true });
});

const grants = [{ actions: ['token'], integrations: ['*'], owners: ['*'] }];
const caller = (claims: Json, more: Json = {}) => ({
  name: 'mailer',
  grants,
  workloads: [{ issuer: issuer.url, audience: 'valetkey', claims, ...more }],
});
const messageOf = ({ body }: Answer) => String((body.issues as Json[])[0]?.message);
const whoami = async (claims: Json, at = broker) => at.ask('GET', '/v1/whoami', undefined, await issuer.sign(claims));

describe('refused, by POST, PUT and apply', () => {
  let id: unknown;
  beforeAll(async () => {
    id = expectOk(await broker.ask('POST', '/v1/callers', caller({ sub: 'a-service' })), 201).id;
  });

  test.each<[string, Json, string, Json?]>([
    ['the issuer alone', { iss: '*' }, 'claims'],
    ['the issuer by its value', { iss: 'https://id.example' }, 'claims'],
    ['the audience', { aud: 'valetkey' }, 'claims'],
    ['issuer and audience', { iss: 'https://*', aud: 'valetkey' }, 'claims'],
    ['times and ids of the token', { exp: '1*', iat: '1*', nbf: '1*', jti: '*' }, 'claims'],
    ['its kind', { typ: 'Bearer', token_use: 'access' }, 'claims'],
    ['a flag that is always set', { email_verified: 'true', sub: '*' }, 'claims'],
    ['any value', { sub: '*' }, 'claims'],
    ['any value of any claim', { sub: '*', repository: '*' }, 'claims'],
    ['the first letter', { sub: 'r*' }, 'claims.sub'],
    ['a part of a name', { sub: 'repo:acme/app*' }, 'claims.sub'],
    ['a part of a name, up to a hyphen', { sub: 'repo:acme/app-*' }, 'claims.sub'],
    ['a part of a name beside what identifies it', { sub: 'r*', repository: 'acme/app' }, 'claims.sub'],
    ['the word that every subject begins with', { sub: 'repo:*' }, 'claims'],
    ['every service account', { sub: 'system:serviceaccount:*' }, 'claims'],
    ['everything of the cluster', { sub: 'system:*' }, 'claims'],
    ['a URL scheme', { sub: 'https://*' }, 'claims'],
    ['a host', { sub: 'https://github.com/*' }, 'claims'],
    ['a delimiter', { sub: ':*' }, 'claims'],
    ['a whole trust domain', { sub: `${DOMAIN}/*` }, 'claims', { issuer: DOMAIN }],
    ['every namespace of a trust domain', { sub: `${DOMAIN}/ns/*` }, 'claims', { issuer: DOMAIN }],
    ['every account of a cloud', { sub: 'arn:aws:iam::*' }, 'claims'],
    ['every node of a cluster', { sub: 'system:node:*' }, 'claims'],
    ['every project', { sub: 'projects/*' }, 'claims'],
    ['a kind with delimiters behind it', { sub: 'repo::*' }, 'claims'],
    ['a namespace without a name', { sub: 'system:serviceaccount::*' }, 'claims'],
    ['what was asked for', { scope: 'openid', scp: 'read' }, 'claims'],
    ['who has started a run in any repository', { actor: 'octocat', actor_id: '1' }, 'claims'],
    ['a workflow that any repository may call', { job_workflow_ref: 'acme/ci/.github/workflows/x.yml@v1' }, 'claims'],
    ['what people call themselves', { name: 'Ada', locale: 'en' }, 'claims'],
    ['every trust domain', { sub: 'spiffe://*' }, 'claims', { issuer: DOMAIN }],
    ['an environment that every repository may have', { environment: 'prod', ref: 'refs/heads/main' }, 'claims'],
    ['no claim', {}, 'claims'],
  ])('%s', async (_, claims, path, more) => {
    const body = caller(claims, more);
    expectIssues(await broker.ask('POST', '/v1/callers', body), `workloads.0.${path}`);
    expectIssues(await broker.ask('PUT', `/v1/callers/${id}`, body), `workloads.0.${path}`);
    const applied = await broker.ask('POST', '/v1/apply', { callers: [body] });
    expectIssues(applied, `callers.0.workloads.0.${path}`);
    expect(expectOk(await broker.ask('GET', `/v1/callers/${id}`))).toMatchObject({
      workloads: [{ claims: { sub: 'a-service' } }],
      warnings: [],
    });
  });

  test('the message says what is missing', async () => {
    const answer = await broker.ask('POST', '/v1/callers', caller({ iss: issuer.url }));
    expect(messageOf(answer)).toMatch(/many workloads of the issuer: iss alone does not say which .* such as "sub"/);
    const cut = await broker.ask('POST', '/v1/callers', caller({ sub: 'repo:acme/app*' }));
    expect(messageOf(cut)).toMatch(/"repo:acme\/app\*" ends in the middle of a name.*delimiter/);
  });

  test('in the declarative file, at the start, by the name of the caller', async () => {
    await expect(startTestBroker({}, { ...declared, callers: [caller({ sub: 'r*' })] })).rejects.toThrow(
      /VALETKEY_CONFIG: caller mailer: workloads\.0\.claims\.sub: "r\*" ends in the middle of a name/,
    );
  });
});

test.each<[string, Json, Json?]>([
  ['a subject', { sub: 'system:serviceaccount:prod:mailer' }],
  ['a namespace', { sub: 'system:serviceaccount:prod:*' }],
  ['a repository', { sub: 'repo:acme/app:*' }],
  ['an organisation', { sub: 'repo:acme/*' }],
  ['a repository and tags', { repository: 'acme/app', ref: 'refs/tags/v*', environment: 'prod' }],
  ['a client', { azp: 'mailer' }],
  ['a path of a trust domain', { sub: `${DOMAIN}/ns/prod/*` }, { issuer: DOMAIN }],
  ['an organisation that is called like a kind', { repository: 'apps/*' }],
  ['a namespace that is called like a kind', { sub: 'system:serviceaccount:jobs:*' }],
  ['the account of a cloud', { sub: 'arn:aws:iam::123456789012:*' }],
  ['a number', { project_id: '17' }],
])('accepted: %s', async (_, claims, more) => {
  const { id, workloads } = expectOk(await broker.ask('POST', '/v1/callers', caller(claims, more)), 201);
  expect(workloads).toMatchObject([{ claims }]);
  expect((await broker.ask('DELETE', `/v1/callers/${id}`)).status).toBe(204);
});

describe('stored by an earlier version', () => {
  let id: string;
  let lines: string[];
  /** The caller as an earlier version may have stored it. */
  beforeAll(async () => {
    const made = expectOk(await broker.ask('POST', '/v1/callers', caller({ sub: 'old-service' })), 201);
    id = String(made.id);
    await broker.stop();
    const old = [
      { id: 'wl_old', issuer: issuer.url, audience: 'valetkey', claims: { sub: 'old-*' } },
      { id: 'wl_social', issuer: social.url, audience: 'social-client', claims: { sub: 'mallory' } },
    ];
    const database = await openSqlite(String(env.VALETKEY_DATABASE_URL));
    const ring = parseKeyRing(String(env.VALETKEY_KEYS));
    if (!('keys' in ring)) throw new Error('no key ring');
    const store = authenticateStore(database, { vault: createKeyRing(ring.keys), refused: () => undefined });
    const stored = (await store.callers()).find(({ caller }) => caller.id === id);
    if (!stored) throw new Error('the caller is not stored');
    expect(await store.updateCaller({ ...stored.caller, workloads: old }, anEntry())).toBe('updated');
    await database.close();
    lines = [];
    broker = await start();
    const setup = { provider: 'generic-oidc', client_id: 'social-client', params: { issuer: social.url } };
    expectOk(await broker.ask('PUT', '/v1/integrations/social', setup), 201);
  });

  async function start(): Promise<TestBroker> {
    const log = createLogger('warn');
    const warn = (fields: object, message?: string) => void lines.push(JSON.stringify({ ...fields, message }));
    return startTestBroker(env, declared, {}, Object.assign(Object.create(log), { warn }));
  }

  test('goes on working, with a warning at the start, in the API and on the command line', async () => {
    expect(expectOk(await whoami({ sub: 'old-service' })).id).toBe(id);
    const about = lines.filter((line) => line.includes(id));
    expect(about).toEqual([
      expect.stringMatching(/"at":"workloads\.0\.claims\.sub".*workload binding: \\"old-\*\\" ends in the middle/),
      expect.stringMatching(/"at":"workloads\.1\.issuer".*add .* to trusted_issuers in the file of VALETKEY_CONFIG/),
    ]);
    const { warnings } = expectOk(await broker.ask('GET', `/v1/callers/${id}`));
    expect((warnings as Json[]).map(({ path }) => path)).toEqual(['workloads.0.claims.sub', 'workloads.1.issuer']);
    const valetkey = createTerminal({ VALETKEY_URL: broker.url, VALETKEY_KEY: broker.adminKey });
    for (const command of [
      ['callers', 'list'],
      ['callers', 'show', id],
    ]) {
      const { code, err } = await valetkey(command);
      expect(code).toBe(0);
      expect(err).toContain('warning: caller mailer: workloads.0.claims.sub: "old-*" ends in the middle of a name');
      expect(err).toContain(`add {"issuer": "${social.url}"} to trusted_issuers`);
    }
  });

  test('of an issuer that is trusted only through an integration: 401 that says what to do', async () => {
    const token = await social.sign({ sub: 'mallory', aud: 'social-client' });
    const answer = await broker.ask('GET', '/v1/whoami', undefined, token);
    const { reason, detail } = expectProblem(answer, 401, 'unauthenticated');
    expect(reason).toBe('untrusted_issuer');
    expect(detail).toContain('trusted_issuers of the file of VALETKEY_CONFIG');
  });

  test('a change of the caller leaves it; a changed binding has to say which workload it means', async () => {
    const old = { issuer: issuer.url, audience: 'valetkey', claims: { sub: 'old-*' } };
    const put = (...workloads: Json[]) =>
      broker.ask('PUT', `/v1/callers/${id}`, { name: 'renamed', grants, workloads });
    expect(expectOk(await put(old)).warnings).toMatchObject([{ path: 'workloads.0.claims.sub' }]);
    const declaration = { callers: [{ id, name: 'renamed', grants, workloads: [old] }] };
    expect(expectOk(await broker.ask('POST', '/v1/apply', declaration)).changes).toEqual([]);
    expectIssues(await put({ ...old, claims: { sub: 'older-*' } }), 'workloads.0.claims.sub');
    expectOk(await put({ ...old, claims: { sub: 'old:*' } }));
  });
});
