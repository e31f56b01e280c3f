// What others have changed: nothing that is in memory here outlives the news of it.
import type { Change, Logger, Store, Watch } from '../ports.ts';
import type { Directory } from './directory.ts';
import type { Serving } from './serving.ts';

interface Parts {
  store: Pick<Store, 'watch' | 'served'>;
  serving: Serving;
  directory: Pick<Directory, 'reload'>;
  /** Told of an integration that is not as it was; undefined: of any. */
  integrationChanged: (id: string | undefined) => void;
  log: Logger;
}

/** Comparisons with the store: reads of callers go on beside them. */
const AT_ONCE = 8;

/**
 * Follows the news of the store until it is stopped. Our own changes are among them: of those, what is held already is
 * what the store has. What was read before there was news of it is read again first. Rejects with `StoreError` when the
 * news cannot be had at all.
 */
export async function startFollowing({ store, serving, directory, integrationChanged, log }: Parts): Promise<Watch> {
  /** What is held is compared with the store, and let go unless it is the same: the news does not say what has changed. */
  async function check(id: string): Promise<void> {
    const held = serving.get(id);
    if (!held) return;
    const now = (await store.served(id))?.connection;
    const { generation, status } = held.connection;
    if (now && now.generation === generation && now.status === status) return;
    // A read that began before must not bring back what is gone.
    const alive = now?.status === 'active';
    serving.drop(held.connection, alive ? now.generation : Number.POSITIVE_INFINITY);
  }

  /** What cannot be compared is not relied on. A few at a time: all that is held can be very many. */
  function checkAll(ids: string[]): void {
    const left = new Set(ids).values();
    const compare = async () => {
      for (const id of left)
        await check(id).catch((error: unknown) => {
          log.warn({ err: error, connection_id: id }, 'a change could not be looked at: its token is let go');
          const held = serving.get(id);
          if (held) serving.drop(held.connection, held.connection.generation);
        });
    };
    for (let i = 0; i < AT_ONCE; i++) void compare();
  }

  function reload(): void {
    directory.reload().catch((error: unknown) => {
      log.error({ err: error }, 'callers have changed and could not be read: trying again');
      setTimeout(reload, 250).unref();
    });
  }

  const watch = await store.watch((changes: Change[]) => {
    const kinds = new Set(changes.map(({ kind }) => kind));
    const everything = kinds.has('everything');
    if (everything) serving.doubtAll();
    checkAll(
      everything ? serving.held() : changes.flatMap((change) => (change.kind === 'connection' ? change.id : [])),
    );
    for (const change of changes) {
      if (change.kind === 'integration') integrationChanged(change.id);
      if (change.kind !== 'connection') continue;
      serving.dropSetOf(change.id);
      // A new one belongs to a set that cannot know it.
      if (change.generation === 1) serving.dropSets();
    }
    if (everything) integrationChanged(undefined);
    if (everything || kinds.has('callers')) reload();
  });
  integrationChanged(undefined);
  await directory.reload();
  return watch;
}
