// A body of a captured call: a copy of its beginning, and what is shown of it.
import { promisify } from 'node:util';
import { brotliDecompress, constants, gunzip, inflate } from 'node:zlib';
import { type Known, redactBody, withoutLastWord } from '../../../domain/captured-text.ts';

export interface CapturedBody {
  /** Without its secrets; null: nothing of it is shown. */
  text: string | null;
  /** As it was sent. */
  bytes: number;
  /** There was more of it. */
  cut: boolean;
  /** Why nothing is shown: it is no text, or has a content coding that is not read. Secrets could not be found in it. */
  omitted: 'binary' | 'encoded' | null;
}

/** Bytes that are kept of a body. */
export const MAX_CAPTURED = 64 * 1_024;
/** Bytes that a compressed one may have for its beginning to be read. */
const MAX_INFLATED = 1_024 * 1_024;

export interface BodyCopy {
  add(chunk: Uint8Array): void;
  shown(type: string, coding: string, known: Known): Promise<CapturedBody>;
}

export function createBodyCopy(): BodyCopy {
  const chunks: Buffer[] = [];
  let kept = 0;
  let bytes = 0;

  return {
    add(chunk) {
      bytes += chunk.length;
      if (kept >= MAX_CAPTURED) return;
      const part = Buffer.from(chunk.subarray(0, MAX_CAPTURED - kept));
      kept += part.length;
      chunks.push(part);
    },
    async shown(type, coding, known) {
      const none = { text: null, bytes, cut: bytes > kept };
      const plain = await inflated(Buffer.concat(chunks), coding.trim().toLowerCase());
      if (plain === undefined) return { ...none, omitted: 'encoded' };
      const cut = bytes > kept || plain.length > MAX_CAPTURED;
      const text = textOf(plain.subarray(0, MAX_CAPTURED), cut);
      if (text === undefined) return { ...none, cut, omitted: 'binary' };
      return { text: redactBody(cut ? withoutLastWord(text) : text, type, known), bytes, cut, omitted: null };
    },
  };
}

const LENIENT = { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: MAX_INFLATED };
const CODINGS: Record<string, (bytes: Buffer) => Promise<Buffer>> = {
  gzip: (bytes) => promisify(gunzip)(bytes, LENIENT),
  'x-gzip': (bytes) => promisify(gunzip)(bytes, LENIENT),
  deflate: (bytes) => promisify(inflate)(bytes, LENIENT),
  br: (bytes) =>
    promisify(brotliDecompress)(bytes, {
      finishFlush: constants.BROTLI_OPERATION_FLUSH,
      maxOutputLength: MAX_INFLATED,
    }),
};

async function inflated(bytes: Buffer, coding: string): Promise<Buffer | undefined> {
  if (coding === '' || coding === 'identity' || bytes.length === 0) return bytes;
  try {
    return await CODINGS[coding]?.(bytes);
  } catch {
    return undefined;
  }
}

/** Undefined: it is no UTF-8. */
function textOf(bytes: Buffer, isCut: boolean): string | undefined {
  try {
    // Of a body that is cut, the last character may be incomplete.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: isCut });
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}
