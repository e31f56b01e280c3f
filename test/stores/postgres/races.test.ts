// Races between the pools of several processes on one PostgreSQL, and lost connections to it.
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { Client } from 'pg';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { POSTGRES_ANSWER_TIMEOUT_MS, PROCESS_DEAD_AFTER_MS } from '../../../src/domain/time-limits.ts';
import { type Change, type Claimed, type RefreshFailure, type Store, StoreError } from '../../../src/ports/index.ts';
import { postgresEndpoint } from '../../../src/stores/postgres/data-migration.ts';
import { openPool, readAddress } from '../../../src/stores/postgres/database.ts';
import { startLiveness } from '../../../src/stores/postgres/liveness.ts';
import { migratePostgres, openPostgres } from '../../../src/stores/postgres/store.ts';
import { aDatabase, asked, POSTGRES_MIGRATIONS } from '../../support/postgres.ts';
import { createMigratedDatabase, openTestStore } from '../../support/stores.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';
import {
  aConnection,
  aFlow,
  anEntry,
  anIntegration,
  aRevocation,
  aSession,
  connected,
  FIRST,
  inBatches,
  NOW,
  someCredentials,
  someRefreshedFields,
} from '../builders.ts';

const aFailure = (): RefreshFailure => ({
  reason: 'grant_revoked',
  error: { code: 'invalid_grant', detail: 'refused', at: NOW, retryAt: null },
  nextRefreshAt: null,
  resolved: true,
});

/** Stores as several processes have them, each with ten connections. */
async function replicas(count: number): Promise<{ url: string; stores: Store[] }> {
  const url = await createMigratedDatabase();
  return { url, stores: await Promise.all(Array.from({ length: count }, () => openTestStore(url))) };
}

const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const counted = (outcomes: unknown[], outcome: unknown) => outcomes.filter((one) => one === outcome).length;

describe('concurrent processes', () => {
  test('ten of them migrate an empty database once', async () => {
    const url = await aDatabase();
    await Promise.all(times(10, () => migratePostgres(url)));
    const applied = await asked(url, 'select * from __drizzle_migrations');
    expect(applied).toHaveLength(POSTGRES_MIGRATIONS);
    await Promise.all(times(3, () => openTestStore(url)));
  });

  test('housekeeping leaves rows that another process has locked, and waits for none of them', async () => {
    const { url, stores } = await replicas(1);
    const [store] = stores as [Store];
    const { connection } = await connected(store);
    const other = await connected(store);
    for (const { id } of [connection, other.connection])
      await store.revoke(id, 'unsupported', NOW, anEntry({ at: NOW }));
    const sessions = times(3, () => aSession({ expiresAt: NOW - 1 }));
    for (const session of sessions) await store.addSession(session, anEntry());
    const client = new Client({ connectionString: url });
    await client.connect();
    onTestFinished(() => client.end());
    await client.query('begin');
    await client.query(`select from connect_sessions where id = '${sessions[0]!.id}' for update`);
    await client.query(`select from connections where id = '${connection.id}' for update`);
    expect(await store.deleteExpired(NOW, 9)).toBe(false);
    const left = await Promise.all(sessions.map(({ id }) => store.session(id)));
    expect(left.map((session) => session !== undefined)).toEqual([true, false, false]);
    const page = { limit: 9, after: undefined };
    expect(await store.purgeTombstones(NOW + 1, page)).toEqual({ purged: 1, next: null });
    await client.query('rollback');
    await store.deleteExpired(NOW, 9);
    expect(await store.session(sessions[0]!.id)).toBeUndefined();
    expect(await store.purgeTombstones(NOW + 1, page)).toEqual({ purged: 1, next: null });
  });

  test('purging tombstones beside processes that do the same, and renew and revoke them: none is lost that lives', async () => {
    const { stores } = await replicas(3);
    const [one] = stores as [Store, Store, Store];
    const ids = await Promise.all(
      times(30, async () => {
        const { connection } = await connected(one);
        await one.revoke(connection.id, 'unsupported', NOW, anEntry({ at: NOW }));
        return connection.id;
      }),
    );
    const renewed = ids.slice(0, 10);
    const outcomes = await Promise.all([
      ...stores.map((store) => store.purgeTombstones(NOW + 1, { limit: 99, after: undefined })),
      ...renewed.map((id, i) =>
        stores[i % 3]!.renewConnection(aConnection({ id }), someCredentials(), null, anEntry()).then(
          (outcome) => outcome,
          (error: unknown) => error,
        ),
      ),
    ]);
    const purged = outcomes.slice(0, 3).reduce((sum: number, one) => sum + (one as { purged: number }).purged, 0);
    const found = await Promise.all(ids.map((id) => one.connection(id)));
    const there = found.filter((connection) => connection !== undefined);
    expect(purged + there.length).toBe(ids.length);
    for (const connection of there) {
      expect(connection.status).toBe('active');
      expect((await one.servedRow(connection.id))?.accessToken).not.toBeNull();
    }
  });

  test('each due connection falls to one of them', async () => {
    const { stores } = await replicas(3);
    const [one] = stores as [Store];
    await one.putIntegration(anIntegration(), anEntry());
    const due = times(300, (i) => aConnection({ nextRefreshAt: NOW - i }));
    await inBatches(due, (connection) => one.addConnection(connection, someCredentials(), null, anEntry()));
    const shares = await Promise.all(stores.map((store) => store.dueConnections('slack', NOW, 300)));
    for (const share of shares) expect(share.length).toBeGreaterThan(40);
    const ids = shares.flat().map(({ connection }) => connection.id);
    expect(ids.toSorted()).toEqual(due.map(({ id }) => id).toSorted());
    await stores[2]!.close();
    const left = await Promise.all(stores.slice(0, 2).map((store) => store.dueConnections('slack', NOW, 300)));
    expect(left.flat()).toHaveLength(300);
  });

  test('each due revocation is claimed once', async () => {
    const { stores } = await replicas(2);
    await Promise.all(times(50, () => stores[0]!.addPendingRevocation(aRevocation())));
    const claimed = await Promise.all(times(20, (i) => stores[i % 2]!.claimRevocations('slack', NOW, NOW + 1_000, 5)));
    const ids = claimed.flat().map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.length + (await stores[0]!.claimRevocations('slack', NOW, NOW + 1_000, 50)).length).toBe(50);
  });

  test('one of them gets the lease of a connection', async () => {
    const { stores } = await replicas(4);
    const { connection } = await connected(stores[0]!);
    const claim = { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 };
    const outcomes = await Promise.all(stores.map((store) => store.claim(connection.id, claim)));
    expect(counted(outcomes, 'busy')).toBe(3);
  });

  test('two commits, a renewal and a revocation leave consistent rows in any order', async () => {
    const { stores, url } = await replicas(2);
    const [one, other] = stores as [Store, Store];
    for (let round = 0; round < 10; round++) {
      const { connection } = await connected(one);
      const { id } = connection;
      const claim = { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 };
      const claimed = (await one.claim(id, claim)) as Claimed;
      const held = { fence: claimed.fence, generation: 1 };
      const [committed, again, renewed, revoked] = await Promise.all([
        one.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry),
        other.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry),
        one.renewConnection(connection, someCredentials(), null, anEntry()),
        other.revoke(id, 'unsupported', NOW, anEntry()),
      ]);
      expect(counted([committed, again], 'committed')).toBeLessThanOrEqual(1);
      expect(revoked?.already).toBe(false);
      const changes = counted([committed, again], 'committed') + (renewed === 'gone' ? 0 : 1);
      expect((await one.connection(id))?.generation).toBe(1 + changes);
    }
    expect(await asked(url, 'select 1 from grants')).toEqual([]);
    expect(await asked(url, 'select 1 from leases')).toEqual([]);
  });

  test('one of them consumes a flow', async () => {
    const { stores } = await replicas(2);
    const session = aSession();
    await stores[0]!.addSession(session, anEntry());
    const flow = aFlow(session.id);
    expect(await stores[0]!.beginFlow(flow, NOW)).toBe('begun');
    const claimed = await Promise.all(
      times(10, (i) => stores[i % 2]!.consumeFlow(flow.stateDigest, flow.browserDigest, NOW)),
    );
    expect(counted(claimed, undefined)).toBe(9);
  });

  test('one browser gets a connect session', async () => {
    const { stores } = await replicas(2);
    const session = aSession();
    await stores[0]!.addSession(session, anEntry());
    const begun = await Promise.all(
      times(6, (i) => stores[i % 2]!.beginFlow(aFlow(session.id, { browserDigest: `browser-${i}` }), NOW)),
    );
    expect(counted(begun, 'begun')).toBe(1);
  });

  test('an integration that is deleted while connections are added leaves none without it', async () => {
    const { stores } = await replicas(2);
    for (let round = 0; round < 10; round++) {
      const id = `round-${round}`;
      await stores[0]!.putIntegration(anIntegration({ id }), anEntry());
      const [added, deleted] = await Promise.allSettled([
        stores[0]!.addConnection(aConnection({ integration: id }), someCredentials(), null, anEntry()),
        stores[1]!.deleteIntegration(id, anEntry()),
      ]);
      expect(deleted.status).toBe('fulfilled');
      if (added.status === 'fulfilled') expect(await stores[1]!.integration(id)).toBeDefined();
      else expect(await stores[1]!.integration(id)).toBeUndefined();
    }
  });

  test('the last two revocations of a connection, settled at once, leave their outcome on it', async () => {
    const { stores } = await replicas(2);
    for (let round = 0; round < 10; round++) {
      const { connection } = await connected(stores[0]!);
      await stores[0]!.revoke(connection.id, 'unsupported', NOW, anEntry());
      const pending = times(2, () => aRevocation({ connectionId: connection.id }));
      for (const one of pending) await stores[0]!.addPendingRevocation(one);
      await Promise.all(pending.map(({ id }, i) => stores[i]!.settleRevocation(id, 'done', anEntry())));
      expect((await stores[0]!.connection(connection.id))?.upstreamRevocation).toBe('done');
    }
  });

  test('touching the same keys in opposite orders does not deadlock', async () => {
    const { stores } = await replicas(2);
    const caller = { id: 'clr_1', name: 'a', permissions: [], workloads: [], rateLimit: null, createdAt: NOW };
    await stores[0]!.addCaller(caller, null, anEntry());
    const keys = times(20, (i) => ({
      id: `key_${i}`,
      callerId: 'clr_1',
      digest: `digest-${i}`,
      prefix: 'vk_',
      createdAt: NOW,
      expiresAt: null,
      lastUsedAt: null,
    }));
    for (const key of keys) await stores[0]!.addCallerKey(key, anEntry());
    const uses = keys.map(({ id }) => ({ keyId: id, at: NOW }));
    await Promise.all(times(10, (i) => stores[i % 2]!.touchKeys(i % 4 < 2 ? uses : uses.toReversed())));
    const [stored] = await stores[0]!.callers();
    expect(stored!.keys.every(({ lastUsedAt }) => lastUsedAt === NOW)).toBe(true);
  });

  test('a hundred operations at once share ten connections', async () => {
    const { stores } = await replicas(1);
    const entries = times(100, () => anEntry());
    await Promise.all(entries.map((entry) => stores[0]!.appendAudit([entry])));
    expect((await stores[0]!.audit({}, FIRST)).data).toHaveLength(100);
  });
});

/** A proxy to the database that can be cut; `silent`: it accepts what is sent, forwards nothing, and answers nothing. */
async function proxyTo(url: string) {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  const sent: Buffer[] = [];
  let state: 'open' | 'cut' | 'silent' = 'open';
  const server: Server = createServer((near) => {
    if (state === 'cut') return void near.destroy();
    const far = connect(Number(target.port), target.hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('error', () => undefined).on('close', () => to.destroy());
      from.on('data', (data) => state === 'open' && to.write(data));
    }
    near.on('data', (data) => sent.push(data));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const through = new URL(url);
  through.port = String((server.address() as { port: number }).port);
  const set = (next: typeof state) => {
    state = next;
    if (state !== 'silent') for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  onTestFinished(async () => {
    set('cut');
    server.close();
  });
  return { url: through.href, set, sent: () => Buffer.concat(sent).toString('latin1') };
}

describe('a lost connection', () => {
  test('operations are rejected, and succeed again once it is back', async () => {
    const direct = await createMigratedDatabase();
    const proxy = await proxyTo(direct);
    const store = await openTestStore(proxy.url);
    const { connection } = await connected(store);
    proxy.set('cut');
    const asking = [store.servedRow(connection.id), store.ping(), store.putIntegration(anIntegration(), anEntry())];
    for (const outcome of await Promise.allSettled(asking))
      expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(StoreError) });
    proxy.set('open');
    await vi.waitFor(() => store.ping(), { timeout: 30_000 });
    expect((await store.servedRow(connection.id))?.connection).toEqual(connection);
  });

  test('a read is repeated on another connection', async () => {
    const link = await startTcpProxy(await createMigratedDatabase());
    onTestFinished(() => link.close());
    // A clock that stands still: however late the machine notices it, the connection was broken before.
    const store = await openPostgres(link.url, undefined, () => 0);
    onTestFinished(() => store.close());
    const { connection } = await connected(store);
    const lost = link.dropResponseTo('connections').then(async () => {
      await expect.poll(() => link.connections().open, { interval: 1 }).toBe(0);
      link.heal();
    });
    expect(await store.connection(connection.id)).toEqual(connection);
    await lost;
  });

  test('operations without an answer time out', { timeout: 40_000 }, async () => {
    const proxy = await proxyTo(await createMigratedDatabase());
    const store = await openTestStore(proxy.url);
    await store.ping();
    proxy.set('silent');
    const since = performance.now();
    const asking = [store.ping(), store.putIntegration(anIntegration(), anEntry()), store.servedRow('con_1')];
    for (const outcome of await Promise.allSettled(asking))
      expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(StoreError) });
    // The heartbeat has noticed it: a statement alone would wait for its answer.
    expect(performance.now() - since).toBeLessThan(POSTGRES_ANSWER_TIMEOUT_MS);
    proxy.set('open');
    await vi.waitFor(() => store.ping(), { timeout: 30_000 });
    await store.close();
  });

  test('changes meanwhile are reported afterwards', async () => {
    const direct = await createMigratedDatabase();
    const proxy = await proxyTo(direct);
    const [cutOff, other] = [await openTestStore(proxy.url), await openTestStore(direct)];
    const reported: Change[] = [];
    const feed = await cutOff.subscribe((changes) => reported.push(...changes));
    expect(feed.delivery).toBe('pushed');
    proxy.set('cut');
    await other.putIntegration(anIntegration({ id: 'meanwhile' }), anEntry());
    proxy.set('open');
    await vi.waitFor(() => expect(reported).toContainEqual({ kind: 'integration', id: 'meanwhile' }), {
      timeout: 30_000,
    });
    await other.putIntegration(anIntegration({ id: 'after' }), anEntry());
    await vi.waitFor(() => expect(reported).toContainEqual({ kind: 'integration', id: 'after' }), { timeout: 30_000 });
  });

  test('a process without heartbeats is dead, and another takes over its lease', {
    timeout: 30_000,
  }, async () => {
    const direct = await createMigratedDatabase();
    const proxy = await proxyTo(direct);
    const [cutOff, other] = [await openTestStore(proxy.url), await openTestStore(direct)];
    const { connection } = await connected(cutOff);
    const claim = { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0, reuseWindowMs: 10_000 };
    const first = (await cutOff.claim(connection.id, claim)) as Claimed;
    proxy.set('cut');
    expect(await other.claim(connection.id, { ...claim, attempt: 'att_2' })).toBe('busy');
    expect(await other.unresolvedRefreshes()).toEqual([]);
    await vi.waitFor(async () => expect(await other.unresolvedRefreshes()).toHaveLength(1), {
      timeout: 30_000,
      interval: 200,
    });
    const second = (await other.claim(connection.id, { ...claim, attempt: 'att_2' })) as Claimed;
    expect(second).toMatchObject({ unresolved: { attempt: 'att_1', startedAt: NOW } });
    proxy.set('open');
    await vi.waitFor(() => cutOff.ping(), { timeout: 30_000 });
    expect(first.isStillHeld()).toBe(false);
    const held = { fence: first.fence, generation: 1 };
    expect(await cutOff.recordRefreshFailure(connection.id, held, aFailure(), anEntry())).toBe('superseded');
    // The other one has not answered yet: this may be the only answer that lives.
    expect(await cutOff.commitRefresh(connection.id, held, someRefreshedFields(), someCredentials(), anEntry)).toBe(
      'committed',
    );
  });

  test('a claim whose commit was not answered is unresolved', async () => {
    const url = await createMigratedDatabase();
    const link = await startTcpProxy(url);
    onTestFinished(link.close);
    const [cutOff, other] = [await openTestStore(link.url), await openTestStore(url)];
    const { connection } = await connected(cutOff);
    const { id } = connection;
    const lost = link.dropResponseTo('claim_free\0');
    const claim = { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 };
    await expect(cutOff.claim(id, claim)).rejects.toBeInstanceOf(StoreError);
    await lost;
    link.heal();
    await vi.waitFor(() => cutOff.ping(), { timeout: 30_000 });
    expect(await other.unresolvedRefreshes()).toEqual([]);
    expect(await cutOff.unresolvedRefreshes()).toEqual([{ id, startedAt: NOW }]);
    const again = await cutOff.claim(id, { ...claim, attempt: 'att_2' });
    expect(again).toMatchObject({ unresolved: { attempt: 'att_1' } });
    expect(await cutOff.unresolvedRefreshes()).toEqual([]);
  });

  test('a process that was frozen while the database was migrated to another one claims nothing there any more', async () => {
    const url = await createMigratedDatabase();
    let frozenMs = 0;
    const frozen = await openPostgres(url, undefined, () => performance.now() + frozenMs);
    onTestFinished(() => frozen.close());
    const { connection } = await connected(frozen);
    const source = postgresEndpoint(url, () => 0);
    onTestFinished(() => source.close());
    await source.markMigrated('file:/new.db');
    // Longer than a data migration takes a process without heartbeats for one that runs.
    frozenMs = 2 * PROCESS_DEAD_AFTER_MS;
    const claim = { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 };
    const claimed = () => frozen.claim(connection.id, claim).catch((error: Error) => error.message);
    expect(await claimed()).toContain('was migrated to file:/new.db');
    await source.unmarkMigrated();
    await expect.poll(claimed, { timeout: 30_000 }).toMatchObject({ connection: { id: connection.id } });
  });

  test('after an outage, no process is judged dead before it had time for a heartbeat', async () => {
    const url = await createMigratedDatabase();
    const silent = await openTestStore(url);
    const { connection } = await connected(silent);
    const claim = { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 };
    expect(await silent.claim(connection.id, claim)).toMatchObject({ fence: 1 });
    // As after an outage of a minute, when this process is the first to be back.
    await asked(url, "update replicas set seen_at = seen_at - interval '1 minute'");
    const first = await openTestStore(url);
    expect(await first.unresolvedRefreshes()).toEqual([]);
    expect(await first.claim(connection.id, { ...claim, attempt: 'att_2' })).toBe('busy');
  });
});

test('where transactions are serializable by default, what loses to another write is repeated', async () => {
  const url = await createMigratedDatabase();
  await asked(
    url,
    `alter database ${new URL(url).pathname.slice(1)} set default_transaction_isolation = 'serializable'`,
  );
  const pool = openPool(readAddress(url), 2);
  const liveness = await startLiveness(pool, () => performance.now());
  onTestFinished(async () => {
    await liveness.stop();
    await pool.end();
  });
  const other = new Client({ connectionString: url });
  await other.connect();
  await other.query('begin');
  await other.query('update replicas set seen_at = clock_timestamp()');
  const told = liveness.tellApplied({ seq: 5, xid: '9' });
  const isWaiting = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  await vi.waitFor(async () => expect(await asked(url, isWaiting)).toHaveLength(1), { timeout: 30_000 });
  await other.query('commit');
  await other.end();
  await told;
  expect(await asked(url, 'select applied_seq, applied_xid::text from replicas')).toEqual([
    { applied_seq: '5', applied_xid: '9' },
  ]);
});

describe('a database error', () => {
  test.each([
    'postgres://nobody:hunter2@127.0.0.1:1/valetkey',
    'postgres://u:hunter2@127.0.0.1:1/x?pool=0',
    'postgres://u:hunter2@127.0.0.1:1/x?prepare=maybe',
    'postgres://u:hunter2@127.0.0.1:1/x?sslmode=verify-full&sslrootcert=/nowhere/hunter2.pem',
    'postgres://u:hunter2@[::/x',
  ])('is a StoreError without the password: %s', async (url) => {
    const opening = openPostgres(url);
    await expect(opening).rejects.toBeInstanceOf(StoreError);
    await expect(opening).rejects.toThrow(/^((?!u:hunter2).)+$/);
  });

  test.each([
    ['sslmode=verify_full', /^sslmode is one of .*verify-full/],
    ['sslmod=verify-full', /^of TLS, the parameters of the URL are .*sslmode/],
    ['SSLMODE=verify-full', /^of TLS, the parameters of the URL are .*sslmode/],
    ['tls=true', /^of TLS, the parameters of the URL are .*sslmode/],
  ])('is that of a typing error which would turn TLS off: %s', async (parameter, message) => {
    const opening = openPostgres(`postgres://u:hunter2@127.0.0.1:1/x?${parameter}`);
    await expect(opening).rejects.toBeInstanceOf(StoreError);
    await expect(opening).rejects.toThrow(message);
  });

  test('says why the database takes no heartbeats, when it answers', async () => {
    const url = await createMigratedDatabase();
    const store = await openPostgres(url);
    onTestFinished(() => store.close());
    await asked(
      url,
      `do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$`,
    );
    await asked(
      url,
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    // A read works on such a database, until a heartbeat has failed.
    await vi.waitFor(
      async () => expect(await store.keyChecks().catch(({ message }) => message)).toMatch(/read-only.*25006/),
      {
        timeout: 30_000,
        interval: 100,
      },
    );
  });

  test('a database of a newer version is refused, and does not change', async () => {
    const url = await createMigratedDatabase();
    await asked(url, "insert into __drizzle_migrations values (99999999999999, 'later')");
    await expect(openPostgres(url)).rejects.toThrow(/newer version/);
    expect(await asked(url, 'select 1 from __drizzle_migrations')).toHaveLength(POSTGRES_MIGRATIONS + 1);
  });

  test('names the column and not the value', async () => {
    const store = await openTestStore(await createMigratedDatabase());
    const refused = store.appendAudit([anEntry({ owner: 'hunter2', actor: null as never })]);
    await expect(refused).rejects.toThrow('PostgreSQL refused a value (23502, audit.actor)');
    await expect(refused).rejects.toSatisfy((error: Error) => error.cause === undefined);
  });
});

describe('frequent statements', () => {
  test.each([
    ['are named, so that they are planned once', '', true],
    ['are not named with prepare=false', '?prepare=false', false],
  ])('%s', async (_, query, isNamed) => {
    const proxy = await proxyTo(await createMigratedDatabase());
    const store = await openTestStore(proxy.url + query);
    const { connection } = await connected(store);
    await store.claim(connection.id, { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 });
    expect((await store.servedRow(connection.id))?.connection).toEqual(connection);
    // The Parse message: the name of the statement, and its text.
    const names = proxy.sent().matchAll(/P[\s\S]{4}(\w*)\0(?=select|insert|update|with)/g);
    const named = new Set([...names].map(([, name]) => name).filter((name) => name !== ''));
    if (isNamed) expect([...named]).toEqual(expect.arrayContaining(['served_rows', 'claim_free', 'record']));
    else expect([...named]).toEqual([]);
  });
});
