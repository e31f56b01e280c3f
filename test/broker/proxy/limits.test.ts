// Limits of APIs: who may send, who waits and for how long, and what answers change. On a real store, with a set clock.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type AdmitOptions,
  createUpstreamLimits,
  type LimitPermit,
  type LimitPlace,
  type UpstreamLimits,
} from '../../../src/broker/proxy/limits/index.ts';
import { ProviderRateLimits } from '../../../src/domain/api-dialect.ts';
import { Refusal } from '../../../src/domain/errors.ts';
import { type LimitReading, readLimit } from '../../../src/domain/limit-reading.ts';
import type { Store } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { emptyDatabase } from '../../support/sqlite-file.ts';

let store: Store;
let limits: UpstreamLimits;
let met: string[];
const log = { warn: () => undefined };
const clock = { monotonic: () => performance.now() };
const telemetry = {
  upstreamLimited: (integration: string, scope: string, outcome: string) =>
    void met.push(`${integration} ${scope} ${outcome}`),
};
/** The clock of the store is the real one, and what is blocked by it is not read here: `replicas` below does. */
const alone = (): Store => ({ ...store, blockedBuckets: async () => [] });
const replica = (of: Store = store) => createUpstreamLimits({ store: of, telemetry, clock, log });

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  met = [];
  store = await openSqlite(await emptyDatabase());
  limits = replica(alone());
});
afterEach(async () => {
  await limits.stop();
  vi.useRealTimers();
  await store.close();
});

const dialect = (given: object = {}) => ProviderRateLimits.parse({ scope: 'connection', ...given });
const place = (given: Partial<LimitPlace> = {}): LimitPlace => ({
  integration: { id: 'acme', rate: null },
  limits: dialect(),
  connectionId: 'con_1',
  captured: {},
  caller: 'clr_1',
  ...given,
});
const NOW_OR_NEVER: AdmitOptions = { maxWaitMs: 0, isBackground: false };
const upTo = (seconds: number, more: Partial<AdmitOptions> = {}): AdmitOptions => ({
  maxWaitMs: seconds * 1_000,
  isBackground: false,
  ...more,
});

async function sent(where = place(), options = NOW_OR_NEVER, of = limits): Promise<LimitPermit> {
  const permit = await of.admit(where, options);
  if (permit instanceof Refusal) throw new Error(JSON.stringify(permit.fault));
  return permit;
}
async function refused(where = place(), options = NOW_OR_NEVER, of = limits): Promise<[string, number]> {
  const refusal = await of.admit(where, options);
  if (!(refusal instanceof Refusal) || refusal.fault.code !== 'upstream_rate_limited') throw new Error('admitted');
  return [refusal.fault.scope, refusal.fault.retryAfter];
}
const reading = (status: number, headers: Record<string, string> = {}, of = dialect()): LimitReading =>
  readLimit(of, { status, headers: Object.entries(headers).flat(), now: 0 });
/** A call and its answer. */
async function call(status: number, headers: Record<string, string> = {}, where = place(), options = NOW_OR_NEVER) {
  const permit = await sent(where, options);
  permit.learn(reading(status, headers, where.limits));
  permit.release();
}
/** What becomes of an admission: what it is now, and later. */
function waiting(where = place(), options = upTo(60), of = limits) {
  const state: { is: 'waiting' | 'sent' | 'refused'; permit?: LimitPermit } = { is: 'waiting' };
  void Promise.resolve(of.admit(where, options)).then((outcome) => {
    state.is = outcome instanceof Refusal ? 'refused' : 'sent';
    if (!(outcome instanceof Refusal)) state.permit = outcome;
  });
  return state;
}
/** The store has answered, and what follows has happened. */
const settled = async () => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};
async function pass(seconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(seconds * 1_000);
  await settled();
}

describe('a refusal', () => {
  test('blocks its connection until then: others are refused at once, or wait if they would', async () => {
    await call(429, { 'retry-after': '30' });
    expect(await refused()).toEqual(['connection', 30]);
    expect(await refused(place(), upTo(29))).toEqual(['connection', 30]);
    const waits = waiting(place(), upTo(31));
    await pass(29);
    expect(waits.is).toBe('waiting');
    expect(limits.waiting()).toEqual([{ integration: 'acme', count: 1 }]);
    await pass(1.1);
    expect(waits.is).toBe('sent');
    expect(limits.waiting()).toEqual([]);
    expect(met).toEqual(['acme connection told', 'acme connection refused', 'acme connection refused']);
  });

  test('of one connection does not concern others of the integration, unless the scope says so', async () => {
    const other = place({ connectionId: 'con_2' });
    await call(429, { 'retry-after': '30' });
    await sent(other);
    const shared = { limits: dialect({ scope: 'integration' }), integration: { id: 'app', rate: null } };
    await call(429, { 'retry-after': '30' }, place(shared));
    expect(await refused(place({ ...shared, connectionId: 'con_2' }))).toEqual(['integration', 30]);
  });

  test('of a tenant concerns the connections of that tenant', async () => {
    const limitsOf = dialect({ scope: { captured: 'tenant' } });
    const of = (connectionId: string, tenant: unknown) =>
      place({ connectionId, limits: limitsOf, captured: { tenant } });
    await call(429, { 'retry-after': '30' }, of('con_1', 'one'));
    expect(await refused(of('con_2', 'one'))).toEqual(['captured', 30]);
    await sent(of('con_3', 'two'));
    // Nothing that can be compared was captured: each connection alone.
    for (const odd of [undefined, null, '', {}, []]) await sent(of('con_4', odd));
    await call(429, { 'retry-after': '30' }, of('con_5', 'x'.repeat(100_000)));
    await settled();
    const [{ bucket } = { bucket: '' }] = await store.blockedBuckets(1);
    expect(bucket.length).toBeLessThan(100);
    expect(bucket).not.toContain('x'.repeat(10));
  });

  test('that another limit was met, by the reason of the answer, blocks what that one counts', async () => {
    const entry = dialect({ reason: { header: 'x-why', scopes: { app: 'integration' } } });
    await call(429, { 'retry-after': '30', 'x-why': 'app' }, place({ limits: entry }));
    expect(await refused(place({ limits: entry, connectionId: 'con_2' }))).toEqual(['integration', 30]);
  });

  test('that does not say how long blocks twice as long each time, and a success ends that', async () => {
    for (const seconds of [1, 2, 4]) {
      await call(429);
      expect(await refused()).toEqual(['connection', seconds]);
      await pass(seconds + 0.1);
    }
    await call(200);
    await call(429);
    expect(await refused()).toEqual(['connection', 1]);
  });

  test('of many calls that were under way counts once', async () => {
    const permits = await Promise.all(Array.from({ length: 50 }, () => sent()));
    for (const permit of permits) permit.learn(reading(429));
    expect(await refused()).toEqual(['connection', 1]);
  });

  test('is followed by few calls at first, and more with each that succeeds', async () => {
    await call(429, { 'retry-after': '2' });
    const all = Array.from({ length: 40 }, () => waiting());
    const count = (is: string) => all.filter((one) => one.is === is).length;
    await pass(2.1);
    expect(count('sent')).toBe(2);
    for (const expected of [6, 14]) {
      for (const { permit } of all) permit?.learn(reading(200));
      await settled();
      expect(count('sent')).toBe(expected);
    }
    for (const { permit } of all) permit?.learn(reading(200));
    await settled();
    expect(count('sent')).toBe(40);
  });

  test('is followed by calls of several callers: the slow ones of one leave a place to the others', async () => {
    const of = (caller: string) => place({ caller, limits: dialect({ scope: 'integration' }) });
    await sent(of('one'));
    await call(429, { 'retry-after': '2' }, of('many'));
    const many = Array.from({ length: 5 }, () => waiting(of('many')));
    await pass(2.1);
    const background = waiting(of('other'), upTo(60, { isBackground: true }));
    await settled();
    expect(many.map(({ is }) => is)).toEqual(['sent', ...Array(4).fill('waiting')]);
    // Its call of before the refusal, which is still under way, holds no place.
    const one = await sent(of('one'));
    one.learn(reading(200));
    await settled();
    // Three places now: none has them all.
    expect([background.is, many.filter(({ is }) => is === 'sent').length]).toEqual(['waiting', 2]);
    await sent(of('one'));
    expect(await refused(of('one'))).toEqual(['integration', 1]);
  });

  test('keeps no one for longer than an hour, whatever it says', async () => {
    await call(429, { 'retry-after': '999999' });
    expect(await refused()).toEqual(['connection', 3_600]);
    await pass(3_601);
    await sent();
  });
});

describe('what remains', () => {
  const limitsOf = dialect({
    headers: { limit: ['x-limit'], remaining: ['x-left'], reset: { name: 'x-reset', unit: 'seconds' } },
  });
  const where = place({ limits: limitsOf });
  const tell = (left: number, reset = 20) => ({ 'x-limit': '100', 'x-left': String(left), 'x-reset': String(reset) });

  test('is not exceeded, and comes again with the next window', async () => {
    await call(200, tell(2), where);
    await sent(where);
    await sent(where);
    expect(await refused(where)).toEqual(['connection', 20]);
    await pass(20.1);
    await sent(where);
  });

  test('nothing: the bucket is blocked until the reset, for five minutes at the most', async () => {
    await call(200, tell(0, 3_000), where);
    expect(await refused(where)).toEqual(['connection', 300]);
    await pass(301);
    await sent(where);
  });

  test('calls without an answer yet are subtracted, and an answer that was overtaken adds nothing', async () => {
    const [first, second] = [await sent(where), await sent(where)];
    await sent(where);
    second.learn(reading(200, tell(4), limitsOf));
    // Two are under way.
    for (let i = 0; i < 2; i++) await sent(where);
    first.learn(reading(200, tell(50), limitsOf));
    expect(await refused(where)).toEqual(['connection', 20]);
  });

  test('streams that go on are not subtracted again', async () => {
    for (let i = 0; i < 20; i++) (await sent(where)).learn(reading(200, tell(10), limitsOf));
    await sent(where);
  });

  test('background calls leave a quarter of the limit to others', async () => {
    await call(200, tell(26), where);
    await sent(where, upTo(0, { isBackground: true }));
    expect(await refused(where, upTo(0, { isBackground: true }))).toEqual(['connection', 20]);
    await sent(where);
  });
});

describe('calls at once', () => {
  const where = place({ limits: dialect({ concurrency: 4 }) });

  test('no more than the vendor allows: a place is free when a body has ended', async () => {
    const permits = [await sent(where), await sent(where), await sent(where), await sent(where)];
    expect(await refused(where)).toEqual(['connection', 1]);
    const waits = waiting(where);
    permits[0]!.learn(reading(200));
    await settled();
    expect(waits.is).toBe('waiting');
    permits[0]!.release();
    permits[0]!.release();
    await settled();
    expect(waits.is).toBe('sent');
    expect(await refused(where)).toEqual(['connection', 1]);
  });

  test('one that has hung up waits no more, and its place goes to the next', async () => {
    const [first] = [await sent(where), await sent(where), await sent(where), await sent(where)];
    const gone = new AbortController();
    const [left, next] = [waiting(where, upTo(60, { signal: gone.signal })), waiting(where)];
    await settled();
    gone.abort();
    await settled();
    expect(left.is).toBe('refused');
    expect(limits.waiting()).toEqual([{ integration: 'acme', count: 1 }]);
    first.release();
    await settled();
    expect(next.is).toBe('sent');
  });

  test('no one waits for longer than it asked for', async () => {
    for (let i = 0; i < 4; i++) await sent(where);
    const all = [5, 10, 20].map((seconds) => waiting(where, upTo(seconds)));
    for (const [i, seconds] of [5, 5, 10].entries()) {
      expect(all[i]!.is).toBe('waiting');
      await pass(seconds);
      expect(all[i]!.is).toBe('refused');
    }
    expect(limits.waiting()).toEqual([]);
  });

  test('callers take turns, however many connections one has, and it keeps none out of a full queue', async () => {
    const limited = dialect({ scope: 'integration', concurrency: 1 });
    const of = (caller: string, connectionId: string) => place({ caller, connectionId, limits: limited });
    let running = await sent(of('many', 'c0'));
    const many = Array.from({ length: 1_000 }, (_, i) => waiting(of('many', `c${i}`)));
    await settled();
    const [one, more] = [waiting(of('one', 'd')), waiting(of('one', 'd'))];
    await settled();
    expect([one.is, more.is]).toEqual(['waiting', 'waiting']);
    expect(many.filter(({ is }) => is === 'refused')).toHaveLength(2);
    for (const expected of [many[0], one, many[1], more]) {
      running.release();
      await settled();
      expect(expected!.is).toBe('sent');
      running = expected!.permit!;
    }
  });

  describe('of several callers', () => {
    const limited = dialect({ scope: 'integration', concurrency: 3 });
    const of = (caller: string) => place({ caller, limits: limited });

    test('one has all places while it is alone; when another one comes, none takes the last place again', async () => {
      const many = [await sent(of('many')), await sent(of('many')), await sent(of('many'))];
      const [one, more] = [waiting(of('one')), waiting(of('many'))];
      many[0]!.release();
      await settled();
      expect([one.is, more.is]).toEqual(['sent', 'waiting']);
      // Its next call takes a place at once.
      one.permit!.release();
      await settled();
      expect(more.is).toBe('waiting');
      (await sent(of('one'))).release();
      many[1]!.release();
      await settled();
      expect(more.is).toBe('sent');
    });

    test('one that has no place to take does not hold up those behind it', async () => {
      (await sent(of('one'))).release();
      for (const _ of [1, 2]) await sent(of('many'));
      const more = waiting(of('many'));
      await settled();
      const background = waiting(of('other'), upTo(60, { isBackground: true }));
      const urgent = waiting(of('other'));
      await settled();
      expect([more.is, background.is, urgent.is]).toEqual(['waiting', 'waiting', 'sent']);
    });

    test('the last place is for all again when no other has called for a while', async () => {
      (await sent(of('one'))).release();
      for (const _ of [1, 2]) await sent(of('many'));
      expect(await refused(of('many'))).toEqual(['integration', 1]);
      await pass(600);
      await sent(of('many'));
    });

    test('where there is one place, it is for the one that comes first', async () => {
      const only = (caller: string) => place({ caller, limits: dialect({ scope: 'integration', concurrency: 1 }) });
      (await sent(only('one'))).release();
      await sent(only('many'));
    });
  });

  test('connections take turns, and background calls come last and leave a place', async () => {
    const app = { limits: dialect({ concurrency: 4, scope: 'integration' }) };
    const of = (connectionId: string) => place({ ...app, connectionId });
    const background = upTo(60, { isBackground: true });
    const first = [await sent(of('a')), await sent(of('a')), await sent(of('a'))];
    expect(await refused(of('a'), { ...background, maxWaitMs: 0 })).toEqual(['integration', 1]);
    first.push(await sent(of('a')));
    const last = waiting(of('b'), background);
    const [a1, a2, a3, b1] = ['a', 'a', 'a', 'b'].map((id) => waiting(of(id)));
    await settled();
    for (const [i, expected] of [a1, b1, a2, a3].entries()) {
      first[i]!.release();
      await settled();
      expect(expected!.is).toBe('sent');
    }
    for (const one of [a1, b1]) {
      expect(last.is).toBe('waiting');
      one!.permit!.release();
      await settled();
    }
    expect(last.is).toBe('sent');
  });

  test('a bounded number wait', async () => {
    for (let i = 0; i < 4; i++) await sent(where);
    const all = Array.from({ length: 1_001 }, () => waiting(where));
    await settled();
    expect(all.filter(({ is }) => is === 'refused')).toHaveLength(1);
    await limits.stop();
    await settled();
    expect(all.every(({ is }) => is === 'refused')).toBe(true);
  });

  test('that fill the queue give way to those of others', async () => {
    const limited = dialect({ scope: 'integration', concurrency: 1 });
    const of = (connectionId: string) => place({ connectionId, limits: limited });
    const running = await sent(of('a'));
    const all = Array.from({ length: 1_000 }, () => waiting(of('a')));
    await pass(0);
    const [other, more] = [waiting(of('b')), waiting(of('a'))];
    await pass(0);
    expect([other.is, more.is, all[999]!.is, all[998]!.is]).toEqual(['waiting', 'refused', 'refused', 'waiting']);
    running.release();
    await pass(0);
    all[0]!.permit!.release();
    await pass(0);
    expect(other.is).toBe('sent');
  });
});

describe('a rate', () => {
  const SLOW = { requests: 4, window: 400 };

  test('is that of the catalogue, for the bucket of its scope', async () => {
    const where = place({ limits: dialect({ rate: SLOW }) });
    for (let i = 0; i < 4; i++) await sent(where);
    expect(await refused(where)).toEqual(['connection', 100]);
    await sent(place({ limits: where.limits, connectionId: 'con_2' }));
  });

  test('of the catalogue counts until the API tells what remains: plans differ', async () => {
    const headers = { remaining: ['x-left'], reset: { name: 'x-reset', unit: 'seconds' } };
    const where = place({ limits: dialect({ rate: { requests: 2, window: 400 }, headers }) });
    await call(200, { 'x-left': '3', 'x-reset': '30' }, where);
    for (let i = 0; i < 3; i++) await sent(where);
    expect(await refused(where)).toEqual(['connection', 30]);
  });

  test('that an admin has set goes before it, and counts whom it names', async () => {
    const of = (per: 'integration' | 'connection' | 'caller', more: Partial<LimitPlace> = {}) =>
      place({
        integration: { id: per, rate: { ...SLOW, per } },
        limits: dialect({ rate: { requests: 1, window: 400 } }),
        ...more,
      });
    const others = { connectionId: 'con_2', caller: 'clr_2' };
    for (const per of ['integration', 'connection', 'caller'] as const) {
      for (let i = 0; i < 4; i++) await sent(of(per));
      expect(await refused(of(per))).toEqual([per, 100]);
    }
    expect(await refused(of('integration', others))).toEqual(['integration', 100]);
    for (const per of ['connection', 'caller'] as const) await sent(of(per, others));
    expect(await refused(of('caller', { connectionId: 'con_2' }))).toEqual(['caller', 100]);
  });

  test('is shared by replicas', async () => {
    const where = place({ limits: dialect({ rate: { requests: 20, window: 10_000 } }) });
    const other = replica();
    const all = await Promise.all(
      Array.from({ length: 50 }, (_, i) => (i % 2 ? other : limits).admit(where, NOW_OR_NEVER)),
    );
    expect(all.filter((one) => !(one instanceof Refusal))).toHaveLength(20);
    await other.stop();
  });

  test('background calls leave a quarter of it to others', async () => {
    const where = place({ limits: dialect({ rate: SLOW }) });
    const background = upTo(0, { isBackground: true });
    for (let i = 0; i < 3; i++) await sent(where, background);
    expect((await refused(where, background))[0]).toBe('connection');
    await sent(where);
  });

  test('while the store is away, this process counts alone, and those who wait are served by its clock', async () => {
    const where = place({ limits: dialect({ rate: { requests: 2, window: 20 } }) });
    await store.close();
    await sent(where);
    await sent(where);
    expect(await refused(where)).toEqual(['connection', 10]);
    const waits = waiting(where, upTo(15));
    await pass(9);
    expect(waits.is).toBe('waiting');
    await pass(2);
    expect(waits.is).toBe('sent');
    // Refusals of the API are still heeded.
    waits.permit!.learn(reading(429, { 'retry-after': '60' }));
    expect(await refused(where)).toEqual(['connection', 60]);
    store = await openSqlite(await emptyDatabase());
  });

  test('while the store is away, each of several processes counts within its share', async () => {
    const where = place({ limits: dialect({ rate: { requests: 4, window: 40 } }) });
    const takeFromBucket = () => Promise.reject(new Error('away'));
    const of = replica({ ...store, takeFromBucket, blockedBuckets: async () => [], countProcesses: async () => 2 });
    await sent(where, NOW_OR_NEVER, of);
    await sent(where, NOW_OR_NEVER, of);
    expect(await refused(where, NOW_OR_NEVER, of)).toEqual(['connection', 20]);
    await of.stop();
  });

  test('a store that does not answer delays a call by a moment only', async () => {
    const never = new Promise<never>(() => undefined);
    const hanging = { ...store, takeFromBucket: () => never, blockedBuckets: () => never, countProcesses: () => never };
    const of = replica(hanging);
    const waits = waiting(place({ limits: dialect({ rate: SLOW }) }), NOW_OR_NEVER, of);
    await pass(0.6);
    expect(waits.is).toBe('sent');
  });
});

describe('replicas', () => {
  test('one hears of a block that another was told, before its first call and while it makes calls', async () => {
    const other = replica();
    await sent(place({ connectionId: 'con_9' }), NOW_OR_NEVER, other);
    await call(429, { 'retry-after': '30' });
    await settled();
    const third = replica();
    expect((await refused(place(), NOW_OR_NEVER, third))[1]).toBeGreaterThanOrEqual(29);
    await pass(1.1);
    expect((await refused(place(), NOW_OR_NEVER, other))[0]).toBe('connection');
    await Promise.all([other.stop(), third.stop()]);
  });

  test('share the calls at once that a vendor allows', async () => {
    const where = place({ limits: dialect({ concurrency: 4 }) });
    const of = replica({ ...store, countProcesses: async () => 2 });
    for (let i = 0; i < 2; i++) await sent(where, NOW_OR_NEVER, of);
    expect(await refused(where, NOW_OR_NEVER, of)).toEqual(['connection', 1]);
    await of.stop();
  });
});
