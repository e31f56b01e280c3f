// How often something has happened within a recent time, by key, in this process: for what strangers can cause.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../domain/cache-bounds.ts';
import type { Clock } from '../../ports/index.ts';

export interface RecentCounts {
  /** For how long (ms) it may not happen again, where it has happened `most` times within the window; undefined: it may. */
  waitOf(key: string, most: number): number | undefined;
  /** It happens now. */
  count(key: string): void;
}

const REMEMBERED = 20_000;

export function createRecentCounts({ monotonic }: Pick<Clock, 'monotonic'>, windowMs: number): RecentCounts {
  /** When, the oldest first. */
  const times = new LRUCache<string, number[]>(upTo(REMEMBERED));
  const recent = (key: string) => (times.get(key) ?? []).filter((at) => at > monotonic() - windowMs);

  return {
    waitOf(key, most) {
      const at = recent(key);
      return at.length < most ? undefined : at.at(-most)! + windowMs - monotonic();
    },
    count(key) {
      times.set(key, [...recent(key), monotonic()]);
    },
  };
}
