// Cache invalidation: follows the change feed of the store, so that no cache outlives a change made by another process.
import { setTimeout as pause } from 'node:timers/promises';
import type { Connection } from '../../domain/connection.ts';
import { INVALIDATION_RETRY_MS } from '../../domain/time-limits.ts';
import type { Change, ChangeFeed, Logger, Store } from '../../ports/index.ts';
import type { CallerCache } from './callers/caller-cache.ts';
import type { TokenCache } from './token-cache.ts';

/** What other rooms do about a change. */
export interface ChangeHandlers {
  /** An integration has changed; undefined: any may have. */
  integrationChanged: (id: string | undefined) => void;
  /** Connections have changed, here or in another process; undefined: any may have. */
  connectionsChanged: (ids: readonly string[] | undefined) => void;
  /** Callers may have changed, or agent sessions have ended: those in memory are what is stored now. */
  callersChanged: () => void;
  /** Which connections have their calls captured may have changed. */
  capturesChanged: () => Promise<unknown>;
  /** The keys that the deployment signs with may have changed. */
  signingKeysChanged: () => void;
  /** Reads a connection from the store into the token cache. */
  reload: (connectionId: string) => Promise<unknown>;
  /** The store was away and may have lost the last commits: commit what it lacks again. Rejects if that has to be retried. */
  recommitLost: () => Promise<void>;
}

interface Parts extends ChangeHandlers {
  store: Pick<Store, 'subscribe' | 'connectionVersions'> & { traits: Pick<Store['traits'], 'marksRefreshes'> };
  tokenCache: TokenCache;
  callerCache: Pick<CallerCache, 'reload' | 'sessionsEnded' | 'recheckSessions'>;
  log: Logger;
}

/** Connections per query when cached tokens are compared with the store. */
const COMPARE_AT_ONCE = 500;

/**
 * Follows the change feed until it is stopped. The feed brings this process's own changes too; for these the cache holds
 * what the store has. Callers and integrations that were read before the subscription are read again. Rejects with
 * `StoreError` when the subscription fails.
 */
export async function startInvalidation({
  store,
  tokenCache,
  callerCache,
  integrationChanged,
  connectionsChanged,
  callersChanged,
  capturesChanged,
  signingKeysChanged,
  reload,
  recommitLost,
  log,
}: Parts): Promise<ChangeFeed> {
  let isStopped = false;

  /**
   * Drops cached tokens whose grant has ended; returns the ids of those that were refreshed elsewhere. A change
   * notification does not say what has changed, so the cached token is compared with the store. A cached token that is
   * newer than the store's was refreshed here a moment ago, or the store has lost it: it is still the best there is.
   */
  async function compare(ids: string[]): Promise<string[]> {
    const rows = new Map((await store.connectionVersions(ids)).map((row) => [row.id, row]));
    const outdated: string[] = [];
    for (const id of ids) {
      const cached = tokenCache.get(id)?.connection;
      if (!cached) continue;
      const { status = 'revoked', generation = 0 } = rows.get(id) ?? {};
      // A read that began earlier must not bring the token back; a reconnect gets a new generation.
      if (status === 'revoked') tokenCache.invalidate(cached, Number.POSITIVE_INFINITY);
      else if (status !== 'active' && generation >= cached.generation) tokenCache.invalidate(cached, generation + 1);
      else if (status === 'active' && generation > cached.generation) outdated.push(id);
    }
    return outdated;
  }

  /**
   * Compares in batches. While the store cannot be asked, tokens whose grant may have ended are dropped, and the rest is
   * compared later; a token that was only refreshed elsewhere is valid until it expires.
   */
  async function compareAll(ids: string[], mayHaveEnded: (cached: Connection) => boolean): Promise<void> {
    const cached = ids.filter((id) => tokenCache.get(id));
    const outdated: string[] = [];
    for (let i = 0; i < cached.length; i += COMPARE_AT_ONCE) {
      try {
        outdated.push(...(await compare(cached.slice(i, i + COMPARE_AT_ONCE))));
      } catch (error) {
        const left = cached.slice(i);
        log.warn(
          { err: error, connections: left.length },
          'cache invalidation: comparing tokens with the store failed, will retry',
        );
        for (const id of left) {
          const one = tokenCache.get(id)?.connection;
          if (one && mayHaveEnded(one)) tokenCache.invalidate(one, one.generation);
        }
        if (!isStopped) setTimeout(() => void compareAll(left, mayHaveEnded), INVALIDATION_RETRY_MS).unref();
        break;
      }
    }
    // Reloaded at once, so that the new token is in memory should the store be away a moment later.
    void reloadAll(outdated);
  }

  async function reloadAll(ids: string[]): Promise<void> {
    for (const id of ids) await reload(id).catch(() => undefined);
  }

  /** Fulfilled when it is done, or when there is no one left to do it for. */
  async function retryUntilDone(what: string, work: () => Promise<void>): Promise<void> {
    while (!isStopped) {
      try {
        return await work();
      } catch (error) {
        if (isStopped) return;
        log.error({ err: error }, `cache invalidation: ${what} failed, will retry`);
        await pause(INVALIDATION_RETRY_MS, undefined, { ref: false });
      }
    }
  }

  const feed = await store.subscribe((changes: Change[]) => {
    const kinds = new Set(changes.map(({ kind }) => kind));
    const everything = kinds.has('everything');
    if (everything) tokenCache.invalidateReads();
    for (const change of changes) {
      if (change.kind === 'integration') integrationChanged(change.id);
      if (change.kind !== 'connection') continue;
      tokenCache.invalidateOwnerOf(change.id, change.generation);
      // A new connection is in no cached set of an owner yet.
      if (change.generation === 1) tokenCache.invalidateOwners();
    }
    const ended = changes.flatMap((change) => (change.kind === 'session_ended' ? [change.id] : []));
    callerCache.sessionsEnded(ended);
    if (ended.length > 0) callersChanged();
    const changed = Map.groupBy(changes.filter(isOfConnection), ({ id }) => id);
    connectionsChanged(everything ? undefined : [...changed.keys()]);
    const mayHaveEnded = ({ id, generation }: Connection) =>
      !areRefreshes(changed.get(id) ?? [], generation, store.traits.marksRefreshes);
    const applying: Promise<void>[] = [compareAll([...changed.keys()], mayHaveEnded)];
    if (everything) applying.push(compareAll(tokenCache.cachedIds(), () => false));
    if (everything) integrationChanged(undefined);
    if (everything || kinds.has('signing_keys')) signingKeysChanged();
    if (everything || kinds.has('reconnected')) void retryUntilDone('committing again what was lost', recommitLost);
    if (everything || kinds.has('callers')) {
      const recheck = () => callerCache.recheckSessions(everything ? 'all' : 'of_workloads');
      applying.push(
        retryUntilDone('reading callers', callerCache.reload).then(callersChanged),
        retryUntilDone('reading which sessions have ended', recheck).then(callersChanged),
      );
    }
    if (everything || kinds.has('captures'))
      applying.push(retryUntilDone('reading captures', async () => void (await capturesChanged())));
    return Promise.all(applying);
  });
  integrationChanged(undefined);
  await callerCache.reload();
  await capturesChanged();
  return {
    ...feed,
    async stop() {
      isStopped = true;
      await feed.stop();
    },
  };
}

type ConnectionChange = Extract<Change, { kind: 'connection' }>;
const isOfConnection = (change: Change): change is ConnectionChange => change.kind === 'connection';

/** A refresh brings a new generation; any other change of a connection leaves its generation as it is. */
const areRefreshes = (changes: ConnectionChange[], cached: number, areMarked: boolean): boolean =>
  changes.every(({ generation, isRefresh }) => generation > cached && (isRefresh || !areMarked)) &&
  new Set(changes.map(({ generation }) => generation)).size === changes.length;
