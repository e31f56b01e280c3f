// The PostgreSQL tables of connections, what is stored of their grants, leases, and what is still to be revoked.
import { sql } from 'drizzle-orm';
import { index, integer, pgTable, uniqueIndex } from 'drizzle-orm/pg-core';
import type { Account, ConnectionStatus, Identity, RefreshError, UpstreamRevocation } from '../../domain/connection.ts';
import type { HoldReason, ReauthReason } from '../../domain/errors.ts';
import { ciphertext, json, text, time, xid8 } from './columns.ts';

/**
 * The name of the account, in lower case as far as it is ASCII. Half a character, which a name may have been cut to, is no text of
 * PostgreSQL: such a name is not found.
 */
export const accountName = sql`(case when account::text like '%\\\\ud%' then null else lower((account ->> 'name') collate "C") end)`;

/** No foreign key, since tombstones outlive their integration. Live connections prevent its deletion. */
export const connections = pgTable(
  'connections',
  {
    id: text('id').primaryKey(),
    integration: text('integration').notNull(),
    owner: text('owner').notNull(),
    label: text('label').notNull(),
    status: text('status').$type<ConnectionStatus>().notNull(),
    reason: text('reason').$type<ReauthReason | HoldReason>(),
    scopes: json<string[]>('scopes').notNull(),
    metadata: json<Record<string, unknown>>('metadata').notNull(),
    params: json<Record<string, string>>('params').notNull(),
    captured: json<Record<string, unknown>>('captured').notNull(),
    identity: json<Identity>('identity'),
    account: json<Account>('account'),
    tokenType: text('token_type').notNull(),
    issuedAt: time('issued_at').notNull(),
    expiresAt: time('expires_at'),
    nextRefreshAt: time('next_refresh_at'),
    reauthDueAt: time('reauth_due_at'),
    lastRefreshedAt: time('last_refreshed_at'),
    lastRefreshError: json<RefreshError>('last_refresh_error'),
    lastCheckedAt: time('last_checked_at'),
    lastCheckError: text('last_check_error'),
    failures: integer('failures').notNull(),
    generation: integer('generation').notNull(),
    upstreamRevocation: text('upstream_revocation').$type<UpstreamRevocation>(),
    createdAt: time('created_at').notNull(),
    updatedAt: time('updated_at').notNull(),
  },
  (t) => [
    uniqueIndex('connections_live').on(t.integration, t.owner, t.label).where(sql`status <> 'revoked'`),
    // By bytes, so that they find prefixes as well, whatever the collation.
    index('connections_of_owner_at').on(t.integration, t.owner.op('text_pattern_ops'), t.id),
    index('connections_of_owner').on(t.owner.op('text_pattern_ops'), t.id),
    index('connections_of_integration').on(t.integration, t.status, t.id),
    index('connections_not_active').on(t.status, t.id).where(sql`status <> 'active'`),
    index('connections_of_account').on(sql`(account ->> 'id')`).where(sql`status <> 'revoked'`),
    index('connections_failing').on(t.id).where(sql`status = 'active' and failures > 0`),
    index('connections_of_label').on(t.label.op('text_pattern_ops'), t.id).where(sql`label <> ''`),
    index('connections_of_account_name').on(accountName, t.id).where(sql`account is not null`),
  ],
);

/** Literals, not parameters: only then does a prepared plan use the partial index. */
export const isActive = sql`${connections.status} = 'active'`;
export const isDead = sql`${connections.status} = 'needs_reauth'`;
/** Not yet dead: a grant that may end. */
export const isUsable = sql`${connections.status} in ('active', 'on_hold')`;
export const isLive = sql`${connections.status} <> 'revoked'`;

/** As in the index, literally. */
export const isOfAccount = ({ issuer, id }: Pick<Account, 'issuer' | 'id'>) =>
  sql`(account ->> 'id') = ${id} and (account ->> 'issuer') = ${issuer}`;

export const grants = pgTable('grants', {
  connectionId: text('connection_id')
    .primaryKey()
    .references(() => connections.id),
  accessToken: ciphertext('access_token'),
  refreshToken: ciphertext('refresh_token'),
  idToken: ciphertext('id_token'),
  credentials: ciphertext('credentials'),
});

/**
 * What is scanned and changed by a refresh, apart from the wide row of the connection: its row exists while the connection is
 * not revoked, so that the fencing token (`fence`) only grows.
 *
 * The lease: `holder` is null when it is released; `attempt` and `startedAt`, the intent, are null when it is resolved. No
 * column holds its end: `LEASE_MS` (`src/domain/time-limits.ts`) and the holder's liveness bound it.
 *
 * The times, kept in step with `connections` by triggers: when the refresh of an active connection is due (a claim moves that
 * on), since when it needs reauthorization, when the grant of an active connection ends.
 *
 * The last routine refresh, as a part of the change feed (`change-rows.ts`): its transaction, and the generation that it made.
 */
export const leases = pgTable(
  'leases',
  {
    connectionId: text('connection_id')
      .primaryKey()
      .references(() => connections.id),
    fence: integer('fence').notNull(),
    holder: text('holder'),
    attempt: text('attempt'),
    startedAt: time('started_at'),
    /** Of the connection. Empty in what a replica of the release before would insert. */
    integration: text('integration').notNull().default(''),
    dueAt: time('due_at'),
    deadAt: time('dead_at'),
    endsAt: time('ends_at'),
    refreshedXid: xid8('refreshed_xid'),
    refreshedGeneration: integer('refreshed_generation'),
  },
  (t) => [
    index('leases_unresolved').on(t.startedAt).where(sql`attempt is not null`),
    index('leases_due').on(t.integration, t.dueAt, t.connectionId).where(sql`due_at is not null`),
    index('leases_dead').on(t.integration, t.deadAt).where(sql`dead_at is not null`),
    index('leases_ending').on(t.endsAt, t.connectionId).where(sql`ends_at is not null`),
    index('leases_refreshed').on(t.refreshedXid).where(sql`refreshed_xid is not null`),
  ],
);

/** The outbox of upstream revocations. It has no foreign key, since some tokens in it never became a connection. */
export const pendingRevocations = pgTable(
  'outbox_revocations',
  {
    id: text('id').primaryKey(),
    connectionId: text('connection_id').notNull(),
    integration: text('integration').notNull(),
    owner: text('owner'),
    label: text('label'),
    account: json<Account>('account'),
    params: json<Record<string, string>>('params').notNull(),
    captured: json<Record<string, unknown>>('captured').notNull(),
    accessToken: ciphertext('access_token'),
    refreshToken: ciphertext('refresh_token'),
    /** Null: of a grant whose source is the integration's. */
    credentials: ciphertext('credentials'),
    attempts: integer('attempts').notNull(),
    nextAt: time('next_at').notNull(),
    claimedUntil: time('claimed_until'),
    createdAt: time('created_at').notNull(),
  },
  (t) => [
    index('outbox_revocations_due').on(t.nextAt),
    index('outbox_revocations_of_connection').on(t.connectionId),
    index('outbox_revocations_of_integration').on(t.integration),
    index('outbox_revocations_due_by_integration').on(t.integration, t.nextAt),
  ],
);

/** Deleted after a day: for diagnosis of what no token was found in. */
export const unreadableResponses = pgTable(
  'unreadable_responses',
  {
    id: text('id').primaryKey(),
    integration: text('integration').notNull(),
    connectionId: text('connection_id'),
    sessionId: text('session_id'),
    status: integer('status').notNull(),
    contentType: text('content_type'),
    extent: text('extent').$type<'whole' | 'partial'>().notNull(),
    receivedAt: time('received_at').notNull(),
    body: ciphertext('body').notNull(),
  },
  (t) => [
    index('unreadable_responses_of').on(t.integration, t.id),
    index('unreadable_responses_of_connection').on(t.connectionId),
    index('unreadable_responses_age').on(t.receivedAt),
  ],
);
