// Connections on hold in PostgreSQL.
import { and, eq, type SQL, sql } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type { HoldStore } from '../../ports/index.ts';
import { heldOf, releasedOf, withoutAccessToken } from '../shared/holds.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { connections, grants, isActive } from './schema.ts';

const isOnHold = sql`${connections.status} = 'on_hold'`;

export function createHoldStore({ transaction, record }: PostgresAccess): HoldStore {
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
    hold: (id, reason, audit) => transaction((orm) => change(orm, id, isActive, heldOf(reason, audit), audit)),
    release: (id, nextRefreshAt, audit) =>
      transaction(async (orm) => {
        const released = await change(orm, id, isOnHold, releasedOf(nextRefreshAt, audit), audit);
        if (released !== 'unchanged')
          await orm
            .update(grants)
            .set({ accessToken: withoutAccessToken(grants) })
            .where(eq(grants.connectionId, id));
        return released;
      }),
  };
}
