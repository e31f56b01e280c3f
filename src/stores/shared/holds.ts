// What both stores write when a connection is held or released, for the tables of any dialect.
import { type Column, type SQL, sql } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type { Ciphertext } from '../../domain/connection.ts';
import type { HoldReason } from '../../domain/errors.ts';
import type { Release } from '../../ports/index.ts';

export const heldOf = (reason: HoldReason, { at }: AuditEntry) =>
  ({ status: 'on_hold', reason, nextRefreshAt: null, updatedAt: at }) as const;

/** Without its failures: the next refresh is not delayed by what came before. */
export const releasedOf = (nextRefreshAt: number, { at }: AuditEntry) =>
  ({ status: 'active', reason: null, nextRefreshAt, failures: 0, lastRefreshError: null, updatedAt: at }) as const;

/** Without a refresh token, there is no other token to be had, unless it is minted. */
export const withoutAccessToken = (
  grants: Record<'accessToken' | 'refreshToken', Column>,
  { isMinted }: Pick<Release, 'isMinted'>,
): SQL<Ciphertext | null> =>
  isMinted ? sql`null` : sql`case when ${grants.refreshToken} is null then ${grants.accessToken} end`;
