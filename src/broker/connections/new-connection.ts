// From what a provider answered, or an import brought, to a connection and its grant.

import type { AuthMode } from '../../domain/auth-modes.ts';
import type { Connection, Credentials, Identity } from '../../domain/connection.ts';
import { grantEndsAt, isRenewable, nextRefreshAt } from '../../domain/refresh-schedule.ts';

export interface ReceivedGrant {
  grant: Credentials;
  tokenType: string;
  scopes: string[];
  expiresAt: number | null;
  /** Seconds, as the provider said; undefined: as the catalogue says. */
  idleIn: number | undefined;
  endsIn: number | undefined;
  captured: Record<string, unknown>;
  identity: Identity | null;
}

type Place = Pick<Connection, 'integration' | 'owner' | 'label' | 'params' | 'metadata'>;

/** A connection as it is when a grant has just arrived; under `renewed`'s id, where it renews one. */
export function newConnection(
  id: string,
  place: Place,
  auth: AuthMode,
  brought: ReceivedGrant,
  now: number,
  renewed?: Connection,
): Connection {
  const { grant, expiresAt, idleIn, endsIn } = brought;
  // Without a token there is nothing to renew ahead of time: the first read makes one.
  const ahead = isRenewable(auth, grant) && (grant.accessToken !== null || grant.refreshToken !== null);
  return {
    id,
    ...place,
    status: 'active',
    reason: null,
    scopes: brought.scopes,
    captured: brought.captured,
    identity: brought.identity ?? renewed?.identity ?? null,
    tokenType: brought.tokenType,
    issuedAt: now,
    expiresAt,
    nextRefreshAt: ahead ? nextRefreshAt(id, auth, now, expiresAt, idleIn) : null,
    reauthDueAt: grantEndsAt(auth, endsIn, now, null),
    lastRefreshedAt: null,
    lastRefreshError: null,
    failures: 0,
    generation: (renewed?.generation ?? 0) + 1,
    upstreamRevocation: null,
    createdAt: renewed?.createdAt ?? now,
    updatedAt: now,
  };
}

/** OpenID Connect Core 5.7. Unknown on one side: not known to differ. */
export const isDifferentIdentity = (a: Identity | null | undefined, b: Identity | null | undefined): boolean =>
  !!a && !!b && (a.issuer !== b.issuer || a.subject !== b.subject);
