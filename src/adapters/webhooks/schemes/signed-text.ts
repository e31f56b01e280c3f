// The schemes that sign a text made from the request: HMAC, ECDSA, Ed25519, a hash with the key in it, HMAC of parameters.
import { createHash, createHmac, type KeyObject, verify } from 'node:crypto';
import type { VerifyOf, WebhookEndpointDialect } from '../../../domain/webhook-dialect.ts';
import { hold } from '../conditions.ts';
import { sameBytes } from '../constant-time.ts';
import { itemsAt } from '../json-paths.ts';
import { ecdsaKeys, ed25519Keys, keyBytes } from '../keys.ts';
import { isEarly, isEarlyTime, isFresh, readSignatures, type SentSignatures } from '../signatures.ts';
import { bytesOf, type Scope } from '../values.ts';
import { accepted, type RefusalReason, refused, type Verification } from '../verification.ts';

export type SignedText = VerifyOf<'hmac' | 'ecdsa' | 'ed25519' | 'sha256_concat' | 'params_signature'>;
/** The text of one of several forms; undefined: it lacks a value. */
type TextWith = (secret: Buffer | undefined) => (Uint8Array[] | undefined)[];

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

/** The scope gets the key that matched. With `each`, every event must be signed by a key of ours. */
export function verifySignedText(data: SignedText, { event }: WebhookEndpointDialect, scope: Scope): Verification {
  if (!data.each) return verifyOne(data, scope);
  const items = event.batch.map((path) => itemsAt(scope.document?.(), path)).find((found) => found !== undefined);
  if (!items || items.length === 0) return refused('no_signature');
  const verified = items.map(({ value, parent }) => verifyOne(data, { ...scope, item: value, parent }));
  return verified.find((one) => !one.ok) ?? accepted();
}

function verifyOne(data: SignedText, scope: Scope): Verification {
  const sent = readSignatures(data.signature, scope);
  if (sent.signatures.length === 0) return refused('no_signature');
  const { fields } = sent;
  const whole = { ...scope, fields };
  const templates = [data.signed].flat();
  const texts: TextWith = (secret) => templates.map((template) => bytesOf(template, { ...whole, secret }, data.empty));
  const key = matchingKey(data, sent, texts, whole);
  if (key === undefined) return refused('wrong_signature');
  const secret = Buffer.isBuffer(key) ? key : undefined;
  const verified = { ...whole, secret };
  if (!isFresh(data.timestamp, verified)) return refused('stale');
  return hold(data.require, verified) ? accepted({ fields, secret }) : refused('requirement');
}

function matchingKey(
  data: SignedText,
  { signatures }: SentSignatures,
  texts: TextWith,
  { keys }: Scope,
): Buffer | KeyObject | undefined {
  const isOne = (signature: Uint8Array) => signatures.some((sent) => sameBytes(sent, signature));
  switch (data.scheme) {
    case 'hmac':
      return keyBytes(data.key, keys).find((key) =>
        texts(key).some((parts) => parts && isOne(hmac(data.hash, key, parts))),
      );
    case 'sha256_concat':
      return keyBytes(data.key, keys).find((key) => texts(key).some((parts) => parts && isOne(sha256(parts))));
    case 'params_signature':
      return keyBytes(data.key, keys).find((key) =>
        texts(key).some(
          (parts) =>
            parts &&
            signatures.some((sent) => {
              const hash = HASH_BY_LENGTH[sent.length];
              return hash !== undefined && sameBytes(sent, hmac(hash, key, parts));
            }),
        ),
      );
    case 'ecdsa':
    case 'ed25519': {
      const found = data.scheme === 'ecdsa' ? ecdsaKeys(data.key, keys) : ed25519Keys(data.key, keys);
      const hash = data.scheme === 'ecdsa' ? data.hash : null;
      const whole = texts(undefined).flatMap((parts) => (parts ? [joined(parts)] : []));
      return found.find((key) => whole.some((text) => signatures.some((sent) => isSignedBy(hash, text, key, sent))));
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
