// Which key encrypts how much, in SQLite: along the primary keys, in steps between which the event loop gets on.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { and, asc, gt, lte, type SQL, sql } from 'drizzle-orm';
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core';
import type { KeyUse } from '../../ports/index.ts';
import { keysInUse, type SecretTable } from '../shared/secret-columns.ts';
import type { SqliteAccess } from './client.ts';

type Secrets = SecretTable<SQLiteTable, SQLiteColumn>;

/** Rows of one step: a millisecond or two. */
const ROWS_PER_STEP = 500;

/**
 * Where a secret moves to another table, in this order: read first where it comes from, it may be counted twice while it moves, and
 * is never missed. Other tables in any order before them.
 */
const MOVES_ALONG: readonly Secrets['name'][] = ['unreadable_responses', 'candidates', 'grants', 'outbox_revocations'];

export async function countKeyUse(
  { orm, read }: Pick<SqliteAccess, 'orm' | 'read'>,
  tables: Secrets[],
): Promise<KeyUse[]> {
  const ordered = tables.toSorted((a, b) => MOVES_ALONG.indexOf(a.name) - MOVES_ALONG.indexOf(b.name));
  const total = new Map<string | null, KeyUse>();
  for (const secrets of ordered) {
    for (let after: string | undefined; ; ) {
      const { uses, until } = await read(() => {
        const step = nextStep(orm, secrets, after);
        return { ...step, uses: orm.all<KeyUse>(keysInUse([secrets], 'instr', () => step.range)) };
      });
      for (const use of uses) add(total, use);
      await nextTurn();
      if (until === undefined) break;
      after = until;
    }
  }
  return [...total.values()].sort((a, b) => (a.kid ?? '').localeCompare(b.kid ?? ''));
}

/** The rows of a table after an id, as many as are read at once; `until` undefined: they are the last ones. */
export function nextStep(
  orm: SqliteAccess['orm'],
  { table, id }: Secrets,
  after: string | undefined,
): { range: SQL | undefined; until: string | undefined } {
  const further = after === undefined ? undefined : gt(id, after);
  const last = orm
    .select({ id: sql<string>`${id}` })
    .from(table)
    .where(further)
    .orderBy(asc(id))
    .limit(1)
    .offset(ROWS_PER_STEP - 1)
    .get();
  return { range: and(further, last && lte(id, last.id)), until: last?.id };
}

function add(total: Map<string | null, KeyUse>, { kid, secrets, outdated }: KeyUse): void {
  const before = total.get(kid);
  total.set(kid, {
    kid,
    secrets: (before?.secrets ?? 0) + secrets,
    outdated: (before?.outdated ?? 0) + outdated,
  });
}
