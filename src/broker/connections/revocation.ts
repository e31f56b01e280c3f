// Revoking: here at once, at the provider as soon as it listens.

import { backoff } from '../../domain/backoff.ts';
import type { Connection, UpstreamRevocation } from '../../domain/connection.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import { REVOCATION_CLAIM_MS, REVOCATION_GIVE_UP_MS, REVOCATION_WAIT_MS } from '../../domain/time-limits.ts';
import type { Clock, Logger, PendingRevocation, ProviderClient, Store, Telemetry, Vault } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import type { TokenCache } from '../cache/index.ts';
import type { Targets } from '../integrations/index.ts';
import { decryptAccessToken, decryptRefreshToken } from '../secrets/index.ts';

const BATCH = 100;

interface Parts {
  store: Store;
  vault: Pick<Vault, 'decrypt'>;
  provider: Pick<ProviderClient, 'revoke'>;
  targets: Targets;
  tokenCache: TokenCache;
  access: Access;
  telemetry: Pick<Telemetry, 'revocation'>;
  clock: Clock;
  log: Logger;
}

export interface Revoked {
  connection: Connection;
  upstream: UpstreamRevocation;
}

export type Revoker = ReturnType<typeof createRevoker>;

export function createRevoker({ store, vault, provider, targets, tokenCache, access, telemetry, clock, log }: Parts) {
  const underWay = new Set<Promise<unknown>>();

  /** The tombstone first: from here on, nobody is served. `call` is recorded as the one who did it. */
  async function bury(call: Call, id: string, firstTryAt: number) {
    const connection = await store.connection(id);
    if (!connection) return undefined;
    const upstream = (await isRevocable(connection)) ? 'pending' : 'unsupported';
    const { integration, owner } = connection;
    const by = access.record(call, 'connection.revoked', { integration, owner, connectionId: id });
    const buried = await store.revoke(id, upstream, firstTryAt, by);
    tokenCache.invalidate(connection, Number.POSITIVE_INFINITY);
    return buried;
  }

  /** Without an integration, or with one that is broken, there is still something to be tried later. */
  async function isRevocable(connection: Connection): Promise<boolean> {
    const found = await targets.find(connection.integration);
    if (found instanceof Refusal) return found.fault.code !== 'not_found';
    const target = targets.targetOf(found, connection);
    return target.auth.mode === 'oidc' || target.endpoints.revocation !== undefined;
  }

  /** One try at the provider. What is refused for good is settled, what is not is put off. */
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
    const hopeless = clock.now() - pending.createdAt > REVOCATION_GIVE_UP_MS ? 'failed' : 'pending';
    if (found instanceof Refusal) return hopeless;
    const { connectionId: id } = pending;
    let tokens: Parameters<typeof provider.revoke>[1];
    try {
      const accessToken = decryptAccessToken(vault, id, pending.accessToken);
      tokens = { accessToken, refreshToken: decryptRefreshToken(vault, id, pending.refreshToken) };
    } catch (error) {
      // A damaged token will not mend by waiting.
      log.error({ err: error, connection: id, integration: pending.integration }, 'revoke: the tokens do not open');
      return 'failed';
    }
    const result = await provider.revoke(targets.targetOf(found, pending), tokens, pending.captured);
    if (result.ok) return result.value;
    const { kind, code, detail } = result.fault;
    log.warn(
      { connection: id, integration: pending.integration, kind, code, detail },
      'revoke: the provider did not do it',
    );
    return kind === 'transient' || kind === 'misconfigured' ? hopeless : 'failed';
  }

  function track<T>(work: Promise<T>): Promise<T> {
    underWay.add(work);
    void work.catch(() => undefined).finally(() => underWay.delete(work));
    return work;
  }

  return {
    async one(call: Call, id: string): Promise<Revoked | Refusal> {
      const connection = await store.connection(id);
      if (!connection) return refuse({ code: 'not_found', what: 'connection', id });
      const denied = access.denied(call, 'connections:write', connection.integration, connection.owner, id);
      if (denied) return denied;
      const buried = await bury(call, id, clock.now() + REVOCATION_CLAIM_MS);
      if (!buried) return refuse({ code: 'not_found', what: 'connection', id });
      const shown = buried.connection.upstreamRevocation ?? 'pending';
      if (!buried.pending) return { connection: buried.connection, upstream: shown };
      const upstream = await within(REVOCATION_WAIT_MS, track(deliver(buried.pending)), log);
      return { connection: { ...buried.connection, upstreamRevocation: upstream }, upstream };
    },

    /** Everything that fits, at once here; at the provider through the outbox. */
    async many(
      call: Call,
      filter: { integration?: string | undefined; owner?: string | undefined },
    ): Promise<Record<'pending' | 'unsupported', number> | Refusal> {
      const denied = access.denied(call, 'connections:write', filter.integration ?? '*', filter.owner ?? '*');
      if (denied) return denied;
      const counts = { pending: 0, unsupported: 0 };
      for (;;) {
        const ids = await store.liveConnections(filter, BATCH);
        const buried = await Promise.all(ids.map((id) => bury(call, id, clock.now())));
        for (const one of buried) if (one && !one.already) counts[one.pending ? 'pending' : 'unsupported']++;
        if (ids.length < BATCH) return counts;
      }
    },

    /** One round of the outbox; says whether there may be more. */
    async deliverDue(): Promise<boolean> {
      const due = await store.claimRevocations(clock.now(), clock.now() + REVOCATION_CLAIM_MS, BATCH / 10);
      await Promise.allSettled(due.map((pending) => track(deliver(pending))));
      return due.length === BATCH / 10;
    },

    async drain(): Promise<void> {
      await Promise.allSettled([...underWay]);
    },
  };
}

async function within(ms: number, work: Promise<UpstreamRevocation>, log: Logger): Promise<UpstreamRevocation> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'pending'>((resolve) => {
    timer = setTimeout(() => resolve('pending'), ms);
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    log.error({ err: error }, 'revoke: stays in the outbox');
    return 'pending';
  } finally {
    clearTimeout(timer);
  }
}
