// The body of a proxied call: sent once as it comes, or again where it is small enough to be kept.
import { tapped } from '../../../domain/tapped-chunks.ts';
import type { HeldBytes } from './byte-budget.ts';

/** As the caller sends it. */
export interface CallerBody {
  /** Bytes; undefined: the caller does not say. */
  length: number | undefined;
  /** Read once. Rejects when the caller breaks off. */
  chunks: AsyncIterable<Uint8Array>;
}

export interface KeptBody {
  /** Bytes; undefined: there is none, or its length is not known. */
  length: number | undefined;
  /** What the next attempt sends. Only to be called first, or while `canRepeat`. */
  next(): Uint8Array | AsyncIterable<Uint8Array> | null;
  /** Whether it can be sent once more. */
  canRepeat(): boolean;
  /** All of it, to be signed, or why not. Only to be called before `next`; more than once while `canRepeat`. */
  whole(limits: WholeLimits): Promise<Uint8Array | null | WholeFault>;
  /** What it holds is not needed any more. */
  release(): void;
}

export interface WholeLimits {
  maxBytes: number;
  /** Takes the memory for it. */
  take(bytes: number): Promise<HeldBytes | undefined>;
  /** Whether it has taken too long. */
  isLate(): boolean;
}

/** `large`: larger than that. `full`: there is no memory for it now. `late`: it came too slowly. */
export type WholeFault = 'large' | 'full' | 'late';

/** Bytes that are kept of one call. */
const MAX_KEPT = 64 * 1_024;

/** A body of a known length that is small is read before anything is sent. Rejects when the caller breaks off. */
export async function keepBody(body: CallerBody | null): Promise<KeptBody> {
  if (body === null) return inMemory(null);
  if (body.length !== undefined && body.length <= MAX_KEPT) return inMemory(await joined(body.chunks));
  return streamed(body);
}

/** What is in memory already. */
export const keptBytes = (bytes: Uint8Array | null): KeptBody => inMemory(bytes);

/** Of a call without a body, which waits for nothing. */
export const NO_BODY: KeptBody = inMemory(null);

function inMemory(bytes: Uint8Array | null): KeptBody {
  return {
    length: bytes?.length,
    next: () => bytes,
    canRepeat: () => true,
    whole: async ({ maxBytes }) => (bytes !== null && bytes.length > maxBytes ? 'large' : bytes),
    release: () => undefined,
  };
}

function streamed({ length, chunks }: CallerBody): KeptBody {
  let kept = length === undefined ? gathering() : undefined;
  let keptBytes = 0;
  let isComplete = false;
  let all: Uint8Array | undefined;
  let held: HeldBytes | undefined;

  /** Of a known length, it is longer than what is kept. */
  const recorded = () =>
    kept === undefined
      ? chunks
      : tapped(chunks, {
          chunk(chunk) {
            keptBytes += chunk.length;
            if (keptBytes > MAX_KEPT) kept = undefined;
            kept?.add(chunk);
          },
          end() {
            isComplete = true;
          },
        });

  const repeated = () => {
    all ??= isComplete && kept ? kept.all() : undefined;
    return all;
  };
  return {
    get length() {
      return all?.length ?? length;
    },
    next: () => repeated() ?? recorded(),
    canRepeat: () => repeated() !== undefined,
    async whole({ maxBytes, take, isLate }) {
      const known = repeated();
      if (known) return known;
      if (length !== undefined && length > maxBytes) return 'large';
      held = await take(length ?? maxBytes);
      if (!held) return 'full';
      const read = await joined(chunks, maxBytes, isLate);
      if (typeof read === 'string') return read;
      held.shrink(read.length);
      all = read;
      return read;
    },
    release() {
      held?.release();
      all = undefined;
      kept = undefined;
    },
  };
}

async function joined(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array>;
async function joined(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
  isLate: () => boolean,
): Promise<Uint8Array | 'large' | 'late'>;
async function joined(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes = Number.POSITIVE_INFINITY,
  isLate = () => false,
): Promise<Uint8Array | 'large' | 'late'> {
  const gathered = gathering();
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > maxBytes) return 'large';
    if (isLate()) return 'late';
    gathered.add(chunk);
  }
  return gathered.all();
}

/** Bytes of a chunk that is joined with others like it as they come: one of a byte takes a few hundred. */
const SMALL_CHUNK = 1_024;
/** Small chunks that are joined at once. */
const JOINED = 256;

function gathering(): { add(chunk: Uint8Array): void; all(): Uint8Array } {
  const parts: Uint8Array[] = [];
  let small: Uint8Array[] = [];
  const join = () => {
    if (small.length > 0) parts.push(concatenated(small));
    small = [];
  };
  return {
    add(chunk) {
      if (chunk.length >= SMALL_CHUNK) {
        join();
        parts.push(chunk);
      } else if (small.push(chunk) === JOINED) join();
    },
    all() {
      join();
      return concatenated(parts);
    },
  };
}

const concatenated = (chunks: readonly Uint8Array[]): Uint8Array =>
  chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
