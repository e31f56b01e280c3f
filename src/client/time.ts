// Waiting, and the Retry-After header.

/** Rejects with the signal's reason as soon as it is aborted. */
export type Wait = (milliseconds: number, signal?: AbortSignal) => Promise<void>;

export const wait: Wait = (milliseconds, signal) => {
  let timer: ReturnType<typeof setTimeout>;
  const elapsed = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timerOf(milliseconds));
  });
  return orAborted(elapsed, signal).finally(() => clearTimeout(timer));
};

/** A longer timer fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const timerOf = (milliseconds: number): number => (milliseconds < LONGEST_TIMER_MS ? milliseconds : LONGEST_TIMER_MS);

export interface TimeLimit {
  /** Aborted when the time is over. */
  signal: AbortSignal;
  /** Frees the timer: that of `AbortSignal.timeout` stays until its end. */
  end(): void;
}

export function timeLimit(milliseconds: number): TimeLimit {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), timerOf(milliseconds));
  return { signal: controller.signal, end: () => clearTimeout(timer) };
}

/** The promise's outcome, or the signal's reason. Aborting does not stop what the promise stands for. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    const forget = onAbort(signal, stop);
    promise.finally(forget).then(resolve, reject);
  });
}

const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `stop` when the signal is aborted; the result takes that back. A signal has one listener, however many wait for it:
 * Node warns of a leak at the eleventh, and one signal may be that of many calls.
 */
function onAbort(signal: AbortSignal, stop: () => void): () => void {
  const stops = waiting.get(signal) ?? new Set();
  waiting.set(signal, stops.add(stop));
  signal.addEventListener('abort', stopAll, { once: true });
  return () => {
    stops.delete(stop);
    if (stops.size === 0) signal.removeEventListener('abort', stopAll);
  };
}

function stopAll({ target }: Event): void {
  for (const stop of waiting.get(target as AbortSignal) ?? []) stop();
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
