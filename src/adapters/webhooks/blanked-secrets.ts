// What authenticates a sender in the body: a token that is the same for all owners, or a signature that may cover less than the body.
// With it, a tenant who hears of one event could send others, so it is overwritten, in as many bytes. What its sender signed as a whole
// (`signed_request`) says nothing else, and stays.
import type { WebhookEndpointDialect } from '../../domain/webhook-dialect.ts';
import { isInBody } from './conditions.ts';
import { itemScopes } from './item-scopes.ts';
import { type Scope, textAt } from './values.ts';

const ASTERISK = 0x2a;
/** Characters. Shorter texts are in any body. */
const MIN_SECRET = 8;

/** In these bytes: the body, and those of its events. */
export function blankSecrets(endpoint: WebhookEndpointDialect, scope: Scope, all: readonly Uint8Array[]): void {
  const texts = secretsIn(endpoint, scope);
  if (texts.length === 0) return;
  for (const bytes of new Set(all)) {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (const text of texts)
      for (let at = buffer.indexOf(text); at >= 0; at = buffer.indexOf(text, at)) {
        const end = at + Buffer.byteLength(text);
        buffer.fill(ASTERISK, at, end);
        at = end;
      }
  }
}

/** As they are in JSON and in a form. */
function secretsIn({ verify, event }: WebhookEndpointDialect, scope: Scope): string[] {
  const places = [
    ...('signature' in verify ? [verify.signature.in].flat() : []),
    ...(verify.scheme === 'shared_token' || verify.scheme === 'body_token' ? [verify.in] : []),
  ].filter(isInBody);
  if (places.length === 0) return [];
  const scopes = 'each' in verify && verify.each ? itemScopes(event, scope) : [scope];
  const texts =
    scopes === 'too_many' ? [] : scopes.flatMap((one) => places.flatMap((place) => textAt(place, one) ?? []));
  return [...new Set(texts)].filter((text) => text.length >= MIN_SECRET).flatMap(formsOf);
}

function formsOf(text: string): string[] {
  const json = JSON.stringify(text).slice(1, -1);
  return [...new Set([json, json.replaceAll('/', '\\/'), encodeURIComponent(text.toWellFormed())])];
}
