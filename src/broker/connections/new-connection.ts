// From what a provider issued, or an import contains, to a connection.

import type { AuthMode } from '../../domain/auth-modes.ts';
import type { Account, Connection, Credentials, Identity } from '../../domain/connection.ts';
import { grantEndsAt, isRenewable, nextRefreshAt } from '../../domain/refresh-schedule.ts';

export interface ReceivedCredentials {
  credentials: Credentials;
  tokenType: string;
  scopes: string[];
  /** ms since the epoch; null: never. */
  expiresAt: number | null;
  /** Seconds until an unused refresh token expires; undefined: as the catalogue says. */
  idleIn: number | undefined;
  /** Seconds until the grant ends in any case; undefined: as the catalogue says. */
  endsIn: number | undefined;
  captured: Record<string, unknown>;
  identity: Identity | null;
}

type Place = Pick<Connection, 'integration' | 'owner' | 'label' | 'params' | 'metadata'>;

/** An active connection with credentials that were received at `now`. `renewed` is the one that it replaces. */
export function newConnection(
  id: string,
  place: Place,
  auth: AuthMode,
  received: ReceivedCredentials,
  now: number,
  renewed?: Connection,
): Connection {
  const { credentials, expiresAt, idleIn, endsIn } = received;
  // Without a token there is nothing to refresh ahead of time: the first read requests one.
  const ahead =
    isRenewable(auth, credentials) && (credentials.accessToken !== null || credentials.refreshToken !== null);
  return {
    id,
    ...place,
    status: 'active',
    reason: null,
    scopes: received.scopes,
    captured: received.captured,
    identity: received.identity ?? renewed?.identity ?? null,
    account: accountOf(received.identity) ?? renewed?.account ?? null,
    tokenType: received.tokenType,
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

const accountOf = (identity: Identity | null): Account | null =>
  identity && { issuer: identity.issuer, id: identity.subject, name: null };

/** OpenID Connect Core 5.7. False if one of them is unknown. */
export const isDifferentIdentity = (a: Identity | null | undefined, b: Identity | null | undefined): boolean =>
  !!a && !!b && (a.issuer !== b.issuer || a.subject !== b.subject);
