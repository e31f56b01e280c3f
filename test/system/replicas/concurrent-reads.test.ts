// What changes while a replica is just reading: it must not be remembered as it was.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { createDirectory } from '../../../src/broker/cache/caller-cache.ts';
import { startFollowing } from '../../../src/broker/cache/invalidation.ts';
import { digest } from '../../../src/broker/secrets/ids.ts';
import { createServing, serve } from '../../../src/broker/cache/token-cache.ts';
import { type Logger, type Store, StoreError } from '../../../src/ports/index.ts';
import { aCaller, aConnection, aKey, anEntry, NOW } from '../../stores/builders.ts';

const clock = { now: () => NOW, monotonic: () => 0 };
const silent = () => undefined;
const log: Logger = { debug: silent, info: silent, warn: silent, error: silent };

test('a token that was read before the news of its revocation, and arrives after it, is not kept', () => {
  const serving = createServing();
  const served = serve(aConnection(), 'a token', clock);
  const { id } = served.connection;
  const before = serving.ticket();
  serving.dropSetOf(id);
  serving.put(served, before);
  expect(serving.get(id)).toBeUndefined();
  // Other connections are none the wiser, and a new read is good.
  serving.put(serve(aConnection({ id: 'con_other' }), 'a token', clock), before);
  expect(serving.get('con_other')).toBeDefined();
  serving.put(served, serving.ticket());
  expect(serving.get(id)).toBeDefined();
});

test('nor any token whose reading began before it was unknown what has changed', () => {
  const serving = createServing();
  const [held, coming] = [serve(aConnection(), 'a', clock), serve(aConnection(), 'b', clock)];
  serving.put(held, serving.ticket());
  const before = serving.ticket();
  serving.doubtAll();
  serving.put(coming, before);
  expect(serving.get(coming.connection.id)).toBeUndefined();
  expect(serving.get(held.connection.id)).toBeDefined();
});

test('a token is held for so long at the most, however often it is read: nobody may come to say that it was revoked', async () => {
  const serving = createServing({ ttlMs: 100 });
  const served = serve(aConnection(), 'a token', clock);
  serving.put(served, serving.ticket());
  expect(serving.get(served.connection.id)).toBe(served);
  await vi.waitFor(() => expect(serving.get(served.connection.id)).toBeUndefined(), { timeout: 5_000, interval: 5 });
});

test('a caller that is deleted while the broker starts, before it hears of changes', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-meanwhile-'));
  const url = `file:${join(folder, 'valetkey.db')}`;
  const [store, other] = [await openSqlite(url), await openSqlite(url)];
  onTestFinished(async () => {
    await Promise.all([store.close(), other.close()]);
    await rm(folder, { recursive: true });
  });
  const caller = aCaller();
  await other.addCaller(caller, aKey(caller.id, { digest: digest('a key'), expiresAt: null }), anEntry());
  const directory = createDirectory({ store, adminKey: undefined, rateLimit: null });
  await directory.reload();
  expect(directory.find('a key', NOW)).toBeDefined();
  await other.deleteCaller(caller.id, anEntry());
  await startFollowing({
    store,
    serving: createServing(),
    directory,
    integrationChanged: () => undefined,
    reread: async () => undefined,
    lookBack: async () => undefined,
    log,
  });
  expect(directory.find('a key', NOW)).toBeUndefined();
});

test.each([
  ['was refreshed elsewhere is served until it can be compared', [2], true],
  ['was refreshed and then ended is let go', [2, 2], false],
  ['has ended is let go', [1], false],
] as const)('news of a token that cannot be looked at: what %s', async (_, generations, isKept) => {
  const serving = createServing();
  const held = serve(aConnection({ generation: 1 }), 'a token', clock);
  const { id } = held.connection;
  serving.put(held, serving.ticket());
  let tell: Parameters<Store['watch']>[0] = () => undefined;
  let isAway = true;
  const asked: string[][] = [];
  const following = await startFollowing({
    store: {
      watch: async (told) => {
        tell = told;
        return { how: 'notified', everyMs: 1, ageMs: () => 0, stop: async () => undefined };
      },
      standings: async (ids) => {
        asked.push(ids);
        if (isAway) throw new StoreError('away');
        return [{ id, status: 'revoked', generation: 2 }];
      },
    },
    serving,
    directory: { reload: async () => undefined },
    integrationChanged: () => undefined,
    reread: async () => undefined,
    lookBack: async () => undefined,
    log,
  });
  onTestFinished(() => following.stop());
  tell(generations.map((generation) => ({ kind: 'connection', id, generation })));
  await vi.waitFor(() => expect(asked).toEqual([[id]]));
  await nextTurn();
  expect(serving.get(id) !== undefined).toBe(isKept);
  isAway = false;
  await vi.waitFor(() => expect(serving.get(id)).toBeUndefined(), { timeout: 5_000, interval: 10 });
});
