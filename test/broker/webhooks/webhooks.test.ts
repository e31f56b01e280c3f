// The webhooks room on a real store: a full inbox, processing that fails, retention, and what is listed of refusals.
import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createWebhookProcessing } from '../../../src/broker/webhooks/processing/process-webhook.ts';
import { createProcessor } from '../../../src/broker/webhooks/processing/processor.ts';
import { type Admission, createAdmission, type Room } from '../../../src/broker/webhooks/receiving/admission.ts';
import { createWebhookReceiver } from '../../../src/broker/webhooks/receiving/receiver.ts';
import { createRefusals } from '../../../src/broker/webhooks/receiving/refusals.ts';
import { selectedHeaders } from '../../../src/broker/webhooks/receiving/selected-headers.ts';
import { createReceiverSettings } from '../../../src/broker/webhooks/settings/receiver-settings.ts';
import { bodyContext, ownBytes, storedBody } from '../../../src/broker/webhooks/stored-body.ts';
import { GENUINE_SENDER_MS } from '../../../src/domain/time-limits.ts';
import { NO_WEBHOOK_SETTINGS } from '../../../src/domain/webhook-settings.ts';
import { StoreError, type WebhookEvent, type WebhookVerifier } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anEntry, anIntegration, aReceivedWebhook, FIRST, NOW } from '../../stores/builders.ts';

const log = createLogger('silent');
const vault = createKeyRing([{ kid: 'k1', key: createSecretKey(randomBytes(32)) }]);

async function opened() {
  const store = await openSqlite('file::memory:');
  onTestFinished(() => store.close());
  let at = NOW;
  const clock = { now: () => at, monotonic: () => at - NOW };
  const advance = (ms: number) => {
    at += ms;
  };
  const counted: string[] = [];
  const telemetry = { webhook: (_: string, outcome: string) => void counted.push(outcome) };
  return { store, clock, counted, telemetry, advance };
}
type Opened = Awaited<ReturnType<typeof opened>>;

const anEvent = (given: Partial<WebhookEvent> = {}): WebhookEvent => ({
  index: 0,
  id: 'Ev1',
  type: 'message',
  key: randomBytes(8).toString('hex'),
  locators: [],
  isDeauthorization: false,
  hold: null,
  body: Buffer.from('{}'),
  ...given,
});
const answer = { status: 202, headers: {}, body: null };
/** Takes everything. */
const trusting: WebhookVerifier = {
  precheck: () => undefined,
  maxBody: () => 1_000,
  verify: async (_, { body }) => ({
    kind: 'verified',
    events: [anEvent({ body: body as Buffer })],
    answer,
    isSenderAuthenticated: true,
    secretHeaders: [],
  }),
};

async function receiverOn({ store, clock, telemetry }: Opened, maxOpen?: number, verifier = trusting) {
  const settings = createReceiverSettings({ store, vault, log });
  await store.putIntegration(anIntegration(), anEntry());
  for (const integration of ['slack', 'github']) {
    const webhook = settings.encrypted(integration, { ...NO_WEBHOOK_SETTINGS, secrets: ['s'] });
    await store.putReceiverSettings({ integration, webhook, updatedAt: NOW }, undefined);
  }
  const resolved = { integration: { ...anIntegration(), version: 1 }, provider: { id: 'slack', webhooks: {} } };
  const refusals = createRefusals({ store, telemetry, clock, log });
  const receiver = createWebhookReceiver({
    store,
    vault,
    targets: {
      find: async () => resolved as never,
      targetOf: () => ({ secrets: { secret: null } }) as never,
    },
    settings,
    admin: { learn: async () => false },
    verifier,
    admission: createAdmission(clock),
    refusals,
    onReceived: () => undefined,
    telemetry,
    clock,
    log,
    maxOpen,
  });
  const arrival = { hook: undefined, address: '192.0.2.1', length: 2 };
  const request = { method: 'POST', url: 'https://x/webhooks/slack', headers: {}, receivedAt: clock.now() };
  const send = async (body = Buffer.from('{}'), integration = 'slack') => {
    const admitted = await receiver.admit({ ...arrival, integration }, request);
    return 'status' in admitted ? admitted : admitted.receive(body);
  };
  return { send };
}

test('a full inbox answers 503 with Retry-After, and takes what comes once there is room', async () => {
  const on = await opened();
  const { send } = await receiverOn(on, 4);
  expect([(await send()).status, (await send()).status]).toEqual([202, 202]);
  const refused = await send();
  expect(refused).toMatchObject({
    status: 503,
    headers: { 'retry-after': expect.stringMatching(/^\d+$/) },
    body: null,
  });
  const [first] = await on.store.claimReceived(NOW, NOW + 1, 1);
  await on.store.settleReceived(
    first!.id,
    { status: 'unmatched', reason: null, processedAt: NOW, nextAt: null },
    [],
    [],
  );
  // For a second, the store is not asked again.
  expect((await send()).status).toBe(503);
  on.advance(1_001);
  expect((await send()).status).toBe(202);
  expect(on.counted.filter((outcome) => outcome === 'inbox_full')).toHaveLength(2);
});

test('an inbox that is full for one integration takes webhooks of another', async () => {
  const on = await opened();
  const { send } = await receiverOn(on, 4);
  const statuses: number[] = [];
  for (const integration of ['slack', 'slack', 'slack', 'github', 'slack', 'github'])
    statuses.push((await send(Buffer.from('{}'), integration)).status);
  expect(statuses).toEqual([202, 202, 503, 202, 503, 503]);
});

test('processing that fails is tried again later, and is dead after twelve attempts', async () => {
  const { store, clock, telemetry, counted } = await opened();
  const broken: Parameters<typeof createWebhookProcessing>[0]['store'] = {
    connection: async () => undefined,
    usableConnectionsByValue: async () => [],
    makeDue: async () => undefined,
    connectionsByValue: () => Promise.reject(new StoreError('away')),
    settleReceived: (...given) => store.settleReceived(...given),
  };
  const process = createWebhookProcessing({
    store: broken,
    vault,
    targets: { find: async () => ({ provider: { id: 'slack' } }) as never },
    deauthorizer: { end: async () => false },
    holds: { hold: async () => false, release: async () => false },
    untilApplied: async () => undefined,
    telemetry,
    clock,
    log,
  });
  const located = anEvent({ locators: [{ key: 'captured.team', values: ['T1'] }] });
  const stored = JSON.stringify(storedBody(Buffer.from('{}'), [located], true));
  const made = aReceivedWebhook();
  const webhook = { ...made, body: vault.encrypt(stored, bodyContext(made.id)), attempts: 1 };
  await store.receive(webhook, { 0: 'key' }, 10);
  await process(webhook);
  const waiting = await store.receivedWebhook(webhook.id);
  expect(waiting).toMatchObject({ status: 'received', reason: 'processing_failed', processedAt: null });
  expect(waiting!.nextAt).toBeGreaterThanOrEqual(NOW);
  await process({ ...webhook, attempts: 12 });
  expect(await store.receivedWebhook(webhook.id)).toMatchObject({ status: 'dead', nextAt: null });
  const elsewhere = { ...webhook, body: vault.encrypt(stored, bodyContext('whr_other')), attempts: 12 };
  await process(elsewhere);
  expect((await store.receivedWebhook(webhook.id))?.reason).toBe('not_decryptable');
  expect(counted).toEqual(['dead', 'dead']);
});

test('old webhooks are deleted after their days, and event ids are remembered for a week at least', async () => {
  const { store, clock, advance } = await opened();
  const DAY = 86_400_000;
  const done = { status: 'located' as const, nextAt: null };
  await store.receive(aReceivedWebhook({ ...done, receivedAt: NOW }), { 0: 'old' }, 10);
  advance(2 * DAY);
  await store.receive(aReceivedWebhook({ ...done, receivedAt: clock.now() }), { 0: 'young' }, 10);
  const left = async () => (await store.receivedWebhooks({}, FIRST)).data.length;
  async function round() {
    const processor = createProcessor({ store, processWebhook: async () => undefined, days: 1, clock, log });
    processor.start();
    // A round that was begun is ended.
    await new Promise((resolve) => setImmediate(resolve));
    await processor.stop();
  }
  await round();
  expect(await left()).toBe(1);
  expect(await store.receive(aReceivedWebhook(), { 0: 'old' }, 10)).toEqual([]);
  advance(5 * DAY);
  await round();
  expect(await store.receive(aReceivedWebhook(), { 0: 'old' }, 10)).toEqual([]);
});

test('of many refusals all are counted, and some are listed', async () => {
  const { store, clock, telemetry, counted } = await opened();
  const refusals = createRefusals({ store, telemetry, clock, log });
  const refused = { integration: 'slack', method: 'POST', path: '/webhooks/slack', contentType: null };
  for (let i = 0; i < 200; i++) refusals.note({ ...refused, reason: 'signature', body: Buffer.from('secret') });
  await refusals.drain();
  const { data } = await store.receivedWebhooks({}, FIRST);
  expect(data).toHaveLength(20);
  expect(data[0]).toMatchObject({ status: 'refused', reason: 'signature', size: 6, items: [] });
  expect(counted).toHaveLength(200);
});

test('unverified requests of an address are slowed; what is verified gives its token back', () => {
  let now = 0;
  const admission = createAdmission({ monotonic: () => now });
  for (let i = 0; i < 5_000; i++) {
    expect(admission.take('slack', '192.0.2.1')).toBe(0);
    admission.giveBack('slack', '192.0.2.1');
  }
  for (let i = 0; i < 1_000; i++) admission.take('slack', '192.0.2.1');
  expect(admission.take('slack', '192.0.2.1')).toBeGreaterThan(0);
  expect(admission.take('github', '192.0.2.1')).toBe(0);
  expect(admission.take('slack', '192.0.2.2')).toBe(0);
  now += 1_000;
  expect(admission.take('slack', '192.0.2.1')).toBe(0);
});

test('large bodies that are not verified count as many requests', async () => {
  const on = await opened();
  const distrusting: WebhookVerifier = {
    ...trusting,
    maxBody: () => 32 * 1024 * 1024,
    verify: async () => ({ kind: 'refused', status: 401, reason: 'signature' }),
  };
  const { send } = await receiverOn(on, undefined, distrusting);
  const large = Buffer.alloc(25 * 1024 * 1024);
  const statuses = [await send(large), await send(large), await send(large), await send(large)];
  expect(statuses.map(({ status }) => status)).toEqual([401, 401, 401, 429]);
  on.advance(10_000);
  expect((await send(large)).status).toBe(401);
});

describe('bodies have room for what has arrived of them:', () => {
  const [KIB, MIB] = [1024, 1024 * 1024];
  let now = 0;
  const admissionNow = () => createAdmission({ monotonic: () => now });
  /** Until it is refused, as a socket brings it. */
  function filledBy(admission: Admission, addresses: string[]): Room[] {
    const rooms = addresses.map((address) => admission.room(address));
    let open = rooms;
    while (open.length > 0) open = open.filter((room) => room.take(64 * KIB));
    return rooms;
  }
  const strangers = (count: number) => Array.from({ length: count }, (_, i) => `198.51.${i >> 8}.${i & 255}`);

  test('a quarter of it for one network, whose bodies share it', () => {
    const admission = admissionNow();
    const own = ['192.0.2.1', '192.0.2.1'].map((address) => admission.room(address));
    expect([own[0]!.take(20 * MIB), own[1]!.take(20 * MIB), own[1]!.take(12 * MIB)]).toEqual([true, false, true]);
    own[0]!.release();
    own[0]!.release();
    expect([own[0]!.take(1), own[1]!.take(20 * MIB)]).toEqual([false, true]);
    own[1]!.release();
    expect(admission.room('192.0.2.1').take(32 * MIB)).toBe(true);
  });

  test.each([
    [4, 6 * MIB],
    [60, 512 * KIB],
    [500, 60 * KIB],
  ])('%i networks that fill it leave %i bytes for each that comes then', (count, bytes) => {
    const admission = admissionNow();
    const rooms = filledBy(admission, strangers(count));
    for (const late of ['192.0.2.4', '2001:db8::1']) {
      const room = admission.room(late);
      expect(room.take(bytes)).toBe(true);
      room.release();
    }
    for (const room of rooms) room.release();
    expect(admission.room('192.0.2.4').take(32 * MIB)).toBe(true);
  });

  test('the largest body of a network from which something was verified in the last hour, whatever strangers fill', () => {
    const admission = admissionNow();
    admission.giveBack('github', '192.0.2.1');
    filledBy(admission, strangers(500));
    expect([admission.room('192.0.2.1'), admission.room('192.0.2.2')].map((room) => room.take(25 * MIB))).toEqual([
      true,
      false,
    ]);
    now += GENUINE_SENDER_MS;
    expect(admission.room('192.0.2.1').take(1 * MIB)).toBe(false);
  });
});

test('headers that carry a secret, or say nothing of the event, are not kept', () => {
  const headers = {
    authorization: 'Bearer x',
    cookie: 'a=b',
    'x-hub-signature-256': 'sha256=…',
    'x-webhook-token': 't',
    'x-api-key': 'k',
    'x-forwarded-for': '192.0.2.1',
    host: 'x',
    'x-odd-name': 'it is named by the catalogue',
    'x-event-type': 'push',
    'x-long': 'x'.repeat(2_000),
  };
  expect(selectedHeaders(headers, ['x-odd-name'])).toEqual({ 'x-event-type': 'push' });
});

test('a stored body gives each event its own bytes, whatever they are', () => {
  const whole = Buffer.from('[{"a":"é"},{"b":2}]');
  const [a, b] = [whole.subarray(1, 11), whole.subarray(12, 19)];
  const other = Buffer.from([0xff, 0x00]);
  const events = [a, b, other, whole].map((body, index) => anEvent({ index, body }));
  const stored = JSON.parse(JSON.stringify(storedBody(whole, events, true)));
  const own = stored.events.map((event: never) => ownBytes(stored, event));
  expect(own).toEqual([
    { text: '{"a":"é"}' },
    { text: '{"b":2}' },
    { base64: other.toString('base64') },
    { text: whole.toString() },
  ]);
});
