// Waiting, and what servers say of it.

/** Rejects with the signal's reason as soon as that is aborted. */
export type Wait = (milliseconds: number, signal?: AbortSignal) => Promise<void>;

export const wait: Wait = (milliseconds, signal) => {
  let timer: ReturnType<typeof setTimeout>;
  const passed = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  return orAborted(passed, signal).finally(() => clearTimeout(timer));
};

/** The promise's outcome, or the signal's reason; what the promise stands for goes on. */
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
 * Whole seconds to wait, at least one, of a 429 or 503 that says so: in seconds or as a date (RFC 9110 10.2.3), which is
 * measured by the server's own clock where it tells the time.
 */
export function retryAfter({ status, headers }: Pick<Response, 'status' | 'headers'>): number | undefined {
  const said = headers.get('retry-after')?.trim();
  if ((status !== 429 && status !== 503) || !said) return undefined;
  if (/^\d{1,9}$/.test(said)) return Math.max(1, Number(said));
  const now = Date.parse(headers.get('date') ?? '') || Date.now();
  const seconds = Math.ceil((Date.parse(said) - now) / 1_000);
  return Number.isNaN(seconds) ? undefined : Math.max(1, seconds);
}
