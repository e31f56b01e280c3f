// Events in PostgreSQL: the feed, and what no operation on a connection causes.
import { and, asc, eq, gt, inArray, isNotNull, lt, lte, max, ne } from 'drizzle-orm';
import type { EventType } from '../../domain/events.ts';
import type { EventStore } from '../../ports/index.ts';
import type { NoticeStore } from '../shared/events.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { lockedEndpoint, releaseNext } from './deliveries.ts';
import { createHorizon } from './horizon.ts';
import { deliveries, events, audit as log } from './schema.ts';

/** A part of the feed: of all types, or of one, by its index. */
export const eventsBetween = (
  orm: Pick<Orm, 'select'>,
  after: number,
  upTo: number,
  type: EventType | undefined,
  limit: number,
) =>
  orm
    .select()
    .from(events)
    .where(
      and(
        type === undefined ? undefined : eq(events.type, type),
        gt(events.position, after),
        lte(events.position, upTo),
      ),
    )
    .orderBy(asc(events.position))
    .limit(limit);

export const createEventStore = (access: PostgresAccess): Omit<EventStore, keyof NoticeStore> => {
  const { autocommit, transaction } = access;
  return {
    addEvents: (some, audit) =>
      transaction(async (orm) => {
        if (audit) await orm.insert(log).values(audit).onConflictDoNothing();
        await access.writeEvents(orm, some);
      }),
    judgeCallersBy: access.judgeCallersBy,
    event: (id) => autocommit(async (orm) => (await orm.select().from(events).where(eq(events.id, id)))[0]),
    onEvents: access.onEvents,
    eventHorizon: createHorizon(access, 'event_position'),
    eventsBetween: (after, upTo, types, limit) =>
      autocommit(async (orm) => {
        if (types === undefined) return eventsBetween(orm, after, upTo, undefined, limit);
        const found = [];
        for (const type of new Set(types)) found.push(...(await eventsBetween(orm, after, upTo, type, limit)));
        return found.sort((a, b) => a.position - b.position).slice(0, limit);
      }),
    pruneEvents: (before, limit) =>
      transaction(async (orm) => {
        const newest = orm.select({ last: max(events.position) }).from(events);
        const old = await orm
          .select({ id: events.id })
          .from(events)
          .where(and(lt(events.at, before), ne(events.position, newest)))
          .orderBy(asc(events.at))
          .limit(limit)
          .for('update', { skipLocked: true });
        if (old.length === 0) return 0;
        const ids = old.map(({ id }) => id);
        const isOld = inArray(deliveries.eventId, ids);
        const { endpointId, connectionId, nextAt } = deliveries;
        // Endpoints first, in one order, as settling does.
        const open = await orm
          .selectDistinct({ id: endpointId })
          .from(deliveries)
          .where(and(isOld, isNotNull(nextAt)));
        for (const { id } of open.sort((a, b) => (a.id < b.id ? -1 : 1))) await lockedEndpoint(orm, id);
        const deleted = await orm.delete(deliveries).where(isOld).returning({ endpointId, connectionId, nextAt });
        for (const one of deleted)
          if (one.nextAt !== null) await releaseNext(orm, one.endpointId, one.connectionId, undefined);
        return (await orm.delete(events).where(inArray(events.id, ids))).rowCount ?? 0;
      }),
  };
};
