// The keys of an endpoint: what an admin has configured, as bytes. A text that is no key of its kind does not count.
import { createPublicKey, type KeyObject } from 'node:crypto';
import type { WebhookKey } from '../../domain/webhook-dialect.ts';
import type { WebhookKeys } from '../../ports/webhook-verifier.ts';
import { decoded } from './constant-time.ts';

/** The texts; never an empty one: anybody could sign with it. */
export function secretsOf(from: WebhookKey['from'], { clientSecret, secrets }: WebhookKeys): string[] {
  const all = from === 'client_secret' ? [clientSecret ?? '', ...secrets] : secrets;
  return all.filter((secret) => secret !== '');
}

export const keyBytes = (key: WebhookKey, keys: WebhookKeys): Buffer[] =>
  secretsOf(key.from, keys).flatMap((text) => decoded(text, key.encoding) ?? []);

const SYMMETRIC = 'whsec_';
const PUBLIC = 'whpk_';

/** Standard Webhooks: `whsec_` and base64, which some write without the prefix. A public key is never one. */
export const symmetricKeys = ({ secrets }: WebhookKeys): Buffer[] =>
  secrets
    .filter((text) => !text.startsWith(PUBLIC))
    .flatMap((text) => decoded(text.startsWith(SYMMETRIC) ? text.slice(SYMMETRIC.length) : text, 'base64') ?? []);

export const standardPublicKeys = ({ secrets }: WebhookKeys): KeyObject[] =>
  secrets
    .filter((text) => text.startsWith(PUBLIC))
    .flatMap((text) => ed25519Key(decoded(text.slice(PUBLIC.length), 'base64')) ?? []);

export const ed25519Keys = (key: WebhookKey, keys: WebhookKeys): KeyObject[] =>
  keyBytes(key, keys).flatMap((bytes) => ed25519Key(bytes) ?? []);

function ed25519Key(bytes: Buffer | undefined): KeyObject | undefined {
  if (bytes?.length !== 32) return undefined;
  return publicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') }, format: 'jwk' });
}

/** SPKI, as PEM or as base64 of DER. Only elliptic curves. */
export const ecdsaKeys = (key: WebhookKey, keys: WebhookKeys): KeyObject[] =>
  secretsOf(key.from, keys)
    .flatMap((text) => {
      const der = decoded(text, 'base64');
      return publicKey(der ? { key: der, format: 'der', type: 'spki' } : { key: text, format: 'pem' }) ?? [];
    })
    .filter((found) => found.asymmetricKeyType === 'ec');

function publicKey(input: Parameters<typeof createPublicKey>[0]): KeyObject | undefined {
  try {
    return createPublicKey(input);
  } catch {
    return undefined;
  }
}
