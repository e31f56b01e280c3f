// The functions of the database that every refresh calls, in one way there and back each: the claim, and the commit of a
// routine answer. They are in the migration that made them (drizzle/postgres/0028_due_times.sql).

import type { EncryptedCredentials } from '../../domain/connection.ts';
import {
  CLAIMED_DUE_AGAIN_MS,
  LEASE_IN_DOUBT_MS,
  LOST_RESPONSE_RETRY_MS,
  PROCESS_DEAD_AFTER_MS,
} from '../../domain/time-limits.ts';
import type { Claim, Claimed, HeldLease, RefreshedFields } from '../../ports/index.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { connectionAt, connectionColumns, credentialColumns, credentialsAfter } from './connection-rows.ts';
import { connections } from './schema.ts';

export interface RefreshFunctions {
  /** `fence`: of the claim of another process that is in the way. */
  claim(
    orm: Orm,
    id: string,
    asked: Claim & { holder: string; judges: boolean; expiredFence: number | null },
  ): Promise<Omit<Claimed, 'isStillHeld'> | { refused: 'busy' | 'in_doubt'; fence: number } | 'gone'>;
  /** False: the answer is not routine, or late, and nothing was written. */
  commitRoutine(
    orm: Orm,
    id: string,
    held: HeldLease,
    change: RefreshedFields,
    credentials: EncryptedCredentials,
  ): Promise<boolean>;
}

const CLAIM = `select outcome, claimed_fence, unresolved_attempt, unresolved_at,
  ${connectionColumns('(connection)')}, ${credentialColumns('(credentials)')}
  from valetkey_claim($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`;
const ROW_AT = 4;
const COMMIT = 'select valetkey_commit_refresh($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)';

/** Of an `integer`. */
const MAX_INTEGER = 2 ** 31 - 1;
const milliseconds = (ms: number) => `${ms} milliseconds`;
const { id: idColumn, issuedAt: timeColumn } = connections;
/** As the columns encode them. */
const textOf = (id: string) => idColumn.mapToDriverValue(id);
const timeOf = (ms: number | null) => (ms === null ? null : timeColumn.mapToDriverValue(ms));

export function createRefreshFunctions(prepared: PostgresAccess['prepared']): RefreshFunctions {
  const names = prepared((_, name) => ({ claim: name('claim'), commit: name('commit_refresh') }));

  return {
    async claim(orm, id, { attempt, generation, now, unsent, reuseWindowMs = 0, holder, judges, expiredFence }) {
      const { rows } = await orm.$client.query<unknown[]>({
        name: names(orm).claim,
        text: CLAIM,
        rowMode: 'array',
        values: [
          textOf(id),
          Math.min(generation, MAX_INTEGER),
          holder,
          attempt,
          timeOf(now),
          timeOf(now + CLAIMED_DUE_AGAIN_MS),
          judges,
          milliseconds(PROCESS_DEAD_AFTER_MS),
          milliseconds(LEASE_IN_DOUBT_MS),
          timeOf(reuseWindowMs - LOST_RESPONSE_RETRY_MS),
          expiredFence,
          unsent?.fence ?? null,
          unsent?.unresolved?.attempt ?? null,
          timeOf(unsent?.unresolved?.startedAt ?? null),
        ],
      });
      const row = rows[0]!;
      const [outcome, claimedFence, unresolvedAttempt, unresolvedAt] = row;
      if (outcome === 'gone') return 'gone';
      const fence = Number(claimedFence);
      if (outcome === 'busy' || outcome === 'in_doubt') return { refused: outcome, fence };
      return {
        connection: connectionAt(row, ROW_AT),
        credentials: credentialsAfter(row, ROW_AT),
        fence,
        unresolved:
          unresolvedAttempt === null ? null : { attempt: String(unresolvedAttempt), startedAt: Number(unresolvedAt) },
      };
    },

    async commitRoutine(orm, id, { fence, generation, issuedAt = null }, change, credentials) {
      const { rows } = await orm.$client.query<[boolean]>({
        name: names(orm).commit,
        text: COMMIT,
        rowMode: 'array',
        values: [
          textOf(id),
          fence,
          generation,
          timeOf(issuedAt),
          timeOf(change.issuedAt),
          timeOf(change.expiresAt),
          timeOf(change.nextRefreshAt),
          timeOf(change.reauthDueAt),
          timeOf(change.lastRefreshedAt),
          timeOf(change.updatedAt),
          credentials.accessToken,
          credentials.refreshToken,
          credentials.idToken,
          credentials.credentials,
        ],
      });
      return rows[0]![0];
    },
  };
}
