// Events in SQLite: the feed, and what no operation on a connection causes.
import { and, asc, eq, gt, inArray, lt, lte, max, ne } from 'drizzle-orm';
import type { EventType } from '../../domain/events.ts';
import type { EventStore } from '../../ports/index.ts';
import type { NoticeStore } from '../shared/events.ts';
import type { SqliteAccess } from './client.ts';
import { releaseNext } from './deliveries.ts';
import { deliveries, events } from './schema.ts';

/** A part of the feed: of all types, or of one, by its index. */
export const eventsBetween = (
  orm: Pick<SqliteAccess['orm'], 'select'>,
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

export const createEventStore = (access: SqliteAccess): Omit<EventStore, keyof NoticeStore> => {
  const { orm, read, write, recordEntry } = access;
  return {
    addEvents: (some, audit) =>
      write(() => {
        if (audit) recordEntry(audit);
        access.events.write(some);
      }),
    judgeCallersBy: access.events.judgeCallersBy,
    event: (id) => read(() => orm.select().from(events).where(eq(events.id, id)).get()),
    onEvents: access.onEvents,
    // One writer at a time: nothing that is not seen yet can get a lower place.
    eventHorizon: () =>
      read(
        () =>
          orm
            .select({ last: max(events.position) })
            .from(events)
            .get()?.last ?? 0,
      ),
    eventsBetween: (after, upTo, types, limit) =>
      read(() => {
        if (types === undefined) return eventsBetween(orm, after, upTo, undefined, limit).all();
        return [...new Set(types)]
          .flatMap((type) => eventsBetween(orm, after, upTo, type, limit).all())
          .sort((a, b) => a.position - b.position)
          .slice(0, limit);
      }),
    pruneEvents: (before, limit) =>
      write(() => {
        const newest = orm.select({ last: max(events.position) }).from(events);
        const old = orm
          .select({ id: events.id })
          .from(events)
          .where(and(lt(events.at, before), ne(events.position, newest)))
          .orderBy(asc(events.at))
          .limit(limit)
          .all()
          .map(({ id }) => id);
        if (old.length === 0) return 0;
        const { endpointId, connectionId, nextAt } = deliveries;
        const deleted = orm
          .delete(deliveries)
          .where(inArray(deliveries.eventId, old))
          .returning({ endpointId, connectionId, nextAt })
          .all();
        for (const one of deleted) if (one.nextAt !== null) releaseNext(orm, one, undefined);
        return orm.delete(events).where(inArray(events.id, old)).run().changes;
      }),
  };
};
