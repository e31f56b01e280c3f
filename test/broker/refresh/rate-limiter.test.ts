// Turns: so many at once, so many a second among all processes, readers first. On the real store.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createRateLimiter, RateLimiterStopped, type RefreshLimits } from '../../../src/broker/refresh/rate-limiter.ts';
import { type Store, StoreError } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';

let store: Store;
beforeEach(async () => {
  store = await openSqlite('file::memory:');
});
afterEach(() => store.close());

const clock = { monotonic: () => performance.now() };
const paceOf = (limits: RefreshLimits) => createRateLimiter({ store, clock, ...limits });
const AT_ONCE = { interval: 1, timeout: 2_000 };

/** Work that ends when it is told to; says what has begun. */
function bench(limits: RefreshLimits = { concurrency: 2, perSecond: 100_000 }) {
  const rateLimiter = paceOf(limits);
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const ask = (key: string, urgency: 'read' | 'background' = 'background', integration = 'acme') =>
    rateLimiter.run(integration, key, urgency, () => {
      begun.push(key);
      return new Promise<string>((resolve) => ends.set(key, () => resolve(key)));
    });
  const begins = (...keys: string[]) => expect.poll(() => begun, AT_ONCE).toEqual(keys);
  return { rateLimiter, begun, begins, ask, end: (key: string) => ends.get(key)!() };
}

/** What must not happen has had its chance: the store has been asked and has answered a few times over. */
const settled = async () => {
  for (let i = 0; i < 3; i++) await store.takeFromBucket('nobody', 1, { perSecond: 1, burst: 1, reserve: 0 });
};

test('no more begin at once than may', async () => {
  const { begins, ask, end, rateLimiter } = bench();
  for (const key of ['a', 'b', 'c', 'd']) void ask(key);
  await begins('a', 'b');
  await settled();
  expect(rateLimiter.inFlight()).toBe(2);
  end('b');
  await begins('a', 'b', 'c');
});

test('whoever waits in front of a reader goes before the background, in order', async () => {
  const { begins, ask, end } = bench({ concurrency: 1, perSecond: 100_000 });
  void ask('first');
  for (const key of ['b1', 'b2']) void ask(key);
  void ask('r1', 'read');
  void ask('r2', 'read');
  const order = ['r1', 'r2', 'first', 'b1', 'b2'];
  for (const [i, key] of order.entries()) {
    await begins(...order.slice(0, i + 1));
    end(key);
  }
});

test('background work that a reader comes to wait for is hurried', async () => {
  const { begins, ask, end, rateLimiter } = bench({ concurrency: 1, perSecond: 100_000 });
  for (const key of ['first', 'b1', 'b2', 'b3']) void ask(key);
  await begins('first');
  rateLimiter.prioritize('acme', 'b3');
  rateLimiter.prioritize('acme', 'unknown');
  const order = ['first', 'b3', 'b1', 'b2'];
  for (const [i, key] of order.entries()) {
    await begins(...order.slice(0, i + 1));
    end(key);
  }
});

test('a backlog drains at the rate, after a burst of what may run at once, however many processes work it off', async () => {
  const limits = { concurrency: 10, perSecond: 200 };
  const [one, other] = [paceOf(limits), paceOf(limits)];
  const since = performance.now();
  const begun: number[] = [];
  const work = async () => void begun.push(performance.now() - since);
  const all = Array.from({ length: 70 }, (_, i) => (i % 2 ? one : other).run('acme', `k${i}`, 'background', work));
  await Promise.all(all);
  for (const [i, at] of begun.entries()) expect(i + 1).toBeLessThanOrEqual(10 + (at / 1_000) * 200 + 1);
  expect(Math.max(...begun)).toBeGreaterThanOrEqual(295);
});

test('background work leaves a part of the burst to readers, of other processes too', async () => {
  const limits = { concurrency: 8, perSecond: 0.1 };
  const [busy, asked] = [paceOf(limits), paceOf(limits)];
  let [background, read] = [0, 0];
  for (let i = 0; i < 20; i++)
    busy.run('acme', `b${i}`, 'background', async () => void background++).catch(() => undefined);
  await expect.poll(() => background, AT_ONCE).toBe(6);
  for (const rateLimiter of [busy, asked]) void rateLimiter.run('acme', 'r', 'read', async () => void read++);
  await expect.poll(() => read, AT_ONCE).toBe(2);
  expect(background).toBe(6);
  busy.stop();
});

test('a reader who comes while the store is asked for the background waits for its own turn only', async () => {
  const { ask, begins } = bench({ concurrency: 4, perSecond: 0.1 });
  for (const key of ['b1', 'b2', 'b3']) void ask(key);
  await begins('b1', 'b2', 'b3');
  ask('b4').catch(() => undefined);
  void ask('r', 'read');
  await begins('b1', 'b2', 'b3', 'r');
});

test('a turn that was taken ahead is used soon or not at all', async () => {
  let [moved, asked] = [0, 0];
  const counted: Pick<Store, 'takeFromBucket'> = {
    takeFromBucket: (...given) => {
      asked++;
      return store.takeFromBucket(...given);
    },
  };
  const moving = { monotonic: () => performance.now() + moved };
  const rateLimiter = createRateLimiter({ store: counted, clock: moving, concurrency: 20, perSecond: 100 });
  const run = () => rateLimiter.run('acme', 'key', 'background', async () => undefined);
  // One, then two at a time, then four.
  for (let i = 0; i < 1 + 2 + 2; i++) await run();
  expect(asked).toBe(3);
  moved = 1_000;
  await run();
  expect(asked).toBe(4);
});

test('an integration does not wait for another', async () => {
  const { begins, ask } = bench({ concurrency: 1, perSecond: 1 });
  void ask('a1', 'background', 'a');
  void ask('a2', 'background', 'a').catch(() => undefined);
  await begins('a1');
  void ask('b1', 'background', 'b');
  await begins('a1', 'b1');
});

test('work that fails gives its turn back, and its error to whoever asked', async () => {
  const { rateLimiter, begins, ask } = bench({ concurrency: 1, perSecond: 100_000 });
  const failed = rateLimiter.run('acme', 'x', 'background', () => Promise.reject(new Error('no')));
  void ask('next');
  await expect(failed).rejects.toThrow('no');
  await begins('next');
});

test('nothing begins while the store cannot say whether it may; whoever waits is told', async () => {
  const { begun, ask } = bench();
  await store.close();
  await Promise.all(
    (['read', 'background'] as const).map((urgency) =>
      expect(ask(urgency, urgency)).rejects.toBeInstanceOf(StoreError),
    ),
  );
  expect(begun).toEqual([]);
});

describe('stopping', () => {
  test('begins nothing more, says so to those who wait, and lets what runs go on', async () => {
    const { rateLimiter, ask, begins, end } = bench({ concurrency: 1, perSecond: 100_000 });
    const running = ask('running');
    const waiting = ask('waiting');
    await begins('running');
    rateLimiter.stop();
    await expect(waiting).rejects.toBeInstanceOf(RateLimiterStopped);
    await expect(ask('late')).rejects.toBeInstanceOf(RateLimiterStopped);
    end('running');
    expect(await running).toBe('running');
  });
});

test('room is what keeps it busy for a few seconds, and nothing when that is there', () => {
  const { rateLimiter, ask } = bench();
  expect(rateLimiter.capacity('acme')).toBe(4);
  for (const key of ['a', 'b', 'c', 'd', 'e']) ask(key).catch(() => undefined);
  expect(rateLimiter.capacity('acme')).toBe(0);
  expect(rateLimiter.capacity('other')).toBe(4);
  expect(paceOf({ concurrency: 100, perSecond: 2 }).capacity('acme')).toBe(6);
});
