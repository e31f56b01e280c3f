// The body of a proxied call: sent once as it comes, or again where it is small enough to be kept.

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
  /** All of it, to be signed; undefined: it is larger than that. Only to be called before `next`. */
  whole(maxBytes: number): Promise<Uint8Array | null | undefined>;
}

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
    whole: async (maxBytes) => (bytes !== null && bytes.length > maxBytes ? undefined : bytes),
  };
}

function streamed({ length, chunks }: CallerBody): KeptBody {
  let kept: Uint8Array[] | undefined = length === undefined ? [] : undefined;
  let keptBytes = 0;
  let isComplete = false;
  let all: Uint8Array | undefined;

  async function* recorded(): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      keptBytes += chunk.length;
      if (keptBytes > MAX_KEPT) kept = undefined;
      kept?.push(chunk);
      yield chunk;
    }
    isComplete = true;
  }

  const repeated = () => {
    all ??= isComplete && kept ? concatenated(kept) : undefined;
    return all;
  };
  return {
    get length() {
      return all?.length ?? length;
    },
    next: () => repeated() ?? recorded(),
    canRepeat: () => repeated() !== undefined,
    async whole(maxBytes) {
      if (length !== undefined && length > maxBytes) return undefined;
      all = await joined(chunks, maxBytes);
      return all;
    },
  };
}

/** Undefined: it is longer than that. */
async function joined(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array>;
async function joined(chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array | undefined>;
async function joined(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes = Number.POSITIVE_INFINITY,
): Promise<Uint8Array | undefined> {
  const all: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > maxBytes) return undefined;
    all.push(chunk);
  }
  return concatenated(all);
}

const concatenated = (chunks: readonly Uint8Array[]): Uint8Array =>
  chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
