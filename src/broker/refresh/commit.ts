// Keeping what a refresh brought. The refresh token is spent by then, so its successor must not be lost: the commit is
// tried again and again, and meanwhile the sealed answer lies in a rescue file.
import { setTimeout as pause } from 'node:timers/promises';
import type { Connection } from '../../domain/connection.ts';
import {
  type Clock,
  type Logger,
  type PendingCommit,
  type PendingRevocation,
  type Rescue,
  type Store,
  StoreError,
} from '../../ports/index.ts';
import type { Access } from '../audit/index.ts';
import { newId } from '../secrets/index.ts';
import type { RecentCommits } from './recent-commits.ts';

const AGAIN_AFTER_MS = [50, 100, 250, 500, 1_000, 2_000];
/** Another process writes into the rescue file for moments; the store may take seconds to say no once more. */
const RESCUE_AGAIN_AFTER_MS = [10, 20, 40, 80];
const TAKE_IN_EVERY_MS = 2_000;

/** `rescued`: durable, but not in the store yet. */
export type CommitOutcome = 'kept' | 'superseded' | 'gone' | 'rescued';

export type RefreshCommitter = ReturnType<typeof createCommitter>;

interface Parts {
  store: Pick<Store, 'rotate' | 'addPendingRevocation' | 'connection'>;
  rescue: Rescue;
  /** Undefined where the store cannot go back. */
  recentCommits?: Pick<RecentCommits, 'remember' | 'after'> | undefined;
  access: Pick<Access, 'recordOwn'>;
  clock: Clock;
  log: Logger;
}

export function createCommitter({ store, rescue, recentCommits, access, clock, log }: Parts) {
  /** By connection: what lies in the rescue file. */
  const waiting = new Map<string, PendingCommit>();
  /** Connections whose answer stays in the file, until a newer claim adopts it. */
  const left = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  async function commit(answer: PendingCommit): Promise<Exclude<CommitOutcome, 'rescued'>> {
    const { connectionId, integration, owner, held, change, grant } = answer;
    const by = access.recordOwn('connection.refreshed', { integration, owner, connectionId });
    const written = await store.rotate(connectionId, held, change, grant, by);
    if (written === 'gone') await store.addPendingRevocation(unwanted(answer));
    if (written === 'kept') recentCommits?.remember(answer);
    return written;
  }

  /** Revoked while the provider answered: what arrived must not live on there. */
  function unwanted({ connectionId, integration, params, captured, grant }: PendingCommit): PendingRevocation {
    const now = clock.now();
    const { accessToken, refreshToken } = grant;
    const place = { id: newId('rev', now), connectionId, integration, params, captured };
    return { ...place, accessToken, refreshToken, attempts: 0, nextAt: now, createdAt: now };
  }

  /** Nothing can come of it any more: its connection has a newer grant, or is gone. */
  async function isOutdone({ connectionId, held }: PendingCommit): Promise<boolean> {
    const connection = await store.connection(connectionId);
    return !connection || connection.status === 'revoked' || connection.generation > held.generation;
  }

  /**
   * Into the store, and out of the file. Where another process has claimed the connection since and kept nothing yet, it
   * stays in the file: that claim, or the next one, adopts it.
   */
  async function settle(answer: PendingCommit): Promise<void> {
    const { attempt, connectionId } = answer;
    const outcome = await commit(answer);
    const fields = { attempt, connection: connectionId, outcome };
    if (outcome === 'superseded' && !(await isOutdone(answer))) {
      left.add(connectionId);
      log.info(fields, 'rescue: left to a newer claim');
    } else {
      await rescue.remove(attempt);
      left.delete(connectionId);
      log.info(fields, 'rescue: taken in');
    }
    waiting.delete(connectionId);
  }

  /** Tries all that is waiting once. What still cannot be written stays where it is. */
  async function replayRescueFile(): Promise<void> {
    for (const answer of [...waiting.values()]) {
      try {
        await settle(answer);
      } catch (error) {
        log.warn({ err: error, attempt: answer.attempt, connection: answer.connectionId }, 'rescue: not yet');
        break;
      }
    }
    if (waiting.size > 0) soon();
  }
  const soon = () => {
    if (!stopped) timer ??= setTimeout(again, TAKE_IN_EVERY_MS);
  };
  const again = () => {
    timer = undefined;
    void replayRescueFile();
  };

  async function addToRescue(answer: PendingCommit): Promise<void> {
    for (const ms of RESCUE_AGAIN_AFTER_MS) {
      try {
        return await rescue.add(answer);
      } catch {
        await pause(ms);
      }
    }
    await rescue.add(answer);
  }

  return {
    /** Fulfilled once the answer is durable, in the store or beside it. */
    async commit(answer: PendingCommit): Promise<CommitOutcome> {
      const { attempt, connectionId: connection, integration } = answer;
      for (let tries = 0; ; tries++) {
        try {
          return await commit(answer);
        } catch (error) {
          if (!(error instanceof StoreError)) throw error;
          const fields = { err: error, tries, attempt, connection, integration };
          log.error(fields, 'refresh: the answer could not be kept yet');
        }
        try {
          await addToRescue(answer);
          waiting.set(answer.connectionId, answer);
          soon();
          return 'rescued';
        } catch (error) {
          const fields = { err: error, tries, attempt, connection, integration };
          log.error(fields, 'refresh: nor could it be rescued');
        }
        await pause(AGAIN_AFTER_MS[tries] ?? AGAIN_AFTER_MS.at(-1)!);
      }
    },

    /** What waits for the store: newer than anything that is in there. */
    rescuedFor: (connectionId: string): PendingCommit | undefined => waiting.get(connectionId),
    /** How many. */
    rescuedCount: (): number => waiting.size,

    /** At start, before anything is refreshed: what an earlier process rescued. */
    async recover(): Promise<void> {
      for (const answer of await rescue.all()) waiting.set(answer.connectionId, answer);
      if (waiting.size > 0) log.warn({ answers: waiting.size }, 'rescue: answers of an earlier run are taken in');
      await replayRescueFile();
    },
    replayRescueFile,
    /**
     * Under a new claim, what is there already instead of this very generation: what an earlier claim had rescued, or what
     * was kept and the store has lost since. It is kept (or a yet newer claim will do so), and nothing need be spent.
     * `inDoubt`: an earlier claim has left no word of how it ended. False: there is nothing.
     */
    async adopt(connection: Pick<Connection, 'id' | 'generation'>, fence: number, inDoubt: boolean): Promise<boolean> {
      const { id, generation } = connection;
      const held = { fence, generation };
      const lost = recentCommits?.after(connection);
      if (lost) {
        const outcome = await commit({ ...lost, held });
        log.error({ attempt: lost.attempt, connection: id, outcome }, 'the store had lost a refresh: kept once more');
        return true;
      }
      if (!inDoubt && !left.has(id)) return false;
      const rescued = (await rescue.all()).find((one) => one.connectionId === id && one.held.generation === generation);
      if (!rescued) return false;
      await settle({ ...rescued, held });
      return true;
    },
    /** One last try; what still waits is found at the next start. */
    async stop(): Promise<void> {
      stopped = true;
      clearTimeout(timer);
      await replayRescueFile();
    },
  };
}
