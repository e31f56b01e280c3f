// Revocation: at once in the broker; at the provider (RFC 7009) through an outbox, with retries.

import type { Connection, UpstreamRevocation } from '../../domain/connection.ts';
import { withDeadline } from '../../domain/deadline.ts';
import { type Refusal, refuse } from '../../domain/errors.ts';
import type { ConnectSession } from '../../domain/integration.ts';
import { REVOCATION_CLAIM_MS, REVOCATION_WAIT_MS } from '../../domain/time-limits.ts';
import type { Clock, ConnectSessionFilter, Store } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import type { Cache, TokenCache } from '../cache/index.ts';
import type { EndedCandidates } from './connect-sessions/ended-candidates.ts';
import type { RevocationOutbox } from './upstream-revocation/outbox.ts';

const REVOKE_BATCH = 100;

export interface Revoked {
  connection: Connection;
  upstream: UpstreamRevocation;
  /** Replicas that may still serve its token for a moment. */
  replicasPending: number;
}

/**
 * From the moment a revocation is stored, the connection's token is not served any more. Nothing that is wrong with the
 * integration, its secrets or its provider keeps it from being stored.
 */
export interface Revoker {
  /** Revokes one connection; waits for the replicas, and some seconds for the provider. A second time it changes nothing. */
  revoke(call: Call, id: string): Promise<Revoked | Refusal>;
  /**
   * Revokes all connections that match, and cancels the open connect sessions that could bring more; the provider is asked
   * later. Counts the new ones by what it can be asked. Rejects
   * with `StoreError` if the store refused some; all others are revoked then.
   */
  revokeAll(
    call: Call,
    filter: { integration?: string | undefined; owner?: string | undefined },
  ): Promise<(Record<'pending' | 'unsupported', number> & Pick<Revoked, 'replicasPending'>) | Refusal>;
}

export interface RevokerParts {
  store: Pick<
    Store,
    'connection' | 'liveConnections' | 'revoke' | 'connectSessions' | 'endSession' | 'endPortalSessions'
  >;
  tokenCache: Pick<TokenCache, 'invalidate'>;
  /** Waits for the other replicas. */
  untilApplied: Cache['untilApplied'];
  access: Access;
  clock: Clock;
}

export function createRevoker(
  parts: RevokerParts & {
    outbox: Pick<RevocationOutbox, 'isUnsupported' | 'lane' | 'deliver'>;
    endedCandidates: Pick<EndedCandidates, 'destroy'>;
  },
): Revoker {
  const { store, tokenCache, untilApplied, access, outbox, endedCandidates, clock } = parts;

  /** Undefined: there is no such connection. `firstTryAt`: when the outbox may deliver it (ms since the epoch). */
  async function markRevoked(call: Call, id: string, firstTryAt: number) {
    const connection = await store.connection(id);
    if (!connection) return undefined;
    const upstream = (await outbox.isUnsupported(connection)) ? 'unsupported' : 'pending';
    const { integration, owner } = connection;
    const by = access.record(call, 'connection.revoked', { integration, owner, connectionId: id });
    const revoked = await store.revoke(id, upstream, firstTryAt, by);
    tokenCache.invalidate(connection, Number.POSITIVE_INFINITY);
    return revoked;
  }

  async function cancelSessions(
    call: Call,
    filter: Pick<ConnectSessionFilter, 'integration' | 'owner'>,
    concerns: (session: ConnectSession) => boolean = () => true,
  ): Promise<void> {
    let after: string | undefined;
    do {
      const open = { ...filter, status: 'open' as const, now: clock.now() };
      const { data, next } = await store.connectSessions(open, { limit: REVOKE_BATCH, after });
      await Promise.all(
        data.filter(concerns).map(async ({ id, integration, owner, connectionId }) => {
          const by = access.record(call, 'connect_session.cancelled', { integration, owner, connectionId, detail: id });
          if (await store.endSession(id, { status: 'cancelled', error: null }, by)) await endedCandidates.destroy(id);
        }),
      );
      after = next ?? undefined;
    } while (after !== undefined);
  }

  return {
    async revoke(call, id) {
      const connection = await store.connection(id);
      if (!connection) return refuse({ code: 'not_found', what: 'connection', id });
      const denied = access.denied(call, 'connections:write', connection.integration, connection.owner, id);
      if (denied) return denied;
      const lane = outbox.lane(connection.integration);
      try {
        const revoked = await markRevoked(call, id, clock.now() + (lane ? REVOCATION_CLAIM_MS : 0));
        if (!revoked) return refuse({ code: 'not_found', what: 'connection', id });
        const replicas = untilApplied();
        const known = revoked.connection.upstreamRevocation ?? 'pending';
        const isDelivered = revoked.pending !== null && lane !== undefined;
        if (!isDelivered) lane?.release();
        const upstream = isDelivered ? await within(REVOCATION_WAIT_MS, outbox.deliver(revoked.pending!, lane)) : known;
        const replicasPending = await replicas;
        return { connection: { ...revoked.connection, upstreamRevocation: upstream }, upstream, replicasPending };
      } catch (error) {
        lane?.release();
        throw error;
      }
    },

    async revokeAll(call, filter) {
      const denied = access.denied(call, 'connections:write', filter.integration ?? '*', filter.owner ?? '*');
      if (denied) return denied;
      const counts = { pending: 0, unsupported: 0 };
      const failures: unknown[] = [];
      // First: what a session connects meanwhile is found below.
      await cancelSessions(call, filter);
      const { integration } = filter;
      if (filter.owner !== undefined && integration === undefined) {
        const by = access.record(call, 'portal_session.ended', { integration: '*', owner: filter.owner });
        await store.endPortalSessions(filter.owner, by);
      }
      // Those whose owner has not chosen yet.
      if (integration !== undefined)
        await cancelSessions(
          call,
          { ...filter, integration: '' },
          ({ integrations }) => integrations?.includes(integration) === true,
        );
      let after: string | undefined;
      for (;;) {
        const { data, next } = await store.liveConnections(filter, { limit: REVOKE_BATCH, after });
        after = next ?? undefined;
        const revoked = await Promise.allSettled(data.map(({ id }) => markRevoked(call, id, clock.now())));
        for (const one of revoked)
          if (one.status === 'rejected') failures.push(one.reason);
          else if (one.value && !one.value.already) counts[one.value.pending ? 'pending' : 'unsupported']++;
        if (next !== null && failures.length < REVOKE_BATCH) continue;
        if (failures.length > 0) throw failures[0];
        return { ...counts, replicasPending: await untilApplied() };
      }
    },
  };
}

/** The outcome, or `pending` if it is not known in time; then the delivery goes on, and is tried again if it fails. */
async function within(ms: number, work: Promise<UpstreamRevocation>): Promise<UpstreamRevocation> {
  try {
    return await withDeadline(ms, work, () => 'pending' as const);
  } catch {
    return 'pending';
  }
}
