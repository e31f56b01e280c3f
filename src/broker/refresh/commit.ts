// The commit of a refresh. The refresh token is spent, so the response must not be lost: the commit is tried again and
// again, and meanwhile the encrypted response is in the rescue file.
import { setTimeout as pause } from 'node:timers/promises';
import type { RecordedRefreshes } from '../../domain/audit.ts';
import type { Connection } from '../../domain/connection.ts';
import { COMMIT_RETRY_DELAYS_MS } from '../../domain/time-limits.ts';
import {
  type Clock,
  type Logger,
  type PendingCommit,
  type PendingRevocation,
  type Rescue,
  type Store,
  StoreError,
  type Vault,
} from '../../ports/index.ts';
import type { Access } from '../audit/index.ts';
import { newId, reencryptCredentials } from '../secrets/index.ts';
import type { RecentCommits } from './recent-commits.ts';
import { createRescueReplay, type StoreOutcome } from './rescue-replay.ts';

/** As of `Store.commitRefresh`; `rescued`: durable in the rescue file, and not in the store yet. */
export type CommitOutcome = Awaited<ReturnType<Store['commitRefresh']>> | 'rescued';

export interface RefreshCommitter {
  /**
   * Resolves once the response is durable, in the store or in the rescue file, and tries until it is. If the connection was
   * revoked meanwhile (`gone`), the received tokens are queued for revocation, unless its integration was deleted, too. Rejects
   * when the broker stops and neither can keep it.
   */
  commit(pending: PendingCommit): Promise<CommitOutcome>;
  /** The response in the rescue file that waits for its replay: newer than what the store has. */
  rescuedFor(connectionId: string): PendingCommit | undefined;
  /** How many such responses wait. */
  rescuedCount(): number;
  /**
   * At start, before anything is refreshed: commits what an earlier process left in the rescue file. False: some of it waits
   * still. After `stop`, only says so.
   */
  recover(): Promise<boolean>;
  /** Tries once to commit this response in the rescue file. */
  replayRescued(pending: PendingCommit): Promise<void>;
  /**
   * Under a new claim: commits a successor of these credentials that exists already, so that nothing need be spent. It is in
   * the rescue file of an earlier claim, or was committed and the store has lost it since. `inDoubt`: an earlier claim left
   * an unresolved intent. False: there is none. Rejects with `StoreError`.
   */
  adopt(
    connection: Pick<Connection, 'id' | 'generation' | 'issuedAt'>,
    fence: number,
    inDoubt: boolean,
  ): false | Promise<boolean>;
  /**
   * One last replay, and one last try of what is durable nowhere; what stays in the rescue file is found at the next start.
   */
  stop(): Promise<void>;
}

interface Parts {
  store: Pick<Store, 'commitRefresh' | 'addPendingRevocation' | 'connection' | 'keyChecks'>;
  vault: Pick<Vault, 'protection' | 'learn' | 'reencrypt'>;
  rescue: Rescue;
  /** Undefined if the store cannot lose commits. */
  recentCommits?: Pick<RecentCommits, 'remember' | 'after'> | undefined;
  access: Pick<Access, 'recordSystem'>;
  recordedRefreshes: RecordedRefreshes;
  clock: Clock;
  log: Logger;
}

const hasV1 = ({ accessToken, refreshToken, idToken, credentials }: PendingCommit['grant']): boolean =>
  [accessToken, refreshToken, idToken, credentials].some((secret) => secret?.startsWith('v1.'));

export function createCommitter(parts: Parts): RefreshCommitter {
  const { store, vault, rescue, recentCommits, access, recordedRefreshes, clock, log } = parts;

  /**
   * A response that waited in the rescue file or in memory while the database went on to `migrating` or `enforced` is
   * encrypted as that wants it.
   */
  async function reencrypted(pending: PendingCommit): Promise<PendingCommit> {
    const { connectionId: id, integration, owner, grant } = pending;
    const label = pending.label ?? (await store.connection(id))?.label ?? '';
    return { ...pending, label, grant: reencryptCredentials(vault, { id, integration, owner, label }, grant) };
  }

  async function commitToStore(waiting: PendingCommit): Promise<StoreOutcome> {
    const isFirstForm = hasV1(waiting.grant);
    // A process that hung does not know yet what the database accepts since.
    if (isFirstForm) vault.learn(await store.keyChecks());
    const isOutdated = isFirstForm && vault.protection() !== 'legacy';
    const pending = isOutdated ? await reencrypted(waiting) : waiting;
    const { connectionId, integration, owner, change, grant } = pending;
    const held = { ...pending.held, issuedAt: pending.replaces?.issuedAt };
    const by = () => access.recordSystem('connection.refreshed', { integration, owner, connectionId });
    const outcome = await store.commitRefresh(connectionId, held, change, grant, by, recordedRefreshes);
    // A connection that was revoked leaves a tombstone.
    if (outcome === 'gone' && !(await store.connection(connectionId))) return 'absent';
    if (outcome === 'gone' && !(await store.addPendingRevocation(revocationOf(pending), pending.of)))
      log.warn(
        { attempt: pending.attempt, connection: connectionId, integration },
        'refresh: the integration was deleted, the tokens of the response cannot be revoked',
      );
    if (outcome === 'committed' || outcome === 'held') recentCommits?.remember(pending);
    return outcome;
  }
  const rescueReplay = createRescueReplay({ commit: commitToStore, store, rescue, clock, log });
  const stopping = new AbortController();

  async function commitAgain(
    lost: PendingCommit,
    { id, generation, issuedAt }: Pick<Connection, 'id' | 'generation' | 'issuedAt'>,
    fence: number,
  ): Promise<true> {
    const outcome = await commitToStore({ ...lost, held: { fence, generation }, replaces: { issuedAt } });
    log.error(
      { attempt: lost.attempt, connection: id, outcome },
      'recent commits: the store lost one, committed again',
    );
    return true;
  }

  /** The connection was revoked while the provider answered: the received tokens must not stay alive there. */
  function revocationOf({
    connectionId,
    integration,
    owner,
    label,
    params,
    captured,
    change,
    grant,
  }: PendingCommit): PendingRevocation {
    const now = clock.now();
    const { accessToken, refreshToken } = grant;
    const { account } = change;
    const place = {
      id: newId('rev', now),
      connectionId,
      integration,
      owner,
      label: label ?? null,
      account,
      params,
      captured,
    };
    // Where the grant comes from; beside a refresh token, the record has no credentials of another kind.
    const credentials = refreshToken === null ? null : grant.credentials;
    const unclaimed = { attempts: 0, nextAt: now, claimedUntil: null, createdAt: now };
    return { ...place, accessToken, refreshToken, credentials, ...unclaimed };
  }

  return {
    async commit(pending) {
      const { attempt, connectionId: connection, integration } = pending;
      for (let tries = 0; ; tries++) {
        try {
          const outcome = await commitToStore(pending);
          if (outcome !== 'absent') return outcome;
          log.error(
            { attempt, connection, integration },
            'refresh: the store has lost the connection, writing the response to the rescue file',
          );
        } catch (error) {
          if (!(error instanceof StoreError)) throw error;
          const fields = { err: error, tries, attempt, connection, integration };
          log.error(fields, 'refresh: commit of the response failed, writing it to the rescue file');
        }
        try {
          await rescueReplay.add(pending);
          return 'rescued';
        } catch (error) {
          const fields = { err: error, tries, attempt, connection, integration };
          if (stopping.signal.aborted) {
            log.error(fields, 'refresh: the response is lost, the broker stops and could store it nowhere');
            throw error;
          }
          log.error(fields, 'rescue file: write failed, will retry the commit');
        }
        const delay = COMMIT_RETRY_DELAYS_MS[tries] ?? COMMIT_RETRY_DELAYS_MS.at(-1)!;
        await pause(delay, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    },

    adopt(connection, fence, inDoubt) {
      const lost = recentCommits?.after(connection);
      return lost ? commitAgain(lost, connection, fence) : rescueReplay.adopt(connection, fence, inDoubt);
    },

    rescuedFor: rescueReplay.pendingOf,
    rescuedCount: rescueReplay.count,
    recover: rescueReplay.recover,
    replayRescued: rescueReplay.replay,
    stop() {
      stopping.abort();
      return rescueReplay.stop();
    },
  };
}
