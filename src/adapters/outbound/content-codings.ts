// Decodes the content codings of a response (RFC 9110 8.4): what a server says, and what the body really is. Decompression
// bombs are bounded in bytes, and so in time.
import type { Transform } from 'node:stream';
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
} from 'node:zlib';

export interface DecodedBody {
  /** With `tooLarge` or `broken`: the part that could be decoded. */
  bytes: Uint8Array;
  /** Decoded, it has more bytes than the limit. */
  tooLarge: boolean;
  /** A coding ended early or has an error, so that the end of the body may be missing. */
  broken: boolean;
}

/** A server that compresses what a proxy compresses again has two. More of them are an attack. */
const MAX_CODINGS = 4;

type Decoder = (bytes: Uint8Array) => Transform;

const DECODERS: Record<string, Decoder> = {
  gzip: () => createGunzip(),
  'x-gzip': () => createGunzip(),
  // RFC 9110 8.4.1.2: the zlib format. Some servers send the bare deflate stream.
  deflate: (bytes) => (isZlib(bytes) ? createInflate() : createInflateRaw()),
  br: () => createBrotliDecompress(),
  zstd: () => createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG } }),
};

/** RFC 9659: 8 MB. A stream may ask for gigabytes. */
const MAX_WINDOW_LOG = 23;

/** The codings that the header names and this module knows, in the order to decode them. */
function namedDecoders(contentEncoding: string | readonly string[] | undefined): Decoder[] {
  if (contentEncoding === undefined) return [];
  const names = [contentEncoding].flat().join(',').toLowerCase().split(',');
  // Of others (`identity`, `utf-8`, nothing) the body is read as it is.
  const known = names.map((name) => name.trim()).filter((name) => Object.hasOwn(DECODERS, name));
  return known.reverse().map((name) => DECODERS[name]!);
}

/** The coding of a body that says none: gzip and Zstandard begin with a number that no text begins with. */
function unnamedDecoder(bytes: Uint8Array): Decoder | undefined {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[2] === 8) return DECODERS.gzip;
  const isZstd = bytes[0] === 0x28 && bytes[1] === 0xb5 && bytes[2] === 0x2f && bytes[3] === 0xfd;
  return isZstd ? DECODERS.zstd : undefined;
}

/** At the end of a gzip stream (RFC 1952 2.3.1); others have fewer. */
const CHECKSUM_BYTES = 8;

const isZlib = ([first = 0, second = 0]: Uint8Array) => (first & 0x0f) === 8 && ((first << 8) | second) % 31 === 0;

/** Whether `decodeBody` would change nothing. */
export const isPlain = (bytes: Uint8Array, contentEncoding: string | readonly string[] | undefined): boolean =>
  contentEncoding === undefined && unnamedDecoder(bytes) === undefined;

/**
 * Decodes a body whose `Content-Encoding` is this. A body that is not in the coding that it says stays as it is. Decodes no
 * more than `maxBytes` in each of at most four codings. Never rejects.
 */
export async function decodeBody(
  body: Uint8Array,
  contentEncoding: string | readonly string[] | undefined,
  maxBytes: number,
): Promise<DecodedBody> {
  const named = namedDecoders(contentEncoding);
  let decoded: DecodedBody = { bytes: body, tooLarge: false, broken: false };
  for (let n = 0; n < MAX_CODINGS && !decoded.tooLarge; n++) {
    const decoder = named.shift() ?? unnamedDecoder(decoded.bytes);
    if (decoder === undefined) break;
    const { bytes, tooLarge, broken } = await runDecoder(decoder(decoded.bytes), decoded.bytes, maxBytes);
    if (broken && (bytes.length === 0 || isText(decoded.bytes))) continue;
    decoded = { bytes, tooLarge, broken: decoded.broken || broken };
  }
  return decoded;
}

/** Stops at the limit: the rest is neither decoded nor kept. */
function runDecoder(stream: Transform, body: Uint8Array, maxBytes: number): Promise<DecodedBody> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const end = (how: { tooLarge: boolean; broken: boolean }) => {
      stream.removeAllListeners('data');
      stream.destroy();
      resolve({ bytes: Buffer.concat(chunks), ...how });
    };
    stream.on('data', (chunk: Buffer) => {
      const room = maxBytes - length;
      chunks.push(chunk.subarray(0, room));
      length += chunk.length;
      if (chunk.length > room) end({ tooLarge: true, broken: false });
    });
    stream.once('end', () => end({ tooLarge: false, broken: false }));
    stream.on('error', () => end({ tooLarge: false, broken: true }));
    // An error takes along what the same write has decoded: the checksum, and an early end, come in writes of their own.
    const tail = Math.max(0, body.length - CHECKSUM_BYTES);
    stream.write(body.subarray(0, tail), () => stream.write(body.subarray(tail), () => stream.end()));
  });
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

/** Compressed bytes are hardly ever valid UTF-8 without a control character. */
function isText(bytes: Uint8Array): boolean {
  try {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what distinguishes text.
    return !/[\u0000-\u0008\u000e-\u001f]/.test(strictUtf8.decode(bytes));
  } catch {
    return false;
  }
}
