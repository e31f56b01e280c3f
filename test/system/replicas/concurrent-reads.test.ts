// Changes during a read: a replica must not cache the old state.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createCallerCache } from '../../../src/broker/cache/callers/caller-cache.ts';
import { startInvalidation } from '../../../src/broker/cache/invalidation.ts';
import { createTokenCache, toServedToken } from '../../../src/broker/cache/token-cache.ts';
import { digest } from '../../../src/broker/secrets/ids.ts';
import { type Logger, type Store, StoreError } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { aCaller, aConnection, aKey, anEntry, NOW } from '../../stores/builders.ts';

const clock = { now: () => NOW, monotonic: () => 0 };
const silent = () => undefined;
const log: Logger = { debug: silent, info: silent, warn: silent, error: silent };

test('token read during its revocation: not cached', () => {
  const tokenCache = createTokenCache();
  const served = toServedToken(aConnection(), 'a token', clock);
  const { id, generation } = served.connection;
  const before = tokenCache.ticket();
  tokenCache.invalidateOwnerOf(id, generation);
  tokenCache.put(served, before);
  expect(tokenCache.get(id)).toBeUndefined();
  // Other connections are not affected, and a new read succeeds.
  tokenCache.put(toServedToken(aConnection({ id: 'con_other' }), 'a token', clock), before);
  expect(tokenCache.get('con_other')).toBeDefined();
  tokenCache.put(served, tokenCache.ticket());
  expect(tokenCache.get(id)).toBeDefined();
});

test('token read during a loss of the change feed: not cached', () => {
  const tokenCache = createTokenCache();
  const [held, coming] = [toServedToken(aConnection(), 'a', clock), toServedToken(aConnection(), 'b', clock)];
  tokenCache.put(held, tokenCache.ticket());
  const before = tokenCache.ticket();
  tokenCache.invalidateReads();
  tokenCache.put(coming, before);
  expect(tokenCache.get(coming.connection.id)).toBeUndefined();
  expect(tokenCache.get(held.connection.id)).toBeDefined();
});

test('cached token: expires after the maximum age, however often it is read', async () => {
  const tokenCache = createTokenCache({ ttlMs: 100 });
  const served = toServedToken(aConnection(), 'a token', clock);
  tokenCache.put(served, tokenCache.ticket());
  expect(tokenCache.get(served.connection.id)).toBe(served);
  await vi.waitFor(() => expect(tokenCache.get(served.connection.id)).toBeUndefined(), {
    timeout: 30_000,
    interval: 5,
  });
});

test('caller deleted while a broker starts: refused', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-meanwhile-'));
  const url = `file:${join(folder, 'valetkey.db')}`;
  const [store, other] = [await openSqlite(url), await openSqlite(url)];
  onTestFinished(async () => {
    await Promise.all([store.close(), other.close()]);
    await rm(folder, { recursive: true });
  });
  const caller = aCaller();
  await other.addCaller(caller, aKey(caller.id, { digest: digest('a key'), expiresAt: null }), anEntry());
  const callerCache = createCallerCache({ store, adminKey: undefined, rateLimit: null, clock });
  await callerCache.reload();
  expect(callerCache.find('a key', NOW)).toBeDefined();
  await other.deleteCaller(caller.id, anEntry());
  await startInvalidation({
    store,
    tokenCache: createTokenCache(),
    callerCache,
    integrationChanged: () => undefined,
    reload: async () => undefined,
    connectionsChanged: () => undefined,
    capturesChanged: async () => undefined,
    signingKeysChanged: () => undefined,
    callersChanged: () => undefined,
    recommitLost: async () => undefined,
    log,
  });
  expect(callerCache.find('a key', NOW)).toBeUndefined();
});

test.each([
  ['was refreshed elsewhere is served until it can be', [{ generation: 2 }], true, false],
  ['was refreshed and then ended is dropped', [{ generation: 2 }, { generation: 2 }], false, false],
  ['has ended is dropped', [{ generation: 1 }], false, false],
  ['is marked as refreshed is served until it can be', [{ generation: 3, isRefresh: true }], true, true],
  ['was refreshed, of which no mark is left, and then ended is dropped', [{ generation: 2 }], false, true],
  [
    'is marked as refreshed, and ended, is dropped',
    [{ generation: 2, isRefresh: true }, { generation: 2 }],
    false,
    true,
  ],
] as const)(
  'change feed: a token that cannot be compared with the store and %s',
  async (_, made, isKept, marksRefreshes) => {
    const tokenCache = createTokenCache();
    const held = toServedToken(aConnection({ generation: 1 }), 'a token', clock);
    const { id } = held.connection;
    tokenCache.put(held, tokenCache.ticket());
    let tell: Parameters<Store['subscribe']>[0] = () => undefined;
    let isAway = true;
    const asked: string[][] = [];
    const invalidation = await startInvalidation({
      store: {
        traits: { marksRefreshes },
        subscribe: async (told) => {
          tell = told;
          return { delivery: 'pushed', everyMs: 1, lagMs: () => 0, stop: async () => undefined };
        },
        connectionVersions: async (ids) => {
          asked.push(ids);
          if (isAway) throw new StoreError('away');
          return [{ id, status: 'revoked', generation: 2, issuedAt: 0 }];
        },
      },
      tokenCache,
      callerCache: {
        reload: async () => undefined,
        sessionsEnded: () => undefined,
        recheckSessions: async () => undefined,
      },
      integrationChanged: () => undefined,
      reload: async () => undefined,
      connectionsChanged: () => undefined,
      capturesChanged: async () => undefined,
      signingKeysChanged: () => undefined,
      callersChanged: () => undefined,
      recommitLost: async () => undefined,
      log,
    });
    onTestFinished(() => invalidation.stop());
    tell(made.map((one) => ({ kind: 'connection', id, ...one })));
    await vi.waitFor(() => expect(asked).toEqual([[id]]), { timeout: 30_000 });
    await nextTurn();
    expect(tokenCache.get(id) !== undefined).toBe(isKept);
    isAway = false;
    await vi.waitFor(() => expect(tokenCache.get(id)).toBeUndefined(), { timeout: 30_000, interval: 10 });
  },
);
