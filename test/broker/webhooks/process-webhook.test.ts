// What a webhook does to its connections, and when callers are told of it.
import { createSecretKey, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { createKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createWebhookProcessing } from '../../../src/broker/webhooks/processing/process-webhook.ts';
import { bodyContext, storedBody } from '../../../src/broker/webhooks/stored-body.ts';
import { type Connection, hasUsableGrant } from '../../../src/domain/connection.ts';
import type { NewEvent } from '../../../src/domain/events.ts';
import type { ReceivedWebhook } from '../../../src/domain/received-webhook.ts';
import type { WebhookEvent } from '../../../src/ports/index.ts';
import { aConnection, aReceivedWebhook, NOW } from '../../stores/builders.ts';

const vault = createKeyRing([{ kid: 'k1', key: createSecretKey(randomBytes(32)) }]);
type Deauthorizer = Parameters<typeof createWebhookProcessing>[0]['deauthorizer'];

/** Connections that have the value of the webhook, as a store has them. `end`: what a deauthorization does to one. */
function processingOf(all: Connection[], end: Deauthorizer['end']) {
  const steps: string[] = [];
  const settled: { status: ReceivedWebhook['status']; about: string[]; events: NewEvent[] }[] = [];
  const process = createWebhookProcessing({
    store: {
      connection: async (id) => all.find((one) => one.id === id),
      connectionsByValue: async (_, __, ___, limit) =>
        [...all.filter(hasUsableGrant), ...all.filter((one) => !hasUsableGrant(one))].slice(0, limit),
      usableConnectionsByValue: async (_, __, ___, { after, limit }) =>
        all.filter((one) => hasUsableGrant(one) && one.id > after).slice(0, limit),
      makeDue: async () => undefined,
      async settleReceived(_, { status }, about, events) {
        steps.push('settled');
        settled.push({ status, about, events });
      },
    },
    vault,
    targets: { find: async () => ({ provider: { id: 'slack' } }) as never },
    deauthorizer: {
      end(...given) {
        steps.push('end');
        return end(...given);
      },
    },
    holds: { hold: async () => false, release: async () => false },
    untilApplied: async () => void steps.push('applied'),
    telemetry: { webhook: () => undefined },
    clock: { now: () => NOW },
    log: createLogger('silent'),
  });
  const take = (given: Partial<WebhookEvent> = {}) => {
    const event = {
      index: 0,
      id: 'Ev1',
      type: 'tokens_revoked',
      key: 'Ev1',
      hold: null,
      body: Buffer.from('{}'),
      isDeauthorization: true,
      locators: [{ key: 'captured.team', values: ['T1'] }],
      ...given,
    };
    const made = aReceivedWebhook();
    const stored = JSON.stringify(storedBody(Buffer.from('{}'), [event], true));
    return process({ ...made, body: vault.encrypt(stored, bodyContext(made.id)) });
  };
  return { take, steps, settled };
}

const some = (count: number, given: Partial<Connection> = {}) =>
  Array.from({ length: count }, (_, index) =>
    aConnection({ id: `con_${given.status ?? 'active'}_${String(index).padStart(5, '0')}`, ...given }),
  );

test.each([
  [
    'has ended grants: the other replicas have applied it, all at once',
    true,
    ['end', 'end', 'end', 'applied', 'settled'],
  ],
  ['has ended none: no one is waited for', false, ['end', 'end', 'end', 'settled']],
])('a webhook is told to callers once it is settled, and if it %s', async (_, hasEnded, expected) => {
  const all = some(3);
  // The last one was ended before.
  const { take, steps } = processingOf(all, async ({ id }) => hasEnded && id !== all[2]!.id);
  await take();
  expect(steps).toEqual(expected);
});

test('a deauthorization ends every connection, however many there are, and goes on where it was interrupted', async () => {
  const all = some(1_201);
  let left = 700;
  const { take, settled } = processingOf(all, async (connection) => {
    if (left-- === 0) throw new Error('the process is interrupted');
    connection.status = 'needs_reauth';
    return true;
  });
  await take();
  expect(settled).toMatchObject([{ status: 'received', about: [], events: [] }]);
  expect(all.filter(hasUsableGrant)).toHaveLength(501);
  left = 502;
  await take();
  expect(settled[1]).toMatchObject({ status: 'located', events: [{ connectionId: null }] });
  expect(all.filter(hasUsableGrant)).toEqual([]);
});

test('a deauthorization is told with the connection as it has left it', async () => {
  const { take, settled } = processingOf(some(1), async (connection) => {
    connection.status = 'needs_reauth';
    return true;
  });
  await take();
  expect(settled[0]!.events).toMatchObject([{ data: { connection: { status: 'needs_reauth' } } }]);
});

test.each<[string, Connection[], string[] | null]>([
  ['50 connections: each is told', some(50), some(50).map(({ id }) => id)],
  ['51: one event without a connection', some(51), null],
  [
    'one, and 600 whose grants have ended: the one',
    [...some(600, { status: 'needs_reauth' }), ...some(1)],
    [some(1)[0]!.id],
  ],
  ['51 whose grants have ended: one event without a connection', some(51, { status: 'needs_reauth' }), null],
  ['one whose grant has ended: it', some(1, { status: 'needs_reauth' }), ['con_needs_reauth_00000']],
])('a webhook about %s', async (_, all, told) => {
  const { take, settled } = processingOf(all, async () => false);
  await take({ isDeauthorization: false });
  const [{ status, events } = { status: null, events: [] }] = settled;
  expect(status).toBe('located');
  expect(events.map(({ connectionId }) => connectionId)).toEqual(told ?? [null]);
});
