// The schemes of a text that only the sender knows: a token in a header or the body, HTTP Basic, or the URL's hook alone.
import type { VerifyOf, WebhookEndpointDialect } from '../../../domain/webhook-dialect.ts';
import { hold, isInBody } from '../conditions.ts';
import { decoded, sameBytes, sameText } from '../constant-time.ts';
import { itemScopes } from '../item-scopes.ts';
import { keyBytes, secretsOf } from '../keys.ts';
import { utf8 } from '../sent.ts';
import { type Scope, textAt } from '../values.ts';
import { accepted, type RefusalReason, refused, type Verification } from '../verification.ts';

type Token = VerifyOf<'shared_token' | 'body_token'>;
type Basic = VerifyOf<'basic'>;
type None = VerifyOf<'none'>;

export function precheckToken(data: Token, scope: Scope): RefusalReason | undefined {
  if (keyBytes(data.key, scope.keys).length === 0) return 'no_key';
  return isInBody(data.in) || data.each || hasToken(data, scope) ? undefined : 'wrong_token';
}

/** With `each`, every event of the batch must have the token. */
export function verifyToken(data: Token, { event }: WebhookEndpointDialect, scope: Scope): Verification {
  if (keyBytes(data.key, scope.keys).length === 0) return refused('no_key');
  const scopes = data.each ? itemScopes(event, scope) : [scope];
  if (scopes === 'too_many') return refused('too_large');
  if (scopes.length === 0 || !scopes.every((one) => hasToken(data, one))) return refused('wrong_token');
  return hold(data.require, scope) ? accepted() : refused('requirement');
}

function hasToken({ in: place, prefix, key }: Token, scope: Scope): boolean {
  const text = textAt(place, scope);
  if (text === undefined || !text.startsWith(prefix)) return false;
  const token = Buffer.from(text.slice(prefix.length));
  return keyBytes(key, scope.keys).some((secret) => sameBytes(secret, token));
}

/** RFC 7617. */
export function verifyBasic({ client }: Basic, { sent, keys }: Scope): Verification {
  const pairs = secretsOf('secrets', keys).filter((secret) => secret.includes(':'));
  if (client && keys.clientSecret) pairs.push(`${keys.clientId}:${keys.clientSecret}`);
  if (pairs.length === 0) return refused('no_key');
  const [, encoded] = /^Basic +(\S+)$/i.exec(sent.header('authorization') ?? '') ?? [];
  const bytes = encoded === undefined ? undefined : decoded(encoded, 'base64');
  const pair = bytes && utf8(bytes);
  return pair !== undefined && pairs.some((one) => sameText(one, pair)) ? accepted() : refused('wrong_token');
}

export const precheckBasic = (data: Basic, scope: Scope): RefusalReason | undefined => {
  const verified = verifyBasic(data, scope);
  return verified.ok ? undefined : verified.reason;
};

export function precheckNone({ beside_secrets: beside }: None, { keys }: Scope): RefusalReason | undefined {
  if (!keys.hasHook) return 'no_hook';
  return !beside && keys.secrets.length > 0 ? 'no_signature' : undefined;
}

export function verifyNone(data: None, scope: Scope): Verification {
  const reason = precheckNone(data, scope);
  if (reason !== undefined) return refused(reason);
  return hold(data.require, scope) ? accepted() : refused('requirement');
}
