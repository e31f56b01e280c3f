// The tombstone of a connection, and the outbox entry that its tokens move to.
import type { AuditEntry } from '../../domain/audit.ts';
import type { Connection, EncryptedCredentials } from '../../domain/connection.ts';
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
  credentials: Pick<EncryptedCredentials, 'accessToken' | 'refreshToken'> | undefined,
  nextAt: number,
  audit: AuditEntry,
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
  attempts: 0,
  nextAt,
  // The process that revokes delivers it, if it is not due at once.
  claimedUntil: nextAt > audit.at ? nextAt : null,
  createdAt: audit.at,
});
