// Webhook endpoints in PostgreSQL.
import { and, desc, eq, inArray, isNotNull, lt, type SQL } from 'drizzle-orm';
import { HELD } from '../../domain/webhook-endpoint.ts';
import type { WebhookEndpointStore } from '../../ports/index.ts';
import { DELETED_AT_ONCE, type EndpointStore, isAsRead } from '../shared/events.ts';
import { pageOf } from '../shared/pages.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { deliveries, webhookEndpoints } from './schema.ts';

/** Inside a transaction; `deleteDeliveriesOf` follows it. Returns which were deleted. */
export async function deleteEndpoints(
  { audienceChanged }: Pick<PostgresAccess, 'audienceChanged'>,
  orm: Orm,
  which: SQL,
): Promise<string[]> {
  const deleted = await orm.delete(webhookEndpoints).where(which).returning({ id: webhookEndpoints.id });
  if (deleted.length > 0) await audienceChanged(orm);
  return deleted.map(({ id }) => id);
}

/** After the commit that deleted the endpoints. */
export async function deleteDeliveriesOf(
  { autocommit }: Pick<PostgresAccess, 'autocommit'>,
  endpoints: string[],
): Promise<void> {
  if (endpoints.length === 0) return;
  const { id, endpointId } = deliveries;
  const deleteSome = async (orm: Orm) => {
    const some = orm.select({ id }).from(deliveries).where(inArray(endpointId, endpoints)).limit(DELETED_AT_ONCE);
    return (await orm.delete(deliveries).where(inArray(id, some))).rowCount ?? 0;
  };
  while ((await autocommit(deleteSome)) === DELETED_AT_ONCE);
}

export function createWebhookEndpointStore(access: PostgresAccess): Pick<WebhookEndpointStore, EndpointStore> {
  const { autocommit, transaction, record, audienceChanged, writeEvents } = access;
  const byId = (id: string) => eq(webhookEndpoints.id, id);

  return {
    addWebhookEndpoint: (endpoint, audit) =>
      transaction(async (orm) => {
        await orm.insert(webhookEndpoints).values(endpoint);
        await audienceChanged(orm);
        await record(orm, audit);
      }),
    webhookEndpoint: (id) => autocommit(async (orm) => (await orm.select().from(webhookEndpoints).where(byId(id)))[0]),
    webhookEndpoints: (caller, { limit, after }) =>
      autocommit(async (orm) => {
        const { id, callerId } = webhookEndpoints;
        const rows = await orm
          .select()
          .from(webhookEndpoints)
          .where(
            and(
              caller === undefined ? undefined : eq(callerId, caller),
              after === undefined ? undefined : lt(id, after),
            ),
          )
          .orderBy(desc(id))
          .limit(limit + 1);
        return pageOf(rows, limit);
      }),
    updateWebhookEndpoint: (id, change, audit, read) =>
      transaction(async (orm) => {
        const asRead = and(byId(id), isAsRead(webhookEndpoints, read));
        if ((await orm.update(webhookEndpoints).set(change).where(asRead)).rowCount === 0) return false;
        if (change.ordered === false) {
          const held = and(eq(deliveries.endpointId, id), eq(deliveries.nextAt, HELD), isNotNull(deliveries.nextAt));
          await orm.update(deliveries).set({ nextAt: audit.at }).where(held);
        }
        await audienceChanged(orm);
        await record(orm, audit);
        return true;
      }),
    async deleteWebhookEndpoint(id, audit) {
      const deleted = await transaction(async (orm) => {
        const ids = await deleteEndpoints(access, orm, byId(id));
        if (ids.length > 0) await record(orm, audit);
        return ids;
      });
      await deleteDeliveriesOf(access, deleted);
      return deleted.length > 0;
    },
    disableWebhookEndpoint: (id, disabledReason, event, audit) =>
      transaction(async (orm) => {
        const change = { enabled: false, disabledReason, updatedAt: audit.at };
        const isEnabled = and(byId(id), eq(webhookEndpoints.enabled, true));
        if ((await orm.update(webhookEndpoints).set(change).where(isEnabled)).rowCount === 0) return 'unchanged';
        await audienceChanged(orm);
        await record(orm, audit);
        await writeEvents(orm, [event]);
        return 'disabled';
      }),
  };
}
