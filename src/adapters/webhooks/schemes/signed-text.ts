// The schemes that sign a text made from the request: HMAC, ECDSA, Ed25519, a hash with the key in it, HMAC of parameters.
import { createHash, createHmac, type KeyObject, verify } from 'node:crypto';
import type { VerifyOf, WebhookEndpointDialect } from '../../../domain/webhook-dialect.ts';
import { hold } from '../conditions.ts';
import { sameBytes } from '../constant-time.ts';
import { itemScopes } from '../item-scopes.ts';
import { ecdsaKeys, ed25519Keys, keyBytes } from '../keys.ts';
import { isEarly, isEarlyTime, isFresh, readSignatures, type SentSignatures } from '../signatures.ts';
import { bytesOf, dependsOnKey, type Scope } from '../values.ts';
import { accepted, type RefusalReason, refused, type Verification } from '../verification.ts';

export type SignedText = VerifyOf<'hmac' | 'ecdsa' | 'ed25519' | 'sha256_concat' | 'params_signature'>;

/** Before the body is read. */
export function precheckSignedText(data: SignedText, scope: Scope): RefusalReason | undefined {
  if (!hasKey(data, scope)) return 'no_key';
  if (!isEarly(data.signature)) return undefined;
  const { signatures, fields } = readSignatures(data.signature, scope);
  if (signatures.length === 0) return 'no_signature';
  const isStale =
    data.timestamp !== undefined && isEarlyTime(data.timestamp) && !isFresh(data.timestamp, { ...scope, fields });
  return isStale ? 'stale' : undefined;
}

function hasKey(data: SignedText, { keys }: Scope): boolean {
  if (data.scheme === 'ecdsa') return ecdsaKeys(data.key, keys).length > 0;
  if (data.scheme === 'ed25519') return ed25519Keys(data.key, keys).length > 0;
  return keyBytes(data.key, keys).length > 0;
}

/** The scope gets the key that matched. With `each`, every event must be signed by a key of ours: the first that is not ends it. */
export function verifySignedText(data: SignedText, { event }: WebhookEndpointDialect, scope: Scope): Verification {
  if (!data.each) return verifyOne(data, scope);
  const items = itemScopes(event, scope);
  if (items === 'too_many') return refused('too_large');
  if (items.length === 0) return refused('no_signature');
  for (const item of items) {
    const verification = verifyOne(data, item);
    if (!verification.ok) return verification;
  }
  return accepted();
}

function verifyOne(data: SignedText, scope: Scope): Verification {
  const sent = readSignatures(data.signature, scope);
  if (sent.signatures.length === 0) return refused('no_signature');
  const { fields } = sent;
  const whole = { ...scope, fields };
  const key = matchingKey(data, sent, whole);
  if (key === undefined) return refused('wrong_signature');
  const secret = Buffer.isBuffer(key) ? key : undefined;
  const verified = { ...whole, secret };
  if (!isFresh(data.timestamp, verified)) return refused('stale');
  return hold(data.require, verified) ? accepted({ fields, secret }) : refused('requirement');
}

function matchingKey(data: SignedText, sent: SentSignatures, scope: Scope): Buffer | KeyObject | undefined {
  for (const template of [data.signed].flat()) {
    const key = keyOfText(data, sent, template, scope);
    if (key !== undefined) return key;
  }
  return undefined;
}

/** The key by which one of the signatures is of this form of the text. */
function keyOfText(
  data: SignedText,
  { signatures }: SentSignatures,
  template: string,
  scope: Scope,
): Buffer | KeyObject | undefined {
  // Made once for all keys: it may be a form that has to be sorted.
  const same = dependsOnKey(template) ? undefined : bytesOf(template, scope, data.empty);
  const isOne = (signature: Uint8Array) => signatures.some((sent) => sameBytes(sent, signature));
  const byKey = (isSigned: (key: Buffer, text: Uint8Array[]) => boolean) =>
    keyBytes(data.key, scope.keys).find((key) => {
      const text = dependsOnKey(template) ? bytesOf(template, { ...scope, secret: key }, data.empty) : same;
      return text !== undefined && isSigned(key, text);
    });
  switch (data.scheme) {
    case 'hmac':
      return byKey((key, text) => isOne(hmac(data.hash, key, text)));
    case 'sha256_concat':
      return byKey((_, text) => isOne(sha256(text)));
    case 'params_signature': {
      const hashes = new Set(signatures.flatMap(({ length }) => HASH_BY_LENGTH[length] ?? []));
      return byKey((key, text) => [...hashes].some((hash) => isOne(hmac(hash, key, text))));
    }
    case 'ecdsa':
    case 'ed25519': {
      if (same === undefined) return undefined;
      const hash = data.scheme === 'ecdsa' ? data.hash : null;
      const text = joined(same);
      const keys = data.scheme === 'ecdsa' ? ecdsaKeys(data.key, scope.keys) : ed25519Keys(data.key, scope.keys);
      return keys.find((key) => signatures.some((sent) => isSignedBy(hash, text, key, sent)));
    }
  }
}

const HASH_BY_LENGTH: Record<number, string> = { 16: 'md5', 20: 'sha1', 32: 'sha256', 64: 'sha512' };

function hmac(hash: string, key: Buffer, parts: readonly Uint8Array[]): Buffer {
  const mac = createHmac(hash, key);
  for (const part of parts) mac.update(part);
  return mac.digest();
}

function sha256(parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

const joined = (parts: readonly Uint8Array[]): Uint8Array => (parts.length === 1 ? parts[0]! : Buffer.concat(parts));

/** A malformed signature is a wrong one. */
export function isSignedBy(hash: string | null, text: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  try {
    return verify(hash, text, key, signature);
  } catch {
    return false;
  }
}
