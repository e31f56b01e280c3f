// Where revoking any token ends the whole grant of an account (Google): whether another connection still needs it.
import { setTimeout as pause } from 'node:timers/promises';
import type { Connection } from '../../../domain/connection.ts';
import { Refusal } from '../../../domain/errors.ts';
import { revocationEnds, type Target } from '../../../domain/target.ts';
import { REVOCATIONS_END_POLL_MS, REVOCATIONS_END_WAIT_MS } from '../../../domain/time-limits.ts';
import type { Clock, PendingRevocation, Store } from '../../../ports/index.ts';
import type { Targets } from '../../integrations/index.ts';

export interface SharedGrants {
  /**
   * To be asked just before a token is revoked. `kept`: that would end the grant of a live connection. `connecting`: or one
   * that an owner may be about to get; ask again later. Where the account of one of them is not known, connections of the
   * same owner are taken to share a grant.
   */
  use(pending: PendingRevocation, target: Target): Promise<'free' | 'kept' | 'connecting'>;
}

/**
 * To be awaited before a code is exchanged: revocations that are being delivered, and looked for a connecting owner before
 * this one's flow was consumed, could end the grant that it brings. Later ones wait for the owner.
 */
export async function untilRevocationsEnd(
  { store, clock }: { store: Pick<Store, 'revocationsUnderWay'>; clock: Clock },
  target: Target,
): Promise<void> {
  if (revocationEnds(target) !== 'grant') return;
  const until = clock.monotonic() + REVOCATIONS_END_WAIT_MS;
  let left = await store.revocationsUnderWay(target.integration, clock.now());
  while (left.length > 0 && clock.monotonic() < until) {
    await pause(REVOCATIONS_END_POLL_MS);
    const now = new Set(await store.revocationsUnderWay(target.integration, clock.now()));
    left = left.filter((id) => now.has(id));
  }
}

export interface SharedGrantParts {
  store: Pick<Store, 'connectionsOfAccount' | 'connections' | 'isConnecting'>;
  targets: Targets;
  clock: Clock;
}

const PAGE = 500;
const OF_ACCOUNT = 500;

export function createSharedGrants({ store, targets, clock }: SharedGrantParts): SharedGrants {
  /** The same client at the same provider, in whichever integration. Of one that cannot be read it has to be assumed. */
  async function hasSameClient(other: Connection, target: Target): Promise<boolean> {
    if (other.integration === target.integration) return true;
    try {
      const found = await targets.find(other.integration);
      if (found instanceof Refusal) return true;
      if (found.integration.clientId !== target.clientId) return false;
      const { issuer, endpoints } = targets.targetOf(found, other);
      const isSameIssuer = issuer !== null && issuer === target.issuer;
      return isSameIssuer || endpoints.revocation === target.endpoints.revocation;
    } catch {
      return true;
    }
  }

  async function some(connections: Connection[], target: Target): Promise<boolean> {
    for (const one of connections) if (one.status !== 'revoked' && (await hasSameClient(one, target))) return true;
    return false;
  }

  async function isUsed({ owner, account }: PendingRevocation, target: Target): Promise<boolean> {
    if (account && (await some(await store.connectionsOfAccount(account, OF_ACCOUNT), target))) return true;
    if (owner === null) return false;
    for (let after: string | undefined; ; ) {
      const { data, next } = await store.connections({ owner }, { limit: PAGE, after });
      const unknown = data.filter((one) => account === null || one.account === null);
      if (await some(unknown, target)) return true;
      if (next === null) return false;
      after = next;
    }
  }

  return {
    async use(pending, target) {
      if (revocationEnds(target) !== 'grant') return 'free';
      // In this order: a session that is completed in between has become a connection.
      const { integration, owner, account } = pending;
      if (await store.isConnecting(integration, owner, account, clock.now())) return 'connecting';
      return (await isUsed(pending, target)) ? 'kept' : 'free';
    },
  };
}
