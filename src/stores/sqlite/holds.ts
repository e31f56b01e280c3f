// Connections on hold in SQLite.
import { and, eq, type SQL, sql } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type { HoldStore } from '../../ports/index.ts';
import { heldOf, releasedOf, withoutAccessToken } from '../shared/holds.ts';
import type { SqliteAccess } from './client.ts';
import { connections, grants, holdChanges, isActive, isUsable } from './schema.ts';

const isOnHold = sql`${connections.status} = 'on_hold'`;

export function createHoldStore({ orm, write, record }: SqliteAccess): HoldStore {
  /** False: a later change is known, or it is neither active nor on hold. */
  function isLatest(connectionId: string, at: number): boolean {
    const usable = orm
      .select({ id: connections.id })
      .from(connections)
      .where(and(eq(connections.id, connectionId), isUsable))
      .get();
    const known = orm.select().from(holdChanges).where(eq(holdChanges.connectionId, connectionId)).get();
    if (!usable || (known && known.at > at)) return false;
    const set = { at };
    orm
      .insert(holdChanges)
      .values({ connectionId, at })
      .onConflictDoUpdate({ target: holdChanges.connectionId, set })
      .run();
    return true;
  }

  function change(
    id: string,
    expected: SQL,
    to: ReturnType<typeof heldOf> | ReturnType<typeof releasedOf>,
    audit: AuditEntry,
  ) {
    const where = and(eq(connections.id, id), expected);
    const { generation } = connections;
    const [changed] = orm.update(connections).set(to).where(where).returning({ generation }).all();
    if (changed) record(audit, { kind: 'connection', id, ...changed });
    return changed ?? 'unchanged';
  }

  return {
    hold: (id, reason, at, audit) =>
      write(() => (isLatest(id, at) ? change(id, isActive, heldOf(reason, audit), audit) : 'unchanged')),
    release: (id, { at, nextRefreshAt, isMinted }, audit) =>
      write(() => {
        if (!isLatest(id, at)) return 'unchanged';
        const released = change(id, isOnHold, releasedOf(nextRefreshAt, audit), audit);
        if (released !== 'unchanged')
          orm
            .update(grants)
            .set({ accessToken: withoutAccessToken(grants, { isMinted }) })
            .where(eq(grants.connectionId, id))
            .run();
        return released;
      }),
  };
}
