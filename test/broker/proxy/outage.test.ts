// An API that is down for a minute, with 200 callers: what it gets meanwhile, how long callers wait, and how it recovers. The
// parts of the proxy are real, on a real store; the API is a script and the clock is set.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createUpstreamBreakers, type UpstreamBreakersParts } from '../../../src/broker/proxy/breaker/index.ts';
import { createCallGuard, type GuardedCall } from '../../../src/broker/proxy/guard/guarded-calls.ts';
import { createUpstreamLimits, type UpstreamLimits } from '../../../src/broker/proxy/limits/index.ts';
import { circuitBreakers } from '../../../src/broker/refresh/index.ts';
import { Refusal } from '../../../src/domain/errors.ts';
import { type Store, UpstreamError, type UpstreamRequest, type UpstreamResponse } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { emptyDatabase } from '../../support/sqlite-file.ts';
import { handMadeBody } from '../../support/upstream-bodies.ts';

const CALLERS = 200;
/** How long the API takes to answer. */
const ANSWER_MS = 200;
const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const clock = { now: () => Date.now(), monotonic: () => performance.now() };

let store: Store;
let limits: UpstreamLimits;
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
  store = await openSqlite(await emptyDatabase());
  limits = createUpstreamLimits({ store, telemetry: { upstreamLimited: () => undefined }, clock, log });
});
afterEach(async () => {
  await limits.stop();
  vi.useRealTimers();
  await store.close();
});

/** A body that is complete at once. */
const empty = () => handMadeBody({ pipe: (sink) => sink.end() });

/** An API that answers as `status` says; undefined: it cannot be reached. */
function startApi() {
  const state = { status: 200 as number | undefined, calls: 0, open: 0, most: 0, headers: [] as string[] };
  async function send(): Promise<UpstreamResponse> {
    state.calls++;
    state.open++;
    state.most = Math.max(state.most, state.open);
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
    state.open--;
    if (state.status === undefined) throw new UpstreamError('refused', { phase: 'connect', sent: false });
    return { status: state.status, statusText: '', headers: state.headers, body: empty() };
  }
  return { state, send };
}

const REQUEST: UpstreamRequest = { method: 'GET', origin: 'https://api.test', path: '/', headers: [], body: null };

test.each([
  ['each its own', (i: number) => `clr_${i}`],
  ['one caller', () => 'clr_1'],
])(
  'down for a minute (%s): it is left alone, no one waits in vain, and the callers come back a few at a time',
  async (_, callerOf) => {
    const api = startApi();
    const circuits: UpstreamBreakersParts['circuits'] = (policy) =>
      circuitBreakers({ clock, log, random: () => 1, policy });
    const breakers = createUpstreamBreakers({ circuits, clock });
    const guard = createCallGuard({ upstream: api, limits, breakers, clock });
    const place = (i: number) => ({
      integration: { id: 'acme', rate: null, version: 1, createdAt: 1 },
      limits: undefined,
      connectionId: `con_${i % 50}`,
      captured: {},
      caller: callerOf(i),
      host: 'api.test',
    });
    const outcomes: Record<string, number> = {};
    let longest = 0;
    const maxWaitMs = 2_000;

    async function call(i: number): Promise<void> {
      const since = performance.now();
      const entered = await guard.enter(place(i), { maxWaitMs, isBackground: false });
      const sent = entered instanceof Refusal ? entered : await (entered as GuardedCall).send(REQUEST);
      longest = Math.max(longest, performance.now() - since);
      if (!(sent instanceof Refusal) && !(sent instanceof Error))
        sent.response.body.pipe({ write: () => true, end: () => undefined, fail: () => undefined });
      const code =
        sent instanceof Refusal ? sent.fault.code : sent instanceof Error ? 'failed' : String(sent.response.status);
      outcomes[code] = (outcomes[code] ?? 0) + 1;
    }
    /** Each caller calls once within this second. */
    async function second(): Promise<void> {
      const calls = Array.from({ length: CALLERS }, (_, i) => call(i));
      await vi.advanceTimersByTimeAsync(1_000);
      await Promise.all(calls);
    }

    await second();
    expect(outcomes).toEqual({ 200: CALLERS });

    api.state.status = undefined;
    await second();
    const before = api.state.calls;
    for (let i = 0; i < 60; i++) await second();
    // Probes at 10, 30, 60 seconds, and no others.
    expect(api.state.calls - before).toBeLessThanOrEqual(4);
    expect(api.state.calls - before).toBeGreaterThanOrEqual(2);
    expect(longest).toBeLessThanOrEqual(maxWaitMs + ANSWER_MS);
    expect(outcomes.upstream_unavailable).toBeGreaterThan(60 * CALLERS - 10);

    api.state.status = 200;
    api.state.most = 0;
    const mosts: number[] = [];
    for (let i = 0; i < 40; i++) {
      api.state.most = 0;
      await second();
      if (api.state.most > 0) mosts.push(api.state.most);
    }
    expect(mosts.slice(0, 3)).toEqual([1, 2, 4]);
    expect(mosts.at(-1)).toBe(CALLERS);
    expect(breakers.states()).toEqual([]);
  },
);

test('a refusal with 5xx that is a limit blocks its bucket, and opens no breaker', async () => {
  const api = startApi();
  const circuits: UpstreamBreakersParts['circuits'] = (policy) =>
    circuitBreakers({ clock, log, random: () => 1, policy });
  const breakers = createUpstreamBreakers({ circuits, clock });
  const guard = createCallGuard({ upstream: api, limits, breakers, clock });
  const { ProviderRateLimits } = await import('../../../src/domain/api-dialect.ts');
  const entry = ProviderRateLimits.parse({ scope: 'connection', status: [429, 503] });
  api.state.status = 503;
  api.state.headers = ['Retry-After', '20'];
  for (let i = 0; i < 20; i++) {
    const place = {
      integration: { id: 'acme', rate: null, version: 1, createdAt: 1 },
      limits: entry,
      connectionId: `con_${i}`,
      captured: {},
      caller: 'clr_1',
      host: 'api.test',
    };
    const entered = await guard.enter(place, { maxWaitMs: 0, isBackground: false });
    if (entered instanceof Refusal) throw new Error(entered.fault.code);
    const sending = entered.send(REQUEST);
    await vi.advanceTimersByTimeAsync(ANSWER_MS);
    const sent = await sending;
    if (sent instanceof Refusal || sent instanceof Error) throw new Error('not sent');
    expect(sent.limited?.fault).toEqual({
      code: 'upstream_rate_limited',
      integration: 'acme',
      scope: 'connection',
      retryAfter: 20,
    });
  }
  expect(breakers.states()).toEqual([]);
});
