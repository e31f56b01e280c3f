// A signed request: `base64url(HMAC-SHA256 of the second part).base64url(json)`, in a form.
import { createHmac } from 'node:crypto';
import { isObject } from '../../../domain/json.ts';
import type { VerifyOf } from '../../../domain/webhook-dialect.ts';
import { decoded, sameBytes } from '../constant-time.ts';
import { parseVerifiedJson } from '../json.ts';
import { keyBytes } from '../keys.ts';
import { memberText, utf8 } from '../sent.ts';
import { type Scope, textAt } from '../values.ts';
import { accepted, refused, type Verification } from '../verification.ts';

/** The scope gets its JSON as the event. */
export function verifySignedRequest({ in: place, key }: VerifyOf<'signed_request'>, scope: Scope): Verification {
  const keys = keyBytes(key, scope.keys);
  if (keys.length === 0) return refused('no_key');
  const [encoded = '', payload = '', ...others] = textAt(place, scope)?.split('.', 3) ?? [];
  const signature = decoded(encoded, 'base64url');
  const json = decoded(payload, 'base64url');
  if (!signature || !json || others.length > 0) return refused('no_signature');
  const secret = keys.find((one) => sameBytes(createHmac('sha256', one).update(payload).digest(), signature));
  if (secret === undefined) return refused('wrong_signature');
  const value = parseVerifiedJson(utf8(json) ?? '');
  const isRight = isObject(value) && memberText(value, 'algorithm')?.toUpperCase() === 'HMAC-SHA256';
  return isRight ? accepted({ secret, document: () => value }) : refused('requirement');
}
