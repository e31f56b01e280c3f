// What this process has seen of refreshes recently: who succeeded and who was refused, by endpoint and integration. It tells a
// fault of one connection from a fault of all. In memory: after a restart nothing is known, and judgement takes longer.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../domain/cache-bounds.ts';
import {
  DEAD_GRANTS_WINDOW_MS,
  OWN_FAULT_AFTER_MS,
  OWN_FAULT_OF_ENDPOINT_AFTER_MS,
} from '../../../domain/time-limits.ts';
import type { Clock, ProviderFault } from '../../../ports/index.ts';
import type { CircuitKey } from './circuits/circuit-breaker.ts';

export interface FailureEvidence {
  succeeded(key: CircuitKey): void;
  /** Whether any connection of this version of the integration has succeeded. */
  hasSucceeded(key: CircuitKey): boolean;
  /**
   * Notes that this connection was refused. True: it was refused `REFUSALS` times, others have succeeded between each two of
   * them, and that for long enough, so that it has a fault of its own.
   */
  isOwnFault(key: CircuitKey, fault: ProviderFault): boolean;
  /** Notes a dead grant. How often this connection was refused so, with successes of others between each two. */
  noteDead(key: CircuitKey): number;
  /** How often `noteDead` has counted this connection. */
  deadCount(key: Omit<CircuitKey, 'endpoint'>): number;
  /** Connections of the endpoint, or the integration, whose grant was found dead recently, in this process, the oldest first. */
  recentDead(key: CircuitKey, scope: EvidenceScope): RecentDead[];
}

/** Tenants may have endpoints of their own, with few connections each. */
export type EvidenceScope = 'endpoint' | 'integration';

export interface RecentDead {
  connection: string;
  /** How many refreshes of the endpoint, or the integration, have succeeded since. */
  successesSince: number;
}

export const REFUSALS = 3;
/** Faults of our own settings, which no connection can have caused. */
const LOCAL_CODES = new Set(['outbound_blocked', 'redirect', 'missing_endpoint', 'invalid_endpoint']);
const MAX_ENDPOINTS = 10_000;
const MAX_CONNECTIONS = 50_000;
const MAX_RECENT = 100;

/** What was seen of an endpoint, or of an integration. */
interface Seen {
  successes: number;
  dead: { connection: string; at: number; successes: number }[];
}

/** The refusals of one connection in a row. `successes`: of others, at the last one that counted. */
interface Refusals {
  count: number;
  firstAt: number;
  ofEndpoint: number;
  ofIntegration: number;
  /** Whether each two were separated by a success at the same endpoint. */
  atEndpoint: boolean;
}

export function createFailureEvidence({ clock }: { clock: Pick<Clock, 'monotonic'> }): FailureEvidence {
  const endpoints = new LRUCache<string, Seen>(upTo(MAX_ENDPOINTS));
  const integrations = new LRUCache<string, Seen>(upTo(MAX_ENDPOINTS));
  const refused = new LRUCache<string, Refusals>(upTo(MAX_CONNECTIONS));
  const dead = new LRUCache<string, { count: number; successes: number }>(upTo(MAX_CONNECTIONS));

  const versionOf = ({ integration: { id, version, createdAt } }: Pick<CircuitKey, 'integration'>) =>
    `${id}\n${createdAt}\n${version}`;
  const connectionOf = (key: Omit<CircuitKey, 'endpoint'>) => `${versionOf(key)}\n${key.connection}`;
  function entry(map: LRUCache<string, Seen>, name: string): Seen {
    const known = map.get(name);
    if (known) return known;
    const created: Seen = { successes: 0, dead: [] };
    map.set(name, created);
    return created;
  }
  const endpointOf = (key: CircuitKey): Seen => entry(endpoints, `${versionOf(key)}\n${key.endpoint}`);
  const integrationOf = (key: CircuitKey): Seen => entry(integrations, versionOf(key));

  function addDead(seen: Seen, connection: string): void {
    const now = clock.monotonic();
    const others = seen.dead.filter((one) => one.connection !== connection && now - one.at < DEAD_GRANTS_WINDOW_MS);
    seen.dead = [...others, { connection, at: now, successes: seen.successes }].slice(-MAX_RECENT);
  }

  return {
    succeeded(key) {
      endpointOf(key).successes++;
      integrationOf(key).successes++;
      if (refused.size + dead.size === 0) return;
      refused.delete(connectionOf(key));
      dead.delete(connectionOf(key));
    },

    hasSucceeded: (key) => integrationOf(key).successes > 0,

    isOwnFault(key, { code }) {
      if (LOCAL_CODES.has(code)) return false;
      const now = clock.monotonic();
      const ofEndpoint = endpointOf(key).successes;
      const ofIntegration = integrationOf(key).successes;
      const name = connectionOf(key);
      const before = refused.get(name);
      if (!before) {
        refused.set(name, { count: 1, firstAt: now, ofEndpoint, ofIntegration, atEndpoint: true });
        return false;
      }
      if (ofIntegration === before.ofIntegration) return false;
      before.count++;
      before.atEndpoint &&= ofEndpoint > before.ofEndpoint;
      Object.assign(before, { ofEndpoint, ofIntegration });
      const longEnough = before.atEndpoint ? OWN_FAULT_AFTER_MS : OWN_FAULT_OF_ENDPOINT_AFTER_MS;
      return before.count >= REFUSALS && now - before.firstAt >= longEnough;
    },

    noteDead(key) {
      for (const seen of [endpointOf(key), integrationOf(key)]) addDead(seen, key.connection);
      const { successes } = endpointOf(key);
      const before = dead.get(connectionOf(key));
      const isSeparate = before === undefined || successes > before.successes;
      const count = (before?.count ?? 0) + (isSeparate ? 1 : 0);
      dead.set(connectionOf(key), { count, successes });
      return count;
    },

    deadCount: (key) => dead.get(connectionOf(key))?.count ?? 0,

    recentDead(key, scope) {
      const seen = scope === 'endpoint' ? endpointOf(key) : integrationOf(key);
      const since = clock.monotonic() - DEAD_GRANTS_WINDOW_MS;
      return seen.dead
        .filter(({ at }) => at >= since)
        .map(({ connection, successes }) => ({ connection, successesSince: seen.successes - successes }));
    },
  };
}
