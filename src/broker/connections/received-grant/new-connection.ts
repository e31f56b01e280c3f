// From what a provider issued, or an import contains, to a connection.

import { toldAccount, withName } from '../../../domain/account.ts';
import type { AuthMode } from '../../../domain/auth-modes.ts';
import type { Account, Connection, Credentials, Identity } from '../../../domain/connection.ts';
import {
  endOfUnrefreshable,
  grantEndsAt,
  isRenewable,
  nextRefreshAt,
  reauthDueAt,
} from '../../../domain/refresh-schedule.ts';
import type { Logger } from '../../../ports/index.ts';

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
  /** Seconds until the refresh token expires, where nothing says whether a refresh extends that. */
  refreshExpiresIn?: number | undefined;
  captured: Record<string, unknown>;
  identity: Identity | null;
  /** `unavailable`: the provider could not say now. */
  account: Account | 'unavailable' | null;
  /** Whether what the connection had before is to be given up: scopes, and the refresh token that still has them. */
  replacesScopes: boolean;
}

type Place = Pick<Connection, 'integration' | 'owner' | 'label' | 'params' | 'metadata'>;

/**
 * An active connection with credentials that were received at `now`. `renewed` is the one that it replaces, as far as the
 * credentials do not keep its refresh token.
 */
export function newConnection(
  id: string,
  place: Place,
  auth: AuthMode,
  received: ReceivedCredentials,
  now: number,
  renewed?: Connection,
  keepsRefreshToken = false,
): Connection {
  const { credentials, expiresAt, refreshExpiresIn, idleIn = refreshExpiresIn, endsIn = refreshExpiresIn } = received;
  // Without a token there is nothing to refresh ahead of time: the first read requests one.
  const renewable = keepsRefreshToken || isRenewable(auth, credentials);
  const ahead =
    keepsRefreshToken || (renewable && (credentials.accessToken !== null || credentials.refreshToken !== null));
  const refreshAt = ahead ? nextRefreshAt(id, auth, now, expiresAt, idleIn) : null;
  const keptEndsAt = keepsRefreshToken ? (renewed?.reauthDueAt ?? null) : null;
  const endsAt = grantEndsAt(auth, endsIn, now, keptEndsAt) ?? endOfUnrefreshable(now, idleIn, refreshAt);
  return {
    id,
    ...place,
    status: 'active',
    reason: null,
    scopes: received.scopes,
    captured: { ...renewed?.captured, ...received.captured },
    identity: received.identity ?? renewed?.identity ?? null,
    account: withName(toldAccount(received) ?? renewed?.account ?? null, renewed?.account),
    tokenType: received.tokenType,
    issuedAt: now,
    expiresAt,
    nextRefreshAt: refreshAt,
    reauthDueAt: reauthDueAt(renewable, expiresAt, endsAt),
    lastRefreshedAt: null,
    lastRefreshError: null,
    lastCheckedAt: null,
    lastCheckError: null,
    failures: 0,
    generation: (renewed?.generation ?? 0) + 1,
    upstreamRevocation: null,
    createdAt: renewed?.createdAt ?? now,
    updatedAt: now,
  };
}

/** OpenID Connect Core 5.7. False if one of them is unknown. */
export const isDifferentIdentity = (a: Identity | null | undefined, b: Identity | null | undefined): boolean =>
  !!a && !!b && (a.issuer !== b.issuer || a.subject !== b.subject);

/** To be called once for each connection that is stored: says that it ends with its access token, and what to do. */
export function warnIfNotRenewable(
  log: Logger,
  { id, integration, expiresAt }: Connection,
  auth: AuthMode,
  credentials: Credentials,
): void {
  if (expiresAt === null || isRenewable(auth, credentials)) return;
  log.warn(
    { connection: id, integration, reauth_due_at: new Date(expiresAt).toISOString() },
    'connect: no refresh token, the owner must connect again when the access token expires. Request offline access, where the provider has it: a scope such as offline_access, or a parameter such as access_type=offline',
  );
}
