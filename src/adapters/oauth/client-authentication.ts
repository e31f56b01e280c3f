// Client authentication at the token endpoint (OpenID Connect Core 9, RFC 7523, RFC 8705).
import { createHash, createPrivateKey, type KeyObject, type webcrypto, X509Certificate } from 'node:crypto';
import * as client from 'openid-client';
import type { TokenMode } from '../../domain/auth-modes.ts';
import type { ClientAuth } from '../../domain/dialect.ts';
import { fill } from '../../domain/fields.ts';
import type { Target } from '../../domain/target.ts';
import type { Metadata } from './discovery.ts';

/** The client's private key or certificate cannot be used. The message is for engineers and has no secrets. */
export class ClientKeyError extends Error {
  override name = 'ClientKeyError';
}

/** Strongest first: a key or certificate that was configured is meant to be used. */
const STRONG_METHODS: readonly ClientAuth[] = ['tls_client_auth', 'private_key_jwt'];

/**
 * The first method that the catalogue (or the metadata, whose default is Basic: Discovery 1.0 3) accepts and the
 * integration has the secrets for.
 */
export function chooseAuthMethod({ auth, secrets }: Target<TokenMode>, metadata: Metadata): ClientAuth {
  const metadataMethods = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
  // Both are the same for the client: only the server cares who signed its certificate (RFC 8705 2.1, 2.2).
  const announced = metadataMethods.map((m) =>
    m === 'self_signed_tls_client_auth' ? 'tls_client_auth' : m,
  ) as ClientAuth[];
  const accepted: readonly ClientAuth[] =
    auth.client_auth ?? (announced.includes('client_secret_basic') ? ['client_secret_basic', ...announced] : announced);
  const possible: Record<ClientAuth, boolean> = {
    tls_client_auth: secrets.certificate !== null && secrets.privateKey !== null,
    private_key_jwt: secrets.privateKey !== null,
    client_secret_basic: secrets.secret !== null,
    client_secret_basic_raw: secrets.secret !== null,
    client_secret_post: secrets.secret !== null,
    client_secret_jwt: secrets.secret !== null,
    secret_as_username: secrets.secret !== null,
    none: true,
  };
  const strong = STRONG_METHODS.find((method) => accepted.includes(method) && possible[method]);
  if (strong) return strong;
  const found = accepted.find((method) => possible[method] === true && method !== 'none');
  // A secret that no announced method uses goes as Basic, which every server must support (RFC 6749 2.3.1).
  return found ?? (secrets.secret !== null && auth.client_auth === undefined ? 'client_secret_basic' : 'none');
}

/** What a token request carries to prove whose it is. */
export interface ClientProof {
  /** The same with every request. */
  headers: Record<string, string>;
  /** Adds parameters, and no headers; undefined: there are none. */
  toBody?: client.ClientAuth;
}

/** The same for openid-client. */
export const toClientAuth =
  ({ headers: own, toBody }: ClientProof): client.ClientAuth =>
  (server, metadata, body, headers) => {
    for (const [name, value] of Object.entries(own)) headers.set(name, value);
    return toBody?.(server, metadata, body, headers);
  };

const inBody = (toBody: client.ClientAuth): ClientProof => ({ headers: {}, toBody });

/** Throws `ClientKeyError` when the private key or the certificate cannot be used. */
export async function clientProof(target: Target<TokenMode>, metadata: Metadata): Promise<ClientProof> {
  const { secret, privateKey } = target.secrets;
  switch (chooseAuthMethod(target, metadata)) {
    case 'client_secret_basic':
      // Not openid-client's, which escapes more than form encoding does: some servers compare without decoding.
      return basic(formEncoded(target.clientId), formEncoded(secret!));
    case 'client_secret_basic_raw':
      return basic(target.clientId, secret!);
    case 'secret_as_username':
      return basic(secret!, '');
    case 'client_secret_post':
      return inBody(client.ClientSecretPost(secret!));
    case 'client_secret_jwt':
      return inBody(
        withEndpointAudience(assertionModifier(target, 'HS256'), (options) => client.ClientSecretJwt(secret!, options)),
      );
    case 'private_key_jwt':
      return inBody(privateKeyJwt(target, readPrivateKey(privateKey!)));
    case 'tls_client_auth':
      if (!readCertificate(target.secrets.certificate!).checkPrivateKey(readPrivateKey(privateKey!)))
        throw new ClientKeyError('the private key is not that of the certificate');
      return inBody(client.TlsClientAuth());
    case 'none':
      return inBody(client.None());
  }
}

const basic = (user: string, password: string): ClientProof => ({
  headers: { authorization: `Basic ${base64(`${user}:${password}`)}` },
});

function privateKeyJwt(target: Target<TokenMode>, key: KeyObject): client.ClientAuth {
  const alg = target.auth.client_assertion.alg ?? defaultAlgorithm(key);
  const { key_id: kid } = target.values;
  const signing = { key: importForWebCrypto(key, alg), ...(kid === undefined ? {} : { kid }) };
  return withEndpointAudience(assertionModifier(target, alg), (options) => client.PrivateKeyJwt(signing, options));
}

/** The form encoding of RFC 6749 2.3.1 and appendix B. */
const formEncoded = (text: string): string => new URLSearchParams([['', text]]).toString().slice(1);

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** The client's secret in every form that a request carries it in, for redaction. */
export function clientSecrets({ clientId, secrets: { secret } }: Pick<Target, 'clientId' | 'secrets'>): string[] {
  if (secret === null) return [];
  const pairs = [`${clientId}:${secret}`, `${formEncoded(clientId)}:${formEncoded(secret)}`, `${secret}:`];
  return [secret, ...pairs.map(base64)];
}

/** Client authentication whose assertion names the endpoint; the body's parameters say which endpoint it is. */
const withEndpointAudience =
  (assertion: Assertion, proof: (options: client.ModifyAssertionOptions) => client.ClientAuth): client.ClientAuth =>
  (as, metadata, body, headers) => {
    const other = body.has('token') ? as.revocation_endpoint : as.pushed_authorization_request_endpoint;
    const endpoint = body.has('grant_type') ? as.token_endpoint : other;
    return proof(assertion(endpoint ?? ''))(as, metadata, body, headers);
  };

type Assertion = (endpoint: string) => client.ModifyAssertionOptions;

/**
 * Sets the catalogue's audience and thumbprint in the assertion that openid-client signs. The default audience is the
 * issuer or, without one, the endpoint (RFC 7523 3).
 */
function assertionModifier({ auth, issuer, values, endpoints, secrets }: Target<TokenMode>, alg: string): Assertion {
  const { audience, x5t } = auth.client_assertion;
  const { token = '' } = endpoints;
  if (x5t && secrets.certificate === null)
    throw new ClientKeyError(
      'this provider identifies the private key by its certificate: configure the certificate too',
    );
  const certificate = x5t ? readCertificate(secrets.certificate!) : undefined;
  return (endpoint) => ({
    [client.modifyAssertion](header, payload) {
      const aud = audience === undefined ? undefined : fill(audience, { ...values, token_url: token, endpoint });
      // openid-client says Ed25519 (RFC 9864), which few servers support yet.
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

/** PKCS #8 or PKCS #1. Throws `ClientKeyError`, whose message does not contain it. */
export function readPrivateKey(pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new ClientKeyError('the private key cannot be read: it must be an unencrypted PEM (PKCS #8 or PKCS #1)');
  }
  // RFC 7518 3.3: the minimum for signatures.
  if ((key.asymmetricKeyDetails?.modulusLength ?? 2_048) < 2_048)
    throw new ClientKeyError('the private key is too short: RSA needs 2048 bits or more');
  return key;
}

const ALGORITHM_OF_CURVE: Record<string, string> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' };

export function defaultAlgorithm(key: KeyObject): string {
  if (key.asymmetricKeyType === 'ed25519') return 'EdDSA';
  if (key.asymmetricKeyType === 'ec') return ALGORITHM_OF_CURVE[key.asymmetricKeyDetails?.namedCurve ?? ''] ?? 'ES256';
  return 'RS256';
}

/** WebCrypto binds a key to its algorithm. Throws `ClientKeyError` when the key is not for this one. */
function importForWebCrypto(key: KeyObject, alg: string): webcrypto.CryptoKey {
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
