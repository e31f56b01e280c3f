// Guarded calls: the place of a call in the limits is free again however it ends, and what a failure says of its host.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createUpstreamBreakers, type UpstreamBreakersParts } from '../../../src/broker/proxy/breaker/index.ts';
import { type CallGuard, createCallGuard, type GuardedCall } from '../../../src/broker/proxy/guard/guarded-calls.ts';
import { createUpstreamLimits, type UpstreamLimits } from '../../../src/broker/proxy/limits/index.ts';
import { circuitBreakers } from '../../../src/broker/refresh/index.ts';
import { ProviderRateLimits } from '../../../src/domain/api-dialect.ts';
import { Refusal } from '../../../src/domain/errors.ts';
import {
  type BodySink,
  type Store,
  type UpstreamBody,
  UpstreamError,
  type UpstreamPhase,
  type UpstreamRequest,
} from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { emptyDatabase } from '../../support/sqlite-file.ts';
import { handMadeBody } from '../../support/upstream-bodies.ts';

const REQUEST: UpstreamRequest = { method: 'GET', origin: 'https://api.test', path: '/', headers: [], body: null };
const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const clock = { now: () => Date.now(), monotonic: () => performance.now() };
const failure = (phase: UpstreamPhase) => new UpstreamError(phase, { phase, sent: false });

/** A body that goes on until it is ended. */
function openBody() {
  let sink: BodySink | undefined;
  const body = handMadeBody({
    pipe: (to) => {
      sink = to;
    },
  });
  return { body, sink: () => sink! };
}

let store: Store;
let limits: UpstreamLimits;
let guard: CallGuard;
let answer: () => { body: UpstreamBody };
beforeEach(async () => {
  store = await openSqlite(await emptyDatabase());
  limits = createUpstreamLimits({ store, telemetry: { upstreamLimited: () => undefined }, clock, log });
  const circuits: UpstreamBreakersParts['circuits'] = (policy) =>
    circuitBreakers({ clock, log, random: () => 1, policy });
  const upstream = { send: async () => ({ status: 200, statusText: '', headers: [], ...answer() }) };
  guard = createCallGuard({ upstream, limits, breakers: createUpstreamBreakers({ circuits, clock }), clock });
});
afterEach(async () => {
  await limits.stop();
  await store.close();
});

/** One call at once. */
const enter = (connectionId = 'con_1') =>
  guard.enter(
    {
      integration: { id: 'acme', rate: null, version: 1, createdAt: 1 },
      limits: ProviderRateLimits.parse({ scope: 'connection', concurrency: 1 }),
      connectionId,
      captured: {},
      caller: 'clr_1',
      host: 'api.test',
    },
    { maxWaitMs: 0, isBackground: false },
  );
async function entered(connectionId?: string): Promise<GuardedCall> {
  const call = await enter(connectionId);
  if (call instanceof Refusal) throw new Error(call.fault.code);
  return call;
}

test.each<[string, (given: { body: UpstreamBody; sink: () => BodySink }) => unknown]>([
  ['ends', ({ sink }) => sink().end()],
  ['fails', ({ sink }) => sink().fail(failure('idle'))],
  ['is given up: its caller has gone', ({ body }) => body.discard()],
])('a place is free when the body %s, and not before', async (_, finish) => {
  const open = openBody();
  answer = () => open;
  const sent = await (await entered()).send(REQUEST);
  if (sent instanceof Refusal || sent instanceof UpstreamError) throw new Error('not sent');
  const { body } = sent.response;
  body.pipe({ write: () => true, end: () => undefined, fail: () => undefined });
  expect(await enter()).toBeInstanceOf(Refusal);
  finish({ body, sink: open.sink });
  await entered();
});

test('a place is free when the body is read, when nothing was sent, and when it could not be', async () => {
  answer = openBody;
  const sent = await (await entered()).send(REQUEST);
  if (sent instanceof Refusal || sent instanceof UpstreamError) throw new Error('not sent');
  await sent.response.body.read(10);
  (await entered()).cancel();
  answer = () => {
    throw failure('connect');
  };
  expect(await (await entered()).send(REQUEST)).toBeInstanceOf(UpstreamError);
  answer = () => {
    throw new TypeError('a defect');
  };
  await expect((await entered()).send(REQUEST)).rejects.toThrow('a defect');
  await entered();
});

test.each<[UpstreamPhase, boolean]>([
  ['connect', true],
  ['first_byte', true],
  ['reset', true],
  ['aborted', false],
  ['blocked', false],
  ['request', false],
])('a call that fails with %s: the host is to blame is %s', async (phase, isHosts) => {
  answer = () => {
    throw failure(phase);
  };
  for (let i = 0; i < 5; i++) await (await entered(`con_${i}`)).send(REQUEST);
  const next = await enter('con_9');
  expect(next instanceof Refusal && next.fault.code).toBe(isHosts ? 'upstream_unavailable' : false);
});
