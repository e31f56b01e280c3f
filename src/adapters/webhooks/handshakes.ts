// Handshakes: requests by which a vendor checks that the URL is ours, or brings the key.
import type { WebhookEndpointDialect, WebhookHandshake } from '../../domain/webhook-dialect.ts';
import type { WebhookVerdict } from '../../ports/webhook-verifier.ts';
import type { Fetch } from '../jwt/cached-document.ts';
import { answerOf } from './answers.ts';
import { hold, withoutBody } from './conditions.ts';
import { isHttpsAt } from './schemes/certificates.ts';
import { type Scope, textAt } from './values.ts';
import type { RefusalReason } from './verification.ts';

/** A body that is read before it is verified is small. */
const MAX_UNSIGNED_BODY = 16_384;
const MAX_KEY = 1_024;

/** What answers the request; a reason: it is one that is not taken; undefined: it is none. */
export async function answerHandshake(
  { handshake }: WebhookEndpointDialect,
  isSigned: boolean,
  scope: Scope,
  fetch: Fetch,
): Promise<Extract<WebhookVerdict, { kind: 'handshake' }> | RefusalReason | undefined> {
  if (!isSigned && (scope.sent.body?.length ?? 0) > MAX_UNSIGNED_BODY) return undefined;
  const found = handshake.find(({ signed, when }) => signed === isSigned && hold(when, scope));
  if (!found) return undefined;
  const learnedSecret = found.learns === undefined ? null : keyIn(found.learns, scope);
  if (learnedSecret === undefined) return 'not_expected';
  const answer = answerOf(found.answer, scope);
  if (!answer) return 'malformed';
  if (!(await confirm(found, scope, fetch))) return 'not_expected';
  return { kind: 'handshake', answer, learnedSecret };
}

/** Before the body is read: whether it may be one. */
export const mayBeHandshake = ({ handshake }: WebhookEndpointDialect, scope: Scope): boolean =>
  handshake.some(({ signed, when }) => !signed && hold(withoutBody(when), scope));

/** By which one is made: another request by one of them is a wrong one. */
export const handshakeMethods = ({ handshake }: WebhookEndpointDialect): string[] =>
  handshake.flatMap(({ when: { method } }) => (typeof method === 'string' || Array.isArray(method) ? method : []));

/** Only while an admin waits for it: else the first to send one would choose the key. */
function keyIn(place: string, scope: Scope): string | undefined {
  const key = scope.keys.mayLearnKey ? textAt(place, scope)?.trim() : undefined;
  return key !== undefined && key !== '' && key.length <= MAX_KEY ? key : undefined;
}

async function confirm({ confirms }: WebhookHandshake, scope: Scope, fetch: Fetch): Promise<boolean> {
  if (!confirms) return true;
  const url = textAt(confirms.url, scope);
  if (url === undefined || !isHttpsAt(url, confirms.hosts)) return false;
  try {
    const { status } = await fetch(url, { headers: {} });
    return status >= 200 && status < 300;
  } catch {
    return false;
  }
}
