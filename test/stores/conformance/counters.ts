// The contract of the store: counters of connections, which are exact whatever happens at once, and counters by the hour.
import { expect, test } from 'vitest';
import type { HourlyCount } from '../../../src/domain/hourly-counts.ts';
import type { ConnectionCount, Store } from '../../../src/ports/index.ts';
import { aConnection, anEntry, connected, FIRST, NOW, someCredentials, someRefreshedFields } from '../builders.ts';
import type { Opened } from './index.ts';

const HOUR_MS = 3_600_000;
const ROUNDS = 120;

const sorted = (counts: ConnectionCount[]) =>
  counts.sort((a, b) => `${a.integration} ${a.status}`.localeCompare(`${b.integration} ${b.status}`));

/** As the rows are: read one by one. */
async function recounted(store: Store): Promise<ConnectionCount[]> {
  const { data, next } = await store.connections({}, FIRST);
  expect(next).toBeNull();
  const counts = new Map<string, ConnectionCount>();
  for (const { integration, status, failures } of data) {
    const key = `${integration} ${status}`;
    const known = counts.get(key) ?? { integration, status, count: 0, failing: 0 };
    counts.set(key, known);
    known.count++;
    if (status === 'active' && failures > 0) known.failing++;
  }
  return sorted([...counts.values()]);
}

/** The same numbers in every run. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** One change that a broker makes to a connection, in whatever state that is. */
async function change(store: Store, id: string, kind: number): Promise<unknown> {
  const refreshed = async (end: (held: { fence: number; generation: number }) => Promise<unknown>) => {
    const claim = { attempt: `att_${id}`, generation: Number.MAX_SAFE_INTEGER, now: NOW, monotonic: 0 };
    const claimed = await store.claim(id, claim);
    if (typeof claimed === 'object') await end({ fence: claimed.fence, generation: claimed.connection.generation });
  };
  const failed = (reason: 'grant_revoked' | null) =>
    refreshed((held) => {
      const error = { code: 'timeout', detail: 'no answer', at: NOW, retryAt: null };
      return store.recordRefreshFailure(id, held, { reason, error, nextRefreshAt: null, resolved: true }, anEntry());
    });
  const changes = [
    () => failed(null),
    () => failed('grant_revoked'),
    () => refreshed((held) => store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry)),
    () => store.hold(id, 'account_disabled', NOW, anEntry()),
    () => store.release(id, { at: NOW, nextRefreshAt: NOW, isMinted: false }, anEntry()),
    () => store.renewConnection(aConnection({ id }), someCredentials(), null, anEntry()),
    () => store.reactivate(id, { generation: 1, reason: 'grant_revoked' }, NOW, anEntry()),
    () => store.revoke(id, 'unsupported', NOW, anEntry()),
  ];
  return changes[kind % changes.length]!();
}
const KINDS = 8;

export function counters(at: Opened): void {
  test('connections are counted by integration and status, and those that fail', async () => {
    expect(await at.store.countConnections()).toEqual([]);
    await connected(at.store, { failures: 0 });
    await connected(at.store, { failures: 2 });
    await connected(at.store, { status: 'needs_reauth', reason: 'grant_expired', failures: 2 });
    await connected(at.store, { integration: 'git:hub', failures: 0 });
    expect(sorted(await at.store.countConnections())).toEqual([
      { integration: 'git:hub', status: 'active', count: 1, failing: 0 },
      { integration: 'slack', status: 'active', count: 2, failing: 1 },
      { integration: 'slack', status: 'needs_reauth', count: 1, failing: 0 },
    ]);
  });

  test('what is rolled back is not counted', async () => {
    const { connection } = await connected(at.store);
    const rival = { ...aConnection(), owner: connection.owner };
    expect(await at.store.addConnection(rival, someCredentials(), null, anEntry())).toEqual({ exists: connection.id });
    const lost = aConnection({ integration: 'absent' });
    await expect(at.store.addConnection(lost, someCredentials(), null, anEntry())).rejects.toThrow('is not there');
    expect(await at.store.countConnections()).toEqual(await recounted(at.store));
  });

  test('after any changes, by two processes at once, the counters equal the rows; folding them changes nothing', async () => {
    const stores = [at.store, await at.another()];
    const next = random(7);
    const ids: string[] = [];
    for (let i = 0; i < 12; i++)
      ids.push((await connected(at.store, { integration: i % 3 ? 'slack' : 'github', failures: 0 })).connection.id);
    for (let round = 0; round < ROUNDS; round += 10) {
      const work = Array.from({ length: 10 }, (_, i) => {
        // A tombstone stays one: revocations are seldom.
        const kind = next(KINDS - (next(6) === 0 ? 0 : 1));
        return change(stores[i % 2]!, ids[next(ids.length)]!, kind);
      });
      await Promise.all([...work, at.store.foldConnectionCounts(), connected(stores[1]!, { failures: 0 })]);
    }
    const rows = await recounted(at.store);
    expect(rows.length).toBeGreaterThan(4);
    expect(sorted(await at.store.countConnections())).toEqual(rows);
    while ((await Promise.all(stores.map((store) => store.foldConnectionCounts()))).includes(true));
    expect(sorted(await stores[1]!.countConnections())).toEqual(rows);
  });

  test('hourly counts add up over processes, are read by time and integration, and are deleted by age', async () => {
    const aCount = (given: Partial<HourlyCount> = {}): HourlyCount => ({
      hour: NOW,
      integration: 'slack',
      metric: 'refresh',
      outcome: 'ok',
      count: 1,
      ...given,
    });
    await at.store.addHourlyCounts([]);
    const counts = [aCount(), aCount({ outcome: 'timeout', count: 3 }), aCount({ integration: 'a:b', metric: 'read' })];
    const stores = [at.store, await at.another()];
    // In either order: none waits for the other in a circle.
    const orders = [counts, [...counts].reverse()];
    await Promise.all(Array.from({ length: 20 }, (_, i) => stores[i % 2]!.addHourlyCounts(orders[i % 2]!)));
    await at.store.addHourlyCounts([aCount({ hour: NOW + HOUR_MS })]);
    const all = { from: 0, to: NOW + 2 * HOUR_MS };
    const read = async (range: Parameters<Store['hourlyCounts']>[0]) =>
      (await at.store.hourlyCounts(range)).map(({ hour, integration, metric, outcome, count }) =>
        [(hour - NOW) / HOUR_MS, integration, metric, outcome, count].join(' '),
      );
    const first = ['0 a:b read ok 20', '0 slack refresh ok 20', '0 slack refresh timeout 60'];
    expect((await read(all)).sort()).toEqual([...first, '1 slack refresh ok 1']);
    expect((await read({ ...all, to: NOW + HOUR_MS })).sort()).toEqual(first);
    expect(await read({ ...all, from: NOW + 1 })).toEqual(['1 slack refresh ok 1']);
    expect(await read({ ...all, integration: 'a:b' })).toEqual([first[0]]);
    expect(await at.store.deleteHourlyCounts(NOW + HOUR_MS, 2)).toBe(true);
    expect(await read(all)).toHaveLength(2);
    expect(await at.store.deleteHourlyCounts(NOW + HOUR_MS, 2)).toBe(false);
    expect(await read(all)).toEqual(['1 slack refresh ok 1']);
  });
}
