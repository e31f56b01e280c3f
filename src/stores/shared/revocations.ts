// The tombstone of a connection, the outbox entry that its tokens move to, and the connect sessions that either concerns.
import { and, type Column, eq, or, type SQL, sql } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type { Account, Connection, EncryptedCredentials } from '../../domain/connection.ts';
import type { PendingRevocation } from '../../ports/index.ts';

export const tombstoneOf = (upstream: 'pending' | 'unsupported', { at }: AuditEntry) =>
  ({
    status: 'revoked',
    reason: null,
    nextRefreshAt: null,
    reauthDueAt: null,
    upstreamRevocation: upstream,
    updatedAt: at,
  }) as const;

export const pendingRevocationOf = (
  { id: connectionId, integration, owner, label, account, params, captured }: Connection,
  credentials: Pick<EncryptedCredentials, 'accessToken' | 'refreshToken' | 'credentials'> | undefined,
  nextAt: number,
  audit: AuditEntry,
  movesSource: boolean,
): PendingRevocation => ({
  // One revocation for one audit entry: the id is as unique, and as ordered.
  id: audit.id.replace(/^(evt_)?/, 'rev_'),
  connectionId,
  integration,
  owner,
  label,
  account,
  params,
  captured,
  accessToken: credentials?.accessToken ?? null,
  refreshToken: credentials?.refreshToken ?? null,
  credentials: movesSource ? (credentials?.credentials ?? null) : null,
  attempts: 0,
  nextAt,
  // The process that revokes delivers it, if it is not due at once.
  claimedUntil: nextAt > audit.at ? nextAt : null,
  createdAt: audit.at,
});

/** Sessions that await the finish of another grant for this connection, or for its place. */
export const connects = (
  sessions: Record<'integration' | 'owner' | 'label' | 'status' | 'connectionId', Column>,
  { id, integration, owner, label }: Connection,
): SQL | undefined =>
  and(
    eq(sessions.integration, integration),
    eq(sessions.owner, owner),
    eq(sessions.status, 'awaiting_finish'),
    or(eq(sessions.connectionId, id), eq(sessions.label, label)),
  );

/** A row, if an owner may be about to get a grant: see `RevocationStore.isConnecting`. */
export function connecting(
  integration: string,
  owner: string | null,
  account: Pick<Account, 'issuer' | 'id'> | null,
  now: number,
): SQL {
  const isOfAccount =
    account === null
      ? sql`true`
      : sql`(s.account is null or (s.account ->> 'id' = ${account.id} and s.account ->> 'issuer' = ${account.issuer}))`;
  return sql`select 1 from connect_sessions s
    where s.integration = ${integration} and s.status in ('pending', 'awaiting_finish') and s.expires_at > ${now}
      and (s.browser_digest is not null or exists (select 1 from flows f where f.session_id = s.id))
      and (s.owner = ${owner}
        or (s.status = 'pending' and not exists (select 1 from flows f where f.session_id = s.id))
        or (s.status = 'awaiting_finish' and ${isOfAccount}))
    limit 1`;
}
