// What the token response of a refresh changes on its connection.

import type { AuthMode } from '../../domain/auth-modes.ts';
import type { Connection } from '../../domain/connection.ts';
import { dueAt, endOf } from '../../domain/refresh-schedule.ts';
import type { Rotation, TokenResponse } from '../../ports/index.ts';

/** What an answer changes on the connection that was renewed. */
export function rotationFrom(connection: Connection, auth: AuthMode, answer: TokenResponse, now: number): Rotation {
  const expiresAt = answer.expiresIn === undefined ? null : now + answer.expiresIn * 1_000;
  return {
    scopes: answer.scopes ?? connection.scopes,
    tokenType: answer.tokenType,
    issuedAt: now,
    expiresAt,
    nextRefreshAt: dueAt(connection.id, auth, now, expiresAt, answer.idleIn),
    reauthDueAt: endOf(auth, answer.endsIn, now, connection.reauthDueAt),
    lastRefreshedAt: now,
    captured: { ...connection.captured, ...answer.captured },
    identity: answer.identity ?? connection.identity,
    updatedAt: now,
  };
}
