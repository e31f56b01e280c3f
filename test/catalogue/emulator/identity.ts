// What the emulator makes up for one row: its client, its keys, and how its tokens look.
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import { certify, pem } from '../../support/certificate.ts';
import { random } from './grants.ts';
import type { Credentials, KeyKind, Row, Secrets } from './vendor.ts';

export interface Identity {
  secrets: Secrets;
  /** Of the client's key. */
  publicKey: KeyObject;
  /** Of that key, where the client has one. */
  certificate: { pem: string; thumbprint: string } | undefined;
}

/** Making an RSA key takes long: one of each kind does for all rows, and one more for what is not theirs. */
const made = new Map<string, { publicKey: KeyObject; privateKey: KeyObject }>();
const MAKE = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
};
export function keyPair(kind: KeyKind, whose: 'theirs' | 'another' = 'theirs') {
  const pair = made.get(`${whose} ${kind}`) ?? MAKE[kind]();
  made.set(`${whose} ${kind}`, pair);
  return pair;
}

/** The secret has what form encoding changes (RFC 6749 2.3.1) and what is the same once decoded: `-._~`. */
export function identityOf({ client = {} }: Row): Identity {
  const { publicKey, privateKey } = keyPair(client.key ?? 'RS256');
  return {
    publicKey,
    certificate: client.gives?.includes('certificate') ? certificateOf(privateKey) : undefined,
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
  const { pem, x509 } = certify('client', undefined, privateKey);
  return { pem, thumbprint: createHash('sha256').update(x509.raw).digest('base64url') };
}

/** What the integration is set up with. */
export function clientOf({ client = {}, flow }: Row, { secrets, certificate }: Identity): Record<string, string> {
  const all = {
    client_id: secrets.clientId,
    client_secret: secrets.clientSecret,
    private_key: secrets.privateKey,
    key_id: secrets.keyId,
    certificate: certificate?.pem ?? '',
  };
  const gives = client.gives ?? (flow === 'given' ? [] : (['client_id', 'client_secret'] as const));
  return Object.fromEntries(gives.map((name) => [name, all[name]]));
}

/** Secrets of nobody, in the form of the row's: with a certificate of that key, where the client has one. */
export function wrongOf({ client = {} }: Row, { secrets, publicKey, certificate }: Identity): Identity {
  const { privateKey } = keyPair(client.key ?? 'RS256', 'another');
  const wrong = { clientSecret: `wrong_${random(12)}`, privateKey: pem(privateKey) };
  const own = certificate && certificateOf(privateKey);
  return { publicKey, secrets: { ...secrets, ...wrong }, certificate: own };
}

export const credentialsOf = (credentials: Credentials | undefined, { secrets }: Identity): Record<string, string> =>
  typeof credentials === 'function' ? credentials(secrets) : (credentials ?? {});

/** Of a row whose credentials are served as they are. */
export function servedOf(row: Extract<Row, { flow: 'given' }>, identity: Identity): string {
  const { serves } = row;
  if (serves !== undefined) return typeof serves === 'function' ? serves(identity.secrets) : serves;
  const given = credentialsOf(row.credentials, identity);
  const { username, password = '' } = given;
  return username === undefined ? Object.values(given)[0]! : Buffer.from(`${username}:${password}`).toString('base64');
}

export async function makeAccess({ tokens = {} }: Row, expiresAt: Date | undefined): Promise<string> {
  if (!tokens.jwt) return `${tokens.access ?? ''}${random()}`;
  const jwt = new SignJWT({ jti: random() }).setProtectedHeader({ alg: 'RS256' }).setIssuedAt();
  if (expiresAt) jwt.setExpirationTime(expiresAt);
  return jwt.sign(keyPair('RS256').privateKey);
}

export const makeRefresh = ({ tokens = {} }: Row): string => `${tokens.refresh ?? ''}${random()}`;
