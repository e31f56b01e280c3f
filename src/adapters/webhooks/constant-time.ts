// Comparing what was sent with a secret or a signature.
import { timingSafeEqual } from 'node:crypto';

/** Lengths first: they are no secret. */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);

export const sameText = (a: string, b: string): boolean => sameBytes(Buffer.from(a), Buffer.from(b));

const HEX = /^(?:[0-9a-f]{2})+$/i;

/**
 * The bytes; undefined when the text is empty or is not exactly what they are in this encoding: a decoder leaves out what it
 * does not know. Padding may be missing, and hex in upper case.
 */
export function decoded(text: string, encoding: 'utf8' | 'hex' | 'base64' | 'base64url'): Buffer | undefined {
  if (text === '') return undefined;
  const bytes = Buffer.from(text, encoding);
  if (encoding === 'utf8') return bytes;
  if (encoding === 'hex') return HEX.test(text) ? bytes : undefined;
  const padding = text.length % 4 === 0 ? /={1,2}$/ : /$/;
  return bytes.toString(encoding).replace(/=+$/, '') === text.replace(padding, '') ? bytes : undefined;
}
