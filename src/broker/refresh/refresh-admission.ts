// Admission: whether a connection may be refreshed now. Not if it already was, if its last failure is too recent, if the
// circuit of its integration is open, or if its token is too young.
import { isInDoubt } from '../../domain/backoff.ts';
import { type Connection, hasExpired } from '../../domain/connection.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import { isTooYoung } from '../../domain/refresh-schedule.ts';
import type { Clock, Store } from '../../ports/index.ts';
import type { ResolvedIntegration, Targets } from '../integrations/index.ts';
import type { ConcurrentRefreshes, RefreshResult } from './concurrent-refresh.ts';
import type { CircuitBreakers, CircuitKey } from './failures/circuits/circuit-breaker.ts';
import type { RetriedGrant } from './failures/failure-verdict.ts';
import { tokenEndpoint } from './failures/token-endpoint.ts';
import { circuitOpen, reauthorizationRequired, refusalOf, unavailable } from './refusals.ts';

/** Why a refresh was asked for. */
export interface RefreshConditions {
  /** Only if no newer generation than this is stored. */
  seenGeneration?: number;
  /** The connection, as it was read a moment ago. */
  due?: Connection;
  /** The refresh token may have been spent at this time (ms, the first doubt), and the response was lost. */
  lostAt?: number | undefined;
  /** Whatever the provider asked to wait for, and past an open circuit: an admin demands it. */
  isForced?: boolean;
  /** A dead grant is tried once more. */
  retried?: RetriedGrant | undefined;
}

export interface Admitted {
  connection: Connection;
  resolved: ResolvedIntegration;
  key: CircuitKey;
}

export interface RefreshAdmission {
  /** The connection to be refreshed, or what its readers get instead. Rejects with `StoreError` or `VaultError`. */
  admit(id: string, conditions: RefreshConditions): Promise<Admitted | RefreshResult>;
  /** The refusal while the last failure is too recent or the circuit is open; undefined: it may be tried now. */
  tooEarly(
    connection: Connection,
    resolved: ResolvedIntegration,
    conditions?: Pick<RefreshConditions, 'lostAt' | 'isForced'>,
  ): Refusal | undefined;
}

interface Parts {
  store: Pick<Store, 'connection'>;
  targets: Pick<Targets, 'known' | 'targetOf'>;
  circuitBreakers: Pick<CircuitBreakers, 'blocked'>;
  concurrentRefreshes: ConcurrentRefreshes;
  clock: Pick<Clock, 'now'>;
}

export function createRefreshAdmission(parts: Parts): RefreshAdmission {
  const { store, targets, circuitBreakers, concurrentRefreshes, clock } = parts;

  const keyOf = (c: Connection, resolved: ResolvedIntegration): CircuitKey => ({
    integration: resolved.integration,
    endpoint: tokenEndpoint(targets.targetOf(resolved, c)),
    connection: c.id,
  });

  const tooEarly: RefreshAdmission['tooEarly'] = (c, resolved, { lostAt, isForced } = {}) => {
    const { integration } = resolved;
    const last = c.lastRefreshError;
    if (last?.code === 'not_refreshable' && !hasExpired(c, clock.now()))
      return reauthorizationRequired(c.id, last.code);
    if (isForced) return undefined;
    // A failure from before the last change of the integration does not count.
    const wait = last?.retryAt && integration.updatedAt <= last.at ? last.retryAt - clock.now() : 0;
    // A clock that was set back does not lengthen the wait.
    if (last && wait > 0 && clock.now() >= last.at) return unavailable(c, last.code, last.detail, wait);
    // An open circuit would outlast the few seconds in which a lost response can be requested again.
    if (isInDoubt(lostAt, clock.now())) return undefined;
    const open = circuitBreakers.blocked(keyOf(c, resolved));
    return open && circuitOpen(c, open);
  };

  return {
    tooEarly,

    async admit(id, conditions) {
      const { seenGeneration, due } = conditions;
      const connection = due ?? (await store.connection(id));
      if (!connection) return refuse({ code: 'not_found', what: 'connection', id });
      const newer =
        seenGeneration !== undefined && connection.generation > seenGeneration
          ? await concurrentRefreshes.readNewer(id, seenGeneration)
          : undefined;
      if (newer instanceof Refusal || newer?.ofUnknownAge === false) return newer;
      const known = targets.known(connection.integration);
      const resolved = known instanceof Promise ? await known : known;
      if (resolved instanceof Refusal) return refusalOf(connection) ?? resolved;
      const refused = refusalOf(connection) ?? tooEarly(connection, resolved, conditions);
      if (refused) return refused;
      // The provider would refuse, and the stored token was issued a moment ago.
      if (isTooYoung(resolved.auth, clock.now() - connection.issuedAt)) return concurrentRefreshes.current(connection);
      return { connection, resolved, key: keyOf(connection, resolved) };
    },
  };
}
