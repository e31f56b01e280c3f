// Client authentication at the token endpoint: with a strict OpenID Provider, and with servers that record requests.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { decodeProtectedHeader, exportJWK, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import { chooseAuthMethod } from '../../../src/adapters/oauth/client-authentication.ts';
import type { TokenMode } from '../../../src/domain/auth-modes.ts';
import { type ClientSecrets, NO_SECRETS, type Target } from '../../../src/domain/target.ts';
import { createTarget, expectFault, mintToken, startAdapterWithServer, unwrap } from '../../support/oauth.ts';

const ID = 'acme: 100%+/?&=~';
const SECRET = 'a secret of 32 bytes or more: %+/&="~';
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' });
const ed25519 = generateKeyPairSync('ed25519');
const pkcs8 = ({ privateKey }: { privateKey: KeyObject }) =>
  privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const pkcs1 = rsa.privateKey.export({ type: 'pkcs1', format: 'pem' }) as string;
const sec1 = p256.privateKey.export({ type: 'sec1', format: 'pem' }) as string;

let provider: LocalProvider;
const { server, adapter } = await startAdapterWithServer(() => ({
  body: { access_token: 'at', token_type: 'Bearer' },
}));

beforeAll(async () => {
  const keys = [rsa, p256, ed25519].map(async ({ publicKey }) => exportJWK(publicKey));
  const client = (id: string, method: string, more: object = { client_secret: SECRET }) => ({
    client_id: id,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: method as 'client_secret_basic',
    ...more,
  });
  provider = await startProvider({
    clients: [
      client(ID, 'client_secret_basic'),
      client(`${ID}2`, 'client_secret_post'),
      client('client_secret_jwt', 'client_secret_jwt'),
      client('private_key_jwt', 'private_key_jwt', { jwks: { keys: await Promise.all(keys) } }),
    ],
    configuration: { features: { devInteractions: { enabled: false }, clientCredentials: { enabled: true } } },
  });
});
afterAll(() => provider.close());

interface Client extends Partial<ClientSecrets> {
  id?: string;
  keyId?: string;
}

function target(auth: object, { id, keyId, ...secrets }: Client): Target<TokenMode> {
  const entry = { auth: [{ mode: 'oauth2_client_credentials', ...auth }] };
  const made = createTarget(entry, id === undefined ? {} : { clientId: id }) as Target<TokenMode>;
  const values = keyId === undefined ? made.values : { ...made.values, key_id: keyId };
  return { ...made, values, secrets: { ...NO_SECRETS, ...secrets } };
}

const asked = (at: Target) => mintToken(adapter.client, at);

/** The request that the server received. */
async function sent(auth: object, client: Client) {
  unwrap(await asked(target({ token_url: `${server.url}/token`, ...auth }, client)));
  const { headers, form } = server.received.at(-1)!;
  return { authorization: headers.authorization, form: Object.fromEntries(form) };
}

const basic = (pair: string) => `Basic ${Buffer.from(pair).toString('base64')}`;

describe('a strict OpenID Provider accepts', () => {
  const bySecret: [string, string][] = [
    ['client_secret_basic', ID],
    ['client_secret_post', `${ID}2`],
    ['client_secret_jwt', 'client_secret_jwt'],
  ];
  test.each(bySecret)('%s, with any characters in id and secret', async (method, id) => {
    const auth = { issuer: provider.issuer, client_auth: [method] };
    expect(unwrap(await asked(target(auth, { id, secret: SECRET })))).toMatchObject({ tokenType: 'Bearer' });
  });

  test.each(bySecret)('no %s with a wrong secret, which is redacted from the error', async (method, id) => {
    const auth = { issuer: provider.issuer, client_auth: [method] };
    const wrong = 'not the secret, and just as long as it';
    const fault = expectFault(await asked(target(auth, { id, secret: wrong })));
    expect(fault).toMatchObject({ kind: 'misconfigured', code: 'invalid_client', outcomeUnknown: false });
    expect(JSON.stringify(fault)).not.toContain(wrong);
  });

  test.each([
    ['RSA in PKCS #8', pkcs8(rsa), {}],
    ['RSA in PKCS #1', pkcs1, {}],
    ['RSA for PS256', pkcs1, { alg: 'PS256' }],
    ['P-256 in PKCS #8', pkcs8(p256), {}],
    ['P-256 in SEC 1', sec1, { alg: 'ES256' }],
    ['Ed25519', pkcs8(ed25519), {}],
  ])('private_key_jwt: %s', async (_, privateKey, assertion) => {
    const auth = { issuer: provider.issuer, client_auth: ['private_key_jwt'], client_assertion: assertion };
    const at = target(auth, { id: 'private_key_jwt', privateKey });
    // Twice: a repeated assertion would be refused.
    unwrap(await asked(at));
    unwrap(await asked(at));
  });

  test('no private_key_jwt with an unknown key', async () => {
    const auth = { issuer: provider.issuer, client_auth: ['private_key_jwt'] };
    const privateKey = pkcs8(generateKeyPairSync('ec', { namedCurve: 'P-256' }));
    const fault = expectFault(await asked(target(auth, { id: 'private_key_jwt', privateKey })));
    expect(fault).toMatchObject({ kind: 'misconfigured', code: 'invalid_client' });
  });
});

describe('request', () => {
  test('client_secret_basic: id and secret, each form-encoded (RFC 6749 2.3.1)', async () => {
    const { authorization, form } = await sent({ client_auth: ['client_secret_basic'] }, { id: ID, secret: SECRET });
    const pair = Buffer.from(authorization!.slice('Basic '.length), 'base64').toString().split(':');
    expect(pair.map((part) => new URLSearchParams(`v=${part}`).get('v'))).toEqual([ID, SECRET]);
    expect(form).toEqual({ grant_type: 'client_credentials' });
  });

  test('client_secret_basic_raw: id and secret as they are', async () => {
    const { authorization, form } = await sent(
      { client_auth: ['client_secret_basic_raw'] },
      { id: 'a-b', secret: 'c%+d' },
    );
    expect(authorization).toBe(basic('a-b:c%+d'));
    expect(form).toEqual({ grant_type: 'client_credentials' });
  });

  test('secret_as_username: the secret and no password', async () => {
    const { authorization, form } = await sent({ client_auth: ['secret_as_username'] }, { secret: 'sk_live_1' });
    expect(authorization).toBe(basic('sk_live_1:'));
    expect(form).toEqual({ grant_type: 'client_credentials' });
  });

  test('client_secret_post: id and secret in the body only', async () => {
    const { authorization, form } = await sent({ client_auth: ['client_secret_post'] }, { id: ID, secret: SECRET });
    expect(authorization).toBeUndefined();
    expect(form).toEqual({ grant_type: 'client_credentials', client_id: ID, client_secret: SECRET });
  });

  test('none: the id, and no secret even when there is one', async () => {
    const { authorization, form } = await sent({ client_auth: ['none'] }, { secret: SECRET, privateKey: pkcs1 });
    expect(authorization).toBeUndefined();
    expect(form).toEqual({ grant_type: 'client_credentials', client_id: 'client' });
  });

  test('client_secret_jwt: an assertion signed with the secret, and no secret', async () => {
    const { form } = await sent({ client_auth: ['client_secret_jwt'] }, { secret: SECRET });
    const key = new TextEncoder().encode(SECRET);
    const { payload } = await jwtVerify(form.client_assertion!, key, { issuer: 'client', algorithms: ['HS256'] });
    expect(payload).toMatchObject({ sub: 'client', aud: `${server.url}/token` });
    expect(form).toEqual({
      grant_type: 'client_credentials',
      client_id: 'client',
      client_assertion_type: JWT_BEARER,
      client_assertion: expect.any(String),
    });
  });

  test.each([
    ['RS256', rsa, {}],
    ['RS512', rsa, { alg: 'RS512' }],
    ['PS256', rsa, { alg: 'PS256' }],
    ['ES256', p256, {}],
    ['ES384', p384, {}],
    ['ES512', p521, {}],
    ['EdDSA', ed25519, {}],
  ])('private_key_jwt: an assertion of RFC 7523 in %s', async (alg, pair, assertion) => {
    const auth = { client_auth: ['private_key_jwt'], client_assertion: assertion };
    const client = { privateKey: pkcs8(pair), keyId: 'key-1' };
    const [one, other] = [await sent(auth, client), await sent(auth, client)].map(({ form }) => form.client_assertion!);
    const expected = { issuer: 'client', subject: 'client', audience: `${server.url}/token`, algorithms: [alg] };
    const { payload, protectedHeader } = await jwtVerify(one!, pair.publicKey, expected);
    expect(protectedHeader).toEqual({ alg, kid: 'key-1' });
    expect(payload.exp! - payload.iat!).toBeGreaterThan(0);
    expect(payload.exp! - payload.iat!).toBeLessThanOrEqual(300);
    const again = await jwtVerify(other!, pair.publicKey, expected);
    expect(payload.jti).toMatch(/^[\w-]{20,}$/);
    expect(again.payload.jti).not.toBe(payload.jti);
  });

  test('private_key_jwt: no kid when the integration has none, and the catalogue’s audience', async () => {
    const auth = { client_auth: ['private_key_jwt'], client_assertion: { audience: 'https://acme.test/{client_id}' } };
    const { form } = await sent(auth, { privateKey: pkcs1 });
    const options = { audience: 'https://acme.test/client' };
    expect((await jwtVerify(form.client_assertion!, rsa.publicKey, options)).payload.aud).toBe(options.audience);
    expect(decodeProtectedHeader(form.client_assertion!)).toEqual({ alg: 'RS256' });
  });
});

describe('chooseAuthMethod', () => {
  const secret = SECRET;
  const key = { privateKey: pkcs1 };
  const tls = { ...key, certificate: 'any' };
  const ALL = ['client_secret_post', 'client_secret_basic', 'private_key_jwt', 'tls_client_auth', 'none'];
  const cases: [string, string, object, string[] | undefined, string[] | undefined][] = [
    ['the first that the catalogue names, with a secret', 'client_secret_post', { secret }, ALL, undefined],
    ['the key before the secret', 'private_key_jwt', { secret, ...key }, ALL, undefined],
    ['the certificate before key and secret', 'tls_client_auth', { secret, ...tls }, ALL, undefined],
    ['the key where certificates are not taken', 'private_key_jwt', tls, ['private_key_jwt', 'none'], undefined],
    [
      'the secret where keys are not taken',
      'client_secret_post',
      { secret, ...tls },
      ['client_secret_post'],
      undefined,
    ],
    ['none without anything', 'none', {}, ALL, undefined],
    ['none where nothing that it has is taken', 'none', { secret }, ['private_key_jwt'], undefined],
    ['Basic by default', 'client_secret_basic', { secret }, undefined, undefined],
    ['Basic before what else discovery says', 'client_secret_basic', { secret }, undefined, ALL],
    ['the first of discovery without Basic', 'client_secret_jwt', { secret }, undefined, ['none', 'client_secret_jwt']],
    [
      'Basic when no announced method takes a secret',
      'client_secret_basic',
      { secret },
      undefined,
      ['private_key_jwt'],
    ],
    ['the key that discovery takes', 'private_key_jwt', { secret, ...key }, undefined, ALL],
    ['the certificate that discovery takes', 'tls_client_auth', tls, undefined, ['tls_client_auth']],
    ['a self-signed certificate likewise', 'tls_client_auth', tls, undefined, ['self_signed_tls_client_auth']],
    ['the catalogue over discovery', 'client_secret_post', { secret }, ['client_secret_post'], ['client_secret_basic']],
  ];
  test.each(cases)('%s', (_, method, secrets, taken, announced) => {
    const at = target({ token_url: 'https://acme.test/t', ...(taken && { client_auth: taken }) }, secrets);
    const said = announced && { token_endpoint_auth_methods_supported: announced };
    expect(chooseAuthMethod(at, { issuer: 'https://acme.test', ...said })).toBe(method);
  });
});

describe('unusable key: misconfigured, with the key redacted', () => {
  const encrypted = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' } as const;
  const short = generateKeyPairSync('rsa', { modulusLength: 1024 });
  test.each([
    ['garbage', '-----BEGIN PRIVATE KEY-----\nc2VjcmV0IGdhcmJhZ2U=\n-----END PRIVATE KEY-----\n', {}],
    ['cut off', pkcs8(rsa).slice(0, 900), {}],
    ['encrypted', rsa.privateKey.export(encrypted) as string, {}],
    ['public', rsa.publicKey.export({ type: 'spki', format: 'pem' }) as string, {}],
    ['elliptic for RS256', pkcs8(p256), { alg: 'RS256' }],
    ['RSA for ES256', pkcs8(rsa), { alg: 'ES256' }],
    ['of another curve', pkcs8(p384), { alg: 'ES256' }],
    ['RSA for EdDSA', pkcs8(rsa), { alg: 'EdDSA' }],
    ['of a kind that signs nothing', pkcs8(generateKeyPairSync('x25519')), {}],
    ['too short', pkcs8(short), {}],
  ])('%s', async (_, privateKey, assertion) => {
    const auth = { token_url: `${server.url}/token`, client_auth: ['private_key_jwt'], client_assertion: assertion };
    const fault = expectFault(await asked(target(auth, { privateKey })));
    expect(fault).toMatchObject({ kind: 'misconfigured', code: 'invalid_client_key', outcomeUnknown: false });
    for (const line of privateKey.split('\n').filter((text) => text !== '' && !text.startsWith('-')))
      expect(fault.detail).not.toContain(line);
    expect(server.received).toEqual([]);
  });
});
