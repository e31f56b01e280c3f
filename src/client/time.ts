// Waiting, and the Retry-After header.

/** Rejects with the signal's reason as soon as it is aborted. */
export type Wait = (milliseconds: number, signal?: AbortSignal) => Promise<void>;

export const wait: Wait = (milliseconds, signal) => {
  let timer: ReturnType<typeof setTimeout>;
  const elapsed = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  return orAborted(elapsed, signal).finally(() => clearTimeout(timer));
};

/** The promise's outcome, or the signal's reason. Aborting does not stop what the promise stands for. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/**
 * The `Retry-After` of a 429 or 503, in whole seconds, at least one; undefined if there is none. A date (RFC 9110 10.2.3)
 * is compared with the server's own clock, if the response has a `Date` header.
 */
export function retryAfter({ status, headers }: Pick<Response, 'status' | 'headers'>): number | undefined {
  const value = headers.get('retry-after')?.trim();
  if ((status !== 429 && status !== 503) || !value) return undefined;
  if (/^\d{1,9}$/.test(value)) return Math.max(1, Number(value));
  const now = Date.parse(headers.get('date') ?? '') || Date.now();
  const seconds = Math.ceil((Date.parse(value) - now) / 1_000);
  return Number.isNaN(seconds) ? undefined : Math.max(1, seconds);
}
