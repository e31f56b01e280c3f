// How much each key protects, for operators: counted in the background when someone asks, since it reads every secret.
import { withDeadline } from '../../../domain/deadline.ts';
import { KEY_USAGE_TTL_MS, KEY_USAGE_WAIT_MS } from '../../../domain/time-limits.ts';
import type { Clock, KeyUse, Logger, Store } from '../../../ports/index.ts';

export interface CountedKeys {
  at: number;
  uses: readonly KeyUse[];
}

export interface KeyUsage {
  /**
   * What this process has counted; undefined: it still counts for the first time. Where that is old, another count begins, whose
   * result a later call returns if it takes longer than a page may wait. Does not reject.
   */
  counted(): Promise<CountedKeys | undefined>;
}

interface Parts {
  store: Pick<Store, 'keysInUse'>;
  clock: Pick<Clock, 'now' | 'monotonic'>;
  log: Logger;
}

export function keyUsageCounter({ store, clock, log }: Parts): KeyUsage {
  let known: (CountedKeys & { monotonic: number }) | undefined;
  let counting: Promise<void> | undefined;

  async function count(): Promise<void> {
    try {
      const uses = await store.keysInUse();
      known = { at: clock.now(), monotonic: clock.monotonic(), uses };
    } catch (err) {
      log.warn({ err }, 'key usage: count failed, will retry when asked');
    } finally {
      counting = undefined;
    }
  }

  return {
    async counted() {
      if (!known || clock.monotonic() - known.monotonic > KEY_USAGE_TTL_MS) counting ??= count();
      if (counting) await withDeadline(KEY_USAGE_WAIT_MS, counting, () => undefined);
      return known;
    },
  };
}
