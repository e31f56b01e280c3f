// Generates the identity of one row's client: id, secret, keys, certificate; and tokens.
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import { createCertificate, pem } from '../../support/certificate.ts';
import { random } from './grants.ts';
import type { Credentials, KeyKind, Row, Secrets } from './vendor.ts';

export interface ClientIdentity {
  secrets: Secrets;
  /** The public part of the client's key. */
  publicKey: KeyObject;
  /** The certificate of that key, if the client has one. */
  certificate: { pem: string; thumbprint: string } | undefined;
}

/** RSA keys are slow to generate: all rows share one key of each kind, and one wrong key of each kind. */
const keyPairs = new Map<string, { publicKey: KeyObject; privateKey: KeyObject }>();
const GENERATORS = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
};
export function keyPair(kind: KeyKind, whose: 'theirs' | 'another' = 'theirs') {
  const pair = keyPairs.get(`${whose} ${kind}`) ?? GENERATORS[kind]();
  keyPairs.set(`${whose} ${kind}`, pair);
  return pair;
}

/** The secret has characters that form encoding changes (RFC 6749 2.3.1) and `-._~`. */
export function createIdentity({ client = {} }: Row): ClientIdentity {
  const { publicKey, privateKey } = keyPair(client.key ?? 'RS256');
  return {
    publicKey,
    certificate: client.configuredAs?.includes('certificate') ? certificateOf(privateKey) : undefined,
    secrets: {
      clientId: client.id ?? `client-${random(6)}.app`,
      clientSecret: client.secret ?? `secret_~.-${random(12)}`,
      privateKey: pem(privateKey),
      publicKey: publicKey.export({ type: 'spki', format: 'pem' }) as string,
      keyId: client.keyId ?? `key-${random(6)}`,
    },
  };
}

function certificateOf(privateKey: KeyObject) {
  const { pem, x509 } = createCertificate('client', undefined, privateKey);
  return { pem, thumbprint: createHash('sha256').update(x509.raw).digest('base64url') };
}

/** The secrets that the integration is configured with. */
export function integrationSecrets(
  { client = {}, flow }: Row,
  { secrets, certificate }: ClientIdentity,
): Record<string, string> {
  const all = {
    client_id: secrets.clientId,
    client_secret: secrets.clientSecret,
    private_key: secrets.privateKey,
    key_id: secrets.keyId,
    certificate: certificate?.pem ?? '',
  };
  const gives = client.configuredAs ?? (flow === 'static' ? [] : (['client_id', 'client_secret'] as const));
  return Object.fromEntries(gives.map((name) => [name, all[name]]));
}

/** Wrong secrets in the form of the row's, with a certificate of the wrong key if the client has one. */
export function wrongIdentity(
  { client = {} }: Row,
  { secrets, publicKey, certificate }: ClientIdentity,
): ClientIdentity {
  const { privateKey } = keyPair(client.key ?? 'RS256', 'another');
  const wrong = { clientSecret: `wrong_${random(12)}`, privateKey: pem(privateKey) };
  const own = certificate && certificateOf(privateKey);
  return { publicKey, secrets: { ...secrets, ...wrong }, certificate: own };
}

export const credentialsOf = (
  credentials: Credentials | undefined,
  { secrets }: ClientIdentity,
): Record<string, string> => (typeof credentials === 'function' ? credentials(secrets) : (credentials ?? {}));

/** The access token of a row whose credentials are served unchanged. */
export function servedOf(row: Extract<Row, { flow: 'static' }>, identity: ClientIdentity): string {
  const { served: serves } = row;
  if (serves !== undefined) return typeof serves === 'function' ? serves(identity.secrets) : serves;
  const given = credentialsOf(row.credentials, identity);
  const { username, password = '' } = given;
  return username === undefined ? Object.values(given)[0]! : Buffer.from(`${username}:${password}`).toString('base64');
}

export async function createAccessToken({ tokens = {} }: Row, expiresAt: Date | undefined): Promise<string> {
  if (!tokens.jwt) return `${tokens.access ?? ''}${random()}`;
  const jwt = new SignJWT({ jti: random() }).setProtectedHeader({ alg: 'RS256' }).setIssuedAt();
  if (expiresAt) jwt.setExpirationTime(expiresAt);
  return jwt.sign(keyPair('RS256').privateKey);
}

export const createRefreshToken = ({ tokens = {} }: Row): string => `${tokens.refresh ?? ''}${random()}`;
