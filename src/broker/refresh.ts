// Refreshing one connection: lease and intent first, then spend, then keep, then show.
//
// A refresh belongs to nobody's request: callers wait for it, and one that hangs up stops waiting, nothing else.
import { setTimeout as pause } from 'node:timers/promises';
import { type Connection, type RefreshError, refreshDueAt } from '../domain/connection.ts';
import { type ReauthReason, Refusal, refuse } from '../domain/errors.ts';
import { backoff, LEASE_MS, urgentBackoff } from '../domain/resilience.ts';
import {
  type Claimed,
  type Clock,
  type Logger,
  type ProviderClient,
  type ProviderFault,
  type Rotation,
  type Store,
  StoreError,
  type Telemetry,
  type TokenAnswer,
  type Vault,
} from '../ports.ts';
import type { Access } from './access.ts';
import { openAccessToken, openRefreshToken, sealGrant } from './grants.ts';
import { newId } from './secrets.ts';
import type { Served, Serving } from './serving.ts';
import type { Targets } from './targets.ts';

/** How often a loser of the lease looks for the winner's generation. */
const LOOK_EVERY_MS = 100;
/** Waits between tries to keep an answer whose commit failed. */
const KEEP_AGAIN_AFTER_MS = [50, 100, 250, 500, 1_000, 2_000, 4_000, 8_000];

interface Parts {
  store: Store;
  vault: Vault;
  provider: Pick<ProviderClient, 'refresh'>;
  targets: Targets;
  serving: Serving;
  access: Pick<Access, 'recordOwn'>;
  telemetry: Pick<Telemetry, 'refresh'>;
  clock: Clock;
  log: Logger;
  /** Names this process in leases. */
  holder: string;
  random?: () => number;
}

export type Refresher = ReturnType<typeof createRefresher>;

export function createRefresher(parts: Parts) {
  const { store, vault, provider, targets, serving, access, telemetry, clock, log, holder } = parts;
  const random = parts.random ?? Math.random;
  const inFlight = new Map<string, Promise<Served | Refusal>>();

  /** What a connection that cannot be refreshed now answers; undefined when nothing speaks against trying. */
  function refusalOf(c: Connection): Refusal | undefined {
    if (c.status === 'revoked') return refuse({ code: 'connection_revoked', connection_id: c.id });
    if (c.status === 'needs_reauth') {
      return refuse({ code: 'reauthorization_required', connection_id: c.id, reason: c.reason ?? 'grant_revoked' });
    }
    return undefined;
  }

  function refusalFor(c: Connection, error: RefreshError, misconfigured: boolean): Refusal {
    if (misconfigured) {
      return refuse({ code: 'integration_misconfigured', integration: c.integration, detail: error.detail });
    }
    const wait = Math.max(1, Math.ceil(((error.retryAt ?? 0) - clock.now()) / 1_000));
    return refuse({ code: 'provider_unavailable', integration: c.integration, detail: error.detail, retryAfter: wait });
  }

  async function attempt(id: string): Promise<Served | Refusal> {
    const before = await store.connection(id);
    if (!before) return refuse({ code: 'not_found', what: 'connection', id });
    const refused = refusalOf(before);
    if (refused) return refused;
    const found = await targets.find(before.integration);
    if (found instanceof Refusal) return found;

    // A provider that failed a moment ago is left alone, unless the integration was mended since.
    const last = before.lastRefreshError;
    if (last?.retryAt && clock.now() < last.retryAt && found.integration.updatedAt <= last.at) {
      return refusalFor(before, last, last.code.startsWith('misconfigured'));
    }

    const attemptId = newId('att', clock.now());
    const story = log.child({ attempt: attemptId, connection: id, integration: before.integration });
    const now = clock.now();
    const claimed = await store.claim(id, { attempt: attemptId, holder, now, until: now + LEASE_MS });
    if (claimed === 'busy') return awaitWinner(before);
    if (claimed === 'gone') return (await winner(id, before.generation)) ?? gone(id);
    story.debug(
      { generation: claimed.connection.generation, unresolved: claimed.unresolved?.attempt },
      'refresh: claimed',
    );

    const refreshToken = openRefreshToken(vault, id, claimed.grant.refreshToken);
    if (refreshToken === null) return notRefreshable(claimed);
    const target = targets.open(found, claimed.connection.params);
    const result = await provider.refresh(target, { refreshToken, identity: claimed.connection.identity });
    if (!result.ok) return failed(claimed, result.fault, story);
    return keep(claimed, result.value, refreshToken, story);
  }

  /** Without a refresh token: dead once the access token has expired, alive (and not refreshable) until then. */
  async function notRefreshable(claimed: Claimed): Promise<Served | Refusal> {
    const { connection } = claimed;
    const expired = connection.expiresAt !== null && connection.expiresAt <= clock.now();
    const reason: ReauthReason = expired ? 'grant_expired' : 'not_refreshable';
    const error = { code: reason, detail: 'the provider issued no refresh token', at: clock.now(), retryAt: null };
    return settleFailure(claimed, expired ? reason : null, error, true, () =>
      refuse({ code: 'reauthorization_required', connection_id: connection.id, reason }),
    );
  }

  async function failed(claimed: Claimed, fault: ProviderFault, story: Logger): Promise<Served | Refusal> {
    const { connection } = claimed;
    const now = clock.now();
    telemetry.refresh(connection.integration, fault.kind);
    const reason = terminalReason(fault, claimed);
    story.warn({ kind: fault.kind, code: fault.code, detail: fault.detail, reason }, 'refresh: failed');
    const wait = Math.max((fault.retryAfter ?? 0) * 1_000, urgentBackoff(connection.failures + 1));
    const error: RefreshError = {
      code: fault.kind === 'misconfigured' ? `misconfigured:${fault.code}` : fault.code,
      detail: fault.detail,
      at: now,
      retryAt: reason === null ? now + wait : null,
    };
    return settleFailure(claimed, reason, error, !fault.outcomeUnknown, () =>
      reason === null
        ? refusalFor(connection, error, fault.kind === 'misconfigured')
        : refuse({ code: 'reauthorization_required', connection_id: connection.id, reason }),
    );
  }

  async function settleFailure(
    claimed: Claimed,
    reason: ReauthReason | null,
    error: RefreshError,
    resolved: boolean,
    refusal: () => Refusal,
  ): Promise<Served | Refusal> {
    const { connection, fence } = claimed;
    const { id, integration, owner, generation } = connection;
    // A lost answer is asked for again soon, within the reuse window that many providers grant.
    const soonest = (error.retryAt ?? 0) - error.at;
    const wait = resolved ? Math.max(soonest, backoff(connection.failures + 1, random())) : soonest;
    const nextRefreshAt = reason !== null || error.retryAt === null ? null : error.at + wait;
    const action = reason === null ? 'connection.refresh_failed' : 'connection.needs_reauth';
    const by = access.recordOwn(
      action,
      { integration, owner, connectionId: id, detail: reason ?? error.code },
      'failed',
    );
    const written = await store.refreshFailed(
      id,
      { fence, generation },
      { reason, error, nextRefreshAt, resolved },
      by,
    );
    if (written === 'kept') {
      if (reason !== null) serving.drop(connection, generation + 1);
      return refusal();
    }
    // Somebody else won while we were refused: theirs is the truth.
    return (await winner(id, generation)) ?? gone(id);
  }

  async function keep(claimed: Claimed, answer: TokenAnswer, spent: string, story: Logger): Promise<Served | Refusal> {
    const { connection, fence } = claimed;
    const { id, generation, integration, owner } = connection;
    const now = clock.now();
    const expiresAt = answer.expiresIn === undefined ? null : now + answer.expiresIn * 1_000;
    const change: Rotation = {
      scopes: answer.scopes ?? connection.scopes,
      tokenType: answer.tokenType,
      issuedAt: now,
      expiresAt,
      nextRefreshAt: refreshDueAt(id, now, expiresAt),
      lastRefreshedAt: now,
      captured: { ...connection.captured, ...answer.captured },
      identity: answer.identity ?? connection.identity,
      updatedAt: now,
    };
    const grant = sealGrant(vault, id, {
      accessToken: answer.accessToken,
      refreshToken: answer.refreshToken ?? spent,
      idToken: answer.idToken ?? null,
    });
    const by = access.recordOwn('connection.refreshed', { integration, owner, connectionId: id });
    const written = await persistently(story, () => store.rotate(id, { fence, generation }, change, grant, by));
    telemetry.refresh(integration, written === 'kept' ? 'ok' : written);
    story.info({ outcome: written, generation: generation + 1, expires_at: expiresAt }, 'refresh: answered');
    if (written === 'kept') {
      const served = {
        connection: { ...connection, ...change, generation: generation + 1, failures: 0, lastRefreshError: null },
        accessToken: answer.accessToken,
      };
      serving.put(served);
      return served;
    }
    if (written === 'gone') {
      // Revoked while the provider answered: what just arrived must not live on there.
      await store.addPendingRevocation({
        id: newId('rev', now),
        connectionId: id,
        integration,
        params: connection.params,
        accessToken: grant.accessToken,
        refreshToken: grant.refreshToken,
        attempts: 0,
        nextAt: now,
        createdAt: now,
      });
      return gone(id);
    }
    return (await winner(id, generation)) ?? gone(id);
  }

  /** The refresh token is spent: its successor is only lost after the store has failed for a good while. */
  async function persistently<T>(story: Logger, write: () => Promise<T>): Promise<T> {
    for (const wait of KEEP_AGAIN_AFTER_MS) {
      try {
        return await write();
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        story.error({ err: error, again_in_ms: wait }, 'refresh: the answer could not be kept yet');
        await pause(wait);
      }
    }
    return write();
  }

  /** What somebody else's refresh or reconnect left: undefined while nothing newer is there. */
  async function winner(id: string, olderThan: number): Promise<Served | Refusal | undefined> {
    const row = await store.served(id);
    if (!row) return refuse({ code: 'not_found', what: 'connection', id });
    const refused = refusalOf(row.connection);
    if (refused) return refused;
    const accessToken = openAccessToken(vault, id, row.accessToken);
    if (row.connection.generation <= olderThan || accessToken === null) return undefined;
    const served = { connection: row.connection, accessToken };
    serving.put(served);
    return served;
  }

  async function awaitWinner(before: Connection): Promise<Served | Refusal> {
    const deadline = clock.monotonic() + LEASE_MS;
    while (clock.monotonic() < deadline) {
      await pause(LOOK_EVERY_MS);
      const seen = await winner(before.id, before.generation);
      if (seen) return seen;
      const now = await store.connection(before.id);
      const error = now?.lastRefreshError;
      if (now && error && now.failures > before.failures)
        return refusalFor(now, error, error.code.startsWith('misconfigured'));
    }
    return gone(before.id);
  }

  /** Not decided: a moment later it will be. */
  async function gone(id: string): Promise<Refusal> {
    const row = await store.connection(id);
    if (!row) return refuse({ code: 'not_found', what: 'connection', id });
    const detail = 'another refresh of this connection is under way';
    return (
      refusalOf(row) ?? refuse({ code: 'provider_unavailable', integration: row.integration, detail, retryAfter: 1 })
    );
  }

  return {
    /** One refresh at a time for each connection: whoever comes meanwhile gets the same answer. */
    refresh(id: string): Promise<Served | Refusal> {
      const running = inFlight.get(id);
      if (running) return running;
      const begun = attempt(id).finally(() => inFlight.delete(id));
      inFlight.set(id, begun);
      return begun;
    },
    /** Fulfilled when nothing is under way any more. */
    async drain(): Promise<void> {
      await Promise.allSettled([...inFlight.values()]);
    },
  };
}

/** Null: not surely terminal. */
function terminalReason(fault: ProviderFault, { unresolved }: Claimed): ReauthReason | null {
  if (fault.kind === 'identity_changed') return 'identity_changed';
  if (fault.kind !== 'grant_dead') return null;
  return unresolved ? 'refresh_outcome_unknown' : 'grant_revoked';
}
