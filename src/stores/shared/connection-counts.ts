// The counters of connections, for tables of any dialect: the states that are counted, and what they come to.
import { and, type Column, eq, ne, type SQL } from 'drizzle-orm';
import type { ConnectionStatus } from '../../domain/connection.ts';
import type { ConnectionCount } from '../../ports/index.ts';

/** `failing`: active, and its last refresh failed; `active`: the others. */
export type CountedState = ConnectionStatus | 'failing';

/** `rows` has at most one row for an integration and a state. */
export function countsByStatus(
  rows: readonly { integration: string; state: CountedState; count: number }[],
): ConnectionCount[] {
  const counts = new Map<string, ConnectionCount>();
  for (const { integration, state, count } of rows) {
    if (count === 0) continue;
    const status = state === 'failing' ? 'active' : state;
    const key = `${status} ${integration}`;
    const known = counts.get(key) ?? { integration, status, count: 0, failing: 0 };
    counts.set(key, known);
    known.count += count;
    if (state === 'failing') known.failing += count;
  }
  return [...counts.values()];
}

/** Rows of the counters of an integration's live connections. */
export const isCountedLive = (counts: Record<'integration' | 'state', Column>, integration: string): SQL | undefined =>
  and(eq(counts.integration, integration), ne(counts.state, 'revoked' satisfies CountedState));
