// JSON of senders. Integers that no number can hold, as ids are, stay as they are written, as text.
import { skipSpace, skipString } from './json-spans.ts';

const LONG_NUMBER = /\d{16}/;

/** Of what is parsed before its sender is known: with room for rich text, which some vendors nest. */
const MAX_DEPTH = 64;
/** Commas and colons: 50,000 members, or twice as many elements of lists. Each new name takes most of a microsecond. */
const MAX_SEPARATORS = 100_000;

/** Undefined: it is not JSON, or more than is parsed for a sender that is not known. */
export const parseJson = (text: string): unknown => (isExcessive(text) ? undefined : parseVerifiedJson(text));

/** Of a known sender, however much it is. Undefined: it is not JSON. */
export function parseVerifiedJson(text: string): unknown {
  try {
    return JSON.parse(LONG_NUMBER.test(text) ? quotingInexact(Buffer.from(text)) : text);
  } catch {
    return undefined;
  }
}

/** Whether it may take much longer to parse than to read, by its depth or by how many values it has. */
export function isExcessive(text: string): boolean {
  const bytes = Buffer.from(text);
  let depth = 0;
  let separators = 0;
  for (let at = 0; at < bytes.length; ) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      at = skipString(bytes, at);
      continue;
    }
    if (byte === OPEN || byte === LIST) depth += 1;
    else if (byte === CLOSE || byte === LIST_END) depth -= 1;
    else if (byte === COMMA || byte === COLON) separators += 1;
    if (depth > MAX_DEPTH || separators > MAX_SEPARATORS) return true;
    at += 1;
  }
  return false;
}

const [QUOTE, COMMA, MINUS, ZERO, NINE, COLON] = [0x22, 0x2c, 0x2d, 0x30, 0x39, 0x3a] as const;
const [LIST, LIST_END, OPEN, CLOSE] = [0x5b, 0x5d, 0x7b, 0x7d] as const;
/** Of the largest exact integers. All that have more are inexact. */
const EXACT_DIGITS = 16;

/** Before it is parsed: a reviver is called for each value, and anybody may send hundreds of thousands. */
function quotingInexact(bytes: Buffer): string {
  const quoted = Buffer.allocUnsafe(bytes.length + 2 * Math.ceil(bytes.length / EXACT_DIGITS));
  let size = 0;
  let copied = 0;
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at] === QUOTE) {
      at = skipString(bytes, at);
      continue;
    }
    const digits = at;
    while (at < bytes.length && bytes[at]! >= ZERO && bytes[at]! <= NINE) at += 1;
    if (at - digits >= EXACT_DIGITS && isInexact(bytes, digits, at)) {
      const start = bytes[digits - 1] === MINUS ? digits - 1 : digits;
      size += bytes.copy(quoted, size, copied, start);
      quoted[size++] = QUOTE;
      size += bytes.copy(quoted, size, start, at);
      quoted[size++] = QUOTE;
      copied = at;
    } else if (at === digits) {
      at += 1;
    }
  }
  size += bytes.copy(quoted, size, copied);
  return quoted.toString('utf8', 0, size);
}

const isOneOf = (byte: number | undefined, characters: string): boolean =>
  byte !== undefined && characters.includes(String.fromCharCode(byte));

/** Whether the digits are an integer that no number holds; and not where a name should be, which it would only be with quotes. */
function isInexact(bytes: Buffer, from: number, to: number): boolean {
  const before = bytes[from - 1] === MINUS ? from - 2 : from - 1;
  if (bytes[from] === ZERO || isOneOf(bytes[before], '+-.eE') || isOneOf(bytes[to], '+-.eE')) return false;
  const isExact = to - from === EXACT_DIGITS && Number.isSafeInteger(Number(bytes.toString('latin1', from, to)));
  return !isExact && bytes[skipSpace(bytes, to)] !== COLON;
}
