// Processes on one file: what is due falls to one of them; and one of the release before, with the statements that it runs.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { LIVE_HOLDERS_TTL_MS } from '../../../src/domain/time-limits.ts';
import { openProcessLocks } from '../../../src/stores/sqlite/process-locks.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { connected, NOW } from '../builders.ts';

let monotonic = 0;
function aFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-shares-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'valetkey.db');
}
async function processOn(path: string) {
  const store = await openSqlite(`file:${path}`, undefined, () => monotonic);
  let isOpen = true;
  const close = async () => {
    if (isOpen) await store.close();
    isOpen = false;
  };
  onTestFinished(close);
  return { ...store, close };
}

test('each due connection falls to one of the processes that are alive', async () => {
  const path = aFile();
  const all = [await processOn(path), await processOn(path), await processOn(path)] as const;
  const due = new Set<string>();
  for (let i = 0; i < 90; i++) due.add((await connected(all[0], { nextRefreshAt: NOW - i })).connection.id);
  const shares = async (stores: readonly (typeof all)[0][]) => {
    monotonic += LIVE_HOLDERS_TTL_MS;
    const rows = await Promise.all(stores.map((store) => store.dueConnections('slack', NOW, 100)));
    return rows.map((share) => share.map(({ connection }) => connection.id));
  };
  const three = await shares(all);
  for (const share of three) expect(share.length).toBeGreaterThan(0);
  expect(three.flat().sort()).toEqual([...due].sort());
  await all[1].close();
  const two = await shares([all[0], all[2]]);
  expect(two.flat().sort()).toEqual([...due].sort());
});

test('a process of the release before and one of this one keep each other from claiming', async () => {
  const path = aFile();
  const store = await processOn(path);
  const locks = openProcessLocks(path);
  onTestFinished(locks.release);
  const raw = new Sqlite(path);
  onTestFinished(() => void raw.close());
  const { connection } = await connected(store, { nextRefreshAt: NOW });
  const { id } = connection;
  raw
    .prepare(
      `insert into leases (connection_id, fence, holder, attempt, started_at) values (?, 1, ?, 'att_earlier', ?)
       on conflict (connection_id) do update set fence = excluded.fence, holder = excluded.holder,
         attempt = excluded.attempt, started_at = excluded.started_at`,
    )
    .run(id, locks.holder, NOW);
  const claim = () => store.claim(id, { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 });
  expect(await claim()).toBe('busy');
  raw.prepare('update connections set next_refresh_at = ? where id = ?').run(NOW + 30_000, id);
  expect(await store.dueIntegrations(NOW + 29_999)).toEqual([]);
  expect(await store.dueIntegrations(NOW + 30_000)).toEqual([{ integration: 'slack', dueAt: NOW + 30_000 }]);
  raw.prepare('update leases set holder = null, attempt = null, started_at = null where connection_id = ?').run(id);
  expect(await claim()).toMatchObject({ fence: 2, unresolved: null });
  // What it reads before it claims says that a process that is alive holds the lease.
  const [lease] = raw.prepare<[], { holder: string }>('select holder from leases').all();
  expect(lease!.holder).not.toBe(locks.holder);
  expect(locks.stateOf(lease!.holder)).toBe('alive');
});
