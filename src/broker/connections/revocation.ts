// Revocation: at once in the broker; at the provider (RFC 7009) through an outbox, with retries.

import { backoff } from '../../domain/backoff.ts';
import type { Connection, UpstreamRevocation } from '../../domain/connection.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import { REVOCATION_CLAIM_MS, REVOCATION_GIVE_UP_MS, REVOCATION_WAIT_MS } from '../../domain/time-limits.ts';
import type { Clock, Logger, PendingRevocation, ProviderClient, Store, Telemetry, Vault } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import type { TokenCache } from '../cache/index.ts';
import type { Targets } from '../integrations/index.ts';
import { decryptAccessToken, decryptRefreshToken } from '../secrets/index.ts';

const REVOKE_BATCH = 100;
const DELIVERY_BATCH = 10;

export interface Revoked {
  connection: Connection;
  upstream: UpstreamRevocation;
}

/** From the moment a revocation is stored, the connection's token is not served any more. */
export interface Revoker {
  /** Revokes one connection; waits some seconds for the provider. A second time it changes nothing. */
  revoke(call: Call, id: string): Promise<Revoked | Refusal>;
  /** Revokes all connections that match; the provider is asked later. Counts the new ones by what it can be asked. */
  revokeAll(
    call: Call,
    filter: { integration?: string | undefined; owner?: string | undefined },
  ): Promise<Record<'pending' | 'unsupported', number> | Refusal>;
  /** Delivers one batch of the outbox. True: there may be more. Rejects with `StoreError`. */
  deliverDue(): Promise<boolean>;
  /** Fulfilled when no delivery is in flight. */
  drain(): Promise<void>;
}

export interface RevokerParts {
  store: Pick<
    Store,
    'connection' | 'liveConnections' | 'revoke' | 'claimRevocations' | 'postponeRevocation' | 'settleRevocation'
  >;
  vault: Pick<Vault, 'decrypt'>;
  provider: Pick<ProviderClient, 'revoke'>;
  targets: Targets;
  tokenCache: Pick<TokenCache, 'invalidate'>;
  access: Access;
  telemetry: Pick<Telemetry, 'revocation'>;
  clock: Clock;
  log: Logger;
}

export function createRevoker(parts: RevokerParts): Revoker {
  const { store, vault, provider, targets, tokenCache, access, telemetry, clock, log } = parts;
  const inFlight = new Set<Promise<unknown>>();

  /** Undefined: there is no such connection. `firstTryAt`: when the outbox may deliver it (ms since the epoch). */
  async function markRevoked(call: Call, id: string, firstTryAt: number) {
    const connection = await store.connection(id);
    if (!connection) return undefined;
    const upstream = (await isRevocable(connection)) ? 'pending' : 'unsupported';
    const { integration, owner } = connection;
    const by = access.record(call, 'connection.revoked', { integration, owner, connectionId: id });
    const revoked = await store.revoke(id, upstream, firstTryAt, by);
    tokenCache.invalidate(connection, Number.POSITIVE_INFINITY);
    return revoked;
  }

  /** True if the integration is misconfigured: it may be fixed before delivery is given up. */
  async function isRevocable(connection: Connection): Promise<boolean> {
    const found = await targets.find(connection.integration);
    if (found instanceof Refusal) return found.fault.code !== 'not_found';
    const target = targets.targetOf(found, connection);
    return target.auth.mode === 'oidc' || target.endpoints.revocation !== undefined;
  }

  /** One attempt at the provider. A final outcome is settled, anything else is postponed with backoff. */
  async function deliver(pending: PendingRevocation): Promise<UpstreamRevocation> {
    const outcome = await attempt(pending);
    const { connectionId, integration } = pending;
    telemetry.revocation(integration, outcome);
    const owner = (await store.connection(connectionId))?.owner ?? null;
    const subject = { integration, owner, connectionId, detail: outcome };
    if (outcome === 'pending') {
      await store.postponeRevocation(pending.id, clock.now() + backoff(pending.attempts + 1, Math.random()));
    } else {
      const by = access.recordSystem('connection.revoked_upstream', subject, outcome === 'failed' ? 'failed' : 'ok');
      await store.settleRevocation(pending.id, outcome, by);
    }
    return outcome;
  }

  async function attempt(pending: PendingRevocation): Promise<UpstreamRevocation> {
    const found = await targets.find(pending.integration);
    const retry = clock.now() - pending.createdAt > REVOCATION_GIVE_UP_MS ? 'failed' : 'pending';
    if (found instanceof Refusal) return retry;
    const { connectionId: id } = pending;
    let tokens: Parameters<typeof provider.revoke>[1];
    try {
      const accessToken = decryptAccessToken(vault, id, pending.accessToken);
      tokens = { accessToken, refreshToken: decryptRefreshToken(vault, id, pending.refreshToken) };
    } catch (error) {
      // Retrying does not help.
      log.error(
        { err: error, connection: id, integration: pending.integration },
        'revocation: the tokens cannot be decrypted, giving up',
      );
      return 'failed';
    }
    const result = await provider.revoke(targets.targetOf(found, pending), tokens, pending.captured);
    if (result.ok) return result.value;
    const { kind, code, detail } = result.fault;
    log.warn(
      { connection: id, integration: pending.integration, kind, code, detail },
      'revocation: the provider returned an error',
    );
    return kind === 'transient' || kind === 'misconfigured' ? retry : 'failed';
  }

  function track<T>(work: Promise<T>): Promise<T> {
    inFlight.add(work);
    void work.catch(() => undefined).finally(() => inFlight.delete(work));
    return work;
  }

  return {
    async revoke(call, id) {
      const connection = await store.connection(id);
      if (!connection) return refuse({ code: 'not_found', what: 'connection', id });
      const denied = access.denied(call, 'connections:write', connection.integration, connection.owner, id);
      if (denied) return denied;
      const revoked = await markRevoked(call, id, clock.now() + REVOCATION_CLAIM_MS);
      if (!revoked) return refuse({ code: 'not_found', what: 'connection', id });
      const known = revoked.connection.upstreamRevocation ?? 'pending';
      if (!revoked.pending) return { connection: revoked.connection, upstream: known };
      const upstream = await within(REVOCATION_WAIT_MS, track(deliver(revoked.pending)), log);
      return { connection: { ...revoked.connection, upstreamRevocation: upstream }, upstream };
    },

    async revokeAll(call, filter) {
      const denied = access.denied(call, 'connections:write', filter.integration ?? '*', filter.owner ?? '*');
      if (denied) return denied;
      const counts = { pending: 0, unsupported: 0 };
      for (;;) {
        const ids = await store.liveConnections(filter, REVOKE_BATCH);
        const revoked = await Promise.all(ids.map((id) => markRevoked(call, id, clock.now())));
        for (const one of revoked) if (one && !one.already) counts[one.pending ? 'pending' : 'unsupported']++;
        if (ids.length < REVOKE_BATCH) return counts;
      }
    },

    async deliverDue() {
      const due = await store.claimRevocations(clock.now(), clock.now() + REVOCATION_CLAIM_MS, DELIVERY_BATCH);
      await Promise.allSettled(due.map((pending) => track(deliver(pending))));
      return due.length === DELIVERY_BATCH;
    },

    async drain() {
      await Promise.allSettled([...inFlight]);
    },
  };
}

async function within(ms: number, work: Promise<UpstreamRevocation>, log: Logger): Promise<UpstreamRevocation> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<'pending'>((resolve) => {
    timer = setTimeout(() => resolve('pending'), ms);
  });
  try {
    return await Promise.race([work, timeout]);
  } catch (error) {
    log.error({ err: error }, 'revocation: delivery failed, will retry');
    return 'pending';
  } finally {
    clearTimeout(timer);
  }
}
