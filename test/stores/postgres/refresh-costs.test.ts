// What a routine refresh writes to PostgreSQL, and what a look for due connections reads behind an old snapshot.
import { Client } from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  DUE_CONNECTIONS,
  DUE_INTEGRATIONS,
  type DuePlace,
  lookFrom,
} from '../../../src/stores/postgres/due-connections.ts';
import { asked } from '../../support/postgres.ts';
import { createMigratedDatabase, openTestStore } from '../../support/stores.ts';
import { connected, NOW } from '../builders.ts';

async function clientOf(url: string): Promise<Client> {
  const client = new Client(url);
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

/** `node`: the topmost of the plan, with what all below it did. */
async function explained(client: Client, statement: string, values: unknown[] = []): Promise<Record<string, number>> {
  const { rows } = await client.query(`explain (analyze, buffers, wal, format json) ${statement}`, values);
  return rows[0]['QUERY PLAN'][0].Plan;
}

describe('a routine refresh', () => {
  test('writes four row versions, of the wide rows without their indexes, and 2.5 kB of log', async () => {
    const url = await createMigratedDatabase();
    const store = await openTestStore(url);
    // Of the usual length, with a grant that slides.
    const { connection } = await connected(store, { failures: 0, lastRefreshError: null });
    await asked(
      url,
      `update grants set access_token = repeat('a', 370), refresh_token = repeat('r', 170), id_token = null, credentials = null`,
    );
    const client = await clientOf(url);
    const refresh = async (n: number) => {
      const claim = await explained(
        client,
        `select * from valetkey_claim_free('{${connection.id}}', '{99}', '{att_${'x'.repeat(26)}}', '{${NOW + n}}',
           '{${NOW + n + 30_000}}', '5b0c4a3e-9d3b-4f5e-8f0e-1d9c2b7a6e5f')`,
      );
      const commit = await explained(
        client,
        `select * from valetkey_commit_refreshes('{${connection.id}}', '{${n}}', '{${n}}', '{null}', '{${NOW + n}}',
           '{${NOW + n + 1}}', '{${NOW + n + 2}}', '{${NOW + n + 3}}', '{${NOW + n + 4}}', '{${NOW + n + 5}}',
           array[repeat('b', 370)], array[repeat('s', 170)], '{null}', '{null}')`,
      );
      return claim['WAL Bytes']! + commit['WAL Bytes']!;
    };
    /** By table: what the statements of this client have written that no one else has been told yet. */
    const written = async () => {
      const { rows } = await client.query<{ table: string; counts: number[] }>(
        `select relname as table, array[n_tup_ins, n_tup_upd, n_tup_hot_upd]::int[] as counts
         from pg_stat_xact_user_tables where n_tup_ins + n_tup_upd > 0`,
      );
      return new Map(rows.map(({ table, counts }) => [table, counts]));
    };
    // The first one may write whole pages.
    for (let n = 1; n <= 3; n++) await refresh(n);
    await client.query('vacuum connections, grants, leases');
    await refresh(4);
    await client.query('begin');
    const before = await written();
    const bytes = await refresh(5);
    const after = await written();
    const versions = [...after].flatMap(([table, counts]) => {
      const [inserted, updated, hot] = counts.map((count, i) => count - (before.get(table)?.[i] ?? 0));
      return inserted! + updated! === 0 ? [] : [{ table, inserted, updated, hot }];
    });
    expect(versions.sort((a, b) => a.table.localeCompare(b.table))).toEqual([
      { table: 'connections', inserted: 0, updated: 1, hot: 1 },
      { table: 'grants', inserted: 0, updated: 1, hot: 1 },
      { table: 'leases', inserted: 0, updated: 2, hot: 0 },
    ]);
    await client.query('commit');
    expect((await store.connection(connection.id))?.generation).toBe(6);
    expect(bytes).toBeGreaterThan(500);
    expect(bytes).toBeLessThan(2_500);
  });

  test('has no more index entries than those of two versions of its lease', async () => {
    const url = await createMigratedDatabase();
    const indexes = await asked(url, `select indexname from pg_indexes where tablename = 'leases' order by 1`);
    // Its key, when it is due and its last refresh in both, the intent in one; the end of the grant where there is one.
    expect(indexes.map(({ indexname }) => indexname)).toEqual([
      'leases_dead',
      'leases_due',
      'leases_ending',
      'leases_pkey',
      'leases_refreshed',
      'leases_unresolved',
    ]);
  });
});

describe('behind an old snapshot', () => {
  const COUNT = 50_000;
  const FIRST_DUE = NOW - 600_000;
  /** What the shipped limit lets an integration refresh between two looks. */
  const BETWEEN_LOOKS = 200;

  test('50,000 claims leave a look that reads 20 pages at most', { timeout: 120_000 }, async () => {
    const url = await createMigratedDatabase();
    const store = await openTestStore(url);
    const { connection } = await connected(store, { nextRefreshAt: null });
    const client = await clientOf(url);
    const { rows: columns } = await client.query(
      `select column_name as name from information_schema.columns where table_name = 'connections'`,
    );
    const changed: Record<string, string> = {
      id: `'con_n' || lpad(n::text, 8, '0')`,
      owner: `'user_' || n`,
      next_refresh_at: `${FIRST_DUE} + n * 12`,
    };
    const names: string[] = columns.map(({ name }) => name);
    await client.query(
      `insert into connections (${names}) select ${names.map((name) => changed[name] ?? `c.${name}`)}
       from connections c, generate_series(0, ${COUNT - 1}) n where c.id = '${connection.id}' order by n`,
    );
    await client.query('vacuum analyze connections, leases');
    const old = await clientOf(url);
    await old.query('begin isolation level repeatable read');
    await old.query('select count(*) from leases');

    const looked = new Map<string, DuePlace>();
    async function lookOnce(): Promise<void> {
      const { rows } = await client.query<{ integration: string; dueAt: string; id: string }>(
        DUE_INTEGRATIONS,
        lookFrom(NOW, looked),
      );
      for (const { integration, dueAt, id } of rows) looked.set(integration, { dueAt: Number(dueAt), id });
    }
    const claim = (from: number, to: number) =>
      client.query(`update leases set due_at = ${NOW + 30_000} where due_at >= $1 and due_at < $2`, [
        FIRST_DUE + from * 12,
        FIRST_DUE + to * 12,
      ]);
    const last = COUNT - 1_000;
    await claim(0, last - BETWEEN_LOOKS);
    await lookOnce();
    await claim(last - BETWEEN_LOOKS, last);
    const pagesOf = (plan: Record<string, number>) => plan['Shared Hit Blocks']! + plan['Shared Read Blocks']!;
    const pages = pagesOf(await explained(client, DUE_INTEGRATIONS, lookFrom(NOW, looked)));
    expect(pages).toBeGreaterThan(0);
    expect(pages).toBeLessThanOrEqual(20);
    await lookOnce();
    const place = looked.get(connection.integration)!;
    expect(place.dueAt).toBe(FIRST_DUE + last * 12);
    const due = [connection.integration, NOW, 64, [], 'none', place.dueAt, place.id];
    const found = await explained(client, DUE_CONNECTIONS, due);
    // 64 rows, each by its key.
    expect(found['Actual Rows']).toBe(64);
    expect(pagesOf(found)).toBeLessThanOrEqual(20 + 64 * 4);
    // From the start, it reads what is dead, too.
    looked.clear();
    expect(pagesOf(await explained(client, DUE_INTEGRATIONS, lookFrom(NOW, looked)))).toBeGreaterThan(200);
    await old.query('rollback');
  });
});
