// What others have changed: nothing that is in memory here outlives the news of it.
import type { Connection } from '../../domain/connection.ts';
import { INVALIDATION_RETRY_MS } from '../../domain/time-limits.ts';
import type { Change, ChangeFeed, Logger, Store } from '../../ports/index.ts';
import type { CallerCache } from './caller-cache.ts';
import type { TokenCache } from './token-cache.ts';

interface Parts {
  store: Pick<Store, 'subscribe' | 'connectionVersions'>;
  tokenCache: TokenCache;
  callerCache: Pick<CallerCache, 'reload'>;
  /** Told of an integration that is not as it was; undefined: of any. */
  integrationChanged: (id: string | undefined) => void;
  /** Takes in what the store has now. */
  reread: (connectionId: string) => Promise<unknown>;
  /** The store was away, and may have gone back. */
  lookBack: () => Promise<void>;
  log: Logger;
}

/** Tokens that are compared by one question. */
const AT_ONCE = 500;

/**
 * Follows the news of the store until it is stopped. Our own changes are among them: of those, what is held already is
 * what the store has. What was read before there was news of it is read again first. Rejects with `StoreError` when the
 * news cannot be had at all.
 */
export async function startInvalidation({
  store,
  tokenCache,
  callerCache,
  integrationChanged,
  reread,
  lookBack,
  log,
}: Parts): Promise<ChangeFeed> {
  let isStopped = false;

  /**
   * What is held is compared with the store: the news does not say what has changed. What was refreshed elsewhere is read
   * again at once, so that it is in memory too should the store be away a moment later. What is newer than the store has
   * it was refreshed here a moment ago, or the store has lost it: it is still the best there is.
   */
  async function check(ids: string[]): Promise<string[]> {
    const rows = new Map((await store.connectionVersions(ids)).map((row) => [row.id, row]));
    const old: string[] = [];
    for (const id of ids) {
      const held = tokenCache.get(id)?.connection;
      if (!held) continue;
      const { status = 'revoked', generation = 0 } = rows.get(id) ?? {};
      // A read that began before must not bring back what is gone; a reconnect has a generation of its own.
      if (status === 'revoked') tokenCache.invalidate(held, Number.POSITIVE_INFINITY);
      else if (status === 'needs_reauth') tokenCache.invalidate(held, generation + 1);
      else if (generation > held.generation) old.push(id);
    }
    return old;
  }

  /**
   * What cannot be compared is compared as soon as it can be. Until then a token is let go whose grant may have ended; one
   * that was only refreshed elsewhere is good until its own end.
   */
  async function checkAll(ids: string[], mayHaveEnded: (held: Connection) => boolean): Promise<void> {
    const held = ids.filter((id) => tokenCache.get(id));
    const old: string[] = [];
    for (let i = 0; i < held.length; i += AT_ONCE) {
      try {
        old.push(...(await check(held.slice(i, i + AT_ONCE))));
      } catch (error) {
        const left = held.slice(i);
        log.warn({ err: error, connections: left.length }, 'tokens could not be compared with the store');
        for (const id of left) {
          const one = tokenCache.get(id)?.connection;
          if (one && mayHaveEnded(one)) tokenCache.invalidate(one, one.generation);
        }
        if (!isStopped) setTimeout(() => void checkAll(left, mayHaveEnded), INVALIDATION_RETRY_MS).unref();
        break;
      }
    }
    // What is held meanwhile was refreshed, not ended: it is good until then.
    for (const id of old) await reread(id).catch(() => undefined);
  }

  function untilDone(what: string, work: () => Promise<void>): void {
    work().catch((error: unknown) => {
      if (isStopped) return;
      log.error({ err: error }, `${what} could not be looked at: trying again`);
      setTimeout(() => untilDone(what, work), INVALIDATION_RETRY_MS).unref();
    });
  }

  const watch = await store.subscribe((changes: Change[]) => {
    const kinds = new Set(changes.map(({ kind }) => kind));
    const everything = kinds.has('everything');
    if (everything) tokenCache.invalidateReads();
    for (const change of changes) {
      if (change.kind === 'integration') integrationChanged(change.id);
      if (change.kind !== 'connection') continue;
      tokenCache.invalidateOwnerOf(change.id);
      // A new one belongs to a set that cannot know it.
      if (change.generation === 1) tokenCache.invalidateOwners();
    }
    const told = generationsOf(changes);
    void checkAll([...told.keys()], ({ id, generation }) => !areRefreshes(told.get(id) ?? [], generation));
    if (everything) void checkAll(tokenCache.cachedIds(), () => false);
    if (everything) integrationChanged(undefined);
    if (everything || kinds.has('back')) untilDone('what was kept lately', lookBack);
    if (everything || kinds.has('callers')) untilDone('callers', callerCache.reload);
  });
  integrationChanged(undefined);
  await callerCache.reload();
  return {
    ...watch,
    async stop() {
      isStopped = true;
      await watch.stop();
    },
  };
}

function generationsOf(changes: Change[]): Map<string, number[]> {
  const told = new Map<string, number[]>();
  for (const change of changes)
    if (change.kind === 'connection') told.set(change.id, [...(told.get(change.id) ?? []), change.generation]);
  return told;
}

/** Each brought a generation that was not there before; whatever else befalls a connection leaves it the one that it has. */
const areRefreshes = (told: number[], held: number): boolean =>
  told.every((generation) => generation > held) && new Set(told).size === told.length;
