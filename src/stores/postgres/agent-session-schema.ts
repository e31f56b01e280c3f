// The table of agent sessions, in PostgreSQL.
import { sql } from 'drizzle-orm';
import { index, integer, pgTable } from 'drizzle-orm/pg-core';
import type { Agent, SessionAction, SessionEnd } from '../../domain/agent-session.ts';
import { json, text, time } from './columns.ts';

/** Short-lived credentials: the digests of their tokens, and what they may do. */
export const agentSessions = pgTable(
  'agent_sessions',
  {
    id: text('id').primaryKey(),
    digest: text('digest').notNull().unique('agent_sessions_digest'),
    callerId: text('caller_id').notNull(),
    createdWith: text('created_with').notNull(),
    parentId: text('parent_id'),
    ancestors: json<string[]>('ancestors').notNull(),
    owner: text('owner').notNull(),
    integrations: json<string[]>('integrations').notNull(),
    actions: json<SessionAction[]>('actions').notNull(),
    scopes: json<string[]>('scopes'),
    methods: json<string[]>('methods'),
    paths: json<string[]>('paths'),
    tools: json<string[]>('tools'),
    purpose: text('purpose').notNull(),
    agent: json<Agent>('agent'),
    maxUses: integer('max_uses'),
    audience: text('audience'),
    counted: json<string[]>('counted').notNull(),
    createdAt: time('created_at').notNull(),
    expiresAt: time('expires_at').notNull(),
    uses: integer('uses').notNull().default(0),
    lastUsedAt: time('last_used_at'),
    endedAt: time('ended_at'),
    endReason: text('end_reason').$type<SessionEnd>(),
    mac: text('mac'),
  },
  (t) => [
    index('agent_sessions_expiry').on(t.expiresAt),
    index('agent_sessions_of_owner').on(t.owner, t.id),
    index('agent_sessions_of_caller').on(t.callerId, t.id),
    index('agent_sessions_live_of_caller').on(t.callerId, t.expiresAt),
    index('agent_sessions_of_parent').on(t.parentId).where(sql`parent_id is not null`),
  ],
);
