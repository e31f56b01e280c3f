// Writes events with their deliveries inside an operation, in SQLite.
import type { Database } from 'better-sqlite3';
import { asc, eq, sql } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import type { AuditEntry } from '../../domain/audit.ts';
import type { Listener } from '../../domain/event-audience.ts';
import { eventTypeOf } from '../../domain/event-of.ts';
import type { EventType, NewEvent } from '../../domain/events.ts';
import { AUDIENCE, AUDIENCE_VERSIONS, Audience, deliveriesOf, eventOfAudit } from '../shared/events.ts';
import { prepared } from './prepared-queries.ts';
import { callers, connections, events, webhookEndpoints } from './schema.ts';

export interface SqliteEventWriter {
  /** The event that an audit entry is, if it is one: after the rows that it tells of were changed. */
  ofAudit(audit: AuditEntry): void;
  /** Those that are stored are skipped. */
  write(events: NewEvent[]): void;
  /** Endpoints, or permissions of callers, are changed by this operation. */
  audienceChanged(): void;
  judgeCallersBy(isAuthentic: Audience['isAuthentic']): void;
  /** What this operation has written so far, forgotten then. */
  takeWritten(): EventType[];
}

/** Places are given in the order of the commits: there is one writer at a time. The newest event is never deleted. */
const NEXT_POSITION = sql<number>`(select 1 + coalesce(max(position), 0) from events)`;

export function createEventWriter(orm: BetterSQLite3Database & { $client: Database }): SqliteEventWriter {
  const audience = new Audience();
  let written: EventType[] = [];
  const client = orm.$client;
  const version = client
    .prepare<[], number>(`select sequence from event_sequences where connection_id = '${AUDIENCE}'`)
    .pluck();
  const changeVersion = client.prepare(
    `insert into event_sequences (connection_id, sequence) values ('${AUDIENCE}', abs(random() % ${AUDIENCE_VERSIONS}))
     on conflict (connection_id) do update set sequence = excluded.sequence`,
  );
  const next = client
    .prepare<[string], number>(
      `insert into event_sequences (connection_id, sequence) values (?, 1)
       on conflict (connection_id) do update set sequence = sequence + 1 returning sequence`,
    )
    .pluck();
  const isStored = client.prepare<[string], number>('select 1 from events where id = ?').pluck();
  const addDelivery = client.prepare(
    `insert into deliveries (id, event_id, endpoint_id, connection_id, position, status, attempts, next_at, created_at)
     values (?, ?, ?, ?, ?, 'pending', 0, ?, ?)`,
  );
  const connection = prepared(() =>
    orm
      .select()
      .from(connections)
      .where(eq(connections.id, sql.placeholder('id'))),
  );
  const { id, callerId, types, integrations, owners } = webhookEndpoints;
  const enabled = prepared(() =>
    orm
      .select({ id, callerId, types, integrations, owners, caller: callers })
      .from(webhookEndpoints)
      .leftJoin(callers, eq(callers.id, callerId))
      .where(eq(webhookEndpoints.enabled, true))
      .orderBy(asc(id)),
  );

  function listeners(): Listener[] {
    const current = version.get();
    return audience.at(current) ?? audience.set(current, enabled.all());
  }

  function write(some: NewEvent[]): void {
    let heardBy: Listener[] | undefined;
    for (const event of some) {
      if (isStored.get(event.id) !== undefined) continue;
      const sequence = event.connectionId === null ? null : next.get(event.connectionId)!;
      const { position } = orm
        .insert(events)
        .values({ ...event, sequence, position: NEXT_POSITION })
        .returning({ position: events.position })
        .get();
      written.push(event.type);
      heardBy ??= listeners();
      for (const { id: deliveryId, endpointId } of deliveriesOf(event, heardBy))
        addDelivery.run(deliveryId, event.id, endpointId, event.connectionId, position, event.at, event.at);
    }
  }

  return {
    ofAudit(audit) {
      const type = eventTypeOf(audit);
      if (type === undefined) return;
      const about = audit.connectionId === null ? undefined : connection.get({ id: audit.connectionId });
      const event = eventOfAudit(type, audit, about);
      if (event) write([event]);
    },
    write,
    audienceChanged: () => void changeVersion.run(),
    judgeCallersBy(isAuthentic) {
      audience.isAuthentic = isAuthentic;
    },
    takeWritten() {
      const taken = written;
      if (taken.length > 0) written = [];
      return taken;
    },
  };
}
