// What replicas have stored of limits that APIs have told: whether the calls of one connection are blocked.
import type { Clock, Store } from '../../../ports/index.ts';

/** Blocks that are read: an index of these alone has them, and there are seldom more. */
const READ = 500;

interface Parts {
  store: Pick<Store, 'blockedBuckets'>;
  clock: Pick<Clock, 'now'>;
}

/**
 * Until when the buckets of an integration or of its connection are blocked, in ms since the epoch; null: they are not. Buckets
 * of a captured tenant are not looked at.
 */
export async function blockedUntil(
  { store, clock }: Parts,
  integration: string,
  connectionId: string,
): Promise<number | null> {
  const names = [`api/${integration}`, `api/${integration}/con/${connectionId}`];
  const blocked = (await store.blockedBuckets(READ)).filter(({ bucket }) => names.includes(bucket));
  const longest = Math.max(0, ...blocked.map(({ forMs }) => forMs));
  return longest > 0 ? clock.now() + longest : null;
}
