// Mutual TLS (RFC 8705), with a strict OpenID Provider over https.
import { createHash, type KeyObject, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls';
import { decodeProtectedHeader } from 'jose';
import { type ClientMetadata, Provider } from 'oidc-provider';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createMemory } from '../../../demo/provider-memory.ts';
import { NO_SECRETS, type Target } from '../../../src/domain/target.ts';
import { createCertificate, pem } from '../../support/certificate.ts';
import {
  createTarget,
  expectFault,
  mintToken,
  REDIRECT_URI,
  startAuthorization,
  startTestAdapter,
  type TestAdapter,
  unwrap,
} from '../../support/oauth.ts';
import { startScriptedServer } from '../../support/scripted-server.ts';

const authority = createCertificate('Acme Test Authority');
const client = createCertificate('acme-client', authority);
const stranger = createCertificate('somebody-else', authority);
const selfSigned = createCertificate('self-signed');

let server: Server;
let adapter: TestAdapter;
let issuer: string;
/** The subject of each token request's client certificate. */
const shown: (string | undefined)[] = [];

const certificateOf = (socket: unknown) => (socket as TLSSocket).getPeerX509Certificate();

beforeAll(async () => {
  setDefaultCACertificates([...getCACertificates('default'), authority.pem]);
  const own = createCertificate('127.0.0.1', authority);
  const asking = { ca: authority.pem, requestCert: true, rejectUnauthorized: false };
  server = createServer({ key: pem(own.privateKey), cert: own.pem, ...asking });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  issuer = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const named = (id: string, more: object): ClientMetadata => ({
    client_id: id,
    grant_types: ['client_credentials', 'authorization_code'],
    redirect_uris: [REDIRECT_URI],
    id_token_signed_response_alg: 'ES256',
    ...more,
  });
  const jwk = { ...selfSigned.x509.publicKey.export({ format: 'jwk' }), x5c: [selfSigned.x509.raw.toString('base64')] };
  const provider = new Provider(issuer, {
    adapter: createMemory().open,
    jwks: { keys: [{ ...own.privateKey.export({ format: 'jwk' }), use: 'sig' }] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    clients: [
      named('by-authority', {
        token_endpoint_auth_method: 'tls_client_auth',
        tls_client_auth_subject_dn: 'CN=acme-client',
      }),
      named('self-signed', { token_endpoint_auth_method: 'self_signed_tls_client_auth', jwks: { keys: [jwk] } }),
    ],
    clientAuthMethods: ['tls_client_auth', 'self_signed_tls_client_auth'],
    ttl: { ClientCredentials: 60 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      mTLS: {
        enabled: true,
        tlsClientAuth: true,
        selfSignedTlsClientAuth: true,
        getCertificate: (ctx) => certificateOf(ctx.socket)?.toString() ?? '',
        certificateAuthorized: (ctx) => (ctx.socket as TLSSocket).authorized,
        certificateSubjectMatches: (ctx, _, expected) => certificateOf(ctx.socket)?.subject === expected,
      },
    },
  });
  const answer = provider.callback();
  server.on('request', (req, res) => {
    if (req.method === 'POST') shown.push(certificateOf(req.socket)?.subject);
    return answer(req, res);
  });
  adapter = startTestAdapter();
});
beforeEach(() => {
  shown.length = 0;
});
afterAll(async () => {
  await adapter.close();
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
});

type Pair = { pem: string; privateKey: KeyObject };

function target(clientId: string, pair: Pair | undefined, auth: object = {}): Target {
  const entry = { auth: [{ mode: 'oauth2_client_credentials', issuer, ...auth }] };
  const secrets = pair ? { certificate: pair.pem, privateKey: pem(pair.privateKey) } : {};
  return { ...createTarget(entry, { clientId }), secrets: { ...NO_SECRETS, ...secrets } };
}

const asked = (at: Target) => mintToken(adapter.client, at);

describe('mutual TLS', () => {
  test('accepts a certificate of the provider’s authority', async () => {
    expect(unwrap(await asked(target('by-authority', client)))).toMatchObject({ tokenType: 'Bearer' });
    expect(shown).toEqual(['CN=acme-client']);
  });

  test('accepts a registered self-signed certificate', async () => {
    expect(unwrap(await asked(target('self-signed', selfSigned)))).toMatchObject({ tokenType: 'Bearer' });
    expect(shown).toEqual(['CN=self-signed']);
  });

  test('sends each client’s own certificate, in any order', async () => {
    for (const [id, pair] of [
      ['by-authority', client],
      ['self-signed', selfSigned],
      ['by-authority', client],
    ] as const)
      unwrap(await asked(target(id, pair)));
    expect(shown).toEqual(['CN=acme-client', 'CN=self-signed', 'CN=acme-client']);
  });

  test.each([
    ['another client’s', 'by-authority', stranger],
    ['one without an authority', 'by-authority', createCertificate('acme-client')],
    ['another that is self-signed', 'self-signed', createCertificate('self-signed')],
    ['none', 'by-authority', undefined],
  ])('refuses %s', async (_, id, pair) => {
    const fault = expectFault(await asked(target(id, pair, { client_auth: ['tls_client_auth', 'none'] })));
    expect(fault).toMatchObject({ kind: 'misconfigured', code: 'invalid_client', outcomeUnknown: false });
    expect(shown).toHaveLength(1);
  });

  test('is used for pushed authorization requests too', async () => {
    const entry = { auth: [{ mode: 'oidc', issuer, pushed_authorization_request_url: `${issuer}/request` }] };
    const secrets = { ...NO_SECRETS, certificate: client.pem, privateKey: pem(client.privateKey) };
    const at = { ...createTarget(entry, { clientId: 'by-authority' }), secrets };
    const { url } = await startAuthorization(adapter.client, at);
    expect(new URL(url).searchParams.get('request_uri')).toMatch(/^urn:/);
    expect(shown).toEqual(['CN=acme-client']);
  });
});

describe('mutual TLS is misconfigured, and sends nothing,', () => {
  test.each([
    ['when the key is another’s', { certificate: client.pem, privateKey: pem(stranger.privateKey) }],
    ['when the key cannot be read', { certificate: client.pem, privateKey: 'c2VjcmV0IGtleQ==' }],
    ['when the certificate cannot be read', { certificate: 'garbage', privateKey: pem(client.privateKey) }],
  ])('%s', async (_, secrets) => {
    const fault = expectFault(
      await asked({ ...target('by-authority', undefined), secrets: { ...NO_SECRETS, ...secrets } }),
    );
    expect(fault).toMatchObject({ kind: 'misconfigured', code: 'invalid_client_key' });
    for (const line of secrets.privateKey.split('\n').filter((text) => text !== '' && !text.startsWith('-')))
      expect(fault.detail).not.toContain(line);
    expect(shown).toEqual([]);
  });
});

describe('certificate thumbprint', () => {
  const auth = { client_auth: ['private_key_jwt'], client_assertion: { x5t: true } };

  test('is in the assertion where the catalogue says so (RFC 7515 4.1.8)', async () => {
    const listener = await startScriptedServer(() => ({ body: { access_token: 'at' } }));
    const entry = { mode: 'oauth2_client_credentials', token_url: `${listener.url}/token` };
    const secrets = { ...NO_SECRETS, certificate: client.pem, privateKey: pem(client.privateKey) };
    for (const x5t of [true, false]) {
      const mode = { ...entry, ...auth, client_assertion: { x5t } };
      unwrap(await asked({ ...createTarget({ auth: [mode] }), secrets }));
    }
    const headers = listener.received.map(({ form }) => decodeProtectedHeader(form.get('client_assertion')!));
    const thumbprint = createHash('sha256').update(client.x509.raw).digest('base64url');
    expect(headers).toEqual([{ alg: 'ES256', 'x5t#S256': thumbprint }, { alg: 'ES256' }]);
    await listener.close();
  });

  test('of an unreadable certificate: misconfigured', async () => {
    const at = target('by-authority', client, auth);
    const fault = expectFault(await asked({ ...at, secrets: { ...at.secrets, certificate: 'garbage' } }));
    expect(fault).toMatchObject({ kind: 'misconfigured', code: 'invalid_client_key' });
  });
});
