// The PostgreSQL tables of connect sessions, their flows, and the sessions of the portal.
import { sql } from 'drizzle-orm';
import { boolean, index, integer, pgTable } from 'drizzle-orm/pg-core';
import type { Account } from '../../domain/connection.ts';
import type { SessionDisplay, SessionStatus } from '../../domain/integration.ts';
import { ciphertext, json, text, time } from './columns.ts';

export const connectSessions = pgTable(
  'connect_sessions',
  {
    id: text('id').primaryKey(),
    secretDigest: text('secret_digest').notNull().unique('connect_sessions_secret'),
    integration: text('integration').notNull(),
    owner: text('owner').notNull(),
    label: text('label').notNull(),
    scopes: json<string[]>('scopes'),
    /** Null: false, as before this column. */
    replaceScopes: json<boolean>('replace_scopes'),
    params: json<Record<string, string>>('params').notNull(),
    metadata: json<Record<string, unknown>>('metadata'),
    returnUrl: text('return_url'),
    connectionId: text('connection_id'),
    account: json<Account>('account'),
    status: text('status').$type<SessionStatus>().notNull(),
    error: text('error'),
    pageError: text('page_error'),
    browserDigest: text('browser_digest'),
    /** Null: false, as before this column. */
    finish: boolean('finish'),
    displayOwner: text('display_owner'),
    codeChallenge: text('code_challenge'),
    integrations: json<string[]>('integrations'),
    uiLocales: text('ui_locales'),
    display: text('display').$type<SessionDisplay>(),
    /** Null: false, as before this column. */
    isStepUp: boolean('is_step_up'),
    finishDigest: text('finish_digest'),
    wrongAttempts: integer('wrong_attempts').notNull().default(0),
    createdBy: text('created_by').notNull(),
    createdWith: text('created_with'),
    createdAt: time('created_at').notNull(),
    expiresAt: time('expires_at').notNull(),
    mac: text('mac'),
  },
  (t) => [
    index('connect_sessions_expiry').on(t.expiresAt),
    index('connect_sessions_of_owner').on(t.owner, t.id),
    index('connect_sessions_of_integration').on(t.integration, t.id),
    index('connect_sessions_open_of_owner')
      .on(t.owner, t.integration)
      .where(sql`status in ('pending', 'awaiting_finish')`),
    index('connect_sessions_open_of_integration')
      .on(t.integration)
      .where(sql`status in ('pending', 'awaiting_finish')`),
    index('connect_sessions_open_of_caller').on(t.createdBy).where(sql`status in ('pending', 'awaiting_finish')`),
  ],
);

/** Opens the page of an owner's connections, once; from then on, it is the session of that browser. */
export const portalSessions = pgTable(
  'portal_sessions',
  {
    id: text('id').primaryKey(),
    secretDigest: text('secret_digest').notNull().unique('portal_sessions_secret'),
    owner: text('owner').notNull(),
    browserDigest: text('browser_digest').unique('portal_sessions_browser'),
    /** What it permits, encrypted so that only a broker can have written it. */
    content: ciphertext('content').notNull(),
    createdAt: time('created_at').notNull(),
    expiresAt: time('expires_at').notNull(),
  },
  (t) => [index('portal_sessions_expiry').on(t.expiresAt), index('portal_sessions_of_owner').on(t.owner)],
);

export const flows = pgTable(
  'flows',
  {
    stateDigest: text('state_digest').primaryKey(),
    sessionId: text('session_id')
      .notNull()
      .references(() => connectSessions.id, { onDelete: 'cascade' }),
    integration: text('integration').notNull(),
    browserDigest: text('browser_digest').notNull(),
    verifier: ciphertext('verifier').notNull(),
    nonce: ciphertext('nonce').notNull(),
    issuer: text('issuer'),
    redirectUri: text('redirect_uri').notNull(),
    scopes: json<string[]>('scopes').notNull(),
    params: json<Record<string, string>>('params').notNull(),
    accountPrompt: text('account_prompt'),
    source: ciphertext('source'),
    expiresAt: time('expires_at').notNull(),
  },
  (t) => [index('flows_expiry').on(t.expiresAt), index('flows_of_session').on(t.sessionId)],
);

/** Flows whose response has arrived, so that the browser that comes again is shown how they ended. */
export const consumedFlows = pgTable(
  'consumed_flows',
  {
    stateDigest: text('state_digest').primaryKey(),
    sessionId: text('session_id')
      .notNull()
      .references(() => connectSessions.id, { onDelete: 'cascade' }),
    browserDigest: text('browser_digest').notNull(),
    consumedAt: time('consumed_at').notNull(),
  },
  (t) => [index('consumed_flows_of_session').on(t.sessionId)],
);

/**
 * What a provider granted in a two-phase connect session that waits for its finish: one encrypted record. The row is deleted
 * when the session ends, in whatever way.
 */
export const candidates = pgTable('candidates', {
  sessionId: text('session_id')
    .primaryKey()
    .references(() => connectSessions.id, { onDelete: 'cascade' }),
  receivedGrant: ciphertext('received_grant').notNull(),
  createdAt: time('created_at').notNull(),
});
