// Webhook endpoints in SQLite.
import { and, desc, eq, inArray, isNotNull, lt, type SQL, sql } from 'drizzle-orm';
import { HELD } from '../../domain/webhook-endpoint.ts';
import type { WebhookEndpointStore } from '../../ports/index.ts';
import { DELETED_AT_ONCE, type EndpointStore, isAsRead } from '../shared/events.ts';
import { pageOf } from '../shared/pages.ts';
import type { SqliteAccess } from './client.ts';
import { prepared } from './prepared-queries.ts';
import { deliveries, webhookEndpoints } from './schema.ts';

/** Inside an operation; `deleteDeliveriesOf` follows it. Returns which were deleted. */
export function deleteEndpoints({ orm, events }: Pick<SqliteAccess, 'orm' | 'events'>, which: SQL): string[] {
  const { id } = webhookEndpoints;
  const deleted = orm.delete(webhookEndpoints).where(which).returning({ id }).all();
  if (deleted.length > 0) events.audienceChanged();
  return deleted.map((endpoint) => endpoint.id);
}

/** After the commit that deleted the endpoints. */
export async function deleteDeliveriesOf({ orm, write }: SqliteAccess, endpoints: string[]): Promise<void> {
  if (endpoints.length === 0) return;
  const { id, endpointId } = deliveries;
  const some = orm.select({ id }).from(deliveries).where(inArray(endpointId, endpoints)).limit(DELETED_AT_ONCE);
  while ((await write(() => orm.delete(deliveries).where(inArray(id, some)).run().changes)) === DELETED_AT_ONCE);
}

export function createWebhookEndpointStore(access: SqliteAccess): Pick<WebhookEndpointStore, EndpointStore> {
  const { orm, read, write, record, events } = access;
  const byId = (id: string) => eq(webhookEndpoints.id, id);
  const one = prepared(() =>
    orm
      .select()
      .from(webhookEndpoints)
      .where(eq(webhookEndpoints.id, sql.placeholder('id'))),
  );

  return {
    addWebhookEndpoint: (endpoint, audit) =>
      write(() => {
        orm.insert(webhookEndpoints).values(endpoint).run();
        events.audienceChanged();
        record(audit);
      }),
    webhookEndpoint: (id) => read(() => one.get({ id })),
    webhookEndpoints: (caller, { limit, after }) =>
      read(() => {
        const { id, callerId } = webhookEndpoints;
        const rows = orm
          .select()
          .from(webhookEndpoints)
          .where(
            and(
              caller === undefined ? undefined : eq(callerId, caller),
              after === undefined ? undefined : lt(id, after),
            ),
          )
          .orderBy(desc(id))
          .limit(limit + 1)
          .all();
        return pageOf(rows, limit);
      }),
    updateWebhookEndpoint: (id, change, audit, seen) =>
      write(() => {
        if (
          orm
            .update(webhookEndpoints)
            .set(change)
            .where(and(byId(id), isAsRead(webhookEndpoints, seen)))
            .run().changes === 0
        )
          return false;
        if (change.ordered === false) {
          const held = and(eq(deliveries.endpointId, id), eq(deliveries.nextAt, HELD), isNotNull(deliveries.nextAt));
          orm.update(deliveries).set({ nextAt: audit.at }).where(held).run();
        }
        events.audienceChanged();
        record(audit);
        return true;
      }),
    async deleteWebhookEndpoint(id, audit) {
      const deleted = await write(() => {
        const ids = deleteEndpoints(access, byId(id));
        if (ids.length > 0) record(audit);
        return ids;
      });
      await deleteDeliveriesOf(access, deleted);
      return deleted.length > 0;
    },
    disableWebhookEndpoint: (id, disabledReason, event, audit) =>
      write(() => {
        const change = { enabled: false, disabledReason, updatedAt: audit.at };
        const isEnabled = and(byId(id), eq(webhookEndpoints.enabled, true));
        if (orm.update(webhookEndpoints).set(change).where(isEnabled).run().changes === 0) return 'unchanged';
        events.audienceChanged();
        record(audit);
        events.write([event]);
        return 'disabled';
      }),
  };
}
