// The outbox of revocations: delivers them to their providers, with retries. Each integration has lanes and a circuit breaker
// of its own, so that none waits behind another's outage or backlog.

import { isCode, protectedResourceOf } from '../../../domain/auth-modes.ts';
import { backoff } from '../../../domain/backoff.ts';
import type { Ciphertext, Connection, UpstreamRevocation } from '../../../domain/connection.ts';
import { Refusal } from '../../../domain/errors.ts';
import { fieldIssues } from '../../../domain/fields.ts';
import { parseStoredCredentials } from '../../../domain/imported-credentials.ts';
import { createPeriodicTask } from '../../../domain/periodic-task.ts';
import { connectionFields, integrationFields } from '../../../domain/provider.ts';
import { connectionParams, type Target, targetAt } from '../../../domain/target.ts';
import {
  OUTBOX_POLL_MS,
  RECONNECT_WAIT_MS,
  REVOCATION_CLAIM_MS,
  REVOCATION_GIVE_UP_MS,
} from '../../../domain/time-limits.ts';
import { withoutQuery } from '../../../domain/urls.ts';
import type {
  Clock,
  Logger,
  PendingRevocation,
  ProviderClient,
  Store,
  Telemetry,
  Vault,
} from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';
import type { ResolvedIntegration, Targets } from '../../integrations/index.ts';
import { decryptAccessToken, decryptKeyMaterial, decryptRefreshToken } from '../../secrets/index.ts';
import { createLanes, type Lane, type RevocationCircuits, revocationReport } from './lanes.ts';
import { createSharedGrants, type SharedGrantParts } from './shared-grant.ts';

export interface RevocationOutbox {
  /**
   * True only if it is certain that the provider takes no revocations. Of an integration that is broken it is not: it may be
   * fixed before delivery is given up.
   */
  isUnsupported(connection: About): Promise<boolean>;
  /** Whether where its grant comes from is stored with it: it is asked there. */
  hasSource(connection: About): Promise<boolean>;
  /**
   * A lane for a revocation that a caller waits for; undefined: the provider has enough under way, or its circuit is open, so
   * that the outbox delivers it when it can. It is to be given to `deliver`, or back with `release`.
   */
  lane(integration: string): Lane | undefined;
  /** One attempt, which ends the use of the lane. A final outcome is settled; `pending`: it will be tried again. */
  deliver(pending: PendingRevocation, lane: Lane): Promise<UpstreamRevocation>;
  /** Delivers what is due, now and every `everyMs`. */
  start(everyMs?: number): void;
  /** Claims no more; fulfilled when the claim under way has ended. */
  stop(): Promise<void>;
  /** Fulfilled when no delivery is in flight. */
  drain(): Promise<void>;
}

type About = Pick<Connection, 'id' | 'integration' | 'params' | 'captured'>;

export interface OutboxParts {
  store: Pick<Store, 'connection' | 'dueRevocations' | 'claimRevocations' | 'postponeRevocation' | 'settleRevocation'> &
    SharedGrantParts['store'];
  vault: Pick<Vault, 'decrypt'>;
  provider: Pick<ProviderClient, 'revoke'>;
  targets: Targets;
  revocationCircuits: RevocationCircuits;
  access: Pick<Access, 'recordSystem'>;
  telemetry: Pick<Telemetry, 'revocation'>;
  clock: Clock;
  log: Logger;
}

/** What one attempt came to; `retryAt`: ms since the epoch. */
type Attempt = Exclude<UpstreamRevocation, 'pending'> | { retryAt: number };

export function createRevocationOutbox(parts: OutboxParts): RevocationOutbox {
  const { store, vault, provider, targets, revocationCircuits: circuits, access, telemetry, clock, log } = parts;
  const lanes = createLanes(circuits);
  const sharedGrants = createSharedGrants({ store, targets, clock });
  const inFlight = new Set<Promise<unknown>>();
  const ticks = createPeriodicTask(tick, (error) =>
    log.error({ err: error }, 'revocation: looking for due revocations failed, will retry'),
  );

  async function deliver(pending: PendingRevocation): Promise<UpstreamRevocation> {
    const { id, connectionId, integration } = pending;
    const outcome = await attempt(pending);
    const isPending = typeof outcome === 'object';
    telemetry.revocation(integration, isPending ? 'pending' : outcome);
    if (isPending) {
      await store.postponeRevocation(id, outcome.retryAt);
      return 'pending';
    }
    const owner = pending.owner ?? (await store.connection(connectionId))?.owner ?? null;
    const subject = { integration, owner, connectionId, detail: outcome };
    const by = access.recordSystem('connection.revoked_upstream', subject, outcome === 'failed' ? 'failed' : 'ok');
    await store.settleRevocation(id, outcome, by);
    return outcome;
  }

  /** Whatever goes wrong is tried again until it is given up: what keeps a revocation from being delivered may be fixed. */
  async function attempt(pending: PendingRevocation): Promise<Attempt> {
    const { connectionId: connection, integration } = pending;
    const retry = (inMs = backoff(pending.attempts + 1, Math.random())): Attempt =>
      clock.now() - pending.createdAt > REVOCATION_GIVE_UP_MS ? 'failed' : { retryAt: clock.now() + inMs };
    try {
      const found = await targets.find(integration);
      const tokens = decrypted(pending);
      if (!tokens) return 'failed';
      if (found instanceof Refusal) return retry();
      const target = targetAt(targets.targetOf(found, pending), tokens.source);
      if (!hasEndpoint(target)) return isComplete(found, pending) ? 'unsupported' : retry();
      const use = await sharedGrants.use(pending, target);
      if (use === 'kept') return 'kept_for_other_connection';
      if (use === 'connecting') return retry(RECONNECT_WAIT_MS);
      const endpoint = withoutQuery(target.endpoints.revocation ?? '') ?? '';
      const permit = circuits.admit({ integration: found.integration, endpoint, connection });
      if ('retryIn' in permit) return retry(permit.retryIn);
      let isReported = false;
      try {
        const { source: _, ...spent } = tokens;
        const result = await provider.revoke(target, spent, pending.captured);
        circuits.report(permit, revocationReport(result.ok ? undefined : result.fault));
        isReported = true;
        if (result.ok) return result.value;
        const { kind, code, detail } = result.fault;
        log.warn({ connection, integration, kind, code, detail }, 'revocation: the provider returned an error');
        return kind === 'transient' || kind === 'misconfigured' ? retry() : 'failed';
      } finally {
        if (!isReported) circuits.release(permit);
      }
    } catch (error) {
      log.error({ err: error, connection, integration }, 'revocation: the provider cannot be asked, will retry');
      return retry();
    }
  }

  /** What can be decrypted of the tokens; undefined: nothing can, and retrying does not help. */
  function decrypted({ connectionId, integration, owner, label, ...encrypted }: PendingRevocation) {
    const { accessToken, refreshToken, credentials } = encrypted;
    const place = { id: connectionId, integration, owner, label };
    let failure: unknown;
    const open = (decrypt: typeof decryptAccessToken, secret: Ciphertext | null) => {
      try {
        return decrypt(vault, place, secret);
      } catch (error) {
        failure = error;
        return null;
      }
    };
    const tokens = {
      accessToken: open(decryptAccessToken, accessToken),
      refreshToken: open(decryptRefreshToken, refreshToken),
      source: parseStoredCredentials(open(decryptKeyMaterial, credentials)).source,
    };
    if (!failure) return tokens;
    const isLost = refreshToken !== null ? tokens.refreshToken === null : tokens.accessToken === null;
    const fields = { err: failure, connection: connectionId, integration };
    if (isLost) log.error(fields, 'revocation: the tokens cannot be decrypted, giving up');
    return isLost ? undefined : tokens;
  }

  function inLane(pending: PendingRevocation, lane: Lane): Promise<UpstreamRevocation> {
    const work = deliver(pending).finally(lane.release);
    inFlight.add(work);
    void work
      .catch((error: unknown) => {
        const { connectionId: connection, integration } = pending;
        log.error({ err: error, connection, integration }, 'revocation: delivery failed, will retry');
      })
      .finally(() => inFlight.delete(work));
    return work;
  }

  /** Claims as much for an integration as it has lanes for. When that ends, more is claimed before the next tick. */
  async function fill(integration: string): Promise<void> {
    const free = lanes.takeBackground(integration);
    if (free.length === 0) return;
    let claimed: PendingRevocation[] = [];
    try {
      const now = clock.now();
      claimed = await store.claimRevocations(integration, now, now + REVOCATION_CLAIM_MS, free.length);
    } finally {
      for (const lane of free.slice(claimed.length)) lane.release();
    }
    const mayHaveMore = claimed.length === free.length;
    for (const [i, pending] of claimed.entries())
      inLane(pending, free[i]!)
        .catch(() => undefined)
        .then(() => (mayHaveMore && !ticks.isStopped() ? fill(integration) : undefined))
        .catch((error: unknown) => log.error({ err: error }, 'revocation: claiming failed, will retry'));
  }

  async function tick(): Promise<void> {
    for (const integration of await store.dueRevocations(clock.now())) if (!ticks.isStopped()) await fill(integration);
  }

  return {
    async isUnsupported(connection) {
      try {
        const found = await targets.find(connection.integration);
        if (found instanceof Refusal) return false;
        const target = targets.targetOf(found, connection);
        // What was found at a resource is encrypted with the connection.
        return target.resource === null && !hasEndpoint(target) && isComplete(found, connection);
      } catch (error) {
        const { id, integration } = connection;
        const fields = { err: error, connection: id, integration };
        log.error(fields, 'revocation: the integration cannot be read, its provider is asked later');
        return false;
      }
    },
    async hasSource({ integration }) {
      try {
        const found = await targets.find(integration);
        return !(found instanceof Refusal) && protectedResourceOf(found.auth) !== undefined;
      } catch {
        return false;
      }
    },
    lane: lanes.take,
    deliver: inLane,
    start: (everyMs = OUTBOX_POLL_MS) => ticks.start(everyMs),
    stop: ticks.stop,
    async drain() {
      await Promise.allSettled([...inFlight]);
    },
  };
}

/** The metadata of an issuer may name the endpoint. */
const hasEndpoint = ({ auth, endpoints, issuer }: Target): boolean =>
  (isCode(auth) && issuer !== null) || endpoints.revocation !== undefined;

/** Whether the endpoint is not missing only because a parameter is, or is none that the catalogue accepts any more. */
const isComplete = (
  { integration, provider, auth }: ResolvedIntegration,
  about: Pick<Connection, 'params' | 'captured'>,
): boolean =>
  fieldIssues('params', integrationFields(provider, auth), integration.params).length === 0 &&
  fieldIssues('params', connectionFields(provider, auth), connectionParams(provider, auth, about)).length === 0;
