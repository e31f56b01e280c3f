// The SQLite store: the conformance suite on a real file, and what is only SQLite's.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import Sqlite from 'better-sqlite3';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { SQLiteSyncDialect } from 'drizzle-orm/sqlite-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Change, StoreError } from '../../../src/ports/index.ts';
import { searchTerms } from '../../../src/stores/shared/connection-search.ts';
import { KNOWN_INTEGRATIONS } from '../../../src/stores/shared/narrow-scopes.ts';
import { auditStep } from '../../../src/stores/sqlite/audit.ts';
import { openChangeFeed } from '../../../src/stores/sqlite/change-feed.ts';
import { connectionStep, termRows } from '../../../src/stores/sqlite/connection-lists.ts';
import { searchRows } from '../../../src/stores/sqlite/connection-search.ts';
import { COUNT_DUE, LAST_COUNTED_DUE } from '../../../src/stores/sqlite/counts.ts';
import { openDatabase } from '../../../src/stores/sqlite/database.ts';
import { ALL, dueIntegrations, LATE_OF_OTHERS, OURS } from '../../../src/stores/sqlite/due-connections.ts';
import { tombstonesAfter } from '../../../src/stores/sqlite/revocations.ts';
import { migrateSqlite, openSqlite } from '../../../src/stores/sqlite/store.ts';
import { bundledProgram } from '../../support/bundle.ts';
import { createMigratedFile } from '../../support/sqlite-file.ts';
import { anEntry, anIntegration, connected, FIRST, NOW, someCredentials, someRefreshedFields } from '../builders.ts';
import { conformance } from '../conformance/index.ts';
import { commitsIn } from './wal.ts';

const folder = mkdtempSync(join(tmpdir(), 'valetkey-store-'));
afterAll(() => rmSync(folder, { recursive: true }));

const MIGRATIONS = readMigrationFiles({
  migrationsFolder: fileURLToPath(new URL('../../../drizzle/sqlite', import.meta.url)),
});

let made = 0;
const aPath = () => join(folder, `${++made}.db`);

/** A new one has empty tables. */
async function openFile(existing?: string) {
  const path = existing ?? aPath();
  if (existing === undefined) await createMigratedFile(path);
  const store = await openSqlite(`file:${path}`);
  onTestFinished(() => store.close());
  return { store, path };
}
function raw(path: string) {
  const client = new Sqlite(path);
  onTestFinished(() => void client.close());
  return client;
}

let tested: string | undefined;
async function testedFile(): Promise<string> {
  if (tested === undefined) {
    tested = aPath();
    await createMigratedFile(tested);
  }
  return tested;
}

conformance('SQLite', {
  open: async () => openSqlite(`file:${await testedFile()}`),
  async clear() {
    const client = new Sqlite(await testedFile());
    client.pragma('foreign_keys = off');
    const tables = client.prepare(
      "select name from sqlite_schema where type = 'table' and name not glob '*_*migrations' and name not glob 'sqlite_*'",
    );
    client.transaction(() => {
      for (const name of tables.pluck().all()) client.exec(`delete from "${name}"`);
    })();
    client.close();
  },
});

describe('the SQLite file', () => {
  test('is opened with these pragmas in force', () => {
    const client = openDatabase(`file:${aPath()}`);
    onTestFinished(() => void client.close());
    const pragma = (name: string) => client.pragma(name, { simple: true });
    expect(pragma('journal_mode')).toBe('wal');
    expect(pragma('synchronous')).toBe(2);
    expect(pragma('busy_timeout')).toBe(20);
    expect(pragma('temp_store')).toBe(2);
    expect(pragma('foreign_keys')).toBe(1);
  });

  test('deleteExpired deletes changes after ten minutes, and no younger ones', async () => {
    const { store, path } = await openFile();
    for (const id of ['old', 'young']) await store.putIntegration(anIntegration({ id }), anEntry());
    const inside = raw(path);
    inside.exec(`update changes set at = at - ${10 * 60_000 + 1} where id = 'old'`);
    await store.deleteExpired(0, 100);
    expect(inside.prepare('select id from changes').pluck().all()).toEqual(['young']);
  });

  test('the change feed reports everything after five minutes without a read', async () => {
    const client = openDatabase(`file:${aPath()}`);
    onTestFinished(() => void client.close());
    let ahead = 0;
    const changeFeed = openChangeFeed(
      client,
      { holder: 'me', tellApplied: () => undefined },
      () => performance.now() + ahead,
    );
    onTestFinished(() => changeFeed.stop());
    const reported: Change[] = [];
    const feed = await changeFeed.subscribe((changes) => reported.push(...changes));
    ahead = 5 * 60_000 + 1;
    expect(feed.lagMs()).toBeGreaterThan(5 * 60_000);
    await vi.waitFor(() => expect(reported).toEqual([{ kind: 'everything' }]), { timeout: 30_000 });
    expect(feed.lagMs()).toBeLessThan(5 * 60_000);
  });

  test('only its owner can read it, the folders that were created, and the write-ahead log', async () => {
    const path = join(folder, 'made', 'deeper', 'valetkey.db');
    await openFile(path);
    const mode = (of: string) => statSync(of).mode & 0o777;
    expect(mode(join(folder, 'made'))).toBe(0o700);
    expect(mode(join(folder, 'made', 'deeper'))).toBe(0o700);
    for (const suffix of ['', '-wal', '-shm']) expect(mode(path + suffix)).toBe(0o600);
  });

  test('can be in memory', async () => {
    const store = await openSqlite('file::memory:');
    await store.putIntegration(anIntegration(), anEntry());
    expect(await store.integration('slack')).toBeDefined();
    await store.close();
    expect(existsSync(':memory:')).toBe(false);
  });

  test('holds what was written when it is opened again', async () => {
    const path = aPath();
    const first = await openSqlite(`file:${path}`);
    const { connection } = await connected(first);
    await first.close();
    const { store } = await openFile(path);
    expect(await store.connection(connection.id)).toEqual(connection);
  });

  test('can be named by a file:// URL', async () => {
    const path = aPath();
    await (await openSqlite(`file://${path}`)).close();
    expect(existsSync(path)).toBe(true);
  });

  test.each(['postgres://localhost/x', 'file:', './valetkey.db'])('is not %s', async (url) => {
    await expect(openSqlite(url)).rejects.toBeInstanceOf(StoreError);
  });

  test('a folder is rejected', async () => {
    await expect(openSqlite(`file:${folder}`)).rejects.toBeInstanceOf(StoreError);
  });

  test('migrateSqlite migrates and closes it', async () => {
    const path = aPath();
    migrateSqlite(`file:${path}`);
    expect(existsSync(`${path}-wal`)).toBe(false);
    expect(raw(path).prepare('select count(*) from connections').pluck().get()).toBe(0);
  });

  test('a database of a newer version is rejected, and does not change', async () => {
    const path = aPath();
    migrateSqlite(`file:${path}`);
    const client = raw(path);
    client.exec("insert into __drizzle_migrations (hash, created_at) values ('later', 99999999999999)");
    const opening = openSqlite(`file:${path}`);
    await expect(opening).rejects.toBeInstanceOf(StoreError);
    await expect(opening).rejects.toThrow(/newer version/);
    expect(client.prepare('select count(*) from __drizzle_migrations').pluck().get()).toBe(MIGRATIONS.length + 1);
  });

  test('concurrent processes migrate it once', async () => {
    const path = aPath();
    const writers = await Promise.all(Array.from({ length: 4 }, () => writer(path)));
    const ids = await Promise.all(writers.map(({ write }) => write()));
    const { store } = await openFile(path);
    expect((await store.audit({}, FIRST)).data.map((entry) => entry.id).sort()).toEqual(ids.sort());
    expect(raw(path).prepare('select count(*) from __drizzle_migrations').pluck().get()).toBe(MIGRATIONS.length);
    // Four processes that load their modules at the same time.
  }, 180_000);

  test('a fulfilled write survives SIGKILL', async () => {
    const path = aPath();
    const { child, write } = await writer(path);
    const id = await write();
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    expect((await exit)[1]).toBe('SIGKILL');
    const { store } = await openFile(path);
    expect((await store.audit({}, FIRST)).data.map((entry) => entry.id)).toEqual([id]);
  });

  test('null is stored as NULL, not as the text "null"', async () => {
    const { store, path } = await openFile();
    const { connection } = await connected(store);
    const claimed = await store.claim(connection.id, { attempt: 'att_1', generation: 99, now: NOW, monotonic: 0 });
    if (typeof claimed === 'string') throw new Error(claimed);
    const held = { fence: claimed.fence, generation: 1 };
    await store.commitRefresh(
      connection.id,
      held,
      someRefreshedFields({ identity: null }),
      someCredentials({ idToken: null }),
      anEntry,
    );
    const row = raw(path).prepare('select identity, last_refresh_error, id_token from connections, grants').raw().get();
    expect(row).toEqual([null, null, null]);
  });

  test('revoke deletes credentials and lease', async () => {
    const { store, path } = await openFile();
    const { connection } = await connected(store);
    await store.claim(connection.id, { attempt: 'att_1', generation: 99, now: NOW, monotonic: 0 });
    const rows = (table: string) => raw(path).prepare(`select count(*) from ${table}`).pluck().get();
    expect([rows('grants'), rows('leases')]).toEqual([1, 1]);
    await store.revoke(connection.id, 'unsupported', NOW, anEntry());
    expect([rows('grants'), rows('leases')]).toEqual([0, 0]);
  });

  test('ping writes to it', async () => {
    const { store, path } = await openFile();
    const before = commitsIn(path);
    await store.ping();
    await store.ping();
    expect(commitsIn(path) - before).toBe(2);
  });

  test('the claims of one turn of the event loop share a commit', async () => {
    const { store, path } = await openFile();
    // As many as share one however long they take.
    const rows = await Promise.all(Array.from({ length: 4 }, () => connected(store)));
    const before = commitsIn(path);
    const claim = { attempt: 'att_1', generation: 99, now: NOW, monotonic: 0 };
    await Promise.all(rows.map(({ connection }) => store.claim(connection.id, claim)));
    expect(commitsIn(path) - before).toBe(1);
  });

  test('a write waits without blocking while another connection locks it', async () => {
    const { store, path } = await openFile();
    const writing = raw(path);
    writing.exec('BEGIN IMMEDIATE');
    const written = store.ping();
    // If SQLite waited, this process could not release the lock that it waits for.
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    writing.exec('ROLLBACK');
    await written;
  });

  test('a scheduler tick that finds nothing takes no write lock', async () => {
    const { store, path } = await openFile();
    const writing = raw(path);
    writing.exec('BEGIN IMMEDIATE');
    expect(await store.dueIntegrations(NOW)).toEqual([]);
    expect(await store.dueRevocations(NOW)).toEqual([]);
    expect(await store.claimRevocations('slack', NOW, NOW + 1, 10)).toEqual([]);
    writing.exec('ROLLBACK');
  });
});

describe('cold reads of one turn', () => {
  test('a damaged row fails alone', async () => {
    const { store, path } = await openFile();
    const [whole, damaged] = [await connected(store), await connected(store)];
    raw(path).prepare("update connections set scopes = '[' where id = ?").run(damaged.connection.id);
    const ids = [damaged.connection.id, whole.connection.id, 'con_none'];
    const [failed, served, absent] = await Promise.allSettled(ids.map((id) => store.servedRow(id)));
    expect(failed).toMatchObject({ status: 'rejected', reason: expect.any(StoreError) });
    expect(served).toMatchObject({ value: { connection: whole.connection } });
    expect(absent).toMatchObject({ status: 'fulfilled', value: undefined });
  });

  test('are rejected when the store was closed meanwhile', async () => {
    const store = await openSqlite(`file:${aPath()}`);
    const asked = Promise.allSettled([store.servedRow('con_1'), store.servedRow('con_2')]);
    await store.close();
    const refused = { status: 'rejected', reason: expect.any(StoreError) };
    expect(await asked).toEqual([refused, refused]);
  });
});

describe('the query plan', () => {
  /** Without statistics, as every database begins. */
  let client: ReturnType<typeof openDatabase>;
  beforeAll(() => {
    client = openDatabase('file::memory:');
  });
  afterAll(() => void client.close());
  const planOf = (query: string, ...values: unknown[]) => {
    const rows = client.prepare(`EXPLAIN QUERY PLAN ${query}`).all(...values) as { detail: string }[];
    return rows.map((row) => row.detail);
  };

  test.each([ALL, OURS, LATE_OF_OTHERS])(
    'of due connections is a range of one partial index, in its order: %#',
    (query) => {
      const plan = planOf(query, { integration: 'slack', now: NOW, processes: 2, rank: 1, limit: 5 });
      expect(plan.filter((step) => /leases|TEMP/.test(step))).toEqual([
        'SEARCH leases USING COVERING INDEX leases_due (integration=? AND due_at>? AND due_at<?)',
      ]);
    },
  );

  test('of due integrations only searches, a few steps for each integration', () => {
    const { sql } = new SQLiteSyncDialect().sqlToQuery(dueIntegrations(NOW));
    const plan = planOf(sql, NOW);
    const steps = plan.filter((step) => / (connections|leases)/.test(step));
    expect(steps.length).toBeGreaterThan(0);
    for (const step of steps) expect(step).toMatch(/^SEARCH leases USING COVERING INDEX leases_due/);
  });

  /** The plans of all statements of the lists: what they do with the tables. */
  const stepsOf = (build: (orm: ReturnType<typeof drizzle>) => { toSQL(): { sql: string; params: unknown[] } }[]) => {
    return build(drizzle(client)).map((query) => {
      const { sql, params } = query.toSQL();
      return planOf(sql, ...params).filter((step) =>
        / (connections|leases|audit|changes|flows|connect_sessions)\b/.test(step),
      );
    });
  };

  test.each([
    [{ integration: 'slack', status: 'active' }, 'connections_of_integration (integration=? AND status=? AND id>?)'],
    [{ integration: 'slack', status: 'revoked' }, 'connections_of_integration (integration=? AND status=? AND id>?)'],
    [{ status: 'needs_reauth' }, 'connections_not_active (status=? AND id>?)'],
    [{ owner: 'u' }, 'connections_of_owner (owner=? AND id>?)'],
    [{ owner: 'u', integration: 'slack' }, 'connections_of_owner_at (integration=? AND owner=? AND id>?)'],
    [{ failing: true }, 'connections_failing (id>?)'],
    [{}, 'sqlite_autoindex_connections_1 (id>?)'],
  ] as const)('of connections in the range %j is a part of one index', (range, index) => {
    const filter = { ...range, within: [{ integrations: ['a*', 'b'], owners: ['x', 'y*'] }] };
    for (const steps of stepsOf((orm) => Object.values(connectionStep(orm, range, filter, 'con_1', 100, 10))))
      expect(steps).toEqual([expect.stringMatching(/^SEARCH connections USING (COVERING )?INDEX /)]);
    const [plan] = stepsOf((orm) => [connectionStep(orm, range, filter, 'con_1', 100, 10).matching]);
    expect(plan![0]).toContain(index);
  });

  test.each([
    { integrations: undefined, owners: ['a', 'b'] },
    { integrations: ['slack'], owners: ['a', 'b'] },
    { integrations: undefined, from: 'a', to: 'b' },
    { integrations: ['slack', 'github'], from: 'a', to: 'b' },
    { integrations: ['slack'], from: 'a', to: undefined },
    { integrations: ['slack'], anyOwner: true as const },
  ])('of the owners %j is a part of a covering index', (term) => {
    for (const steps of stepsOf((orm) => [termRows(orm, term, 100)]))
      expect(steps).toEqual([expect.stringMatching(/^SEARCH connections USING COVERING INDEX connections_/)]);
  });

  test('of a search are parts of an index each, which the conditions of any row agree with', async () => {
    const filters = [{ text: 'a' }, { refreshDueBefore: 1, integration: 'slack' }, { grantEndsBefore: 1 }];
    const terms = filters.flatMap((filter) => searchTerms(filter, []) ?? []);
    const used = stepsOf((orm) => terms.map((term) => searchRows(orm, term, 100))).flat();
    expect(
      used.map((step) => /^SEARCH (?:connections|leases) USING (?:COVERING )?INDEX (\w+)/.exec(step)?.[1]),
    ).toEqual([
      'sqlite_autoindex_connections_1',
      'connections_of_account',
      'connections_of_owner',
      'connections_of_label',
      'connections_of_account_name',
      'leases_due',
      'leases_ending',
    ]);
    const url = `file:${join(folder, 'searched.db')}`;
    await createMigratedFile(join(folder, 'searched.db'));
    const store = await openSqlite(url);
    await connected(store, { owner: 'many:1', label: 'x%', account: { issuer: 'i', id: '7', name: 'Ärzte AG' } });
    await connected(store, { owner: 'other' });
    const inside = openDatabase(url);
    const columns = (inside.pragma('table_info(connections)') as { name: string }[]).map(({ name }) => name);
    const changed = { id: "'con_y' || n", owner: "'many:' || n", label: "'x' || n" } as Record<string, string>;
    // So many that the list is read in its order.
    inside.exec(
      `with recursive n(n) as (select 2 union all select n + 1 from n where n < 2100)
       insert into connections select ${columns.map((name) => changed[name] ?? `c.${name}`)}
       from n, (select * from connections where owner = 'many:1') c`,
    );
    inside.close();
    const { data, next } = await store.connections({ text: 'many:' }, { limit: 500, after: undefined });
    expect([data.length, next === null, data.every(({ owner }) => owner.startsWith('many:'))]).toEqual([
      500,
      false,
      true,
    ]);
    const count = async (text: string) =>
      (await store.connections({ text }, { limit: 500, after: undefined })).data.length;
    expect(await Promise.all(['7', 'Ä', 'ÄRZTE a', 'x%', 'x2100', 'other'].map(count))).toEqual([
      500, 500, 500, 1, 1, 1,
    ]);
    await store.close();
  });

  test('of what has happened to a connection has no reads in its index', () => {
    const filter = { connectionId: 'c', changes: true as const };
    for (const steps of stepsOf((orm) => Object.values(auditStep(orm, 'connectionId', filter, 'evt_2', 100, 10))))
      expect(steps).toEqual([expect.stringContaining('audit_changes_of_connection (connection_id=? AND id<?)')]);
  });

  test.each(['connectionId', 'owner', 'actor', 'action', 'integration', 'outcome'] as const)(
    'of the audit log by %s, and by what else, is a part of its index',
    (range) => {
      const filter = {
        connectionId: 'c',
        owner: 'o',
        actor: 'a',
        action: 'x',
        integration: 'i',
        outcome: 'denied' as const,
      };
      const within = { ...filter, fromId: 'evt_1', beforeId: 'evt_3', from: 1, to: 3 };
      for (const steps of stepsOf((orm) => Object.values(auditStep(orm, range, within, 'evt_2', 100, 10))))
        expect(steps).toEqual([
          expect.stringMatching(/^SEARCH audit USING (COVERING )?INDEX audit_\w+ \(\w+=\? AND id>\? AND id<\?\)/),
        ]);
    },
  );

  test('of tombstones from one id on is a range of the index of connections that are not active', () => {
    const [steps] = stepsOf((orm) => [tombstonesAfter(orm, 'con_1', 500)]);
    expect(steps).toEqual([expect.stringContaining('connections_not_active (status=? AND id>?)')]);
  });

  test('of the audit log by time is a range of its ids', () => {
    const filter = { fromId: 'evt_1', beforeId: 'evt_3', from: 1, to: 3 };
    for (const steps of stepsOf((orm) => Object.values(auditStep(orm, undefined, filter, undefined, 100, 10))))
      expect(steps).toEqual([
        expect.stringMatching(/^SEARCH audit USING (COVERING )?INDEX sqlite_autoindex_audit_1 \(id>\? AND id<\?\)/),
      ]);
  });

  test.each([
    [KNOWN_INTEGRATIONS, []],
    [COUNT_DUE, ['slack', 0, '', NOW]],
    [LAST_COUNTED_DUE, ['slack', 0, '', NOW]],
  ])('of a count only searches covering indexes: %s', (query, values) => {
    const steps = planOf(query, ...values).filter((step) => / (connections|leases)\b/.test(step));
    expect(steps.length).toBeGreaterThan(0);
    for (const step of steps)
      expect(step).toMatch(
        /^(SEARCH (connections|leases) USING COVERING INDEX|SEARCH connections USING INDEX connections_of_integration$)/,
      );
  });

  test.each(['connection_id', 'owner', 'actor'])('of the audit log by %s is a range in its order', (column) => {
    const [only, ...more] = planOf(`select * from audit where ${column} = ? order by id desc limit 100`, 'x');
    expect(only).toMatch(/^SEARCH audit USING INDEX audit_of_/);
    expect(more).toEqual([]);
  });
});

/** A process that is ready to open the store; `write` makes it append an audit entry, and returns its id once fulfilled. */
async function writer(path: string): Promise<{ child: ChildProcess; write: () => Promise<string> }> {
  const child = spawn(process.execPath, [await bundledProgram('writer'), `file:${path}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const said = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error('the writer ended');
    return value;
  };
  expect(await said()).toBe('ready');
  const write = () => {
    child.stdin.write('go');
    return said();
  };
  return { child, write };
}
