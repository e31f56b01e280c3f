// What a webhook does to its connections, and when callers are told of it.
import { createSecretKey, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { createKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createWebhookProcessing } from '../../../src/broker/webhooks/processing/process-webhook.ts';
import { bodyContext, storedBody } from '../../../src/broker/webhooks/stored-body.ts';
import { aConnection, aReceivedWebhook, NOW } from '../../stores/builders.ts';

const vault = createKeyRing([{ kid: 'k1', key: createSecretKey(randomBytes(32)) }]);

test.each([
  [
    'has ended grants: the other replicas have applied it, all at once',
    true,
    ['end', 'end', 'end', 'applied', 'settled'],
  ],
  ['has ended none: no one is waited for', false, ['end', 'end', 'end', 'settled']],
])('a webhook is told to callers once it is settled, and if it %s', async (_, hasEnded, expected) => {
  const steps: string[] = [];
  const process = createWebhookProcessing({
    store: {
      connectionsByValue: async () => ['one', 'two', 'three'].map((id) => aConnection({ id })),
      makeDue: async () => undefined,
      settleReceived: async () => void steps.push('settled'),
    },
    vault,
    targets: { find: async () => ({ provider: { id: 'slack' } }) as never },
    deauthorizer: {
      async end({ id }) {
        steps.push('end');
        // The last one was ended before.
        return hasEnded && id !== 'three';
      },
    },
    holds: { hold: async () => false, release: async () => false },
    untilApplied: async () => void steps.push('applied'),
    telemetry: { webhook: () => undefined },
    clock: { now: () => NOW },
    log: createLogger('silent'),
  });
  const event = {
    index: 0,
    id: 'Ev1',
    type: 'tokens_revoked',
    key: 'Ev1',
    hold: null,
    body: Buffer.from('{}'),
    isDeauthorization: true,
    locators: [{ key: 'captured.team', values: ['T1'] }],
  };
  const made = aReceivedWebhook();
  const stored = JSON.stringify(storedBody(Buffer.from('{}'), [event], true));
  await process({ ...made, body: vault.encrypt(stored, bodyContext(made.id)) });
  expect(steps).toEqual(expected);
});
