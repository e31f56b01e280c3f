// The functions of the database that every refresh calls: the claim, and the commit of a routine answer. One way there and
// back each, which refreshes that come together share. They are in the migration that made them
// (drizzle/postgres/0028_due_times.sql).
import type { EncryptedCredentials } from '../../domain/connection.ts';
import {
  CLAIMED_DUE_AGAIN_MS,
  LEASE_IN_DOUBT_MS,
  LOST_RESPONSE_RETRY_MS,
  PROCESS_DEAD_AFTER_MS,
} from '../../domain/time-limits.ts';
import type { Claim, Claimed, HeldLease, RefreshedFields } from '../../ports/index.ts';
import { createBatches } from './batches.ts';
import type { PostgresChangeFeed } from './change-feed.ts';
import type { PostgresAccess } from './client.ts';
import { connectionAt, connectionColumns, credentialColumns, credentialsAfter } from './connection-rows.ts';
import { isAnswer, isWorthRetrying } from './errors.ts';
import type { Liveness } from './liveness.ts';
import { connections } from './schema.ts';

/** `expiredFence`: a claim of another process that this one has observed for as long as a lease lasts. */
interface AskedClaim extends Claim {
  id: string;
  expiredFence: number | null;
}
interface RoutineAnswer {
  id: string;
  held: HeldLease;
  change: RefreshedFields;
  credentials: EncryptedCredentials;
}
/** `fence`: of the claim of another process that is in the way. `locked`: another operation changes the connection. */
type ClaimOutcome = Omit<Claimed, 'isStillHeld'> | { refused: 'busy' | 'in_doubt'; fence: number } | 'gone' | 'locked';

/** Each rejects with `StoreError`. */
export interface RefreshFunctions {
  claim(asked: AskedClaim): Promise<ClaimOutcome>;
  /** False: the answer is not routine, or late, or the connection is locked now: nothing was written. */
  commitRoutine(answer: RoutineAnswer): Promise<boolean>;
}

/** Claims that wait for a lock at once. Each has a connection of the pool meanwhile, and a place of the rate limiter. */
const MAX_WAITING = 2;

/** The arguments of one call, in the order of the function's parameters. */
type Arguments = readonly (string | number | null)[];

/**
 * Calls the function once for each place of the arrays, one after the other. The first array is hidden from the planner: it
 * would take its length for a reason to plan every call again, which takes as long as to run it.
 */
const calls = (columns: string, name: string, types: readonly string[], common: number): string => {
  const names = types.map((_, i) => `a${i + 1}`);
  const arrays = types.map((type, i) => `$${common + i + 1}::${type}[]`);
  arrays[0] = `(select ${arrays[0]})`;
  const shared = Array.from({ length: common }, (_, i) => `$${i + 1}`);
  return `select ${columns} from unnest(${arrays.join(', ')}) with ordinality as given(${names.join(', ')}, at),
    lateral ${name}(${[...names, ...shared].join(', ')}) as result order by at`;
};
const CLAIM = calls(
  `outcome, claimed_fence, unresolved_attempt, unresolved_at,
   ${connectionColumns('(connection)')}, ${credentialColumns('(credentials)')}`,
  'valetkey_claim',
  ['text', 'integer', 'text', 'bigint', 'bigint', 'bigint', 'integer', 'integer', 'text', 'bigint'],
  5,
);
const ROW_AT = 4;
const COMMIT = calls(
  'result, pg_current_xact_id_if_assigned()',
  'valetkey_commit_refresh',
  ['text', 'integer', 'integer', ...Array.from({ length: 7 }, () => 'bigint'), 'text', 'text', 'text', 'text'],
  0,
);

/** Of an `integer`. */
const MAX_INTEGER = 2 ** 31 - 1;
const milliseconds = (ms: number) => `${ms} milliseconds`;
/** As the columns encode them. */
const textOf = (text: string): string => String(connections.id.mapToDriverValue(text));
const timeOf = (ms: number | null): string | null =>
  ms === null ? null : String(connections.issuedAt.mapToDriverValue(ms));

const claimArguments = ({ id, generation, attempt, now, reuseWindowMs = 0, ...asked }: AskedClaim): Arguments => [
  textOf(id),
  Math.min(generation, MAX_INTEGER),
  attempt,
  timeOf(now),
  timeOf(now + CLAIMED_DUE_AGAIN_MS),
  timeOf(reuseWindowMs - LOST_RESPONSE_RETRY_MS),
  asked.expiredFence,
  asked.unsent?.fence ?? null,
  asked.unsent?.unresolved?.attempt ?? null,
  timeOf(asked.unsent?.unresolved?.startedAt ?? null),
];

const commitArguments = ({ id, held, change, credentials }: RoutineAnswer): Arguments => [
  textOf(id),
  held.fence,
  held.generation,
  timeOf(held.issuedAt ?? null),
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
];

function outcomeOf(row: readonly unknown[]): ClaimOutcome {
  const [outcome, fence, unresolvedAttempt, unresolvedAt] = row;
  if (outcome === 'gone' || outcome === 'locked') return outcome;
  if (outcome === 'busy' || outcome === 'in_doubt') return { refused: outcome, fence: Number(fence) };
  return {
    connection: connectionAt(row, ROW_AT),
    credentials: credentialsAfter(row, ROW_AT),
    fence: Number(fence),
    unresolved:
      unresolvedAttempt === null ? null : { attempt: String(unresolvedAttempt), startedAt: Number(unresolvedAt) },
  };
}

export function createRefreshFunctions(
  { single, prepared }: Pick<PostgresAccess, 'single' | 'prepared'>,
  { holder, canJudge }: Pick<Liveness, 'holder' | 'canJudge'>,
  { refreshing }: Pick<PostgresChangeFeed, 'refreshing'>,
): RefreshFunctions {
  const names = prepared((_, name) => ({ claim: name('claim'), commit: name('commit_refresh') }));

  /** Undefined: one of several calls was refused, and so nothing has happened. */
  function call(
    name: 'claim' | 'commit',
    text: string,
    given: readonly Arguments[],
    common: readonly unknown[],
  ): Promise<unknown[][] | undefined> {
    const arrays = given[0]!.map((_, at) => given.map((one) => one[at]));
    return single(async (orm) => {
      try {
        const values = [...common, ...arrays];
        const { rows } = await orm.$client.query<unknown[]>({ name: names(orm)[name], text, rowMode: 'array', values });
        return rows;
      } catch (error) {
        if (given.length > 1 && isAnswer(error) && !isWorthRetrying(error)) return undefined;
        throw error;
      }
    });
  }

  const claimAll = (asked: readonly AskedClaim[], waits: boolean) =>
    call('claim', CLAIM, asked.map(claimArguments), [
      holder,
      canJudge(),
      milliseconds(PROCESS_DEAD_AFTER_MS),
      milliseconds(LEASE_IN_DOUBT_MS),
      waits,
    ]);
  const claimAlone = async (asked: AskedClaim): Promise<ClaimOutcome> => {
    const rows = await claimAll([asked], true);
    return outcomeOf(rows![0]!);
  };

  // No batch waits for a lock, however few are in it: others would wait behind it.
  const claims = createBatches<AskedClaim, ClaimOutcome | 'refused'>(async (batch) => {
    const rows = await claimAll(batch, false);
    return batch.map((_, i) => (rows ? outcomeOf(rows[i]!) : 'refused'));
  });
  let waiting = 0;
  const commits = createBatches<RoutineAnswer, boolean>(async (batch) => {
    const committed = refreshing();
    const rows = (await call('commit', COMMIT, batch.map(commitArguments), [])) ?? [];
    const changes = batch.flatMap(({ id, held }, i) =>
      rows[i]?.[0] === true ? [{ xid: String(rows[i][1]), id: textOf(id), generation: held.generation + 1 }] : [],
    );
    if (changes.length > 0) committed(changes);
    return batch.map((_, i) => rows[i]?.[0] === true);
  });

  return {
    async claim(asked) {
      const outcome = await claims(asked);
      if (outcome === 'refused') return claimAlone(asked);
      if (outcome !== 'locked' || waiting === MAX_WAITING) return outcome;
      waiting++;
      try {
        return await claimAlone(asked);
      } finally {
        waiting--;
      }
    },
    commitRoutine: commits,
  };
}
