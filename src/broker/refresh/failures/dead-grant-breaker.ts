// The dead-grant breaker: unlikely many dead grants at once are rather the provider's or the client's fault. They are doubted,
// those that were believed shortly before are made active again, and the circuit probes one at a time.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../domain/cache-bounds.ts';
import type { Connection } from '../../../domain/connection.ts';
import { type ReauthReason, Refusal } from '../../../domain/errors.ts';
import {
  DEAD_GRANTS_DOUBT_MS,
  DEAD_GRANTS_RECORDED_MS,
  DEAD_GRANTS_RETRY_MS,
  DEAD_GRANTS_WINDOW_MS,
  MIN_RETRY_AFTER_MS,
} from '../../../domain/time-limits.ts';
import type { Clock, Logger, Store } from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';
import type { ResolvedIntegration, Targets } from '../../integrations/index.ts';
import type { CircuitBreakers, CircuitKey } from './circuits/circuit-breaker.ts';
import { type EvidenceScope, type FailureEvidence, REFUSALS } from './failure-evidence.ts';
import { tokenEndpoint } from './token-endpoint.ts';

export interface DeadGrantBreaker {
  /**
   * Notes that the provider refused the grant. True: do not believe it yet. `isExpected`: it was dead before, or its refresh
   * token may have been spent, which counts only while others are doubted. Never rejects.
   */
  doubts(key: CircuitKey, resolved: ResolvedIntegration, isExpected: boolean): Promise<boolean>;
  /** A dead grant was believed and recorded; the breaker may have opened meanwhile, or others were recorded. Never rejects. */
  recorded(key: CircuitKey, connection: Pick<Connection, 'id' | 'generation'>, reason: ReauthReason): Promise<void>;
  /** After the circuit was told. Those that were believed while the breaker was open are tried again. */
  succeeded(key: CircuitKey, resolved: ResolvedIntegration): void;
  /** Dead grants that no success has followed are tried again: the change may have fixed their cause. Never rejects. */
  integrationChanged(id: string): Promise<void>;
}

/** This many different connections: fewer are believed. */
const MANY = 5;
const PAGE = 200;
const MAX_EPISODES = 10_000;
/** What a provider's refusal alone has caused. That of a token which may have been spent is explained by that. */
const OF_REFUSAL: ReadonlySet<Connection['reason']> = new Set<Connection['reason']>([
  'grant_revoked',
  'credentials_rejected',
]);

/** From the first doubt until a success, and a little longer. */
interface Episode {
  /** Those that were found dead after this are tried again after it (ms since the epoch). */
  since: number;
  /** Where: at other endpoints of the integration too, if there are many in it as a whole. */
  scope: EvidenceScope;
  /** It has lasted too long: what is found dead now is believed. */
  isOver: boolean;
  /** The first success (ms since the epoch). */
  succeededAt: number | undefined;
}

interface Parts {
  store: Pick<Store, 'recentlyDead' | 'reactivate' | 'lastRefreshAt'>;
  targets: Pick<Targets, 'find' | 'targetOf'>;
  circuitBreakers: Pick<CircuitBreakers, 'openFor' | 'close'>;
  evidence: FailureEvidence;
  access: Pick<Access, 'recordSystem'>;
  clock: Pick<Clock, 'now'>;
  log: Logger;
}

export function createDeadGrantBreaker(parts: Parts): DeadGrantBreaker {
  const { store, targets, circuitBreakers, evidence, access, clock, log } = parts;
  const episodes = new LRUCache<string, Episode>(upTo(MAX_EPISODES));
  /** The version of each integration after whose change the dead grants were tried again. */
  const retriedAfter = new LRUCache<string, string>(upTo(MAX_EPISODES));
  const nameOf = ({ integration, endpoint }: CircuitKey) => `${integration.id}\n${endpoint}`;
  const isOpen = (key: CircuitKey) => circuitBreakers.openFor(key, 'dead_grants') !== undefined;

  const isRetryable = (
    { integration }: Pick<CircuitKey, 'integration'>,
    { id, reason }: Pick<Connection, 'id' | 'reason'>,
  ) => OF_REFUSAL.has(reason) && evidence.deadCount({ integration, connection: id }) < REFUSALS;

  /** Those of this endpoint, or of the integration, that were found dead since then, by any process. */
  async function deadSince(
    key: CircuitKey,
    resolved: ResolvedIntegration,
    since: number,
    scope: EvidenceScope,
  ): Promise<Connection[]> {
    const rows = await store.recentlyDead(key.integration.id, since, PAGE);
    const isInScope = (row: Connection) =>
      scope === 'integration' || tokenEndpoint(targets.targetOf(resolved, row)) === key.endpoint;
    return rows.filter((row) => isRetryable(key, row) && isInScope(row));
  }

  async function reactivate(connections: Pick<Connection, 'id' | 'generation' | 'reason'>[], integration: string) {
    let count = 0;
    for (const { id, generation, reason } of connections) {
      const by = access.recordSystem('connection.reactivated', { integration, connectionId: id, detail: reason });
      if ((await store.reactivate(id, { generation, reason }, clock.now(), by)) === 'reactivated') count++;
    }
    if (count > 0)
      log.warn({ integration, connections: count }, 'dead grants: active again, their refreshes are retried');
    return count;
  }

  async function believed<T>(integration: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      log.error({ err: error, integration }, 'dead grants: the store failed, they are not tried again now');
      return undefined;
    }
  }

  /**
   * The time since which the dead grants of the endpoint, or of all endpoints of the integration, are unlikely many; undefined:
   * they are not.
   */
  async function unlikelySince(
    key: CircuitKey,
    resolved: ResolvedIntegration,
    scope: EvidenceScope,
  ): Promise<number | undefined> {
    const { integration } = resolved;
    const now = clock.now();
    const own = evidence
      .recentDead(key, scope)
      .filter(({ connection }) => evidence.deadCount({ ...key, connection }) < REFUSALS)
      .slice(-MANY);
    const together = (rows: Connection[]) =>
      new Set([...own.map(({ connection }) => connection), ...rows.map((r) => r.id)]);
    const recently = now - DEAD_GRANTS_WINDOW_MS;
    // Of those that this process has refreshed meanwhile, at least half.
    const isLargeShare = (own[0]?.successesSince ?? 0) <= own.length;
    if (isLargeShare && together(await deadSince(key, resolved, recently, scope)).size >= MANY) return recently;
    // Since the integration was changed, nothing has succeeded.
    if (integration.version === 1 || evidence.hasSucceeded(key)) return undefined;
    const sinceChange = Math.max(integration.updatedAt, now - DEAD_GRANTS_RETRY_MS);
    if (together(await deadSince(key, resolved, sinceChange, scope)).size < MANY) return undefined;
    const last = await store.lastRefreshAt(integration.id);
    return last !== null && last >= integration.updatedAt ? undefined : sinceChange;
  }

  async function doubts(key: CircuitKey, resolved: ResolvedIntegration): Promise<boolean> {
    const { id } = key.integration;
    const episode = episodes.get(nameOf(key));
    const openMs = circuitBreakers.openFor(key, 'dead_grants');
    if (evidence.noteDead(key) >= REFUSALS || episode?.isOver) return false;
    if (openMs !== undefined && openMs >= DEAD_GRANTS_DOUBT_MS) {
      log.error(
        { integration: id, endpoint: key.endpoint },
        'dead grants: refused for too long, they are believed now',
      );
      if (episode) episode.isOver = true;
      circuitBreakers.close(key);
      return false;
    }
    if (openMs !== undefined) {
      if (episode) await reactivate(await deadSince(key, resolved, episode.since, episode.scope), id);
      return true;
    }
    return areUnlikely(key, resolved);
  }

  /** Whether they are unlikely many: then those that were believed are active again. */
  async function areUnlikely(key: CircuitKey, resolved: ResolvedIntegration): Promise<boolean> {
    let found: Pick<Episode, 'since' | 'scope'> | undefined;
    for (const scope of ['endpoint', 'integration'] as const) {
      const since = await unlikelySince(key, resolved, scope);
      if (since !== undefined) found = { since: Math.min(since, found?.since ?? since), scope };
    }
    if (!found) return false;
    const episode = episodes.get(nameOf(key));
    if (!episode || episode.succeededAt !== undefined)
      episodes.set(nameOf(key), { ...found, isOver: false, succeededAt: undefined });
    await reactivate(await deadSince(key, resolved, found.since, found.scope), key.integration.id);
    return true;
  }

  return {
    async doubts(key, resolved, isExpected) {
      if (isExpected && !isOpen(key)) return false;
      // A store that cannot be asked cannot record a dead grant either.
      return (await believed(key.integration.id, () => doubts(key, resolved))) ?? true;
    },

    async recorded(key, { id, generation }, reason) {
      const isFinal = evidence.deadCount(key) >= REFUSALS || !OF_REFUSAL.has(reason);
      if (isFinal) return;
      const { integration } = key;
      await believed(integration.id, async () => {
        if (isOpen(key)) return void (await reactivate([{ id, generation, reason }], integration.id));
        if (episodes.get(nameOf(key))?.isOver) return;
        // Other processes may have recorded some at the same moment: the last one finds all of them.
        const resolved = await targets.find(integration.id);
        if (!(resolved instanceof Refusal)) await areUnlikely(key, resolved);
      });
    },

    succeeded(key, resolved) {
      const name = nameOf(key);
      const episode = episodes.get(name);
      if (!episode || isOpen(key)) return;
      const now = clock.now();
      // At the first success, and once more: another process may only then record one that it has believed before.
      const until = (episode.succeededAt ?? now) + DEAD_GRANTS_RECORDED_MS;
      if (episode.succeededAt === undefined) Object.assign(episode, { isOver: false, succeededAt: now });
      else if (now < until) return;
      else episodes.delete(name);
      const { since, scope } = episode;
      const work = believed(key.integration.id, async () => {
        for (;;) {
          const rows = await deadSince(key, resolved, since, scope);
          const recorded = rows.filter(({ updatedAt }) => updatedAt <= until);
          if ((await reactivate(recorded, key.integration.id)) < PAGE) return true;
        }
      });
      // Where the store has failed, the next success does it.
      void work.then((isDone) => {
        if (!isDone && (episodes.get(name) ?? episode) === episode)
          episodes.set(name, { ...episode, succeededAt: undefined });
      });
    },

    async integrationChanged(id) {
      await believed(id, async () => {
        const resolved = await targets.find(id);
        if (resolved instanceof Refusal || resolved.integration.version === 1) return;
        const { version, createdAt } = resolved.integration;
        const changed = `${createdAt}.${version}`;
        if (retriedAfter.get(id) === changed) return;
        retriedAfter.set(id, changed);
        const last = await store.lastRefreshAt(id);
        const since = Math.max(clock.now() - DEAD_GRANTS_RETRY_MS, (last ?? 0) - MIN_RETRY_AFTER_MS);
        for (;;) {
          const rows = await store.recentlyDead(id, since, PAGE);
          const count = await reactivate(
            rows.filter((row) => OF_REFUSAL.has(row.reason)),
            id,
          );
          if (count < PAGE) return;
        }
      });
    },
  };
}
