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

export interface RevocationFilter {
  integration?: string | undefined;
  owner?: string | undefined;
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
    filter: RevocationFilter,
  ): Promise<(Record<'pending' | 'unsupported', number> & Pick<Revoked, 'replicasPending'>) | Refusal>;
  /** Why the caller may not call `revokeAll` with this filter; undefined: it may. */
  mayRevokeAll(call: Call, filter: RevocationFilter): Refusal | undefined;
  /**
   * The next part of `revokeAll`, for work in batches: the connections after this id; without one, the sessions and the first
   * connections. `next`: where to go on; null: that was all. Rejects with `StoreError` if the store refused some; it can be
   * repeated.
   */
  revokeSome(
    call: Call,
    filter: RevocationFilter,
    after: string | undefined,
  ): Promise<(Record<'pending' | 'unsupported', number> & { next: string | null }) | Refusal>;
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
    outbox: Pick<RevocationOutbox, 'isUnsupported' | 'hasSource' | 'lane' | 'deliver'>;
    endedCandidates: Pick<EndedCandidates, 'destroy'>;
  },
): Revoker {
  const { store, tokenCache, untilApplied, access, outbox, endedCandidates, clock } = parts;

  /** Undefined: there is no such connection. `firstTryAt`: when the outbox may deliver it (ms since the epoch). */
  async function markRevoked(call: Call, id: string, firstTryAt: number) {
    const connection = await store.connection(id);
    if (!connection) return undefined;
    const upstream = (await outbox.isUnsupported(connection)) ? 'unsupported' : 'pending';
    const movesSource = await outbox.hasSource(connection);
    const { integration, owner } = connection;
    const by = access.record(call, 'connection.revoked', { integration, owner, connectionId: id });
    const revoked = await store.revoke(id, upstream, firstTryAt, by, movesSource);
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

  const mayRevokeAll = (call: Call, { integration, owner }: RevocationFilter) =>
    access.denied(call, 'connections:write', integration ?? '*', owner ?? '*');

  /** What could bring more connections. */
  async function endSessions(call: Call, filter: RevocationFilter): Promise<void> {
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
  }

  /** Those that are revoked already do not count. */
  async function markSome(call: Call, filter: RevocationFilter, after: string | undefined) {
    const counts = { pending: 0, unsupported: 0 };
    const { data, next } = await store.liveConnections(filter, { limit: REVOKE_BATCH, after });
    const revoked = await Promise.allSettled(data.map(({ id }) => markRevoked(call, id, clock.now())));
    for (const one of revoked)
      if (one.status === 'fulfilled' && one.value && !one.value.already)
        counts[one.value.pending ? 'pending' : 'unsupported']++;
    const failures: unknown[] = revoked.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    return { counts, failures, next };
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
      const denied = mayRevokeAll(call, filter);
      if (denied) return denied;
      const counts = { pending: 0, unsupported: 0 };
      const failures: unknown[] = [];
      // First: what a session connects meanwhile is found below.
      await endSessions(call, filter);
      for (let after: string | undefined; ; ) {
        const some = await markSome(call, filter, after);
        counts.pending += some.counts.pending;
        counts.unsupported += some.counts.unsupported;
        failures.push(...some.failures);
        after = some.next ?? undefined;
        if (some.next !== null && failures.length < REVOKE_BATCH) continue;
        if (failures.length > 0) throw failures[0];
        return { ...counts, replicasPending: await untilApplied() };
      }
    },

    mayRevokeAll,

    async revokeSome(call, filter, after) {
      const denied = mayRevokeAll(call, filter);
      if (denied) return denied;
      if (after === undefined) await endSessions(call, filter);
      const { counts, failures, next } = await markSome(call, filter, after);
      if (failures.length > 0) throw failures[0];
      return { ...counts, next };
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
