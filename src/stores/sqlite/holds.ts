// Connections on hold in SQLite.
import { and, eq, type SQL, sql } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type { HoldStore } from '../../ports/index.ts';
import { heldOf, releasedOf, withoutAccessToken } from '../shared/holds.ts';
import type { SqliteAccess } from './client.ts';
import { connections, grants, isActive } from './schema.ts';

const isOnHold = sql`${connections.status} = 'on_hold'`;

export function createHoldStore({ orm, write, record }: SqliteAccess): HoldStore {
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
    hold: (id, reason, audit) => write(() => change(id, isActive, heldOf(reason, audit), audit)),
    release: (id, nextRefreshAt, audit) =>
      write(() => {
        const released = change(id, isOnHold, releasedOf(nextRefreshAt, audit), audit);
        if (released !== 'unchanged')
          orm
            .update(grants)
            .set({ accessToken: withoutAccessToken(grants) })
            .where(eq(grants.connectionId, id))
            .run();
        return released;
      }),
  };
}
