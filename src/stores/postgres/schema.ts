// The PostgreSQL tables: the same rows as in SQLite (a test compares the types), and `replicas`. Every secret is encrypted,
// in a column of its own; times are integer milliseconds; lists and records are JSON.
import { sql } from 'drizzle-orm';
import { bigint, boolean, doublePrecision, index, integer, pgTable, timestamp, uniqueIndex } from 'drizzle-orm/pg-core';
import type { AuditEntry } from '../../domain/audit.ts';
import type { Permission, RateLimit, Workload } from '../../domain/caller.ts';
import type { Account, ConnectionStatus, Identity, RefreshError, UpstreamRevocation } from '../../domain/connection.ts';
import type { HoldReason, ReauthReason } from '../../domain/errors.ts';
import type { Overrides, SessionDisplay, SessionStatus, UpstreamRate } from '../../domain/integration.ts';
import type { Theme } from '../../domain/theme.ts';
import type { ChangeKind } from '../../ports/index.ts';
import { ciphertext, json, text, time, xid8 } from './columns.ts';

export * from './agent-session-schema.ts';
export * from './audit-reads-schema.ts';
export * from './console-schema.ts';
export * from './counter-schema.ts';
export * from './event-schema.ts';
export * from './job-schema.ts';
export * from './resource-schema.ts';

export const integrations = pgTable('integrations', {
  id: text('id').primaryKey(),
  provider: text('provider').notNull(),
  clientId: text('client_id').notNull(),
  clientSecret: ciphertext('client_secret'),
  privateKey: ciphertext('private_key'),
  keyId: text('key_id'),
  certificate: text('certificate'),
  scopes: json<string[]>('scopes').notNull(),
  scopesNamed: boolean('scopes_named'),
  params: json<Record<string, string>>('params').notNull(),
  overrides: json<Overrides>('overrides').notNull(),
  returnOrigins: json<string[]>('return_origins').notNull(),
  /** Null: false, as before this column. */
  requireFinish: boolean('require_finish'),
  /** Null: none of its own. */
  rate: json<UpstreamRate>('rate'),
  theme: json<Theme>('theme'),
  version: integer('version').notNull(),
  createdAt: time('created_at').notNull(),
  updatedAt: time('updated_at').notNull(),
  /** Null: stored before rows had one, as in the other tables. */
  mac: text('mac'),
});

/** No foreign key, since tombstones outlive their integration. Live connections prevent its deletion. */
/**
 * The name of the account, in lower case as far as it is ASCII. Half a character, which a name may have been cut to, is no text of
 * PostgreSQL: such a name is not found.
 */
export const accountName = sql`(case when account::text like '%\\\\ud%' then null else lower((account ->> 'name') collate "C") end)`;

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
  },
  (t) => [
    index('leases_unresolved').on(t.startedAt).where(sql`attempt is not null`),
    index('leases_due').on(t.integration, t.dueAt, t.connectionId).where(sql`due_at is not null`),
    index('leases_dead').on(t.integration, t.deadAt).where(sql`dead_at is not null`),
    index('leases_ending').on(t.endsAt, t.connectionId).where(sql`ends_at is not null`),
  ],
);

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

export const callers = pgTable('callers', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  permissions: json<Permission[]>('grants').notNull(),
  workloads: json<Workload[]>('workloads').notNull(),
  rateLimit: json<RateLimit>('rate_limit'),
  /** Null: the longest that there is. */
  maxSessionTtl: integer('max_session_ttl'),
  audiences: json<string[]>('audiences'),
  createdAt: time('created_at').notNull(),
  mac: text('mac'),
});

export const callerKeys = pgTable(
  'caller_keys',
  {
    id: text('id').primaryKey(),
    callerId: text('caller_id')
      .notNull()
      .references(() => callers.id, { onDelete: 'cascade' }),
    digest: text('digest').notNull().unique('caller_keys_digest'),
    prefix: text('prefix').notNull(),
    createdAt: time('created_at').notNull(),
    expiresAt: time('expires_at'),
    lastUsedAt: time('last_used_at'),
    mac: text('mac'),
  },
  (t) => [index('caller_keys_of_caller').on(t.callerId)],
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

/** Connections whose calls through the proxy are captured, or were a day ago at most. */
export const captures = pgTable('captures', {
  connectionId: text('connection_id').primaryKey(),
  startedAt: time('started_at').notNull(),
  until: time('until').notNull(),
});

/** Redacted, and deleted after a day. */
export const capturedCalls = pgTable(
  'captured_calls',
  {
    id: text('id').primaryKey(),
    connectionId: text('connection_id').notNull(),
    at: time('at').notNull(),
    content: ciphertext('content').notNull(),
  },
  (t) => [index('captured_calls_of').on(t.connectionId, t.id), index('captured_calls_age').on(t.at)],
);

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

export const keyChecks = pgTable('key_checks', {
  kid: text('kid').primaryKey(),
  ciphertext: ciphertext('sealed').notNull(),
});

/**
 * The change feed: what other replicas must drop from their caches, deleted by age. Read by the transactions that have ended
 * (`change-reader.ts`): the numbers may have gaps, and say nothing of the order.
 */
export const changes = pgTable(
  'changes',
  {
    seq: bigint('seq', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    at: time('at').notNull().default(sql`(extract(epoch from clock_timestamp()) * 1000)::bigint`),
    kind: text('kind').$type<ChangeKind>().notNull(),
    id: text('id'),
    generation: integer('generation'),
    xid: xid8('xid').notNull().default(sql`pg_current_xact_id()`),
  },
  (t) => [index('changes_by_xid').on(t.xid)],
);

/**
 * Token buckets: how many requests a token endpoint (`integration`: its id) or an API (a name with slashes) may get now, from
 * all processes. `taken`: by the last request for tokens.
 */
export const rateBuckets = pgTable(
  'rate_buckets',
  {
    integration: text('integration').primaryKey(),
    allowance: doublePrecision('allowance').notNull(),
    filledAt: time('filled_at').notNull(),
    taken: integer('taken').notNull(),
    /** Nothing may be taken before: the provider has said so. Null: never blocked. */
    blockedUntil: time('blocked_until'),
  },
  (t) => [index('rate_buckets_blocked').on(t.blockedUntil).where(sql`blocked_until is not null`)],
);

/** Deprecated: the name of `rate_buckets` in the first release, whose replicas may still run. A later release drops it. */
export const paces = pgTable('paces', {
  integration: text('integration').primaryKey(),
  allowance: doublePrecision('allowance').notNull(),
  filledAt: time('filled_at').notNull(),
  taken: integer('taken').notNull(),
});

/** The holders of leases and their last heartbeats, by the clock of the database. */
export const replicas = pgTable('replicas', {
  holder: text('holder').primaryKey(),
  seenAt: timestamp('seen_at', { withTimezone: true, mode: 'string' }).notNull(),
  /** The highest number of a change up to which it has applied all; -1: it does not subscribe; null: an earlier version. */
  appliedSeq: bigint('applied_seq', { mode: 'number' }),
  /** What was committed before a transaction with a lower number began is applied; null: an earlier version, or as above. */
  appliedXid: xid8('applied_xid'),
});
