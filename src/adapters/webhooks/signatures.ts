// Reading the signatures of a request, and the time that they cover.
import type { WebhookSignature, WebhookTimestamp } from '../../domain/webhook-dialect.ts';
import { isInBody } from './conditions.ts';
import { decoded } from './constant-time.ts';
import { expressionOf, type Scope, textAt, textOf, valuesOf } from './values.ts';

/** Several are sent while a key is rotated. */
const MAX_SIGNATURES = 20;
const MAX_FIELDS = 50;
/** Characters of what has them. RSA with 4096 bits has 1,024 in hex. */
const MAX_TEXT = 4_096;

export interface SentSignatures {
  signatures: Buffer[];
  /** The other members of a header that is a list of `name=value`. */
  fields: Record<string, string>;
}

/** Those that are well-formed. */
export function readSignatures(
  { in: place, encoding, prefix, field, separator }: WebhookSignature,
  scope: Scope,
): SentSignatures {
  const texts = [place]
    .flat()
    .flatMap((one) => textsIn(one, scope))
    .filter(({ length }) => length <= MAX_TEXT);
  const fields: Record<string, string> = {};
  const found = texts.flatMap((text) => {
    if (field === undefined) return [text];
    return text
      .split(separator, MAX_FIELDS)
      .map((pair) => pair.trim())
      .flatMap((pair) => {
        const at = pair.indexOf('=');
        const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
        if (at > 0 && name !== field && name !== '__proto__') fields[name] ??= value;
        return at > 0 && name === field ? [value] : [];
      });
  });
  const signatures = found.slice(0, MAX_SIGNATURES).flatMap((text) => {
    return text.startsWith(prefix) ? (decoded(text.slice(prefix.length), encoding) ?? []) : [];
  });
  return { signatures, fields };
}

/** `header:X-Signature-#`: those with 1, 2 and so on. */
function textsIn(place: string, scope: Scope): string[] {
  if (!place.endsWith('#')) return valuesOf(expressionOf(place), scope).flatMap((value) => textOf(value) ?? []);
  const texts: string[] = [];
  while (texts.length < MAX_SIGNATURES) {
    const text = textAt(`${place.slice(0, -1)}${texts.length + 1}`, scope);
    if (text === undefined) break;
    texts.push(text);
  }
  return texts;
}

/** The header can be refused before the body is read. */
export const isEarly = ({ in: place }: Pick<WebhookSignature, 'in'>): boolean => ![place].flat().some(isInBody);

/** A signature's field counts as early: it is in the header that was read already. */
export const isEarlyTime = ({ at }: WebhookTimestamp): boolean => at.startsWith('field:') || !isInBody(at);

const PLAIN = { s: /^\d{1,11}$/, ms: /^\d{1,14}$/ };
/** RFC 3339. */
const ISO = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:?\d\d)$/;

/** Whether the time is there, is one, and is near enough, before or after. */
export function isFresh(timestamp: WebhookTimestamp | undefined, scope: Scope): boolean {
  if (timestamp === undefined) return true;
  const text = textAt(timestamp.at, scope)?.trim();
  const at = text === undefined ? undefined : timeOf(text, timestamp.unit);
  return at !== undefined && isWithin(at, timestamp.tolerance, scope.sent.request.receivedAt);
}

export const isWithin = (at: number, toleranceSeconds: number, now: number): boolean =>
  Math.abs(now - at) <= toleranceSeconds * 1_000;

/** Milliseconds since the epoch. */
export function timeOf(text: string, unit: WebhookTimestamp['unit']): number | undefined {
  if (unit === 's' || unit === 'ms')
    return PLAIN[unit].test(text) ? Number(text) * (unit === 's' ? 1_000 : 1) : undefined;
  if (unit === 'iso' && !ISO.test(text)) return undefined;
  const at = text.length <= 64 ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? undefined : at;
}
