// Fault scenarios of one tenant, and of accounts that several connections have.
import { setTimeout as pause } from 'node:timers/promises';
import { accountOf, nameOf, TENANTS } from './connections.ts';
import type { Fault } from './provider.ts';
import { noFaults, type Scenario } from './scenarios.ts';

/** What one tenant's endpoint may do all the time, and what no other tenant may notice. */
const FAULTS: Fault[] = ['invalidClient', 'unavailable', 'throttled', 'hangBefore', 'broken', 'garbageBefore'];
const SETTLED_MS = 4_000;

/** One tenant fails in each way for this long: rejects when a read of another tenant's connection fails. */
export const noisyTenant =
  (msEach: number): Scenario =>
  async (context) => {
    const { connections } = context;
    await noFaults(context);
    await context.setProviderRules({ life: [2, 5] });
    await pause(SETTLED_MS);
    await untilServed(context);
    const begun = Date.now();
    const { length } = await context.refreshesFrom(0);
    for (const fault of FAULTS) {
      await context.setProviderRules({ tenants: { [TENANTS.noisy]: fault }, retryAfter: 30 });
      await pause(msEach);
    }
    await context.setProviderRules({ tenants: {}, retryAfter: 1 });
    const hurt = context.failedReads(begun).filter(({ connection }) => !connections.isNoisy(connection));
    const spends = await context.refreshesFrom(length);
    if (!spends.some(({ fault }) => fault !== undefined)) throw new Error('the noisy tenant got no request');
    const [first] = hurt;
    if (first) throw new Error(`${hurt.length} reads of other tenants failed: ${first.connection}: ${first.why}`);
  };

/** In this time every connection is read, all but certainly. */
const READ_WITHIN_MS = 15_000;
/** A request that is never answered is given up after two minutes, and until then nothing else is sent for its connection. */
const SERVED_WITHIN_MS = 150_000;

/** Resolves when no read fails any more because of an earlier scenario. */
async function untilServed({ failedReads }: Parameters<Scenario>[0]): Promise<void> {
  const begun = Date.now();
  const quietSince = () => failedReads(begun).reduce((latest, { at }) => Math.max(latest, at), begun);
  for (; Date.now() - quietSince() < READ_WITHIN_MS; await pause(500))
    if (Date.now() - begun > SERVED_WITHIN_MS) throw new Error('reads still fail after an earlier scenario');
}

const KNOWN_WITHIN_MS = 60_000;

/**
 * Revoking any token ends the account's grant. One of two connections is revoked, and made again; then both, while the provider
 * refuses revocations, and both are made again before it accepts them. Rejects when a revocation says otherwise; a connection that
 * is ended by it is lost.
 */
export const sharedGrants =
  (times: number): Scenario =>
  async (context) => {
    const { connections, random, options } = context;
    await noFaults(context);
    for (let i = 0; i < times; i++) {
      // Each pair once: the account of an ended grant stays ended for what was issued before.
      const [one, other] = [nameOf(2 * i), nameOf(2 * i + 1)];
      if (2 * i + 1 >= options.connections) throw new Error('more pairs than connections');
      await untilKnown(one, other);
      const kept = await connections.revoke(one);
      // `pending`: the circuit is open, and it is decided later.
      if (kept !== 'kept_for_other_connection' && kept !== 'pending')
        throw new Error(`${accountOf(one)} has another connection, and: ${kept}`);
      await connections.add([one]);
      await untilKnown(one);
      await context.setProviderRules({ refusesRevocations: true });
      await Promise.all([connections.revoke(one), connections.revoke(other)]);
      await pause(random.between(0, 1_500));
      await connections.add([one, other]);
      await context.setProviderRules({ refusesRevocations: false });
    }
    // What is owed is delivered, or cancelled.
    await pause(SETTLED_MS);

    async function untilKnown(...names: string[]): Promise<void> {
      for (const deadline = Date.now() + KNOWN_WITHIN_MS; ; await pause(100)) {
        const known = await Promise.all(names.map((name) => connections.hasAccount(name)));
        if (known.every(Boolean)) return;
        if (Date.now() > deadline) throw new Error(`the account of ${names.join(', ')} is not known`);
      }
    }
  };
