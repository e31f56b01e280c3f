// What a signal does, and when callers are told of it.
import { createSecretKey, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { createKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createSignalProcessing } from '../../../src/broker/webhooks/signals/process-signal.ts';
import { encryptSignal, signalOf } from '../../../src/broker/webhooks/signals/stored-signal.ts';
import { aConnection, aReceivedWebhook, NOW } from '../../stores/builders.ts';

const vault = createKeyRing([{ kid: 'k1', key: createSecretKey(randomBytes(32)) }]);
const DISABLED = 'https://schemas.openid.net/secevent/risc/event-type/account-disabled';
const identity = { issuer: 'https://id.example', subject: 'ada' };

test.each([
  ['has changed a connection: the other replicas have applied it', true, ['act', 'applied', 'settled']],
  ['has changed none: no one is waited for', false, ['act', 'settled']],
])('a signal is told to callers once it is settled, and if it %s', async (_, hasChanged, expected) => {
  const steps: string[] = [];
  const seen: number[] = [];
  const connection = aConnection({ identity });
  const process = createSignalProcessing({
    store: {
      connectionsByValue: async () => [connection],
      connection: async () => connection,
      appendAudit: async () => undefined,
      settleReceived: async () => void steps.push('settled'),
    },
    vault,
    receivers: { find: async () => ({ integration: 'slack', provider: 'slack', subjectIssuer: null }) as never },
    actions: {
      act: async (_connection, _effect, { at }) => {
        steps.push('act');
        seen.push(at);
        return hasChanged;
      },
      logOut: async () => 'kept',
    },
    endAgentSessions: async () => 0,
    endUserSessions: () => Promise.reject(new Error('no one has signed out')),
    targets: { find: () => Promise.reject(new Error('not asked')) },
    access: { recordSystem: () => ({}) as never },
    untilApplied: async () => void steps.push('applied'),
    telemetry: { signalProcessed: () => undefined },
    clock: { now: () => NOW },
    log: createLogger('silent'),
  });
  // By a clock that is an hour ahead.
  const iat = NOW / 1_000 + 3_600;
  const sub_id = { format: 'iss_sub', iss: identity.issuer, sub: identity.subject };
  const claims = { iss: identity.issuer, iat, jti: 'one', sub_id, events: { [DISABLED]: {} } };
  const made = aReceivedWebhook({ kind: 'signal', receivedAt: NOW + 5 });
  const { body } = encryptSignal(vault, made.id, claims, signalOf(vault, claims, ['slack']));
  await process({ ...made, body });
  expect(steps).toEqual(expected);
  expect(seen).toEqual([NOW + 5]);
});
