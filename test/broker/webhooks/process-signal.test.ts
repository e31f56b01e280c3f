// What a signal does, and when callers are told of it.
import { createSecretKey, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { createKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createSignalProcessing } from '../../../src/broker/webhooks/signals/process-signal.ts';
import { encryptSignal, signalOf } from '../../../src/broker/webhooks/signals/stored-signal.ts';
import { type Connection, hasUsableGrant } from '../../../src/domain/connection.ts';
import type { ReceivedWebhook } from '../../../src/domain/received-webhook.ts';
import { aConnection, aReceivedWebhook, NOW } from '../../stores/builders.ts';

const vault = createKeyRing([{ kid: 'k1', key: createSecretKey(randomBytes(32)) }]);
const RISC = 'https://schemas.openid.net/secevent/risc/event-type';
const identity = { issuer: 'https://id.example', subject: 'ada' };

type Parts = Parameters<typeof createSignalProcessing>[0];

/** Connections that have the subject of the signal, as a store has them. */
function processingOf(all: Connection[], parts: Partial<Parts>, type = 'account-disabled') {
  const settled: { status: ReceivedWebhook['status']; about: string[] }[] = [];
  const process = createSignalProcessing({
    store: {
      connectionsByValue: async (_, __, ___, limit) =>
        [...all.filter(hasUsableGrant), ...all.filter((one) => !hasUsableGrant(one))].slice(0, limit),
      usableConnectionsByValue: async (_, __, ___, { after, limit }) =>
        all.filter((one) => hasUsableGrant(one) && one.id > after).slice(0, limit),
      connection: async (id) => all.find((one) => one.id === id),
      appendAudit: async () => undefined,
      settleReceived: async (_, { status }, about) => void settled.push({ status, about }),
    },
    vault,
    receivers: { find: async () => ({ integration: 'slack', provider: 'slack', subjectIssuer: null }) as never },
    actions: { act: () => Promise.reject(new Error('not asked')), logOut: async () => 'kept' },
    endAgentSessions: async () => 0,
    endUserSessions: () => Promise.reject(new Error('no one has signed out')),
    targets: { find: () => Promise.reject(new Error('not asked')) },
    access: { recordSystem: () => ({}) as never },
    untilApplied: async () => undefined,
    telemetry: { signalProcessed: () => undefined },
    clock: { now: () => NOW },
    log: createLogger('silent'),
    ...parts,
  });
  /** `iat` in seconds. */
  const take = (iat = NOW / 1_000, integration = 'slack') => {
    const sub_id = { format: 'iss_sub', iss: identity.issuer, sub: identity.subject };
    const claims = { iss: identity.issuer, iat, jti: 'one', sub_id, events: { [`${RISC}/${type}`]: {} } };
    const made = aReceivedWebhook({ kind: 'signal', integration, receivedAt: NOW + 5 });
    const { body } = encryptSignal(vault, made.id, claims, signalOf(vault, claims, ['slack']));
    return process({ ...made, body });
  };
  return { take, settled };
}

test.each([
  ['has changed a connection: the other replicas have applied it', true, ['act', 'applied', 'settled']],
  ['has changed none: no one is waited for', false, ['act', 'settled']],
])('a signal is told to callers once it is settled, and if it %s', async (_, hasChanged, expected) => {
  const steps: string[] = [];
  const seen: number[] = [];
  const { take, settled } = processingOf([aConnection({ identity })], {
    actions: {
      act: async (_connection, _effect, { at }) => {
        expect(settled).toEqual([]);
        steps.push('act');
        seen.push(at);
        return hasChanged;
      },
      logOut: async () => 'kept',
    },
    untilApplied: async () => {
      expect(settled).toEqual([]);
      steps.push('applied');
    },
  });
  // By a clock that is an hour ahead.
  await take(NOW / 1_000 + 3_600);
  expect([...steps, ...settled.map(() => 'settled')]).toEqual(expected);
  expect(seen).toEqual([NOW + 5]);
});

test('signals of one integration are processed one after the other, and hold up none of another', async () => {
  const waiting: (() => void)[] = [];
  const { take, settled } = processingOf([aConnection({ identity })], {
    actions: {
      act: async () => {
        if (waiting.length < 2) await new Promise<void>((done) => waiting.push(done));
        return false;
      },
      logOut: async () => 'kept',
    },
  });
  const [first, second] = [take(), take()];
  await expect.poll(() => waiting.length).toBe(1);
  const other = take(NOW / 1_000, 'github');
  await expect.poll(() => waiting.length).toBe(2);
  expect(settled).toEqual([]);
  waiting[1]!();
  await other;
  expect(settled).toHaveLength(1);
  waiting[0]!();
  await Promise.all([first, second]);
  expect(settled).toHaveLength(3);
});

const some = (prefix: string, count: number, issuer: string) =>
  Array.from({ length: count }, (_, index) => {
    const id = `con_${prefix}_${String(index).padStart(5, '0')}`;
    return aConnection({ id, owner: `owner_of_${id}`, identity: { issuer, subject: identity.subject } });
  });

test('a signal acts on every connection, however many there are, also of other issuers, and goes on where it was interrupted', async () => {
  const others = some('a', 1_100, 'https://other.example');
  const own = some('b', 1_201, identity.issuer);
  const withSessions = new Set(own.map(({ owner }) => owner));
  let left = 1_100;
  const { take, settled } = processingOf([...others, ...own], {
    actions: {
      async act(connection) {
        if (left-- === 0) throw new Error('the process is interrupted');
        connection.status = 'needs_reauth';
        return true;
      },
      logOut: async () => 'kept',
    },
    endAgentSessions: async (owner) => Number(withSessions.delete(owner)),
  });
  await take();
  expect(settled).toMatchObject([{ status: 'received', about: [] }]);
  expect(own.filter(hasUsableGrant)).toHaveLength(101);
  await take();
  expect(settled[1]).toMatchObject({ status: 'located' });
  expect(own.filter(hasUsableGrant)).toEqual([]);
  expect([...withSessions]).toEqual([]);
  expect(others.every(hasUsableGrant)).toBe(true);
});

test('a signal about more than 1,000 connections acts on each once, and is shown to be about 1,000', async () => {
  const acted: string[] = [];
  const all = some('b', 1_201, identity.issuer);
  const { take, settled } = processingOf(all, {
    actions: {
      async act({ id }) {
        acted.push(id);
        return false;
      },
      logOut: async () => 'kept',
    },
  });
  await take();
  expect(acted).toEqual(all.map(({ id }) => id));
  expect(settled).toMatchObject([{ status: 'located' }]);
  expect(settled[0]!.about).toHaveLength(1_000);
});

test('an account that is purged: each of its connections is destroyed, also of more than 1,000 whose grant has ended', async () => {
  const others = some('a', 10, 'https://other.example');
  const all = [...others, ...some('b', 2_201, identity.issuer)];
  for (const one of all) one.status = 'needs_reauth';
  const actions: Parts['actions'] = {
    async act({ id }) {
      const at = all.findIndex((one) => one.id === id);
      expect(at).toBeGreaterThanOrEqual(0);
      all.splice(at, 1);
      return true;
    },
    logOut: async () => 'kept',
  };
  const { take, settled } = processingOf(all, { actions }, 'account-purged');
  await take();
  expect(all.map(({ id }) => id)).toEqual(others.map(({ id }) => id));
  expect(settled).toMatchObject([{ status: 'located' }]);
});
