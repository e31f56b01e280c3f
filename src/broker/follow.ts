// What others have changed: nothing that is in memory here outlives the news of it.
import type { Change, Logger, Store, Watch } from '../ports.ts';
import type { Directory } from './directory.ts';
import type { Serving } from './serving.ts';

interface Parts {
  store: Pick<Store, 'watch' | 'standings'>;
  serving: Serving;
  directory: Pick<Directory, 'reload'>;
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
const AGAIN_MS = 250;

/**
 * Follows the news of the store until it is stopped. Our own changes are among them: of those, what is held already is
 * what the store has. What was read before there was news of it is read again first. Rejects with `StoreError` when the
 * news cannot be had at all.
 */
export async function startFollowing({
  store,
  serving,
  directory,
  integrationChanged,
  reread,
  lookBack,
  log,
}: Parts): Promise<Watch> {
  /**
   * What is held is compared with the store: the news does not say what has changed. What was refreshed elsewhere is read
   * again at once, so that it is in memory too should the store be away a moment later. What is newer than the store has
   * it was refreshed here a moment ago, or the store has lost it: it is still the best there is.
   */
  async function check(ids: string[]): Promise<string[]> {
    const rows = new Map((await store.standings(ids)).map((row) => [row.id, row]));
    const old: string[] = [];
    for (const id of ids) {
      const held = serving.get(id)?.connection;
      if (!held) continue;
      const { status = 'revoked', generation = 0 } = rows.get(id) ?? {};
      // A read that began before must not bring back what is gone; a reconnect has a generation of its own.
      if (status === 'revoked') serving.drop(held, Number.POSITIVE_INFINITY);
      else if (status === 'needs_reauth') serving.drop(held, generation + 1);
      else if (generation > held.generation) old.push(id);
    }
    return old;
  }

  /** `told`: they have changed, and what cannot be compared is let go; otherwise it is compared as soon as it can be. */
  async function checkAll(ids: string[], told: boolean): Promise<void> {
    const held = ids.filter((id) => serving.get(id));
    const old: string[] = [];
    for (let i = 0; i < held.length; i += AT_ONCE) {
      const some = held.slice(i, i + AT_ONCE);
      try {
        old.push(...(await check(some)));
      } catch (error) {
        log.warn({ err: error, connections: some.length, told }, 'tokens could not be compared with the store');
        if (!told) {
          setTimeout(() => void checkAll(held.slice(i), told), AGAIN_MS).unref();
          break;
        }
        for (const id of some) {
          const one = serving.get(id)?.connection;
          if (one) serving.drop(one, one.generation);
        }
      }
    }
    // What is held meanwhile was refreshed, not ended: it is good until then.
    for (const id of old) await reread(id).catch(() => undefined);
  }

  let isStopped = false;
  function untilDone(what: string, work: () => Promise<void>): void {
    work().catch((error: unknown) => {
      if (isStopped) return;
      log.error({ err: error }, `${what} could not be looked at: trying again`);
      setTimeout(() => untilDone(what, work), AGAIN_MS).unref();
    });
  }

  const watch = await store.watch((changes: Change[]) => {
    const kinds = new Set(changes.map(({ kind }) => kind));
    const everything = kinds.has('everything');
    if (everything) serving.doubtAll();
    for (const change of changes) {
      if (change.kind === 'integration') integrationChanged(change.id);
      if (change.kind !== 'connection') continue;
      serving.dropSetOf(change.id);
      // A new one belongs to a set that cannot know it.
      if (change.generation === 1) serving.dropSets();
    }
    const told = changes.flatMap((change) => (change.kind === 'connection' ? change.id : []));
    void checkAll(told, true);
    if (everything) void checkAll(serving.held(), false);
    if (everything) integrationChanged(undefined);
    if (everything || kinds.has('back')) untilDone('what was kept lately', lookBack);
    if (everything || kinds.has('callers')) untilDone('callers', directory.reload);
  });
  integrationChanged(undefined);
  await directory.reload();
  return {
    ...watch,
    async stop() {
      isStopped = true;
      await watch.stop();
    },
  };
}
