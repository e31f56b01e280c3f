// A client whose clock the test sets, and which records its requests and waits.
import { createValetkey, type Valetkey, type ValetkeyOptions } from '../../src/client/index.ts';

export interface TestClient {
  valetkey: Valetkey;
  /** `GET /v1/token?…`; with the whole URL for other servers than the broker. */
  sent: string[];
  /** Seconds that it would have waited. */
  waits: number[];
  /** Otherwise its clock stands: what it does by the time does not hang on how long requests take. */
  advance(seconds: number): void;
}

export function createTestClient(options: Pick<ValetkeyOptions, 'url' | 'key'> & Partial<ValetkeyOptions>): TestClient {
  const sent: string[] = [];
  const waits: number[] = [];
  // Whole milliseconds: sums of fractions would be off by one now and then when they are rounded up to seconds.
  let time = Math.ceil(performance.now());
  const valetkey = createValetkey({
    fetch: (url, init) => {
      const { origin } = new URL(options.url);
      sent.push(`${init.method} ${url.startsWith(origin) ? url.slice(origin.length) : url}`);
      return fetch(url, init);
    },
    now: () => time,
    wait: async (milliseconds, signal) => {
      signal?.throwIfAborted();
      waits.push(Math.round(milliseconds / 1_000));
      time += milliseconds;
    },
    ...options,
  });
  return {
    valetkey,
    sent,
    waits,
    advance: (seconds) => {
      time += seconds * 1_000;
    },
  };
}

/** The error that a promise is rejected with; rejects when it is fulfilled. */
export const rejectionOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => Promise.reject(new Error('it was fulfilled')),
    (error: unknown) => error,
  );
