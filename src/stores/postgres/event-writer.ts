// Writes events with their deliveries inside a transaction, in PostgreSQL.
import { asc, eq, inArray, sql } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type { Listener } from '../../domain/event-audience.ts';
import type { EventType, NewEvent } from '../../domain/events.ts';
import { AUDIENCE, Audience, deliveriesOf, eventOfAudit } from '../shared/events.ts';
import type { Locks } from './locks.ts';
import type { Orm, Prepare } from './orm.ts';
import { callers, connections, eventSequences, events, webhookEndpoints } from './schema.ts';

export interface PostgresEventWriter {
  /** The event of this type that an audit entry is: after the rows that it tells of were changed. Returns what was written. */
  ofAudit(orm: Orm, type: EventType, audit: AuditEntry): Promise<EventType[]>;
  /** Those that are stored are skipped. */
  write(orm: Orm, events: NewEvent[]): Promise<EventType[]>;
  /**
   * Endpoints, or permissions of callers, are changed by this transaction: the last statement of it that takes a lock. It
   * waits for transactions that are writing events, and those that come later wait for it.
   */
  audienceChanged(orm: Orm): Promise<void>;
  judgeCallersBy(isAuthentic: Audience['isAuthentic']): void;
}

export function createEventWriter(prepared: Prepare, locks: Pick<Locks, 'shared' | 'exclusive'>): PostgresEventWriter {
  const audience = new Audience();
  const statements = prepared((orm, name) => ({
    connection: orm
      .select()
      .from(connections)
      .where(eq(connections.id, sql.placeholder('id')))
      .prepare(name('event_connection')),
  }));

  /** Who hears what does not change while events are written. */
  const lockAudience = (orm: Orm): Promise<number | undefined> => locks.shared(orm, AUDIENCE);

  async function listenersAt(orm: Orm, version: number | undefined): Promise<Listener[]> {
    const known = audience.at(version);
    if (known) return known;
    const { id, callerId, types, integrations, owners } = webhookEndpoints;
    const rows = await orm
      .select({ id, callerId, types, integrations, owners, caller: callers })
      .from(webhookEndpoints)
      .leftJoin(callers, eq(callers.id, callerId))
      .where(eq(webhookEndpoints.enabled, true))
      .orderBy(asc(id));
    return audience.set(version, rows);
  }

  /** One statement: the number of the event is counted in the order of the places. False: an event of this id is stored. */
  async function add(orm: Orm, event: NewEvent): Promise<boolean> {
    const { connectionId } = event;
    if (connectionId === null) {
      const { rowCount } = await orm
        .insert(events)
        .values({ ...event, sequence: null, position: sql`default` })
        .onConflictDoNothing({ target: events.id });
      return rowCount === 1;
    }
    const [counted] = await orm
      .insert(eventSequences)
      .values({ connectionId, sequence: 1 })
      .onConflictDoUpdate({
        target: eventSequences.connectionId,
        set: { sequence: sql`${eventSequences.sequence} + 1` },
      })
      .returning({ sequence: eventSequences.sequence });
    await orm.insert(events).values({ ...event, sequence: counted!.sequence, position: sql`default` });
    return true;
  }

  async function addDeliveries(orm: Orm, added: NewEvent[], listeners: Listener[]): Promise<void> {
    const all = added.flatMap((event) => deliveriesOf(event, listeners));
    if (all.length === 0) return;
    const column = (key: keyof (typeof all)[number]) => sql`${sql.param(all.map((one) => one[key]))}::text[]`;
    await orm.execute(sql`
      insert into deliveries
        (id, event_id, endpoint_id, connection_id, position, status, attempts, next_at, created_at)
      select d.id, e.id, d.endpoint_id, e.connection_id, e.position, 'pending', 0, e.at, e.at
      from unnest(${column('id')}, ${column('eventId')}, ${column('endpointId')}) as d(id, event_id, endpoint_id)
      join events e on e.id = d.event_id`);
  }

  async function write(orm: Orm, some: NewEvent[]): Promise<EventType[]> {
    if (some.length === 0) return [];
    const version = await lockAudience(orm);
    const connectionIds = [...new Set(some.flatMap((event) => event.connectionId ?? []))].sort();
    // Locked: of two transactions that write the same events, the second one finds them.
    if (connectionIds.length > 0)
      await orm
        .select({ id: eventSequences.connectionId })
        .from(eventSequences)
        .where(inArray(eventSequences.connectionId, connectionIds))
        .orderBy(asc(eventSequences.connectionId))
        .for('update');
    const ids = some.map(({ id }) => id);
    const stored = await orm.select({ id: events.id }).from(events).where(inArray(events.id, ids));
    const known = new Set(stored.map(({ id }) => id));
    const added: NewEvent[] = [];
    for (const event of some) {
      if (known.has(event.id)) continue;
      known.add(event.id);
      if (await add(orm, event)) added.push(event);
    }
    if (added.length > 0) await addDeliveries(orm, added, await listenersAt(orm, version));
    return added.map(({ type }) => type);
  }

  return {
    write,
    async ofAudit(orm, type, audit) {
      const id = audit.connectionId;
      const [about] = id === null ? [] : await statements(orm).connection.execute({ id });
      const event = eventOfAudit(type, audit, about);
      if (!event) return [];
      const version = await lockAudience(orm);
      if (!(await add(orm, event))) return [];
      await addDeliveries(orm, [event], await listenersAt(orm, version));
      return [type];
    },
    judgeCallersBy(isAuthentic) {
      audience.isAuthentic = isAuthentic;
    },
    audienceChanged: (orm) => locks.exclusive(orm, AUDIENCE),
  };
}
