// How the client proves who it is at the token endpoint (OpenID Connect Core 9, RFC 7523, RFC 8705).
import { createHash, createPrivateKey, type KeyObject, type webcrypto, X509Certificate } from 'node:crypto';
import * as client from 'openid-client';
import type { TokenMode } from '../../domain/auth-modes.ts';
import type { ClientAuth } from '../../domain/dialect.ts';
import { fill } from '../../domain/fields.ts';
import type { Target } from '../../domain/target.ts';
import type { Metadata } from './discovery.ts';

/** The integration's secrets do not make a proof: a sentence for engineers, safe to show. */
export class ClientKeyError extends Error {
  override name = 'ClientKeyError';
}

/** Strongest first: what is given is meant to be used. */
const STRENGTH: readonly ClientAuth[] = ['tls_client_auth', 'private_key_jwt'];

/**
 * Of the methods that the catalogue (or discovery, whose default is Basic: Discovery 1.0 3) takes, the one that the
 * integration has the secrets for.
 */
export function methodOf({ auth, secrets }: Target<TokenMode>, metadata: Metadata): ClientAuth {
  const said = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
  // To the client it is all the same who signed its certificate (RFC 8705 2.1, 2.2).
  const announced = said.map((m) => (m === 'self_signed_tls_client_auth' ? 'tls_client_auth' : m)) as ClientAuth[];
  const taken: readonly ClientAuth[] =
    auth.client_auth ?? (announced.includes('client_secret_basic') ? ['client_secret_basic', ...announced] : announced);
  const has: Record<ClientAuth, boolean> = {
    tls_client_auth: secrets.certificate !== null && secrets.privateKey !== null,
    private_key_jwt: secrets.privateKey !== null,
    client_secret_basic: secrets.secret !== null,
    client_secret_basic_raw: secrets.secret !== null,
    client_secret_post: secrets.secret !== null,
    client_secret_jwt: secrets.secret !== null,
    secret_as_username: secrets.secret !== null,
    none: true,
  };
  const strong = STRENGTH.find((method) => taken.includes(method) && has[method]);
  if (strong) return strong;
  const found = taken.find((method) => has[method] === true && method !== 'none');
  // A secret that no announced method takes is still a secret: Basic, which every server must take (RFC 6749 2.3.1).
  return found ?? (secrets.secret !== null && auth.client_auth === undefined ? 'client_secret_basic' : 'none');
}

/** Throws `ClientKeyError` when the private key or the certificate cannot be used. */
export async function authentication(target: Target<TokenMode>, metadata: Metadata): Promise<client.ClientAuth> {
  const { secret, privateKey } = target.secrets;
  switch (methodOf(target, metadata)) {
    case 'client_secret_basic':
      // Not openid-client's, which escapes what the form encoding leaves alone: some compare without decoding.
      return basic(formEncoded(target.clientId), formEncoded(secret!));
    case 'client_secret_basic_raw':
      return basic(target.clientId, secret!);
    case 'secret_as_username':
      return basic(secret!, '');
    case 'client_secret_post':
      return client.ClientSecretPost(secret!);
    case 'client_secret_jwt':
      return forEndpoint(assertionOf(target, 'HS256'), (options) => client.ClientSecretJwt(secret!, options));
    case 'private_key_jwt':
      return privateKeyJwt(target, readPrivateKey(privateKey!));
    case 'tls_client_auth':
      if (!readCertificate(target.secrets.certificate!).checkPrivateKey(readPrivateKey(privateKey!)))
        throw new ClientKeyError('the private key is not that of the certificate');
      return client.TlsClientAuth();
    case 'none':
      return client.None();
  }
}

const basic =
  (user: string, password: string): client.ClientAuth =>
  (_as, _client, _body, headers) => {
    headers.set('authorization', `Basic ${base64(`${user}:${password}`)}`);
  };

async function privateKeyJwt(target: Target<TokenMode>, key: KeyObject): Promise<client.ClientAuth> {
  const alg = target.auth.client_assertion.alg ?? defaultAlgorithm(key);
  const { key_id: kid } = target.values;
  const signing = { key: importable(key, alg), ...(kid === undefined ? {} : { kid }) };
  return forEndpoint(assertionOf(target, alg), (options) => client.PrivateKeyJwt(signing, options));
}

/** The form encoding of RFC 6749 2.3.1 and appendix B. */
const formEncoded = (text: string): string => new URLSearchParams([['', text]]).toString().slice(1);

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** The client's secret in all forms that requests carry it in, for sentences that must not repeat it. */
export function clientSecrets({ clientId, secrets: { secret } }: Pick<Target, 'clientId' | 'secrets'>): string[] {
  if (secret === null) return [];
  const pairs = [`${clientId}:${secret}`, `${formEncoded(clientId)}:${formEncoded(secret)}`, `${secret}:`];
  return [secret, ...pairs.map(base64)];
}

/** A proof that names the endpoint it is for, which is told by what the request holds. */
const forEndpoint =
  (assertion: Assertion, proof: (options: client.ModifyAssertionOptions) => client.ClientAuth): client.ClientAuth =>
  (as, metadata, body, headers) => {
    const other = body.has('token') ? as.revocation_endpoint : as.pushed_authorization_request_endpoint;
    const endpoint = body.has('grant_type') ? as.token_endpoint : other;
    return proof(assertion(endpoint ?? ''))(as, metadata, body, headers);
  };

type Assertion = (endpoint: string) => client.ModifyAssertionOptions;

/**
 * The catalogue's audience and thumbprint, in what openid-client is about to sign. Its own audience is the issuer;
 * where there is none, the endpoint that is asked (RFC 7523 3).
 */
function assertionOf({ auth, issuer, values, endpoints, secrets }: Target<TokenMode>, alg: string): Assertion {
  const { audience, x5t } = auth.client_assertion;
  const { token = '' } = endpoints;
  if (x5t && secrets.certificate === null)
    throw new ClientKeyError('the provider knows the private key by its certificate: give the integration that too');
  const certificate = x5t ? readCertificate(secrets.certificate!) : undefined;
  return (endpoint) => ({
    [client.modifyAssertion](header, payload) {
      const aud = audience === undefined ? undefined : fill(audience, { ...values, token_url: token, endpoint });
      // openid-client says Ed25519 (RFC 9864), which few know yet.
      header.alg = alg;
      payload.aud = aud ?? (issuer === null ? endpoint : payload.aud);
      if (certificate) header['x5t#S256'] = createHash('sha256').update(certificate.raw).digest('base64url');
    },
  });
}

/** The first of a chain. Throws `ClientKeyError`. */
function readCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw new ClientKeyError('the certificate cannot be read: it must be a PEM');
  }
}

/** PKCS #8 or PKCS #1. Throws `ClientKeyError`, which does not repeat it. */
export function readPrivateKey(pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new ClientKeyError('the private key cannot be read: it must be an unencrypted PEM (PKCS #8 or PKCS #1)');
  }
  // RFC 7518 3.3: nothing signs with less.
  if ((key.asymmetricKeyDetails?.modulusLength ?? 2_048) < 2_048)
    throw new ClientKeyError('the private key is too short: RSA needs 2048 bits or more');
  return key;
}

const CURVES: Record<string, string> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' };

export function defaultAlgorithm(key: KeyObject): string {
  if (key.asymmetricKeyType === 'ed25519') return 'EdDSA';
  if (key.asymmetricKeyType === 'ec') return CURVES[key.asymmetricKeyDetails?.namedCurve ?? ''] ?? 'ES256';
  return 'RS256';
}

/** For WebCrypto, which wants to know beforehand what the key is for. Throws `ClientKeyError` when it is for something else. */
function importable(key: KeyObject, alg: string): webcrypto.CryptoKey {
  const hash = `SHA-${alg.slice(2)}`;
  try {
    if (alg === 'EdDSA') return key.toCryptoKey('Ed25519', false, ['sign']);
    if (alg.startsWith('ES')) {
      const namedCurve = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[alg]!;
      return key.toCryptoKey({ name: 'ECDSA', namedCurve }, false, ['sign']);
    }
    const name = alg.startsWith('PS') ? 'RSA-PSS' : 'RSASSA-PKCS1-v1_5';
    return key.toCryptoKey({ name, hash }, false, ['sign']);
  } catch {
    throw new ClientKeyError(`the private key is not one for ${alg}`);
  }
}
