// Rate limiter: concurrency of this process, rate of all processes, reads first. On a real store.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  createRateLimiter,
  RateLimiterStopped,
  type RefreshLimits,
} from '../../../src/broker/refresh/limits/rate-limiter.ts';
import { type Store, StoreError } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { emptyDatabase } from '../../support/sqlite-file.ts';

let store: Store;
beforeEach(async () => {
  store = await openSqlite(await emptyDatabase());
});
afterEach(() => store.close());

const clock = { monotonic: () => performance.now() };
const limiterWith = (limits: RefreshLimits) => createRateLimiter({ store, clock, ...limits });
const at = (key: string, endpoint = 'token', integration = 'acme') => ({ integration, endpoint, key });
const AT_ONCE = { interval: 1, timeout: 30_000 };

/** Work that ends on command, and a record of what has begun. */
function setUp(limits: RefreshLimits = { concurrency: 2, perSecond: 100_000 }) {
  const rateLimiter = limiterWith(limits);
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const run = (key: string, priority: 'read' | 'background' = 'background', integration = 'acme', endpoint = 'token') =>
    rateLimiter.run(at(key, endpoint, integration), priority, () => {
      begun.push(key);
      return new Promise<string>((resolve) => ends.set(key, () => resolve(key)));
    });
  const begins = (...keys: string[]) => expect.poll(() => begun, AT_ONCE).toEqual(keys);
  return { rateLimiter, begun, begins, run, end: (key: string) => ends.get(key)!() };
}

/** The store has answered a few times: what must not happen would have happened by now. */
const settled = async () => {
  for (let i = 0; i < 3; i++) await store.takeFromBucket('other', 1, { perSecond: 1, burst: 1, reserve: 0 });
};

test('concurrency: no more work runs at once than the limit', async () => {
  const { begins, run, end, rateLimiter } = setUp();
  for (const key of ['a', 'b', 'c', 'd']) void run(key);
  await begins('a', 'b');
  await settled();
  expect(rateLimiter.inFlight()).toBe(2);
  end('b');
  await begins('a', 'b', 'c');
});

test('concurrency: of several endpoints, one has half of the places, and the others wait behind none of its backlog', async () => {
  const { begins, run, end, begun } = setUp({ concurrency: 4, perSecond: 100_000 });
  const at = (endpoint: string, ...keys: string[]) => {
    for (const key of keys) run(key, 'read', 'acme', endpoint).catch(() => undefined);
  };
  at('other', 'o0');
  await begins('o0');
  end('o0');
  at('noisy', 'n1', 'n2', 'n3', 'n4', 'n5', 'n6');
  await begins('o0', 'n1', 'n2');
  at('other', 'o1');
  at('third', 't1');
  await begins('o0', 'n1', 'n2', 'o1', 't1');
  at('other', 'o2', 'o3');
  at('third', 't2');
  end('o1');
  end('t1');
  await expect.poll(() => begun.slice(5).sort(), AT_ONCE).toEqual(['o2', 't2']);
  end('n1');
  await expect.poll(() => begun, AT_ONCE).toContain('n3');
  await settled();
  expect(begun).not.toContain('n4');
});

test('concurrency: of an integration with one endpoint, it has all places', async () => {
  const { begins, run } = setUp({ concurrency: 3, perSecond: 100_000 });
  for (const key of ['a', 'b', 'c', 'd']) run(key).catch(() => undefined);
  await begins('a', 'b', 'c');
});

test('priority: reads run before background work, in order', async () => {
  const { begins, run, end } = setUp({ concurrency: 1, perSecond: 100_000 });
  void run('first');
  for (const key of ['b1', 'b2']) void run(key);
  void run('r1', 'read');
  void run('r2', 'read');
  const order = ['r1', 'r2', 'first', 'b1', 'b2'];
  for (const [i, key] of order.entries()) {
    await begins(...order.slice(0, i + 1));
    end(key);
  }
});

test('priority: background work that a reader waits for now is moved ahead', async () => {
  const { begins, run, end, rateLimiter } = setUp({ concurrency: 1, perSecond: 100_000 });
  for (const key of ['first', 'b1', 'b2', 'b3']) void run(key);
  await begins('first');
  rateLimiter.prioritize('acme', 'b3');
  rateLimiter.prioritize('acme', 'unknown');
  const order = ['first', 'b3', 'b1', 'b2'];
  for (const [i, key] of order.entries()) {
    await begins(...order.slice(0, i + 1));
    end(key);
  }
});

test('rate: a backlog drains at the rate after one burst, with two processes too', async () => {
  const limits = { concurrency: 10, perSecond: 200 };
  const [one, other] = [limiterWith(limits), limiterWith(limits)];
  const since = performance.now();
  const begun: number[] = [];
  const work = async () => void begun.push(performance.now() - since);
  const all = Array.from({ length: 70 }, (_, i) => (i % 2 ? one : other).run(at(`k${i}`), 'background', work));
  await Promise.all(all);
  for (const [i, at] of begun.entries()) expect(i + 1).toBeLessThanOrEqual(10 + (at / 1_000) * 200 + 1);
  expect(Math.max(...begun)).toBeGreaterThanOrEqual(295);
});

test.each(['read', 'background'] as const)(
  'rate: %s that waits for tokens takes them in portions',
  async (priority) => {
    let takes = 0;
    const counted: Pick<Store, 'takeFromBucket'> = {
      takeFromBucket: (...given) => {
        takes++;
        return store.takeFromBucket(...given);
      },
    };
    const rateLimiter = createRateLimiter({ store: counted, clock, concurrency: 64, perSecond: 1_000 });
    await Promise.all(Array.from({ length: 264 }, (_, i) => rateLimiter.run(at(`k${i}`), priority, async () => {})));
    // 200 come in after the burst, 20 or 50 in a portion; without portions, 1 or 2.
    expect(takes).toBeLessThanOrEqual(25);
  },
);

test('rate: background work leaves a part of the burst to reads, of other processes too', async () => {
  const limits = { concurrency: 8, perSecond: 0.1 };
  const [busy, other] = [limiterWith(limits), limiterWith(limits)];
  let [background, read] = [0, 0];
  for (let i = 0; i < 20; i++)
    busy.run(at(`b${i}`), 'background', async () => void background++).catch(() => undefined);
  await expect.poll(() => background, AT_ONCE).toBe(6);
  for (const rateLimiter of [busy, other]) void rateLimiter.run(at('r'), 'read', async () => void read++);
  await expect.poll(() => read, AT_ONCE).toBe(2);
  expect(background).toBe(6);
  busy.stop();
});

test('rate: a read that arrives while background work waits for tokens takes its own', async () => {
  const { run, begins } = setUp({ concurrency: 4, perSecond: 0.1 });
  for (const key of ['b1', 'b2', 'b3']) void run(key);
  await begins('b1', 'b2', 'b3');
  run('b4').catch(() => undefined);
  void run('r', 'read');
  await begins('b1', 'b2', 'b3', 'r');
});

test.each(['read', 'background'] as const)(
  'rate: a token prefetched for %s is used soon or expires',
  async (priority) => {
    let [movedMs, taken] = [0, 0];
    const counted: Pick<Store, 'takeFromBucket'> = {
      takeFromBucket: (...given) => {
        taken++;
        return store.takeFromBucket(...given);
      },
    };
    const moving = { monotonic: () => performance.now() + movedMs };
    const rateLimiter = createRateLimiter({ store: counted, clock: moving, concurrency: 20, perSecond: 100 });
    const run = () => rateLimiter.run(at('key'), priority, async () => undefined);
    // One, then two at a time, then four.
    for (let i = 0; i < 1 + 2 + 2; i++) await run();
    expect(taken).toBe(3);
    movedMs = 1_000;
    await run();
    expect(taken).toBe(4);
  },
);

test('queues: an integration does not wait for another', async () => {
  const { begins, run } = setUp({ concurrency: 1, perSecond: 1 });
  void run('a1', 'background', 'a');
  void run('a2', 'background', 'a').catch(() => undefined);
  await begins('a1');
  void run('b1', 'background', 'b');
  await begins('a1', 'b1');
});

test('failing work: its slot is free again, and its caller gets the error', async () => {
  const { rateLimiter, begins, run } = setUp({ concurrency: 1, perSecond: 100_000 });
  const failed = rateLimiter.run(at('x'), 'background', () => Promise.reject(new Error('no')));
  void run('next');
  await expect(failed).rejects.toThrow('no');
  await begins('next');
});

test('failing store: no work begins, and its callers get the error', async () => {
  const { begun, run } = setUp();
  await store.close();
  await Promise.all(
    (['read', 'background'] as const).map((priority) =>
      expect(run(priority, priority)).rejects.toBeInstanceOf(StoreError),
    ),
  );
  expect(begun).toEqual([]);
});

describe('stopping', () => {
  test('no more work begins, queued work is rejected, running work continues', async () => {
    const { rateLimiter, run, begins, end } = setUp({ concurrency: 1, perSecond: 100_000 });
    const running = run('running');
    const waiting = run('waiting');
    await begins('running');
    rateLimiter.stop();
    await expect(waiting).rejects.toBeInstanceOf(RateLimiterStopped);
    await expect(run('late')).rejects.toBeInstanceOf(RateLimiterStopped);
    end('running');
    expect(await running).toBe('running');
  });
});

test('tokens: none are taken for what waits behind others at its endpoint', async () => {
  const takes: number[] = [];
  const counting: Pick<Store, 'takeFromBucket'> = {
    takeFromBucket: (bucket, count, limits) => {
      takes.push(count);
      return store.takeFromBucket(bucket, count, limits);
    },
  };
  const rateLimiter = createRateLimiter({ store: counting, clock, concurrency: 4, perSecond: 1 });
  const begun: string[] = [];
  const run = (key: string) =>
    rateLimiter.run({ ...at(key, 'noisy'), isOneOfSeveral: true }, 'background', () => {
      begun.push(key);
      return new Promise<void>(() => undefined);
    });
  for (const key of ['a', 'b', 'c', 'd', 'e']) run(key).catch(() => undefined);
  await expect.poll(() => begun, AT_ONCE).toEqual(['a', 'b']);
  await settled();
  const before = takes.length;
  rateLimiter.prioritize('acme', 'd');
  await settled();
  expect(takes).toHaveLength(before);
});

test('capacity: what waits is what can begin soon, less what is queued', () => {
  const { rateLimiter, run } = setUp();
  expect(rateLimiter.capacity('acme')).toBe(2);
  for (const key of ['a', 'b', 'c']) run(key).catch(() => undefined);
  expect(rateLimiter.capacity('acme')).toBe(0);
  expect(rateLimiter.capacity('other')).toBe(2);
  expect(limiterWith({ concurrency: 100, perSecond: 200 }).capacity('acme')).toBe(30);
  expect(limiterWith({ concurrency: 100, perSecond: 2 }).capacity('acme')).toBe(4);
});

test('capacity: none for a refill while half of what may wait does', async () => {
  const { rateLimiter, run, begins, end } = setUp({ concurrency: 4, perSecond: 100_000 });
  for (const key of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) run(key).catch(() => undefined);
  await begins('a', 'b', 'c', 'd');
  expect(rateLimiter.capacity('acme')).toBe(1);
  expect(rateLimiter.capacity('acme', true)).toBe(0);
  end('a');
  await begins('a', 'b', 'c', 'd', 'e');
  expect(rateLimiter.capacity('acme', true)).toBe(2);
});

test('capacity: of several endpoints, what waits for one of them leaves room for the others', async () => {
  const { rateLimiter, run, begins, end } = setUp({ concurrency: 4, perSecond: 100_000 });
  run('o0', 'read', 'acme', 'other').catch(() => undefined);
  await begins('o0');
  end('o0');
  for (const key of ['n1', 'n2', 'n3', 'n4', 'n5', 'n6']) run(key).catch(() => undefined);
  await begins('o0', 'n1', 'n2');
  expect(rateLimiter.capacity('acme')).toBe(4);
});
