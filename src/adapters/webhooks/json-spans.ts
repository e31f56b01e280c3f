// Where the events of a batch are in the bytes of valid JSON, so that each is handed on as it was sent.

const [QUOTE, BACKSLASH, OPEN, CLOSE, LIST, LIST_END, COMMA, COLON] = [...'"\\{}[],:'].map((c) => c.charCodeAt(0));
const isSpace = (byte: number | undefined) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

export type Span = [start: number, end: number];

/** The spans of what the steps lead to (`entry`, `[]`, `changes`, `[]`), in order. The JSON must be valid. */
export function spansAt(bytes: Uint8Array, steps: readonly string[]): Span[] {
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return read(bytes, hasMark ? 3 : 0, steps).spans;
}

function read(bytes: Uint8Array, from: number, steps: readonly string[]): { end: number; spans: Span[] } {
  const start = skipSpace(bytes, from);
  const [step, ...rest] = steps;
  if (step === undefined) {
    const end = skipValue(bytes, start);
    return { end, spans: [[start, end]] };
  }
  if (step === '[]' && bytes[start] === LIST) return readList(bytes, start, rest);
  if (step !== '[]' && bytes[start] === OPEN) return readObject(bytes, start, step, rest);
  return { end: skipValue(bytes, start), spans: [] };
}

function readList(bytes: Uint8Array, start: number, rest: readonly string[]): { end: number; spans: Span[] } {
  const spans: Span[] = [];
  let at = skipSpace(bytes, start + 1);
  while (at < bytes.length && bytes[at] !== LIST_END) {
    const one = read(bytes, at, rest);
    for (const span of one.spans) spans.push(span);
    at = skipSpace(bytes, one.end);
    if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1);
  }
  return { end: at + 1, spans };
}

function readObject(bytes: Uint8Array, start: number, name: string, rest: readonly string[]) {
  let spans: Span[] = [];
  let at = skipSpace(bytes, start + 1);
  while (at < bytes.length && bytes[at] !== CLOSE) {
    const end = skipString(bytes, at);
    const key = textOf(bytes, at, end);
    at = skipSpace(bytes, end);
    if (bytes[at] === COLON) at += 1;
    // Of members with the same name, the last counts, as in JSON.parse.
    const isIt = key === name;
    const one = isIt ? read(bytes, at, rest) : undefined;
    if (one) spans = one.spans;
    at = skipSpace(bytes, one?.end ?? skipValue(bytes, skipSpace(bytes, at)));
    if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1);
  }
  return { end: at + 1, spans };
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  const raw = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8');
  return raw.includes('\\') ? (JSON.parse(raw) as string) : raw.slice(1, -1);
}

export function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  while (isSpace(bytes[at])) at += 1;
  return at;
}

/** Behind the closing quote. */
export function skipString(bytes: Uint8Array, from: number): number {
  let at = from + 1;
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at + 1;
}

/** Not recursive: a body may be nested as deep as it is long. */
function skipValue(bytes: Uint8Array, from: number): number {
  let at = from;
  let depth = 0;
  while (at < bytes.length) {
    const byte = bytes[at]!;
    if (byte === QUOTE) at = skipString(bytes, at);
    else if (byte === OPEN || byte === LIST) {
      depth += 1;
      at += 1;
    } else if (byte === CLOSE || byte === LIST_END) {
      if (depth === 0) return at;
      depth -= 1;
      at += 1;
    } else if (depth === 0 && (byte === COMMA || isSpace(byte))) return at;
    else at += 1;
    if (depth === 0 && (byte === QUOTE || byte === CLOSE || byte === LIST_END)) return at;
  }
  return at;
}
