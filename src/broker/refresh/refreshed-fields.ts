// What the token response of a refresh changes on the connection.
import { isDeepStrictEqual } from 'node:util';
import { toldAccount, withName } from '../../domain/account.ts';
import type { AuthMode } from '../../domain/auth-modes.ts';
import { type Connection, lastKnownLifetimeMs } from '../../domain/connection.ts';
import { endOfUnrefreshable, grantEndsAt, nextRefreshAt, observedEndAt } from '../../domain/refresh-schedule.ts';
import type { RefreshedFields, TokenResponse } from '../../ports/index.ts';

export function rotationFrom(
  connection: Connection,
  auth: AuthMode,
  response: TokenResponse,
  now: number,
): RefreshedFields {
  const lifeMs = response.expiresIn === undefined ? lastKnownLifetimeMs(connection) : response.expiresIn * 1_000;
  const expiresAt = lifeMs === null ? null : Math.floor(now + lifeMs);
  const { refreshExpiresIn, idleIn = refreshExpiresIn } = response;
  const last = connection.lastRefreshedAt === null && connection.reauthDueAt === null ? undefined : connection;
  const endsAt =
    refreshExpiresIn === undefined
      ? grantEndsAt(auth, response.endsIn, now, connection.reauthDueAt)
      : observedEndAt(now + refreshExpiresIn * 1_000, now, last && { endsAt: last.reauthDueAt, at: last.issuedAt });
  const refreshAt = nextRefreshAt(connection.id, auth, now, expiresAt, idleIn);
  return {
    scopes: response.scopes ?? connection.scopes,
    tokenType: response.tokenType,
    issuedAt: now,
    expiresAt,
    nextRefreshAt: refreshAt,
    reauthDueAt: endsAt ?? endOfUnrefreshable(now, idleIn, refreshAt),
    lastRefreshedAt: now,
    // The same object where nothing is captured: then its members are not compared.
    captured: isEmpty(response.captured) ? connection.captured : { ...connection.captured, ...response.captured },
    identity: response.identity ?? connection.identity,
    account: withName(toldAccount(response) ?? connection.account, connection.account),
    updatedAt: now,
  };
}

const isEmpty = (values: object): boolean => Object.keys(values).length === 0;

/** All but the tokens and their times is as it was: which is true of nearly every refresh. */
export const changesTimesOnly = (connection: Connection, change: RefreshedFields): boolean =>
  (['tokenType', 'scopes', 'captured', 'identity', 'account'] as const).every((name) =>
    isDeepStrictEqual(connection[name], change[name]),
  );
