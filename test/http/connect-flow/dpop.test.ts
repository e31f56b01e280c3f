// DPoP-bound tokens (RFC 9449) through a whole broker process, with a provider that requires proofs and nonces and an API
// that checks them.
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, type JWK } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningBroker, startBroker } from '../../../demo/broker.ts';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import { signProof } from '../../../src/adapters/jwt/sign.ts';
import { createKeyRing, generateKey, parseKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { type CredentialsPlace, decryptKeyMaterial } from '../../../src/broker/secrets/token-encryption.ts';
import type { Ciphertext } from '../../../src/domain/connection.ts';
import type { Json } from '../../support/broker.ts';
import { bundled } from '../../support/bundle.ts';
import { type DpopApi, NONCE_PATH, startDpopApi } from '../../support/dpop-api.ts';
import { newOwner } from '../../support/owner-browser.ts';
import { createRecorder, type Recorder } from '../../support/recorder.ts';
import { createSecrets } from '../../support/secrets.ts';

const AUDIENCE = 'https://api.example';
const RING = generateKey();
/** A provider whose connections are imported clients. */
const MACHINE = {
  id: 'machine',
  name: 'Machine',
  category: 'generic',
  docs_url: 'https://machine.example/docs',
  confidence: 'unverified',
  params: { issuer: { title: 'issuer', pattern: 'http://127\\.0\\.0\\.1:\\d+' } },
  auth: [
    {
      mode: 'oauth2_client_credentials',
      issuer: '{issuer}',
      dpop: 'true',
      credentials: { client_id: { title: 'client id' }, client_secret: { title: 'client secret' } },
    },
  ],
};

let folder: string;
let running: RunningBroker;
let strict: LocalProvider;
let deaf: LocalProvider;
let api: DpopApi;
let recorder: Recorder;
const secrets = createSecrets();

const environment = () => ({
  VALETKEY_DATABASE_URL: `file:${join(folder, 'valetkey.db')}`,
  VALETKEY_PROVIDERS_DIR: join(folder, 'providers'),
  VALETKEY_KEYS: RING,
  VALETKEY_LOG_LEVEL: 'trace',
});

const machine = { client_id: 'machine', client_secret: randomBytes(24).toString('base64url') };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'valetkey-dpop-'));
  mkdirSync(join(folder, 'providers'));
  writeFileSync(join(folder, 'providers', 'machine.json'), JSON.stringify(MACHINE));
  running = await startBroker(environment(), await bundled('main'));
  recorder = createRecorder(running, secrets);
  const redirect_uris = ['bound', 'switched'].map((id) => `${running.url}/oauth2/callback/${id}`);
  // Its refresh tokens are bound to the key too (RFC 9449 5).
  const app = {
    client_id: 'app',
    token_endpoint_auth_method: 'none' as const,
    redirect_uris,
    dpop_bound_access_tokens: true,
  };
  const grants = { grant_types: ['authorization_code', 'refresh_token'], response_types: ['code' as const] };
  const own = {
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    dpop_bound_access_tokens: true,
  };
  const nonceSecret = randomBytes(32);
  strict = await startProvider({
    redirectUris: [`${running.url}/oauth2/callback/plain`],
    clients: [
      { ...app, ...grants },
      { ...machine, ...own },
    ],
    audience: AUDIENCE,
    features: { clientCredentials: { enabled: true }, dPoP: { enabled: true, nonceSecret, requireNonce: () => true } },
  });
  deaf = await startProvider({
    redirectUris: [`${running.url}/oauth2/callback/deaf`],
    features: { dPoP: { enabled: false } },
  });
  api = await startDpopApi(strict.issuer, AUDIENCE);
  await integrate('bound', {
    client_id: 'app',
    params: { issuer: strict.issuer, dpop: 'on' },
    overrides: { api_base_url: api.url },
  });
  await integrate('switched', { client_id: 'app', params: { issuer: strict.issuer, dpop: 'on' } });
  await integrate('plain', { ...clientOf(strict), params: { issuer: strict.issuer } });
  await integrate('deaf', { ...clientOf(deaf), params: { issuer: deaf.issuer, dpop: 'on' } });
  await integrate('machine', { provider: 'machine', params: { issuer: strict.issuer } });
});
afterAll(async () => {
  await Promise.all([running?.stop(), strict?.close(), deaf?.close(), api?.close()]);
  rmSync(folder, { recursive: true });
});

const clientOf = ({ clientId, clientSecret }: LocalProvider) => ({ client_id: clientId, client_secret: clientSecret });

async function integrate(id: string, setup: Json): Promise<void> {
  const { status, body } = await recorder.ask('PUT', `/v1/integrations/${id}`, {
    body: { provider: 'generic-oidc', ...setup },
  });
  expect(status, JSON.stringify(body)).toBe(201);
}

/** An owner's connection, by the whole flow; its id. */
async function connect(integration = 'bound', session: Json = {}): Promise<string> {
  const invited = await recorder.createConnectSession({ integration, owner: newOwner(), ...session });
  await recorder.browse(invited.url, { login: 'ada' });
  const { body } = await recorder.ask('GET', `/v1/connect-sessions/${invited.id}`);
  expect(body).toMatchObject({ status: 'completed' });
  return String(body.connection_id);
}

async function read(id: string, how = 'token'): Promise<Json> {
  const [method, body] = how === 'token' ? ['GET'] : ['POST', {}];
  const answer = await recorder.ask(method!, `/v1/connections/${id}/${how}`, { body });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
}

const ask = (id: string, body: Json, key?: string) =>
  recorder.ask('POST', `/v1/connections/${id}/dpop-proof`, { body, ...(key !== undefined && { key }) });

async function prove(id: string, request: Json): Promise<{ proof: string; access_token: string }> {
  const { status, body } = await ask(id, request);
  expect(status, JSON.stringify(body)).toBe(200);
  return body as { proof: string; access_token: string };
}

/** What the API answers: 200, or the error of its challenge. */
async function call(url: string, token: unknown, proof?: string, method = 'GET'): Promise<number | string | undefined> {
  const headers = { authorization: `DPoP ${token}`, ...(proof !== undefined && { dpop: proof }) };
  const { status, headers: received } = await fetch(url, { method, headers });
  return status === 200 ? status : /error="(\w+)"/.exec(received.get('www-authenticate') ?? '')?.[1];
}

const boundTo = (token: unknown) => decodeJwt<{ cnf: { jkt: string } }>(String(token)).cnf.jkt;

/** The DPoP key of the connection in the database, decrypted. */
function keyOf(id: string): string {
  const database = new Database(join(folder, 'valetkey.db'), { readonly: true });
  const row = database
    .prepare<string, CredentialsPlace & { credentials: Ciphertext }>(
      'select c.*, g.credentials from connections c join grants g on g.connection_id = c.id where c.id = ?',
    )
    .get(id);
  database.close();
  const ring = parseKeyRing(RING);
  if (!row || !ring.ok) throw new Error('there is no key');
  const text = decryptKeyMaterial(createKeyRing(ring.keys), row, row.credentials)!;
  return (JSON.parse(text) as { 'dpop:key': string })['dpop:key'];
}

describe('a connection with DPoP-bound tokens', () => {
  test('serves a token that the API accepts with a proof, from a provider that requires nonces', async () => {
    const id = await connect();
    const token = await read(id);
    expect(token).toMatchObject({ token_type: 'DPoP', access_token: expect.any(String) });
    const url = `${api.url}/users?page=2#top`;
    const { proof, ...rest } = await prove(id, { method: 'GET', url });
    expect(rest).toEqual({ access_token: token.access_token, token_type: 'DPoP', expires_in: expect.any(Number) });
    expect(await call(url, token.access_token, proof)).toBe(200);
  });

  test('makes proofs with the nonce that the API asks for', async () => {
    const id = await connect();
    const request = { method: 'POST', url: `${api.url}${NONCE_PATH}` };
    const first = await prove(id, request);
    const headers = { authorization: `DPoP ${first.access_token}`, dpop: first.proof };
    const refused = await fetch(request.url, { method: 'POST', headers });
    const nonce = refused.headers.get('dpop-nonce');
    expect(refused.headers.get('www-authenticate')).toContain('use_dpop_nonce');
    const { proof, access_token } = await prove(id, { ...request, nonce });
    expect(await call(request.url, access_token, proof, 'POST')).toBe(200);
  });

  test('has a token that the API refuses without a proof, or with one of another key, request, token or time', async () => {
    const [id, other] = [await connect(), await connect()];
    const [request, url] = [{ method: 'GET', url: `${api.url}/users` }, `${api.url}/users`];
    const { proof, access_token } = await prove(id, request);
    expect(await call(url, access_token)).toBe('invalid_dpop_proof');
    const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
      type: 'pkcs8',
      format: 'pem',
    });
    const issuedAt = Math.floor(Date.now() / 1_000);
    const forged = await signProof(String(stranger), {
      ...request,
      accessToken: access_token,
      nonce: undefined,
      issuedAt,
    });
    expect(await call(url, access_token, forged)).toBe('invalid_dpop_proof');
    expect(await call(url, access_token, (await prove(other, request)).proof)).toBe('invalid_dpop_proof');
    expect(await call(`${url}/1`, access_token, proof)).toBe('invalid_dpop_proof');
    expect(await call(url, access_token, proof, 'DELETE')).toBe('invalid_dpop_proof');
    expect(await call(url, access_token, proof)).toBe(200);
    expect(await call(url, access_token, proof)).toBe('invalid_dpop_proof');
  });

  test('keeps its key when it is refreshed', async () => {
    const id = await connect();
    const before = await read(id);
    const after = await read(id, 'refresh');
    expect(after.access_token).not.toBe(before.access_token);
    expect(boundTo(after.access_token)).toBe(boundTo(before.access_token));
    const url = `${api.url}/users`;
    const { proof } = await prove(id, { method: 'GET', url });
    expect(await call(url, after.access_token, proof)).toBe(200);
  });

  test('keeps its key when DPoP is switched off for the integration', async () => {
    const id = await connect('switched');
    const { access_token } = await read(id);
    const body = { provider: 'generic-oidc', client_id: 'app', params: { issuer: strict.issuer, dpop: 'off' } };
    expect((await recorder.ask('PUT', '/v1/integrations/switched', { body })).status).toBe(200);
    expect(boundTo((await read(id, 'refresh')).access_token)).toBe(boundTo(access_token));
  });

  test('has a key of its own, which it keeps after a reconnect', async () => {
    const [id, other] = [await connect(), await connect()];
    const before = boundTo((await read(id)).access_token);
    expect(before).not.toBe(boundTo((await read(other)).access_token));
    expect(await connect('bound', { connection_id: id, owner: await ownerOf(id) })).toBe(id);
    const { access_token } = await read(id);
    expect(boundTo(access_token)).toBe(before);
    const url = `${api.url}/users`;
    expect(await call(url, access_token, (await prove(id, { method: 'GET', url })).proof)).toBe(200);
  });

  test('gets a matching token and proof also from a process that has not seen the new key yet', async () => {
    const id = await connect();
    const other = await startBroker({ ...environment(), VALETKEY_ADMIN_KEY: running.adminKey }, await bundled('main'));
    try {
      const there = createRecorder(other, secrets);
      await there.ask('GET', `/v1/connections/${id}/token`);
      await connect('bound', { connection_id: id, owner: await ownerOf(id) });
      const url = `${api.url}/users`;
      const { body } = await there.ask('POST', `/v1/connections/${id}/dpop-proof`, { body: { method: 'GET', url } });
      expect(await call(url, body.access_token, String(body.proof))).toBe(200);
    } finally {
      await other.stop();
    }
  });

  test('is revoked like any other; then there are no more proofs', async () => {
    const id = await connect();
    const revoked = await recorder.ask('DELETE', `/v1/connections/${id}`);
    expect(revoked.body).toMatchObject({ status: 'revoked', upstream_revocation: 'done' });
    const { status, body } = await ask(id, { method: 'GET', url: api.url });
    expect([status, body.code]).toEqual([410, 'connection_revoked']);
    expect(() => keyOf(id)).toThrow('there is no key');
  });
});

const ownerOf = async (id: string) => (await recorder.ask('GET', `/v1/connections/${id}`)).body.owner;

test('imported client: its tokens are bound to one key, stored beside the imported credentials', async () => {
  const imported = await recorder.ask('POST', '/v1/connections', {
    body: { integration: 'machine', owner: newOwner(), credentials: machine },
  });
  const id = String(imported.body.id);
  const url = `${api.url}/users`;
  const { proof, access_token } = await prove(id, { method: 'GET', url });
  expect(await call(url, access_token, proof)).toBe(200);
  const next = await read(id, 'refresh');
  expect(next).toMatchObject({ token_type: 'DPoP' });
  expect(next.access_token).not.toBe(access_token);
  expect(boundTo(next.access_token)).toBe(boundTo(access_token));
});

describe('a DPoP proof is refused', () => {
  test('with 400 for a connection whose token is not bound, and a detail that says what to do', async () => {
    const { status, body } = await ask(await connect('plain'), { method: 'GET', url: api.url });
    expect([status, body.code]).toEqual([400, 'invalid_request']);
    expect(body.detail).toMatch(/not bound to a key.*\(Bearer\).*DPoP/);
  });

  test('with 400 where the provider ignores DPoP; its Bearer token is served', async () => {
    const id = await connect('deaf');
    expect(await read(id)).toMatchObject({ token_type: 'Bearer' });
    expect(await read(id, 'refresh')).toMatchObject({ token_type: 'Bearer' });
    expect((await ask(id, { method: 'GET', url: api.url })).status).toBe(400);
  });

  test('with 403 without the token permission, and with 404 for an unknown connection', async () => {
    const id = await connect();
    const grants = [{ actions: ['connections:read'], integrations: ['*'], owners: ['*'] }];
    const { body: caller } = await recorder.ask('POST', '/v1/callers', { body: { name: 'a reader', grants } });
    expect(await ask(id, { method: 'GET', url: api.url }, String(caller.key))).toMatchObject({
      status: 403,
      body: { code: 'forbidden', missing: { action: 'token' } },
    });
    expect((await ask('con_none', { method: 'GET', url: api.url })).status).toBe(404);
  });

  test.each([
    ['method', { method: 'get', url: 'https://api.example' }],
    ['url', { method: 'GET', url: '/users' }],
    ['url', { method: 'GET', url: 'file:///etc/passwd' }],
    ['nonce', { method: 'GET', url: 'https://api.example', nonce: 'a b' }],
    ['jwk', { method: 'GET', url: 'https://api.example', jwk: {} }],
  ])('with 400 for an invalid %s', async (path, request) => {
    const { status, body } = await ask('con_none', request);
    expect(status).toBe(400);
    expect((body.issues as { path: string }[]).map((issue) => issue.path)).toEqual([path]);
  });

  test('with 409 until the owner reconnects', async () => {
    const id = await connect();
    strict.withdrawGrants();
    await recorder.ask('POST', `/v1/connections/${id}/refresh`, { body: {} });
    const { status, body } = await ask(id, { method: 'GET', url: api.url });
    expect([status, body.code, body.reason]).toEqual([409, 'reauthorization_required', 'grant_revoked']);
  });
});

test('proxied call: a proof for each request, and once more with the nonce of the API', async () => {
  const id = await connect();
  const call = async (method: string, path: string) => {
    const headers = { authorization: `Bearer ${running.adminKey}` };
    const response = await fetch(`${running.url}/v1/connections/${id}/proxy${path}`, { method, headers });
    return [response.status, response.headers.get('valetkey-attempts')];
  };
  expect(await call('GET', '/things?page=2')).toEqual([200, '1']);
  expect(await call('POST', '/things')).toEqual([200, '1']);
  expect(await call('POST', NONCE_PATH)).toEqual([200, '2']);
  expect(await call('GET', NONCE_PATH)).toEqual([200, '1']);
});

test('DPoP proof: recorded as token.read', async () => {
  const id = await connect();
  await prove(id, { method: 'GET', url: api.url });
  const { body } = await recorder.ask('GET', `/v1/audit?connection_id=${id}&action=token.read`);
  expect(body.data).toMatchObject([{ outcome: 'ok', connection_id: id }]);
});

test('DPoP key: not in responses, logs, the audit log, nor in plain text in the database', async () => {
  const ids = [await connect(), await connect('deaf')];
  const planted = createSecrets();
  for (const id of ids) {
    const pem = keyOf(id);
    const { d } = createPrivateKey(pem).export({ format: 'jwk' });
    for (const secret of [d!, ...pem.split('\n').slice(1, 3)]) planted.add('DPoP key', secret);
    await ask(id, { method: 'GET', url: api.url });
    await read(id, 'refresh');
    await recorder.ask('GET', `/v1/connections/${id}`);
  }
  const { proof } = await prove(ids[0]!, { method: 'GET', url: api.url });
  const { jwk } = decodeProtectedHeader(proof) as { jwk: JWK };
  expect(Object.keys(jwk).sort()).toEqual(['crv', 'kty', 'x', 'y']);
  await recorder.ask('DELETE', `/v1/connections/${ids[1]}`);
  const audit = await recorder.ask('GET', '/v1/audit?limit=500');
  const files = readdirSync(folder).filter((name) => name.startsWith('valetkey.db'));
  const places = {
    answers: recorder.successResponses(),
    refusals: recorder.errorResponses(),
    output: Buffer.from(running.output()),
    audit: Buffer.from(JSON.stringify(audit.body)),
    database: Buffer.concat(files.map((name) => readFileSync(join(folder, name)))),
    proof: Buffer.from(`${proof}${Buffer.from(proof.split('.')[0]!, 'base64url')}`),
  };
  for (const [place, bytes] of Object.entries(places)) expect([place, planted.foundIn(bytes)]).toEqual([place, []]);
  expect(planted.foundIn(Buffer.from(keyOf(ids[0]!)))).not.toEqual([]);
  expect(await calculateJwkThumbprint(jwk)).toBe(boundTo((await read(ids[0]!)).access_token));
});
