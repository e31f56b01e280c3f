// The PostgreSQL tables of the audit log, its hash chain, and what finds its batches of reads.
import { sql } from 'drizzle-orm';
import { bigint, index, integer, pgTable, primaryKey } from 'drizzle-orm/pg-core';
import type { AuditEntry } from '../../domain/audit.ts';
import { ciphertext, text, time } from './columns.ts';

export const audit = pgTable(
  'audit',
  {
    id: text('id').primaryKey(),
    at: time('at').notNull(),
    action: text('action').notNull(),
    outcome: text('outcome').$type<AuditEntry['outcome']>().notNull(),
    actor: text('actor').notNull(),
    keyId: text('key_id'),
    subject: text('subject'),
    integration: text('integration'),
    owner: text('owner'),
    connectionId: text('connection_id'),
    address: text('address'),
    requestId: text('request_id'),
    detail: text('detail'),
    count: integer('count').notNull(),
    clientRequestId: text('client_request_id'),
    traceId: text('trace_id'),
    changed: text('changed'),
    session: text('session'),
    agentId: text('agent_id'),
    agentName: text('agent_name'),
    purpose: text('purpose'),
    /**
     * The place in the order in which audit entries are sealed, given by the database. Null: stored before the
     * audit log had seals.
     */
    position: bigint('position', { mode: 'number' }),
  },
  (t) => [
    index('audit_by_position').on(t.position),
    index('audit_of_connection').on(t.connectionId, t.id),
    index('audit_changes_of_connection')
      .on(t.connectionId, t.id)
      .where(sql`action not in ('token.read', 'proxy.called', 'connection.read')`),
    index('audit_of_owner').on(t.owner, t.id),
    index('audit_of_actor').on(t.actor, t.id),
    index('audit_of_action').on(t.action, t.id),
    index('audit_of_integration').on(t.integration, t.id),
    index('audit_of_session').on(t.session, t.id).where(sql`session is not null`),
    index('audit_not_ok').on(t.outcome, t.id).where(sql`outcome <> 'ok'`),
  ],
);

/** The hash chain over audit entries. The row `anchor` stands for what retention has deleted. */
export const auditSeals = pgTable('audit_seals', {
  id: text('id').primaryKey(),
  previous: text('previous'),
  fromPosition: bigint('from_position', { mode: 'number' }).notNull(),
  toPosition: bigint('to_position', { mode: 'number' }).notNull(),
  entries: integer('entries').notNull(),
  lastId: text('last_id'),
  digest: text('digest').notNull(),
  sealedAt: time('sealed_at').notNull(),
  hash: text('hash').notNull(),
  ciphertext: ciphertext('sealed').notNull(),
});

/**
 * One row for each batch of reads and each owner in it. By weeks, so that what is written to is small, and so that a week goes as
 * a whole; rows may outlive their batch until then.
 */
export const auditReads = pgTable(
  'audit_reads',
  {
    week: integer('week').notNull(),
    owner: text('owner').notNull(),
    /** The id of the batch. */
    entry: text('entry').notNull(),
  },
  (t) => [primaryKey({ columns: [t.week, t.owner, t.entry] })],
);
