// The delivery engine: at a shutdown, what is in flight has a grace to be answered in, and is attempted later otherwise; what
// the caller may not hear any more is not sent.
import { createSecretKey, randomBytes } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { createKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createDeliveryEngine } from '../../../src/broker/events/delivery/delivery-engine.ts';
import { encryptSecrets } from '../../../src/broker/events/endpoints/endpoint-secrets.ts';
import type { Permission } from '../../../src/domain/caller.ts';
import {
  DAY_MS,
  DELIVERY_CLAIM_MS,
  DELIVERY_RETRIES_MS,
  SHUTDOWN_DELIVERY_GRACE_MS,
} from '../../../src/domain/time-limits.ts';
import type { WebhookPost, WebhookResponse } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { aCaller, anEndpoint, anEntry, anEvent, FIRST, NOW } from '../../stores/builders.ts';

const vault = createKeyRing([{ kid: 'k1', key: createSecretKey(randomBytes(32)) }]);
const SECRETS = { secret: randomBytes(32).toString('base64'), replaced: [], headers: null };
const DONE: WebhookResponse = { kind: 'answered', status: 204, body: '', retryAfterMs: undefined };

/** An engine with one endpoint, and one delivery of it in flight. */
async function inFlight(ahead = 0) {
  const store = await openSqlite('file::memory:');
  onTestFinished(() => store.close());
  let at = NOW + 1;
  let aheadMs = ahead;
  const clock = { now: () => at + aheadMs, monotonic: () => at - NOW };
  const sent: (WebhookPost & { answer(response: WebhookResponse): void })[] = [];
  const sender = {
    post: (request: WebhookPost) =>
      new Promise<WebhookResponse>((answer) => {
        sent.push({ ...request, answer });
        request.signal.addEventListener('abort', () => answer({ kind: 'failed', code: 'network', status: null }));
      }),
  };
  const caller = aCaller({ permissions: [{ actions: ['events'], integrations: ['*'], owners: ['*'] }] });
  await store.addCaller(caller, null, anEntry());
  const bare = anEndpoint({ callerId: caller.id, previousUntil: null, createdAt: NOW });
  const endpoint = { ...bare, ...encryptSecrets(vault, bare, SECRETS) };
  await store.addWebhookEndpoint(endpoint, anEntry());
  const events = [1, 2].map(() => anEvent({ type: 'connection.created', body: null }));
  await store.addEvents([events[0]!], undefined);
  let permissions: readonly Permission[] | undefined = [{ actions: ['events'], integrations: ['*'], owners: ['*'] }];
  const engine = createDeliveryEngine({
    store,
    vault,
    sender,
    signingKeys: async () => [],
    circuits: {
      capacity: () => 8,
      admit: () => ({ probe: false }),
      report() {},
      release() {},
      reset() {},
      views: () => [],
    },
    callers: { canAct: () => true, permissionsOf: () => permissions },
    access: { recordSystem: () => anEntry() },
    telemetry: { delivery() {}, endpointDisabled() {} },
    clock,
    random: () => 0.5,
    log: createLogger('silent'),
  });
  engine.start(60_000);
  await expect.poll(() => sent.length).toBe(1);
  const advance = (ms: number) => {
    at += ms;
  };
  const setClock = (ms: number) => {
    aheadMs = ms;
  };
  const status = async () => (await store.deliveries({}, FIRST)).data.map((one) => [one.status, one.attempts]);
  const permit = (now: readonly Permission[] | undefined) => {
    permissions = now;
  };
  return { store, engine, sent, events, clock, advance, setClock, status, permit, endpoint };
}

test('shutdown: an answer within the grace is stored, and nothing more is claimed', async () => {
  const { store, engine, sent, events, advance, status } = await inFlight();
  engine.stopClaiming();
  await store.addEvents([events[1]!], undefined);
  advance(SHUTDOWN_DELIVERY_GRACE_MS - 1_000);
  const stopped = engine.stop();
  sent[0]!.answer(DONE);
  await stopped;
  expect(sent).toHaveLength(1);
  expect((await status()).sort()).toEqual([
    ['delivered', 1],
    ['pending', 0],
  ]);
});

test('shutdown: what takes longer than the grace is aborted, counts as no failure, and is due when its claim ends', async () => {
  const { store, engine, sent, clock, advance, status } = await inFlight();
  const claimedAt = clock.now();
  engine.stopClaiming();
  advance(SHUTDOWN_DELIVERY_GRACE_MS);
  await engine.stop();
  expect(sent[0]!.signal.aborted).toBe(true);
  expect(await status()).toEqual([['pending', 1]]);
  expect(await store.dueEndpoints(claimedAt + DELIVERY_CLAIM_MS - 1)).toEqual([]);
  expect(await store.dueEndpoints(claimedAt + DELIVERY_CLAIM_MS)).toHaveLength(1);
});

test('a caller that has lost the permission, or is gone, is sent nothing more: the delivery is dead at the second look', async () => {
  const { store, engine, sent, events, advance, status, permit, endpoint } = await inFlight();
  sent[0]!.answer(DONE);
  await expect.poll(async () => (await status())[0]![0]).toBe('delivered');
  permit([{ actions: ['events'], integrations: ['*'], owners: ['another owner'] }]);
  await store.addEvents([events[1]!], undefined);
  const errors = async () =>
    (await store.deliveries({}, FIRST)).data.map((one) => [one.status, one.attempts, one.lastError]).sort();
  const delivered = ['delivered', 1, null];
  await expect.poll(errors).toEqual([delivered, ['pending', 1, 'not_permitted']]);
  permit(undefined);
  advance(DELIVERY_RETRIES_MS[0]);
  engine.retryNow(endpoint.id);
  await expect.poll(errors).toEqual([['dead', 2, 'not_permitted'], delivered]);
  expect(sent).toHaveLength(1);
  await engine.stop();
});

test.each([
  ['ahead', 0, 3_600_000, 0],
  ['back', 3_600_000, 0, 4_000],
])(
  'a clock that is set %s during an attempt: once it is right, what is stored of it has the right times',
  async (_, before, after, ago) => {
    const { store, engine, sent, advance, setClock, status } = await inFlight(before);
    advance(4_000);
    setClock(after);
    sent[0]!.answer({ kind: 'answered', status: 503, body: '', retryAfterMs: undefined });
    await expect.poll(status).toEqual([['failing', 1]]);
    await engine.stop();
    const now = NOW + 4_001;
    await store.correctDeliveries(now, FIRST);
    const lastAttemptAt = now - ago;
    expect((await store.deliveries({}, FIRST)).data).toMatchObject([
      { lastAttemptAt, nextAt: lastAttemptAt + 4_000 + DELIVERY_RETRIES_MS[0] },
    ]);
  },
);

/** Of the delivery in flight: what it takes to fail, and to be attempted after each of these waits, and fail. */
function failing({ store, engine, sent, advance, clock, endpoint }: Awaited<ReturnType<typeof inFlight>>) {
  const isEnabled = async () => (await store.webhookEndpoint(endpoint.id))?.enabled;
  const fail = async (attempts: number) => {
    sent.at(-1)!.answer({ kind: 'answered', status: 500, body: '', retryAfterMs: undefined });
    const failed = async () => (await store.deliveries({}, FIRST)).data;
    await expect.poll(failed).toContainEqual(expect.objectContaining({ attempts, lastAttemptAt: clock.now() }));
  };
  return {
    isEnabled,
    fail,
    async after(waits: readonly number[]) {
      for (const [i, wait] of waits.entries()) {
        expect(await isEnabled()).toBe(true);
        const before = sent.length;
        advance(wait);
        engine.retryNow(endpoint.id);
        await expect.poll(() => sent.length).toBe(before + 1);
        await fail(i + 2);
      }
    },
  };
}

test('a clock that is set ahead by six days after a first failure: those that follow do not disable the endpoint', async () => {
  const started = await inFlight();
  const { isEnabled, fail, after } = failing(started);
  await fail(1);
  started.setClock(6 * DAY_MS);
  await after(DELIVERY_RETRIES_MS.slice(0, 5));
  await started.engine.stop();
  expect(await isEnabled()).toBe(true);
});

test('an endpoint that fails for days, and hears little: disabled when an event of the sixth day has failed twice, ten hours apart', async () => {
  const started = await inFlight();
  const { store, engine, sent, events, clock, advance } = started;
  const { isEnabled, fail, after } = failing(started);
  await fail(1);
  await after(DELIVERY_RETRIES_MS);
  advance(NOW + 6 * DAY_MS - clock.now());
  await store.addEvents([events[1]!], undefined);
  await expect.poll(() => sent.length).toBe(DELIVERY_RETRIES_MS.length + 2);
  await fail(1);
  await after(DELIVERY_RETRIES_MS.slice(0, 6));
  await expect.poll(isEnabled).toBe(false);
  await engine.stop();
});
