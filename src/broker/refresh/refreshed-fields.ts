// What the token response of a refresh changes on the connection.

import type { AuthMode } from '../../domain/auth-modes.ts';
import type { Connection } from '../../domain/connection.ts';
import { grantEndsAt, nextRefreshAt } from '../../domain/refresh-schedule.ts';
import type { RefreshedFields, TokenResponse } from '../../ports/index.ts';

export function rotationFrom(
  connection: Connection,
  auth: AuthMode,
  response: TokenResponse,
  now: number,
): RefreshedFields {
  const expiresAt = response.expiresIn === undefined ? null : now + response.expiresIn * 1_000;
  return {
    scopes: response.scopes ?? connection.scopes,
    tokenType: response.tokenType,
    issuedAt: now,
    expiresAt,
    nextRefreshAt: nextRefreshAt(connection.id, auth, now, expiresAt, response.idleIn),
    reauthDueAt: grantEndsAt(auth, response.endsIn, now, connection.reauthDueAt),
    lastRefreshedAt: now,
    captured: { ...connection.captured, ...response.captured },
    identity: response.identity ?? connection.identity,
    account: connection.account,
    updatedAt: now,
  };
}
