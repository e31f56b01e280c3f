// Responses of token endpoints in which no token was found, in PostgreSQL.
import { and, desc, eq, getTableColumns, lt, notInArray, type SQL } from 'drizzle-orm';
import type { UnreadableResponseStore } from '../../ports/index.ts';
import { pageOf } from '../shared/pages.ts';
import { isOfSame } from '../shared/unreadable-responses.ts';
import { deleteSome } from './chosen-rows.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { connections, unreadableResponses } from './schema.ts';

export function createUnreadableResponseStore({ autocommit, transaction }: PostgresAccess): UnreadableResponseStore {
  const table = unreadableResponses;
  const { body: _, ...head } = getTableColumns(table);

  async function keepNewest(orm: Orm, which: SQL | undefined, count: number): Promise<void> {
    const newest = orm.select({ id: table.id }).from(table).where(which).orderBy(desc(table.id)).limit(count);
    await orm.delete(table).where(and(which, notInArray(table.id, newest)));
  }

  return {
    addUnreadableResponse: (response, { ofOne, ofIntegration }) =>
      transaction(async (orm) => {
        const { connectionId, integration } = response;
        if (connectionId !== null) {
          const { id, status } = connections;
          // A revocation waits for this one, or comes first.
          const [connection] = await orm.select({ status }).from(connections).where(eq(id, connectionId)).for('share');
          if (connection?.status === 'revoked') return;
        }
        await orm.insert(table).values(response);
        await keepNewest(orm, isOfSame(table, response), ofOne);
        await keepNewest(orm, eq(table.integration, integration), ofIntegration);
      }),
    unreadableResponses: (integration, { limit, after }) =>
      autocommit(async (orm) => {
        const rows = await orm
          .select(head)
          .from(table)
          .where(
            and(
              integration === undefined ? undefined : eq(table.integration, integration),
              after === undefined ? undefined : lt(table.id, after),
            ),
          )
          .orderBy(desc(table.id))
          .limit(limit + 1);
        return pageOf(rows, limit);
      }),
    unreadableResponse: (id) =>
      autocommit(async (orm) => {
        const [found] = await orm.select().from(table).where(eq(table.id, id));
        return found;
      }),
    deleteUnreadableResponses: (before, limit) =>
      autocommit((orm) => deleteSome(orm, table, table.id, lt(table.receivedAt, before), limit)),
  };
}
