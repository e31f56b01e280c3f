// The emulator itself: it refuses what a vendor's documentation does not describe, so that a wrong entry cannot pass.
import { createHash } from 'node:crypto';
import { SignJWT } from 'jose';
import { afterAll, expect, test } from 'vitest';
import { startEmulator } from './emulator.ts';
import { keyPair } from './identity.ts';
import type { CodeRow, MintedRow, Row } from './vendor.ts';
import type { VendorServer } from './vendor-server.ts';

const code: CodeRow = {
  flow: 'code',
  mode: 'oauth2_code',
  scopes: ['read', 'write'],
  authorize: { url: 'https://acme.example/authorize', pkce: 'required' },
  token: { url: 'https://acme.example/token', clientAuth: 'basic' },
  refresh: { rotation: 'single_use' },
  revoke: { url: 'https://acme.example/revoke' },
  api: { url: 'https://api.acme.example/me' },
};
const { refresh: _, ...once } = code;
const rows: Row[] = [
  code,
  { ...once, token: { url: 'https://acme.example/token', body: 'json', clientAuth: 'post' } },
  {
    flow: 'minted',
    mode: 'jwt_bearer',
    assertion: { claims: { iss: '{client_id}', aud: 'https://acme.example/token' }, maxLifetime: 600 },
    token: { url: 'https://acme.example/token' },
    api: { url: 'https://api.acme.example/me', tokenType: 'header:X-Key' },
  } satisfies MintedRow,
  { ...code, refresh: { rotation: 'grace' }, revoke: { url: 'https://acme.example/revoke', keepsAccess: true } },
];
const emulator = await startEmulator([{ provider: 'acme', rows, calls: { checks: [], limits: [] } }]);
afterAll(() => emulator.close());
const [plain, json, signing, lasting] = emulator.servers as [VendorServer, VendorServer, VendorServer, VendorServer];
for (const vendorServer of emulator.servers) vendorServer.setRedirectUri('http://127.0.0.1:1/callback');

const VERIFIER = 'v'.repeat(43);
const asked = (vendorServer: VendorServer): Record<string, string> => ({
  response_type: 'code',
  client_id: vendorServer.identity.secrets.clientId,
  redirect_uri: 'http://127.0.0.1:1/callback',
  state: 's'.repeat(32),
  scope: 'read write',
  code_challenge: createHash('sha256').update(VERIFIER).digest('base64url'),
  code_challenge_method: 'S256',
});

const authorize = (vendorServer: VendorServer, params: Record<string, string>) =>
  fetch(`${vendorServer.base}acme.example/authorize?${new URLSearchParams(params)}`, { redirect: 'manual' });
async function codeOf(vendorServer: VendorServer): Promise<string> {
  const response = await authorize(vendorServer, asked(vendorServer));
  return new URL(response.headers.get('location') ?? '').searchParams.get('code') ?? '';
}

const basic = ({ identity: { secrets } }: VendorServer): string =>
  `Basic ${Buffer.from(`${secrets.clientId}:${secrets.clientSecret}`).toString('base64')}`;
async function ask(
  vendorServer: VendorServer,
  place: string,
  params: Record<string, string>,
  headers: Record<string, string> = {},
) {
  const response = await fetch(`${vendorServer.base}${place}`, {
    method: 'POST',
    headers,
    body: new URLSearchParams(params),
  });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Record<string, string> };
}
const spend = (params: Record<string, string>, headers = { authorization: basic(plain) }) =>
  ask(plain, 'acme.example/token', params, headers);
const exchange = async (change: Record<string, string> = {}) =>
  spend({
    grant_type: 'authorization_code',
    code: await codeOf(plain),
    redirect_uri: 'http://127.0.0.1:1/callback',
    code_verifier: VERIFIER,
    ...change,
  });
const api = async (token: unknown) =>
  (await fetch(`${plain.base}api.acme.example/me`, { headers: { authorization: `Bearer ${token}` } })).status;

test.each([
  ['another scope', { scope: 'read,write' }],
  ['another redirect_uri', { redirect_uri: 'http://127.0.0.1:1/other' }],
  ['a parameter that it does not know', { prompt: 'consent' }],
  ['another client', { client_id: 'other' }],
  ['a state that could be guessed', { state: 'short' }],
])('authorization request with %s: refused and reported', async (_what, change) => {
  const before = plain.violations.length;
  expect((await authorize(plain, { ...asked(plain), ...change })).status).toBe(400);
  expect(plain.violations.length).toBe(before + 1);
});

test('authorization request without required PKCE: refused', async () => {
  const { code_challenge, code_challenge_method, ...rest } = asked(plain);
  expect((await authorize(plain, rest)).status).toBe(400);
});

test("code: accepted once, with its verifier and redirect URI, from its client, in the vendor's form", async () => {
  expect((await exchange()).status).toBe(200);
  expect((await exchange({ code_verifier: 'w'.repeat(43) })).body).toMatchObject({ error: 'invalid_grant' });
  expect((await exchange({ redirect_uri: 'http://127.0.0.1:1/other' })).body).toMatchObject({
    error: 'invalid_request',
  });
  expect((await exchange({ client_secret: plain.identity.secrets.clientSecret })).status).toBe(401);
  const params = {
    grant_type: 'authorization_code',
    redirect_uri: 'http://127.0.0.1:1/callback',
    code_verifier: VERIFIER,
  };
  const wrong = { authorization: `Basic ${Buffer.from('me:mine').toString('base64')}` };
  expect((await spend({ ...params, code: await codeOf(plain) }, wrong)).body).toMatchObject({
    error: 'invalid_client',
  });
  const { clientId: client_id, clientSecret: client_secret } = json.identity.secrets;
  const form = { ...params, code: await codeOf(json), client_id, client_secret };
  expect((await ask(json, 'acme.example/token', form)).body).toMatchObject({ error: 'invalid_request' });
});

test('single-use refresh token: a reuse ends the grant', async () => {
  const { body: first } = await exchange();
  const grant_type = 'refresh_token';
  const { body: second } = await spend({ grant_type, refresh_token: String(first.refresh_token) });
  expect(second.refresh_token).not.toBe(first.refresh_token);
  expect(await api(second.access_token)).toBe(200);
  expect((await spend({ grant_type, refresh_token: String(first.refresh_token) })).body).toEqual({
    error: 'invalid_grant',
  });
  expect((await spend({ grant_type, refresh_token: String(second.refresh_token) })).body).toEqual({
    error: 'invalid_grant',
  });
  expect(await api(second.access_token)).toBe(401);
});

test('revoked token: refused by the API', async () => {
  const { body } = await exchange();
  const headers = { authorization: basic(plain) };
  expect(await api(body.access_token)).toBe(200);
  expect((await ask(plain, 'acme.example/revoke', { token: 'unknown' }, headers)).status).toBe(400);
  expect((await ask(plain, 'acme.example/revoke', { token: String(body.refresh_token) }, headers)).status).toBe(200);
  expect(await api(body.access_token)).toBe(401);
});

test('revoked refresh token at a vendor with lasting access tokens: no new tokens, the access token still works', async () => {
  const { access, refresh = '' } = await lasting.grant();
  const headers = { authorization: basic(lasting) };
  const open = async () =>
    (await fetch(`${lasting.base}api.acme.example/me`, { headers: { authorization: `Bearer ${access}` } })).status;
  for (const token of [access, refresh]) {
    expect((await ask(lasting, 'acme.example/revoke', { token }, headers)).status).toBe(200);
    expect(await open()).toBe(200);
  }
  const renewed = await ask(
    lasting,
    'acme.example/token',
    { grant_type: 'refresh_token', refresh_token: refresh },
    headers,
  );
  expect(renewed.body).toEqual({ error: 'invalid_grant' });
  expect(await open()).toBe(200);
});

test('assertion: verified by signature, claims and lifetime', async () => {
  const sign = (
    key = keyPair('RS256').privateKey,
    life = 300,
    aud = signing.toEmulator('https://acme.example/token'),
  ) =>
    new SignJWT({ iss: signing.identity.secrets.clientId, aud })
      .setProtectedHeader({ alg: key.asymmetricKeyType === 'ec' ? 'ES256' : 'RS256' })
      .setIssuedAt()
      .setExpirationTime(`${life}s`)
      .sign(key);
  const present = async (assertion: string) => {
    const params = { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion };
    return (await ask(signing, 'acme.example/token', params)).status;
  };
  expect(await present(await sign())).toBe(200);
  expect(await present(await sign(keyPair('ES256').privateKey))).toBe(400);
  expect(await present(await sign(undefined, 601))).toBe(400);
  expect(await present(await sign(undefined, 300, 'https://other.example/token'))).toBe(400);
});

test('API: accepts the token only in the documented way', async () => {
  const { access } = await signing.grant();
  const get = async (headers: Record<string, string>) =>
    (await fetch(`${signing.base}api.acme.example/me`, { headers })).status;
  expect(await get({ 'x-key': access })).toBe(200);
  expect(await get({ authorization: `Bearer ${access}` })).toBe(401);
  expect(await get({ 'x-key': 'unknown' })).toBe(401);
});
