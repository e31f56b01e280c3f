// Comparing what was sent with a secret or a signature.
import { timingSafeEqual } from 'node:crypto';

/** Lengths first: they are no secret. */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);

export const sameText = (a: string, b: string): boolean => sameBytes(Buffer.from(a), Buffer.from(b));

const HEX = /^(?:[0-9a-f]{2})+$/i;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;
const BASE64URL = /^(?:[\w-]{4})*(?:[\w-]{2}(?:==)?|[\w-]{3}=?)?$/;

/** The bytes; undefined when the text is empty or is not in this encoding. */
export function decoded(text: string, encoding: 'utf8' | 'hex' | 'base64' | 'base64url'): Buffer | undefined {
  const isRight = encoding === 'utf8' || { hex: HEX, base64: BASE64, base64url: BASE64URL }[encoding].test(text);
  return isRight && text !== '' ? Buffer.from(text, encoding) : undefined;
}
