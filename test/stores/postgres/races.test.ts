// What only many connections can show: two processes' worth of pools on one PostgreSQL, and what becomes of it when the way
// there is lost.

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Change, type Claimed, type Store, StoreError } from '../../../src/ports/index.ts';
import { migratePostgres, openPostgres } from '../../../src/stores/postgres/store.ts';
import { aDatabase, asked } from '../../support/postgres.ts';
import { aMigratedDatabase, opened } from '../../support/stores.ts';
import { openTcpProxy } from '../../support/tcp-proxy.ts';
import {
  aConnection,
  aFlow,
  anEntry,
  anIntegration,
  aRevocation,
  aSession,
  connected,
  FIRST,
  NOW,
  someCredentials,
  someRefreshedFields,
} from '../builders.ts';

/** Stores of processes of their own, each with ten connections. */
async function replicas(count: number): Promise<{ url: string; stores: Store[] }> {
  const url = await aMigratedDatabase();
  return { url, stores: await Promise.all(Array.from({ length: count }, () => opened(url))) };
}

const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const counted = (outcomes: unknown[], outcome: unknown) => outcomes.filter((one) => one === outcome).length;

describe('many processes at once', () => {
  test('migrate an empty database once, ten of them', async () => {
    const url = await aDatabase();
    await Promise.all(times(10, () => migratePostgres(url)));
    const applied = await asked(url, 'select * from __drizzle_migrations');
    expect(applied).toHaveLength(1);
    await Promise.all(times(3, () => opened(url)));
  });

  test('take each due connection once, and all of them', async () => {
    const { stores } = await replicas(3);
    const [one] = stores as [Store];
    await one.putIntegration(anIntegration(), anEntry());
    const due = times(300, (i) => aConnection({ nextRefreshAt: NOW - i }));
    await Promise.all(due.map((connection) => one.addConnection(connection, someCredentials(), null, anEntry())));
    const taken = await Promise.all(times(60, (i) => stores[i % 3]!.claimDue('slack', NOW, NOW + 60_000, 10)));
    const all = taken.flat();
    expect(new Set(all).size).toBe(all.length);
    while (all.length < 300) {
      const rest = await one.claimDue('slack', NOW, NOW + 60_000, 100);
      expect(rest.length).toBeGreaterThan(0);
      all.push(...rest);
    }
    expect(all.toSorted()).toEqual(due.map(({ id }) => id).toSorted());
  });

  test('take each owed revocation once', async () => {
    const { stores } = await replicas(2);
    await Promise.all(times(50, () => stores[0]!.addPendingRevocation(aRevocation())));
    const taken = await Promise.all(times(20, (i) => stores[i % 2]!.claimRevocations(NOW, NOW + 1_000, 5)));
    const ids = taken.flat().map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.length + (await stores[0]!.claimRevocations(NOW, NOW + 1_000, 50)).length).toBe(50);
  });

  test('claim one connection: one of them has it', async () => {
    const { stores } = await replicas(4);
    const { connection } = await connected(stores[0]!);
    const claim = { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 };
    const outcomes = await Promise.all(stores.map((store) => store.claim(connection.id, claim)));
    expect(counted(outcomes, 'busy')).toBe(3);
  });

  test('keep one answer of a generation, revoke, and renew: whatever comes first, the rows agree', async () => {
    const { stores, url } = await replicas(2);
    const [one, other] = stores as [Store, Store];
    for (let round = 0; round < 10; round++) {
      const { connection } = await connected(one);
      const { id } = connection;
      const claim = { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 };
      const claimed = (await one.claim(id, claim)) as Claimed;
      const held = { fence: claimed.fence, generation: 1 };
      const [kept, again, renewed, revoked] = await Promise.all([
        one.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry()),
        other.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry()),
        one.renewConnection(connection, someCredentials(), null, anEntry()),
        other.revoke(id, 'unsupported', NOW, anEntry()),
      ]);
      expect(counted([kept, again], 'committed')).toBeLessThanOrEqual(1);
      expect(revoked?.already).toBe(false);
      const changes = counted([kept, again], 'committed') + (renewed === 'gone' ? 0 : 1);
      expect((await one.connection(id))?.generation).toBe(1 + changes);
    }
    expect(await asked(url, 'select 1 from grants')).toEqual([]);
    expect(await asked(url, 'select 1 from leases')).toEqual([]);
  });

  test('bring one state back: it is good for one of them', async () => {
    const { stores } = await replicas(2);
    const session = aSession();
    await stores[0]!.addSession(session, anEntry());
    const flow = aFlow(session.id);
    expect(await stores[0]!.beginFlow(flow, NOW)).toBe('begun');
    const taken = await Promise.all(
      times(10, (i) => stores[i % 2]!.consumeFlow(flow.stateDigest, flow.browserDigest, NOW)),
    );
    expect(counted(taken, undefined)).toBe(9);
  });

  test('open one invitation: it belongs to one browser', async () => {
    const { stores } = await replicas(2);
    const session = aSession();
    await stores[0]!.addSession(session, anEntry());
    const begun = await Promise.all(
      times(6, (i) => stores[i % 2]!.beginFlow(aFlow(session.id, { browserDigest: `browser-${i}` }), NOW)),
    );
    expect(counted(begun, 'begun')).toBe(1);
  });

  test('delete an integration while connections of it are made: none is left without it', async () => {
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

  test('settle the last two revocations of a connection: its outcome is shown', async () => {
    const { stores } = await replicas(2);
    for (let round = 0; round < 10; round++) {
      const { connection } = await connected(stores[0]!);
      await stores[0]!.revoke(connection.id, 'unsupported', NOW, anEntry());
      const owed = times(2, () => aRevocation({ connectionId: connection.id }));
      for (const one of owed) await stores[0]!.addPendingRevocation(one);
      await Promise.all(owed.map(({ id }, i) => stores[i]!.settleRevocation(id, 'done', anEntry())));
      expect((await stores[0]!.connection(connection.id))?.upstreamRevocation).toBe('done');
    }
  });

  test('tell of keys in opposite orders, and none is lost', async () => {
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
    const [kept] = await stores[0]!.callers();
    expect(kept!.keys.every(({ lastUsedAt }) => lastUsedAt === NOW)).toBe(true);
  });

  test('write a hundred sentences at once through ten connections', async () => {
    const { stores } = await replicas(1);
    const entries = times(100, () => anEntry());
    await Promise.all(entries.map((entry) => stores[0]!.appendAudit([entry])));
    expect((await stores[0]!.audit({}, FIRST)).data).toHaveLength(100);
  });
});

/** A way to the database that can be cut, and mended; `deaf`: what is sent is not passed on, and nothing comes back. */
async function wayTo(url: string) {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  const sent: Buffer[] = [];
  let how: 'open' | 'cut' | 'deaf' = 'open';
  const server: Server = createServer((near) => {
    if (how === 'cut') return void near.destroy();
    const far = connect(Number(target.port), target.hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('error', () => undefined).on('close', () => to.destroy());
      from.on('data', (data) => how === 'open' && to.write(data));
    }
    near.on('data', (data) => sent.push(data));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const through = new URL(url);
  through.port = String((server.address() as { port: number }).port);
  const set = (next: typeof how) => {
    how = next;
    if (how !== 'deaf') for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  onTestFinished(async () => {
    set('cut');
    server.close();
  });
  return { url: through.href, set, sent: () => Buffer.concat(sent).toString('latin1') };
}

describe('a way to the database that is lost', () => {
  test('rejects what is asked, and heals by itself', async () => {
    const direct = await aMigratedDatabase();
    const way = await wayTo(direct);
    const store = await opened(way.url);
    const { connection } = await connected(store);
    way.set('cut');
    const asking = [store.servedRow(connection.id), store.ping(), store.putIntegration(anIntegration(), anEntry())];
    for (const outcome of await Promise.allSettled(asking))
      expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(StoreError) });
    way.set('open');
    await vi.waitFor(() => store.ping(), { timeout: 10_000 });
    expect((await store.servedRow(connection.id))?.connection).toEqual(connection);
  });

  test('costs no question anything, when another connection can be had', async () => {
    const link = await openTcpProxy(await aMigratedDatabase());
    onTestFinished(() => link.close());
    const store = await opened(link.url);
    const { connection } = await connected(store);
    const lost = link.loseAnswerTo('connections').then(async () => {
      await expect.poll(() => link.connections().open, { interval: 1 }).toBe(0);
      link.heal();
    });
    expect(await store.connection(connection.id)).toEqual(connection);
    await lost;
  });

  test('hangs nobody: what is not answered is given up', { timeout: 40_000 }, async () => {
    const way = await wayTo(await aMigratedDatabase());
    const store = await opened(way.url);
    await store.ping();
    way.set('deaf');
    const since = performance.now();
    const asking = [store.ping(), store.putIntegration(anIntegration(), anEntry()), store.servedRow('con_1')];
    for (const outcome of await Promise.allSettled(asking))
      expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(StoreError) });
    expect(performance.now() - since).toBeLessThan(5_000);
    way.set('open');
    await vi.waitFor(() => store.ping(), { timeout: 10_000 });
    await store.close();
    expect(performance.now() - since).toBeLessThan(9_000);
  });

  test('keeps news for later', async () => {
    const direct = await aMigratedDatabase();
    const way = await wayTo(direct);
    const [cutOff, other] = [await opened(way.url), await opened(direct)];
    const told: Change[] = [];
    const watch = await cutOff.subscribe((changes) => told.push(...changes));
    expect(watch.delivery).toBe('pushed');
    way.set('cut');
    await other.putIntegration(anIntegration({ id: 'meanwhile' }), anEntry());
    way.set('open');
    await vi.waitFor(() => expect(told).toContainEqual({ kind: 'integration', id: 'meanwhile' }), { timeout: 10_000 });
    await other.putIntegration(anIntegration({ id: 'after' }), anEntry());
    await vi.waitFor(() => expect(told).toContainEqual({ kind: 'integration', id: 'after' }), { timeout: 10_000 });
  });

  test('makes a process dead to the others after a while, which take over what it left', {
    timeout: 30_000,
  }, async () => {
    const direct = await aMigratedDatabase();
    const way = await wayTo(direct);
    const [cutOff, other] = [await opened(way.url), await opened(direct)];
    const { connection } = await connected(cutOff);
    const claim = { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 };
    const first = (await cutOff.claim(connection.id, claim)) as Claimed;
    way.set('cut');
    expect(await other.claim(connection.id, { ...claim, attempt: 'att_2' })).toBe('busy');
    expect(await other.unresolvedRefreshes()).toEqual([]);
    await vi.waitFor(async () => expect(await other.unresolvedRefreshes()).toHaveLength(1), {
      timeout: 15_000,
      interval: 200,
    });
    const second = (await other.claim(connection.id, { ...claim, attempt: 'att_2' })) as Claimed;
    expect(second).toMatchObject({ unresolved: { attempt: 'att_1', startedAt: NOW } });
    way.set('open');
    await vi.waitFor(() => cutOff.ping(), { timeout: 10_000 });
    const held = { fence: first.fence, generation: 1 };
    expect(await cutOff.commitRefresh(connection.id, held, someRefreshedFields(), someCredentials(), anEntry())).toBe(
      'superseded',
    );
  });

  test('amid a claim leaves an orphan, if the claim was there after all', async () => {
    const url = await aMigratedDatabase();
    const link = await openTcpProxy(url);
    onTestFinished(link.close);
    const [cutOff, other] = [await opened(link.url), await opened(url)];
    const { connection } = await connected(cutOff);
    const { id } = connection;
    const lost = link.loseAnswerTo('claim\0', 'commit');
    const claim = { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 };
    await expect(cutOff.claim(id, claim)).rejects.toBeInstanceOf(StoreError);
    await lost;
    link.heal();
    await vi.waitFor(() => cutOff.ping(), { timeout: 10_000 });
    expect(await other.unresolvedRefreshes()).toEqual([]);
    expect(await cutOff.unresolvedRefreshes()).toEqual([{ id, startedAt: NOW }]);
    const again = await cutOff.claim(id, { ...claim, attempt: 'att_2' });
    expect(again).toMatchObject({ unresolved: { attempt: 'att_1' } });
    expect(await cutOff.unresolvedRefreshes()).toEqual([]);
  });

  test('makes nobody dead to those who could not have heard of them either', async () => {
    const url = await aMigratedDatabase();
    const silent = await opened(url);
    const { connection } = await connected(silent);
    const claim = { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 };
    expect(await silent.claim(connection.id, claim)).toMatchObject({ fence: 1 });
    // As it is when the database has been away for a minute, and this one is the first to come back.
    await asked(url, "update replicas set seen_at = seen_at - interval '1 minute'");
    const first = await opened(url);
    expect(await first.unresolvedRefreshes()).toEqual([]);
    expect(await first.claim(connection.id, { ...claim, attempt: 'att_2' })).toBe('busy');
  });
});

describe('what is wrong with the database', () => {
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

  test('is that a newer version made it: it is refused and left as it was', async () => {
    const url = await aMigratedDatabase();
    await asked(url, "insert into __drizzle_migrations values (99999999999999, 'later')");
    await expect(openPostgres(url)).rejects.toThrow(/newer version/);
    expect(await asked(url, 'select 1 from __drizzle_migrations')).toHaveLength(2);
  });

  test('is told without the values that were refused', async () => {
    const store = await opened(await aMigratedDatabase());
    const refused = store.appendAudit([anEntry({ owner: 'hunter2', actor: null as never })]);
    await expect(refused).rejects.toThrow('PostgreSQL refused a value (23502, audit.actor)');
    await expect(refused).rejects.toSatisfy((error: Error) => error.cause === undefined);
  });
});

describe('statements that are asked often', () => {
  test.each([
    ['have a name, so that they are planned once', '', true],
    ['have none where a pooler is in between', '?prepare=false', false],
  ])('%s', async (_, query, isNamed) => {
    const way = await wayTo(await aMigratedDatabase());
    const store = await opened(way.url + query);
    const { connection } = await connected(store);
    await store.claim(connection.id, { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 });
    expect((await store.servedRow(connection.id))?.connection).toEqual(connection);
    // The message that has a statement parsed: its name, and its text.
    const names = way.sent().matchAll(/P[\s\S]{4}(\w*)\0(?=select|insert|update|with)/g);
    const named = new Set([...names].map(([, name]) => name).filter((name) => name !== ''));
    if (isNamed) expect([...named]).toEqual(expect.arrayContaining(['served', 'leased', 'claim', 'record']));
    else expect([...named]).toEqual([]);
  });
});
