// Responses of token endpoints in which no token was found, in SQLite.
import { and, desc, eq, getTableColumns, lt, notInArray, type SQL } from 'drizzle-orm';
import type { UnreadableResponseStore } from '../../ports/index.ts';
import { isTombstone } from '../shared/connections.ts';
import { pageOf } from '../shared/pages.ts';
import { isOfSame } from '../shared/unreadable-responses.ts';
import { deleteSome } from './chosen-rows.ts';
import type { SqliteAccess } from './client.ts';
import { connections, unreadableResponses } from './schema.ts';

export function createUnreadableResponseStore({ orm, read, write }: SqliteAccess): UnreadableResponseStore {
  const table = unreadableResponses;
  const { body: _, ...head } = getTableColumns(table);

  function keepNewest(which: SQL | undefined, count: number): void {
    const newest = orm.select({ id: table.id }).from(table).where(which).orderBy(desc(table.id)).limit(count);
    orm
      .delete(table)
      .where(and(which, notInArray(table.id, newest)))
      .run();
  }

  return {
    addUnreadableResponse: (response, { ofOne, ofIntegration }) =>
      write(() => {
        const { connectionId, integration } = response;
        const isRevoked =
          connectionId !== null &&
          orm.select({ id: connections.id }).from(connections).where(isTombstone(connections, connectionId)).get();
        if (isRevoked) return;
        orm.insert(table).values(response).run();
        keepNewest(isOfSame(table, response), ofOne);
        keepNewest(eq(table.integration, integration), ofIntegration);
      }),
    unreadableResponses: (integration, { limit, after }) =>
      read(() => {
        const rows = orm
          .select(head)
          .from(table)
          .where(
            and(
              integration === undefined ? undefined : eq(table.integration, integration),
              after === undefined ? undefined : lt(table.id, after),
            ),
          )
          .orderBy(desc(table.id))
          .limit(limit + 1)
          .all();
        return pageOf(rows, limit);
      }),
    unreadableResponse: (id) => read(() => orm.select().from(table).where(eq(table.id, id)).get()),
    deleteUnreadableResponses: (before, limit) =>
      write(() => deleteSome(orm, table, table.id, lt(table.receivedAt, before), limit)),
  };
}
