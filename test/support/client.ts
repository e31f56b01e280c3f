// A client whose clock the test sets, which notes what it sends and how long it waits.
import { createValetkey, type Valetkey, type ValetkeyOptions } from '../../src/client/index.ts';

export interface TestClient {
  valetkey: Valetkey;
  /** `GET /v1/token?…`, `GET http://…` of what is not the broker. */
  sent: string[];
  /** Seconds that it waited, without waiting. */
  waits: number[];
  advance(seconds: number): void;
}

export function createTestClient(options: Pick<ValetkeyOptions, 'url' | 'key'> & Partial<ValetkeyOptions>): TestClient {
  const sent: string[] = [];
  const waits: number[] = [];
  let ahead = 0;
  const valetkey = createValetkey({
    fetch: (url, init) => {
      const { origin } = new URL(options.url);
      sent.push(`${init.method} ${url.startsWith(origin) ? url.slice(origin.length) : url}`);
      return fetch(url, init);
    },
    now: () => performance.now() + ahead,
    wait: async (milliseconds, signal) => {
      signal?.throwIfAborted();
      waits.push(Math.round(milliseconds / 1_000));
      ahead += milliseconds;
    },
    ...options,
  });
  return {
    valetkey,
    sent,
    waits,
    advance: (seconds) => {
      ahead += seconds * 1_000;
    },
  };
}

/** What it is rejected with; fails where it is not. */
export const rejectionOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => Promise.reject(new Error('it was fulfilled')),
    (error: unknown) => error,
  );
