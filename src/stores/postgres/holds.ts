// Connections on hold in PostgreSQL.
import { and, eq, type SQL, sql } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type { HoldStore } from '../../ports/index.ts';
import { heldOf, releasedOf, withoutAccessToken } from '../shared/holds.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { connections, grants, holdChanges, isActive, isUsable } from './schema.ts';

const isOnHold = sql`${connections.status} = 'on_hold'`;

export function createHoldStore({ transaction, record }: PostgresAccess): HoldStore {
  /** Locks the connection. False: a later change is known, or it is neither active nor on hold. */
  async function isLatest(orm: Orm, connectionId: string, at: number): Promise<boolean> {
    const usable = orm
      .select({ id: connections.id })
      .from(connections)
      .where(and(eq(connections.id, connectionId), isUsable))
      .for('no key update');
    if ((await usable).length === 0) return false;
    const [known] = await orm.select().from(holdChanges).where(eq(holdChanges.connectionId, connectionId));
    if (known && known.at > at) return false;
    const set = { at };
    await orm
      .insert(holdChanges)
      .values({ connectionId, at })
      .onConflictDoUpdate({ target: holdChanges.connectionId, set });
    return true;
  }

  async function change(
    orm: Orm,
    id: string,
    expected: SQL,
    to: ReturnType<typeof heldOf> | ReturnType<typeof releasedOf>,
    audit: AuditEntry,
  ) {
    const where = and(eq(connections.id, id), expected);
    const { generation } = connections;
    const [changed] = await orm.update(connections).set(to).where(where).returning({ generation });
    if (changed) await record(orm, audit, { kind: 'connection', id, ...changed });
    return changed ?? 'unchanged';
  }

  return {
    hold: (id, reason, at, audit) =>
      transaction(async (orm) =>
        (await isLatest(orm, id, at)) ? change(orm, id, isActive, heldOf(reason, audit), audit) : 'unchanged',
      ),
    release: (id, { at, nextRefreshAt, isMinted }, audit) =>
      transaction(async (orm) => {
        if (!(await isLatest(orm, id, at))) return 'unchanged';
        const released = await change(orm, id, isOnHold, releasedOf(nextRefreshAt, audit), audit);
        if (released !== 'unchanged')
          await orm
            .update(grants)
            .set({ accessToken: withoutAccessToken(grants, { isMinted }) })
            .where(eq(grants.connectionId, id));
        return released;
      }),
  };
}
