// From the bytes of a body to its text, whatever the character encoding.

const utf8 = new TextDecoder();
const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Decodes UTF-8, and UTF-16 where a byte order mark or the zeros of ASCII characters show it (RFC 4627 3). The
 * charset of the content type counts for what is not UTF-8. Drops the byte order mark, replaces what cannot be decoded.
 */
export function decodeText(bytes: Uint8Array, contentType: string | undefined): string {
  const wide = wideEncoding(bytes);
  if (wide !== undefined) return new TextDecoder(wide).decode(bytes);
  const named = /;\s*charset\s*=\s*"?([\w.:-]+)/i.exec(contentType ?? '')?.[1];
  if (named === undefined || /^utf-?8$/i.test(named)) return utf8.decode(bytes);
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return decoderFor(named).decode(bytes);
  }
}

function wideEncoding(bytes: Uint8Array): 'utf-16le' | 'utf-16be' | undefined {
  const [a, b, c, d] = [bytes[0], bytes[1], bytes[2], bytes[3]];
  if (a === 0xff && b === 0xfe) return 'utf-16le';
  if (a === 0xfe && b === 0xff) return 'utf-16be';
  // The first two characters of JSON and forms are ASCII.
  if (a !== 0 && b === 0 && c !== 0 && d === 0) return 'utf-16le';
  return a === 0 && b !== 0 && c === 0 && d !== 0 ? 'utf-16be' : undefined;
}

function decoderFor(label: string): typeof utf8 {
  try {
    return new TextDecoder(label);
  } catch {
    return utf8;
  }
}
