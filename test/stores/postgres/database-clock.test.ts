// The clock of the database is set forward, or is another one after a failover: no process that lives is dead to the others.
import { Client } from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  DATABASE_CLOCK_MEMORY_MS,
  DATABASE_CLOCK_STEP_MS,
  LEASE_IN_DOUBT_MS,
} from '../../../src/domain/time-limits.ts';
import { openPool, readAddress } from '../../../src/stores/postgres/database.ts';
import { createDatabaseClock } from '../../../src/stores/postgres/database-clock.ts';
import { startLiveness } from '../../../src/stores/postgres/liveness.ts';
import { asked } from '../../support/postgres.ts';
import { createMigratedDatabase, openTestStore } from '../../support/stores.ts';
import { connected, NOW } from '../builders.ts';

const SOON = { interval: 50, timeout: 30_000 };

describe('what the clock of the database should show', () => {
  const START = Date.parse('2026-11-30T00:00:00Z');
  function aClock() {
    let at = 5_000;
    const clock = createDatabaseClock(() => at);
    return {
      pass: (ms: number) => (at += ms),
      /** A heartbeat: how long ago it was sent, and the time of the database since the start. */
      answered: (agoMs: number, time: number) => clock.answered(START + time, at - agoMs),
      /** Beyond the margin. */
      limit: () => Date.parse(clock.limit()) - START - DATABASE_CLOCK_STEP_MS,
      raw: clock.limit,
    };
  }

  test('is anything before the first heartbeat', () => {
    expect(aClock().raw()).toBe('infinity');
  });

  test('goes on with the clock of this process', () => {
    const { pass, answered, limit } = aClock();
    answered(0, 0);
    pass(700);
    expect(limit()).toBe(700);
  });

  test('is by the quickest answer, and never earlier than the clock is', () => {
    const { pass, answered, limit } = aClock();
    pass(2_000);
    // It was sent 1.5 s ago, and the clock was read 1 s after that.
    answered(1_500, 1_000);
    expect(limit()).toBe(2_500);
    pass(1_500);
    answered(20, 2_995);
    expect(limit()).toBe(3_015);
    pass(1_500);
    answered(1_500, 4_500);
    expect(limit()).toBe(4_515);
  });

  test('is as before when the clock was set forward, until what was silent then is in doubt no longer', () => {
    const { pass, answered, limit } = aClock();
    answered(0, 0);
    for (let ms = 1_500; ms <= LEASE_IN_DOUBT_MS; ms += 1_500) {
      pass(1_500);
      answered(0, ms + 600_000);
      expect(limit()).toBe(ms);
    }
    pass(DATABASE_CLOCK_MEMORY_MS - LEASE_IN_DOUBT_MS + 1);
    answered(0, DATABASE_CLOCK_MEMORY_MS + 1 + 600_000);
    expect(limit()).toBe(DATABASE_CLOCK_MEMORY_MS + 1 + 600_000);
  });

  test('follows a clock that was set back, and one that stood still', () => {
    const { pass, answered, limit } = aClock();
    answered(0, 60_000);
    pass(1_500);
    answered(0, 1_500);
    expect(limit()).toBe(1_500);
    pass(60_000);
    answered(0, 2_000);
    expect(limit()).toBe(2_000);
    pass(1_500);
    answered(0, 63_000);
    expect(limit()).toBe(3_500);
  });
});

/** A database whose functions and statements see a clock that can be set. */
async function databaseWithClock() {
  const url = await createMigratedDatabase();
  const client = new Client(url);
  await client.connect();
  onTestFinished(() => client.end());
  await client.query(
    `create schema clock; create table clock.ahead as select interval '0' as by;
     create function public.clock_timestamp() returns timestamptz language sql volatile
       as 'select pg_catalog.clock_timestamp() + by from clock.ahead';
     alter database ${new URL(url).pathname.slice(1)} set search_path = public, pg_catalog`,
  );
  /** A process of which no heartbeat was received since then, by the clock before it was set; `connection`: it refreshes it. */
  const aProcess = async (holder: string, seen: string, connection: string) => {
    await client.query(
      `insert into replicas (holder, seen_at, applied_seq) values ($1, pg_catalog.clock_timestamp() + $2::interval, 0)`,
      [holder, seen],
    );
    await client.query(`update leases set holder = $1, attempt = 'att_1', started_at = $2 where connection_id = $3`, [
      holder,
      NOW,
      connection,
    ]);
  };
  return {
    url,
    aProcess,
    set: (ahead: string) => client.query('update clock.ahead set by = $1', [ahead]),
    holders: async () => (await client.query('select holder from replicas')).rows.map(({ holder }) => holder),
  };
}

async function threeRefreshes() {
  const database = await databaseWithClock();
  const store = await openTestStore(database.url);
  const [alive, frozen, killed] = [await connected(store), await connected(store), await connected(store)];
  const id = { alive: alive.connection.id, frozen: frozen.connection.id, killed: killed.connection.id };
  // In the future, so that nothing depends on how long the test takes. The clock is set by an hour.
  await database.aProcess('alive', '30 minutes', id.alive);
  await database.aProcess('frozen', '-15 seconds', id.frozen);
  await database.aProcess('killed', '-40 minutes', id.killed);
  const unresolved = async () => (await store.unresolvedRefreshes()).map((one) => one.id);
  // It judges no one before it has seen heartbeats for a while.
  await expect.poll(unresolved, SOON).toContain(id.killed);
  const claim = (of: string) => store.claim(of, { attempt: 'att_2', generation: 1, now: NOW, monotonic: 0 });
  return { ...database, store, id, unresolved, claim };
}

describe('clock of the database that is set forward by an hour', () => {
  test('no process takes over what another one is refreshing, before and after its own heartbeat', async () => {
    const { url, set, id, claim, unresolved } = await threeRefreshes();
    const judge = async () => {
      expect(await claim(id.alive)).toBe('busy');
      expect(await claim(id.frozen)).toBe('in_doubt');
      expect(await unresolved()).not.toContain(id.alive);
    };
    await set('1 hour');
    await judge();
    const heard = `select 1 from replicas where holder not in ('alive', 'frozen', 'killed')
      and seen_at > pg_catalog.clock_timestamp() + interval '50 minutes'`;
    await expect.poll(() => asked(url, heard), SOON).toHaveLength(1);
    await judge();
    expect(await claim(id.killed)).toMatchObject({ unresolved: { attempt: 'att_1' } });
  });

  test('the others are counted as before, and waited for', async () => {
    const { set, store } = await threeRefreshes();
    await set('1 hour');
    expect(await store.countProcesses()).toBe(2);
    expect(await store.untilApplied(1)).toBe(2);
  });

  test('by two hours: a process that starts then deletes no row of a living one', async () => {
    const { url, set, holders } = await threeRefreshes();
    await set('2 hours');
    await openTestStore(url);
    expect(await holders()).toEqual(expect.arrayContaining(['alive', 'frozen', 'killed']));
  });
});

test('the rows of processes that were silent for an hour are deleted some time after a start', async () => {
  const { url, aProcess, holders } = await databaseWithClock();
  await aProcess('old', '-61 minutes', 'con_none');
  await aProcess('killed', '-50 minutes', 'con_none');
  let passed = 0;
  const pool = openPool(readAddress(url), 1);
  const liveness = await startLiveness(pool, () => performance.now() + passed);
  onTestFinished(async () => {
    await liveness.stop();
    await pool.end();
  });
  expect(await holders()).toContain('old');
  passed += LEASE_IN_DOUBT_MS;
  await expect.poll(holders, SOON).not.toContain('old');
  expect(await holders()).toContain('killed');
});
