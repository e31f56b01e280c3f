// JWT verification over HTTP: trusted issuers, and the reasons for other tokens.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { type JWTPayload, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Verdict } from '../../../src/api/index.ts';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../../support/contract.ts';
import { type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

let broker: TestBroker;
/** Its issuers are `<url>/<name>`, all with the same key. */
let issuers: ScriptedServer;
const issuerOf = (name: string) => `${issuers.url}/${name}`;

beforeAll(async () => {
  issuers = await startScriptedServer(({ path }) => {
    const [, name = '', document = ''] = /^\/(\w+)\/(.*)$/.exec(path) ?? [];
    if (name === 'silent') return { status: 503 };
    if (document === 'jwks') return { body: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1' }] } };
    if (document !== '.well-known/openid-configuration') return { status: 404 };
    const issuer = issuerOf(name);
    return { body: { issuer, jwks_uri: `${issuer}/jwks`, authorization_endpoint: issuer, token_endpoint: issuer } };
  });
  const trusted_issuers = [
    { issuer: issuerOf('named'), audiences: ['billing', 'orders'] },
    { issuer: issuerOf('open') },
    { issuer: issuerOf('silent'), audiences: ['billing'] },
  ];
  broker = await startTestBroker({}, { trusted_issuers });
});
afterAll(() => Promise.all([broker.stop(), issuers.close()]));

const verify = (body: Json, key?: string) => broker.ask('POST', '/v1/jwt/verify', body, key);
const seconds = () => Math.floor(Date.now() / 1_000);

/** A valid token for `named`, with other claims if given; an undefined claim is left out. */
function sign(
  claims: Json = {},
  { key = privateKey as KeyObject | Uint8Array, ...header }: Json & { key?: KeyObject | Uint8Array } = {},
) {
  const now = seconds();
  const payload = { iss: issuerOf('named'), sub: 'user_42', aud: 'billing', iat: now, exp: now + 60, ...claims };
  return new SignJWT(payload as JWTPayload).setProtectedHeader({ alg: 'ES256', kid: 'k1', ...header }).sign(key);
}
async function verdict(token: string, more: Json = {}): Promise<Json> {
  const body = expectOk(await verify({ token, ...more }));
  Verdict.parse(body);
  return body;
}

test('JWT verification: active, with issuer, claims and header', async () => {
  const claims = { sub: 'user_42', roles: ['admin'] };
  const body = await verdict(await sign(claims, { typ: 'at+jwt' }));
  expect(body).toEqual({
    active: true,
    issuer: issuerOf('named'),
    claims: { iss: issuerOf('named'), aud: 'billing', iat: expect.any(Number), exp: expect.any(Number), ...claims },
    header: { alg: 'ES256', kid: 'k1', typ: 'at+jwt' },
  });
});

describe('JWT verification: reason', () => {
  const refused = (reason: string) => ({ active: false, reason });

  test.each<[string, string, () => Promise<string> | string]>([
    ['malformed', 'no JWT', () => 'no.jwt.at-all'],
    ['malformed', 'two parts', () => 'a.b'],
    ['malformed', 'too long', () => sign({ filler: 'x'.repeat(17_000) })],
    ['malformed', 'an end that is no number', () => sign({ exp: 'soon' })],
    ['untrusted_issuer', 'an unknown issuer', () => sign({ iss: 'https://id.example' })],
    ['untrusted_issuer', 'an issuer that is nearly one', () => sign({ iss: `${issuerOf('named')}/` })],
    ['unsupported_algorithm', 'symmetric', () => sign({}, { alg: 'HS256', key: Buffer.alloc(32, 7) })],
    ['unknown_key', 'a key that the issuer does not have', () => sign({}, { kid: 'k2' })],
    ['invalid_signature', "another key's signature", () => sign({}, { key: stranger })],
    ['expired', 'an hour old', () => sign({ exp: seconds() - 3_600 })],
    ['not_yet_valid', 'from tomorrow on', () => sign({ nbf: seconds() + 86_400 })],
    ['not_yet_valid', 'issued tomorrow', () => sign({ iat: seconds() + 86_400 })],
    ['audience_mismatch', 'for another audience', () => sign({ aud: 'payroll' })],
  ])('%s: %s', async (reason, _, token) => {
    expect(await verdict(await token())).toEqual(refused(reason));
  });

  test('issuer_unavailable: of an issuer that does not answer, with the reason', async () => {
    const answer = await verdict(await sign({ iss: issuerOf('silent') }));
    expect(answer).toEqual({ ...refused('issuer_unavailable'), detail: expect.stringMatching(/\w/) });
  });

  test.each(['exp', 'aud', 'iss'])('missing_claim: without %s', async (claim) => {
    const token = await sign({ [claim]: undefined });
    expect(await verdict(token)).toEqual({ active: false, reason: 'missing_claim', claim });
  });

  test('unsigned: unsupported_algorithm', async () => {
    const [, claims] = (await sign()).split('.');
    const header = Buffer.from('{"alg":"none"}').toString('base64url');
    expect(await verdict(`${header}.${claims}.`)).toEqual(refused('unsupported_algorithm'));
  });

  test('with other claims under the old signature: invalid_signature', async () => {
    const [header, , signature] = (await sign()).split('.');
    const [, claims] = (await sign({ sub: 'admin' })).split('.');
    expect(await verdict(`${header}.${claims}.${signature}`)).toEqual(refused('invalid_signature'));
  });
});

describe('audience', () => {
  test("one of the issuer's, when the request names none", async () => {
    expect(await verdict(await sign({ aud: 'orders' }))).toMatchObject({ active: true });
    expect(await verdict(await sign({ aud: ['payroll', 'billing'] }))).toMatchObject({ active: true });
  });

  test('the one in the request, and no other', async () => {
    const audience = 'payroll';
    expect(await verdict(await sign({ aud: audience }), { audience })).toMatchObject({ active: true });
    expect(await verdict(await sign(), { audience })).toEqual({ active: false, reason: 'audience_mismatch' });
  });

  test('must be in the request where the issuer has none', async () => {
    const token = await sign({ iss: issuerOf('open') });
    expect(await verdict(token)).toEqual({ active: false, reason: 'audience_mismatch' });
    expect(await verdict(token, { audience: 'billing' })).toMatchObject({ active: true, issuer: issuerOf('open') });
  });
});

test("issuer in the request: must be the token's", async () => {
  const token = await sign();
  expect(await verdict(token, { issuer: issuerOf('named') })).toMatchObject({ active: true });
  expect(await verdict(token, { issuer: issuerOf('open') })).toEqual({ active: false, reason: 'untrusted_issuer' });
});

test('OpenID integrations: their issuer is trusted for their client, as long as they exist', async () => {
  const token = await sign({ iss: issuerOf('integrated'), aud: 'our-client' });
  expect(await verdict(token)).toEqual({ active: false, reason: 'untrusted_issuer' });
  const setup = { provider: 'generic-oidc', client_id: 'our-client', params: { issuer: issuerOf('integrated') } };
  expectOk(await broker.ask('PUT', '/v1/integrations/acme', setup), 201);
  expect(await verdict(token)).toMatchObject({ active: true });
  const other = await sign({ iss: issuerOf('integrated'), aud: 'billing' });
  expect(await verdict(other)).toEqual({ active: false, reason: 'audience_mismatch' });
  expect((await broker.ask('DELETE', '/v1/integrations/acme')).status).toBe(204);
  expect(await verdict(token)).toEqual({ active: false, reason: 'untrusted_issuer' });
});

test('JWT verification: 403 without jwt:verify in any grant; 400 without a token', async () => {
  const token = await sign();
  const key = await broker.callerKey({ actions: ['token', 'admin', 'connections:read'] });
  const { missing } = expectProblem(await verify({ token }, key), 403, 'forbidden');
  expect(missing).toMatchObject({ action: 'jwt:verify' });
  const verifier = await broker.callerKey({ actions: ['jwt:verify'], integrations: ['acme'], owners: ['nobody'] });
  expect(expectOk(await verify({ token }, verifier))).toMatchObject({ active: true });
  expectIssues(await verify({}), 'token');
  expectIssues(await verify({ token: '' }), 'token');
  expectIssues(await verify({ token, aud: 'billing' }), 'aud');
  expectIssues(await verify({ token, aud: '' }), 'aud');
});
