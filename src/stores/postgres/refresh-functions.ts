// The functions of the database that every refresh calls: the claim, and the commit of a routine answer. Refreshes that come
// together share a call. Commits, and claims of free leases, are statements of sets, one way there and back each; what the latter
// leaves out takes another one, which decides one after the other. The functions are in the migrations that made them
// (drizzle/postgres/0028_due_times.sql, 0031_refresh_sets.sql, 0032_refreshed_leases.sql).
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

/** As parameters, from this number on. */
const arrays = (from: number, types: readonly string[]): string[] => types.map((type, i) => `$${from + i}::${type}[]`);
const ROW = `${connectionColumns('(connection)')}, ${credentialColumns('(credentials)')}`;

/** A row for each claim of a free lease, with its place in the arrays, counted from 1. */
const CLAIM_FREE = `select place, claimed_fence, ${ROW}
  from valetkey_claim_free(${arrays(2, ['text', 'integer', 'text', 'bigint', 'bigint'])}, $1)`;
const FREE_ROW_AT = 2;

const CLAIM_TYPES = ['text', 'integer', 'text', 'bigint', 'bigint', 'bigint', 'integer', 'integer', 'text', 'bigint'];
/**
 * The function compares with the clock of the database: silence may last longer by what that is ahead of its limit ($6). In
 * seconds, since days are not always of 24 hours.
 */
const silence = (parameter: string): string =>
  `${parameter}::interval + make_interval(secs => greatest(0, extract(epoch from clock_timestamp() - $6::timestamptz)::float8))`;
const CLAIM_NAMES = CLAIM_TYPES.map((_, i) => `a${i + 1}`);
/**
 * Calls the function once for each place of the arrays, one after the other. The first array is hidden from the planner: it
 * would take its length for a reason to plan every call again, which takes as long as to run it.
 */
const CLAIM = `select outcome, claimed_fence, unresolved_attempt, unresolved_at, ${ROW}
  from unnest((select $7::text[]), ${arrays(8, CLAIM_TYPES.slice(1))}) with ordinality as asked(${CLAIM_NAMES}, place),
    lateral valetkey_claim(${CLAIM_NAMES}, $1, $2, ${silence('$3')}, ${silence('$4')}, $5) as result order by place`;
const ROW_AT = 4;

const COMMIT_TYPES = [
  'text',
  'integer',
  'integer',
  ...Array.from({ length: 7 }, () => 'bigint'),
  ...Array.from({ length: 4 }, () => 'text'),
];
/** A row for each commit, with its place in the arrays, counted from 1. */
const COMMIT = `select place, xid from valetkey_commit_refreshes(${arrays(1, COMMIT_TYPES)})`;

/** Of an `integer`. */
const MAX_INTEGER = 2 ** 31 - 1;
const milliseconds = (ms: number) => `${ms} milliseconds`;
/** As the columns encode them. */
const textOf = (text: string): string => String(connections.id.mapToDriverValue(text));
const timeOf = (ms: number | null): string | null =>
  ms === null ? null : String(connections.issuedAt.mapToDriverValue(ms));

const freeArguments = ({ id, generation, attempt, now }: AskedClaim): Arguments => [
  textOf(id),
  Math.min(generation, MAX_INTEGER),
  attempt,
  timeOf(now),
  timeOf(now + CLAIMED_DUE_AGAIN_MS),
];

const claimArguments = ({ reuseWindowMs = 0, ...asked }: AskedClaim): Arguments => [
  ...freeArguments(asked),
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

function claimedAt(row: readonly unknown[], at: number, unresolved: Claimed['unresolved']): ClaimOutcome {
  const fence = Number(row[1]);
  return { connection: connectionAt(row, at), credentials: credentialsAfter(row, at), fence, unresolved };
}

function outcomeOf(row: readonly unknown[]): ClaimOutcome {
  const [outcome, fence, attempt, startedAt] = row;
  if (outcome === 'gone' || outcome === 'locked') return outcome;
  if (outcome === 'busy' || outcome === 'in_doubt') return { refused: outcome, fence: Number(fence) };
  const unresolved = attempt === null ? null : { attempt: String(attempt), startedAt: Number(startedAt) };
  return claimedAt(row, ROW_AT, unresolved);
}

export function createRefreshFunctions(
  { single, prepared }: Pick<PostgresAccess, 'single' | 'prepared'>,
  { holder, canJudge, clockLimit }: Pick<Liveness, 'holder' | 'canJudge' | 'clockLimit'>,
  { refreshing }: Pick<PostgresChangeFeed, 'refreshing'>,
): RefreshFunctions {
  const names = prepared((_, name) => ({
    free: name('claim_free'),
    claim: name('claim'),
    commit: name('commit_refreshes'),
  }));

  /** Undefined: one of several was refused, and so nothing has happened. */
  function call(
    name: 'free' | 'claim' | 'commit',
    text: string,
    given: readonly Arguments[],
    common: readonly unknown[],
  ): Promise<unknown[][] | undefined> {
    const values = [...common, ...given[0]!.map((_, at) => given.map((one) => one[at]))];
    return single(async (orm) => {
      try {
        const { rows } = await orm.$client.query<unknown[]>({ name: names(orm)[name], text, rowMode: 'array', values });
        return rows;
      } catch (error) {
        if (given.length > 1 && isAnswer(error) && !isWorthRetrying(error)) return undefined;
        throw error;
      }
    });
  }

  /** Undefined: see `call`. */
  async function claimAny(asked: readonly AskedClaim[], waits: boolean): Promise<ClaimOutcome[] | undefined> {
    // One that waits for a lock judges no one: the clock may be set meanwhile.
    const judges = !waits && canJudge();
    const silences = [PROCESS_DEAD_AFTER_MS, LEASE_IN_DOUBT_MS].map(milliseconds);
    const common = [holder, judges, ...silences, waits, clockLimit()];
    const rows = await call('claim', CLAIM, asked.map(claimArguments), common);
    return rows?.map(outcomeOf);
  }
  const claimAlone = async (asked: AskedClaim): Promise<ClaimOutcome> => (await claimAny([asked], true))![0]!;

  /** Undefined: left out, since its lease is not free. A batch of its own: what has been claimed is not lost with a claim that fails. */
  const freeClaims = createBatches<AskedClaim, ClaimOutcome | undefined>(async (batch) => {
    const rows = (await call('free', CLAIM_FREE, batch.map(freeArguments), [holder])) ?? [];
    const claimed = new Map(rows.map((row) => [batch[Number(row[0]) - 1]!, claimedAt(row, FREE_ROW_AT, null)]));
    return batch.map((asked) => claimed.get(asked));
  });
  // No batch waits for a lock, however few are in it: others would wait behind it.
  const otherClaims = createBatches<AskedClaim, ClaimOutcome | 'refused'>(
    async (batch) => (await claimAny(batch, false)) ?? batch.map(() => 'refused'),
  );
  let waiting = 0;
  const commits = createBatches<RoutineAnswer, boolean>(async (batch) => {
    const noted = refreshing();
    const rows = (await call('commit', COMMIT, batch.map(commitArguments), [])) ?? [];
    const committed = new Map(rows.map(([place, xid]) => [batch[Number(place) - 1]!, String(xid)]));
    if (committed.size > 0)
      noted(Array.from(committed, ([{ id, held }, xid]) => ({ xid, id: textOf(id), generation: held.generation + 1 })));
    return batch.map((answer) => committed.has(answer));
  });

  return {
    async claim(asked) {
      const claimed = asked.unsent === undefined ? await freeClaims(asked) : undefined;
      const outcome = claimed ?? (await otherClaims(asked));
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
