// What refreshing needs of a store: leases, commits, what is due, and the rate of an integration.
import type { AuditEntry, RecordedRefreshes } from '../domain/audit.ts';
import type { Connection, WrittenCredentials } from '../domain/connection.ts';
import type { Claim, Claimed, HeldLease, PageRequest, RefreshedFields, RefreshFailure } from './rows.ts';

/** An integration whose failures until then (ms since the epoch) may have lost their cause. */
export interface ExpiredFailures {
  integration: string;
  failedBy: number;
}

export interface RefreshStore {
  /**
   * Takes the lease and records the intent in one durable commit, before a refresh token is spent; if it is due within
   * `CLAIMED_DUE_AGAIN_MS`, it is due again after that. `busy`: another process
   * holds the lease, or locks the connection. Its lease ends when that process dies, or once this process has observed the same claim for
   * `LEASE_MS`. A process may claim again what it holds itself. `in_doubt`: the holder has stopped answering, and may only be
   * frozen and have spent the refresh token, which the provider is not known to answer again; until it is back, known to have
   * ended, or silent for `LEASE_IN_DOUBT_MS`. `gone`: absent, not `active`, or of a newer generation.
   */
  claim(id: string, claim: Claim): Promise<Claimed | 'busy' | 'in_doubt' | 'gone'>;
  /**
   * From now on, processes of this machine that have ended are reported to the others, which may take over what these had
   * claimed. Before that, `settle` commits the responses that they have left; false: some wait still, and it is tried again a
   * little later. This process, too, is reported as ended by `close` only if none is left. Fulfilled after the first look, which
   * may fail.
   */
  reportEnded(settle: () => Promise<boolean>): Promise<void>;
  /** Gives a claim back under which nothing was sent: as if it had never been made. Without effect if it is not the newest. */
  releaseUnsent(id: string, claimed: Pick<Claimed, 'fence' | 'unresolved'>): Promise<void>;
  /**
   * Commits the answer of a refresh: generation + 1, `active`, failures and error cleared, lease and intent released.
   *
   * - `superseded`: newer credentials than the claim's generation are stored, and nothing changes.
   * - A late answer, of an older claim, is committed as long as its generation is the stored one: no other answer may come.
   *   If it reactivates a connection, that is due for its next refresh at once, which shows whether the grant lives. A newer
   *   claim that is under way keeps its lease, without its intent; should it bring an answer too, that one is newer, and
   *   replaces the late one.
   * - `held`: committed, and the connection stays as others have made it meanwhile: on hold, or ended (`deauthorize`). The token is
   *   not to be served.
   * - `gone`: revoked meanwhile.
   *
   * `recorded`: `changes` leaves out the audit entry of a refresh that is routine (`held`), not late, and follows no failure: then
   * `audit` is not called.
   */
  commitRefresh(
    id: string,
    held: HeldLease,
    change: RefreshedFields,
    credentials: WrittenCredentials,
    audit: () => AuditEntry,
    recorded?: RecordedRefreshes,
  ): Promise<'committed' | 'held' | 'superseded' | 'gone'>;
  /**
   * Records and counts a failed refresh, and releases the lease. Nothing is recorded on `superseded` (newer credentials are
   * stored, or a newer claim was made) and `gone`. `kept`: recorded, and the connection stays as others have made it meanwhile, on
   * hold or ended (`deauthorize`), whatever the failure says of its grant.
   */
  recordRefreshFailure(
    id: string,
    held: HeldLease,
    failure: RefreshFailure,
    audit: AuditEntry,
  ): Promise<'recorded' | 'kept' | 'superseded' | 'gone'>;
  /**
   * Connections of an integration that became `needs_reauth` since then (`updatedAt`), the newest first. From an index of
   * these alone.
   */
  recentlyDead(integration: string, since: number, limit: number): Promise<Connection[]>;
  /**
   * Makes a connection `active` again that is `needs_reauth` for this reason, with the credentials of this generation: due at
   * `nextRefreshAt`. `updatedAt` stays: it is not known yet whether anything has changed. `changed`: it is none of these.
   */
  reactivate(
    id: string,
    expected: Pick<Connection, 'generation' | 'reason'>,
    nextRefreshAt: number,
    audit: AuditEntry,
  ): Promise<'reactivated' | 'changed'>;
  /**
   * When a connection of this integration was last refreshed, as far as those that are due last show; null: none of them was.
   */
  lastRefreshAt(integration: string): Promise<number | null>;
  /**
   * Integrations with active connections that are due, and since when, the oldest first. Costs a few index steps for each
   * integration, however many connections are stored. One that became due before what was found the last time may be found up
   * to `DUE_FULL_LOOK_MS` later.
   */
  dueIntegrations(now: number): Promise<{ integration: string; dueAt: number }[]>;
  /** For metrics: the same, counted. Costs an index step for each connection that is due. */
  countDue(now: number): Promise<{ integration: string; dueAt: number; count: number }[]>;
  /**
   * Connections of an integration that are due, for this process to refresh, the oldest first: those that fall to it among the
   * processes that are alive, then, where these are fewer, what is late of the others. `without`: ids that are left out, since
   * this process has them already. Nothing is written: `claim` keeps two processes from refreshing the same. `dueAt` is the
   * time that the scheduler sees, which a claim moves on, so that no one comes back to it at once.
   */
  dueConnections(
    integration: string,
    now: number,
    limit: number,
    without?: readonly string[],
  ): Promise<{ connection: Connection; dueAt: number }[]>;
  /** These could not be refreshed, and are still due: they are due again in `CLAIMED_DUE_AGAIN_MS`. */
  postponeDue(ids: readonly string[], now: number): Promise<void>;
  /**
   * Makes active connections of these integrations due `now` that failed last by then, and would be due later; that they were
   * to wait is forgotten. The same for those of any integration that failed in the future: the clock was ahead. Their number,
   * and the cursor of the next page: of the active connections that have failed, of any integration, each page examines `limit`.
   * One that another operation is changing may be left out. Repeated, it does the same.
   */
  retryFailed(
    expired: readonly ExpiredFailures[],
    now: number,
    page: PageRequest,
  ): Promise<{ retried: number; next: string | null }>;
  /** Connections with an unresolved intent that no live process holds, the oldest first; `startedAt` as in `Claimed`. */
  unresolvedRefreshes(): Promise<{ id: string; startedAt: number }[]>;
}
