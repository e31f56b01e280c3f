// Signatures of Standard Webhooks 1.0.0 (https://www.standardwebhooks.com): `v1` with the secret of an endpoint, `v1a` with a
// key of the deployment.
import { createHmac, type KeyObject, randomBytes, sign } from 'node:crypto';

const SECRET_PREFIX = 'whsec_';
const PUBLIC_KEY_PREFIX = 'whpk_';
/** Between 24 and 64. */
const SECRET_BYTES = 32;

/** The headers of one attempt. */
export type SignatureHeaders = Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string>;

export interface SigningInput {
  /** The id of the event: the same at every attempt. */
  id: string;
  /** Of the attempt, in milliseconds since the epoch. */
  at: number;
  /** The body, as it is sent. */
  body: string;
  /** Base64, without their prefix: each signs. */
  secrets: readonly string[];
  /** Ed25519, private: each signs. */
  keys: readonly KeyObject[];
}

/** A new secret of an endpoint: base64, without its prefix. */
export const newEndpointSecret = (): string => randomBytes(SECRET_BYTES).toString('base64');

/** As callers are shown it. */
export const presentSecret = (secret: string): string => SECRET_PREFIX + secret;

/** `publicKey`: an OKP key as a JWK (RFC 8037), whose `x` has the 32 bytes. */
export const presentPublicKey = ({ x }: { x: string }): string =>
  PUBLIC_KEY_PREFIX + Buffer.from(x, 'base64url').toString('base64');

export function signatureHeaders({ id, at, body, secrets, keys }: SigningInput): SignatureHeaders {
  const timestamp = String(Math.floor(at / 1_000));
  const content = Buffer.from(`${id}.${timestamp}.${body}`);
  const hmac = (secret: string) => createHmac('sha256', Buffer.from(secret, 'base64')).update(content).digest('base64');
  const signatures = [
    ...secrets.map((secret) => `v1,${hmac(secret)}`),
    ...keys.map((key) => `v1a,${sign(null, content, key).toString('base64')}`),
  ];
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
}
