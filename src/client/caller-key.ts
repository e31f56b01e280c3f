// The caller key: as it is given, or as a function of the user returns it.
import { ValetkeyError } from './errors.ts';
import { orAborted, timeLimit } from './time.ts';

export type Key = string | (() => string | Promise<string>);

/**
 * The field `Authorization`. A function may take `timeoutMs`: one that hangs would hold every later call that shares its request.
 * Rejects with `invalid_key`, with the error of the function, or with the signal's reason.
 */
export async function bearer(key: Key, timeoutMs: number, signal: AbortSignal | undefined): Promise<string> {
  return `Bearer ${valid(typeof key === 'function' ? await called(key, timeoutMs, signal) : key)}`;
}

async function called(
  key: () => string | Promise<string>,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<string> {
  const limit = timeLimit(timeoutMs);
  try {
    return await orAborted(orAborted(Promise.resolve(key()), limit.signal), signal);
  } catch (error) {
    if (error !== limit.signal.reason) throw error;
    throw invalid(`The function "key" has returned no key within ${timeoutMs / 1_000} s`);
  } finally {
    limit.end();
  }
}

/** A key from a file often ends in a line break. */
function valid(key: unknown): string {
  if (typeof key !== 'string')
    throw invalid('The caller key is missing: "key" is a string, or a function that returns one');
  const trimmed = key.trim();
  if (/^[\x21-\x7e]+$/.test(trimmed)) return trimmed;
  throw invalid(
    trimmed === '' ? 'The caller key is empty' : 'The caller key has characters that are not allowed in a header',
  );
}

const invalid = (detail: string): ValetkeyError => new ValetkeyError({ code: 'invalid_key', status: 0, detail });
