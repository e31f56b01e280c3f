// Brokers behind a connection pooler in transaction mode, and on a database without some of PostgreSQL's features.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { generateKey } from '../../../src/adapters/keyring/keyring.ts';
import type { Logger } from '../../../src/ports/index.ts';
import { start } from '../../../src/runtime/app.ts';
import { parseConfig } from '../../../src/runtime/config.ts';
import { migratePostgres, openPostgres } from '../../../src/stores/postgres/store.ts';
import { startPooler } from '../../support/pooler.ts';
import { aDatabase, asked, POSTGRES_MIGRATIONS, postgresUrl } from '../../support/postgres.ts';
import { createMigratedDatabase } from '../../support/stores.ts';

/** A database with empty tables, or what `create` makes, behind a pooler. */
async function pooled(
  options: Parameters<typeof startPooler>[1] = {},
  create = createMigratedDatabase,
): Promise<{ direct: string; url: string }> {
  const pooler = await startPooler(await postgresUrl(), options);
  onTestFinished(() => pooler.stop());
  const direct = await create();
  return { direct, url: pooler.urlFor(direct) };
}

/** The warnings of a broker that starts on this database. */
async function warnedAtStart(url: string): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-pooled-'));
  const env = { VALETKEY_PORT: '0', VALETKEY_DATABASE_URL: url, VALETKEY_KEYS: generateKey() };
  const parsed = parseConfig({ ...env, VALETKEY_DATA_DIR: folder }, () => '{}');
  if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
  const warned: string[] = [];
  const silent = () => undefined;
  const log: Logger = {
    debug: silent,
    info: silent,
    error: silent,
    warn: (fields, message) => warned.push(`${message} ${JSON.stringify(fields)}`),
  };
  const running = await start(parsed.config, log);
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const ready = await fetch(`${running.url}/readyz`);
  await running.stop();
  expect(ready.status).toBe(200);
  return warned;
}

const POLLS = expect.stringMatching(/delivers no notifications.*"every_ms":250/);
const UNNAMED = expect.stringMatching(/a pooler .* prepare=false/);

describe('connection pooler in transaction mode', () => {
  test('keeps neither prepared statements nor LISTEN', async () => {
    const { url } = await pooled({ servers: 2 });
    const [one, other] = [new Client(url), new Client(url)];
    const heard: unknown[] = [];
    for (const client of [one, other]) {
      client.on('notification', (notification) => heard.push(notification));
      await client.connect();
    }
    try {
      await one.query('listen changes');
      await other.query('notify changes');
      // Both server connections are open.
      await Promise.all([one, other].map((client) => client.query('select pg_sleep(0.05)')));
      const named = { name: 'n', text: 'select 1' };
      await one.query(named);
      await expect(one.query(named)).rejects.toMatchObject({ code: '26000' });
      await expect(other.query(named)).rejects.toMatchObject({ code: '42P05' });
      await one.query('begin; create temporary table mine (a int)');
      expect((await one.query('select * from mine')).rowCount).toBe(0);
      await one.query('rollback');
      expect(heard).toEqual([]);
    } finally {
      await Promise.all([one.end(), other.end()]);
    }
  });

  describe.each(['longest idle', 'last used'] as const)('that reuses the %s', (lends) => {
    test.each([1, 2, 3])('is detected at the start, with %i connections', async (servers) => {
      const { url } = await pooled({ reuse: lends, servers });
      const clients = Array.from({ length: servers }, () => new Client(url));
      await Promise.all(clients.map((client) => client.connect()));
      await Promise.all(clients.map((client) => client.query('select pg_sleep(0.05)')));
      const onNamesLost = vi.fn();
      const store = await openPostgres(url, onNamesLost);
      await Promise.all([store.close(), ...clients.map((client) => client.end())]);
      expect(onNamesLost).toHaveBeenCalledOnce();
    });
  });

  test('is reported at the start of a broker, which works', async () => {
    const { url } = await pooled();
    expect(await warnedAtStart(url)).toEqual([UNNAMED, POLLS]);
  });

  test('works with prepare=false: the broker reports that it polls for changes', async () => {
    const { url } = await pooled();
    expect(await warnedAtStart(`${url}?prepare=false`)).toEqual([POLLS]);
  });

  test('is not reported without a pooler', async () => {
    expect(await warnedAtStart(await createMigratedDatabase())).toEqual([]);
  });
});

describe('database without LISTEN, NOTIFY and advisory locks', () => {
  const lacking = { servers: 40, lacks: /\b(listen|notify|pg_notify|pg_advisory\w*)\b/i };

  test('works: the broker reports that it polls for changes', async () => {
    const { url } = await pooled(lacking);
    expect(await warnedAtStart(`${url}?prepare=false`)).toEqual([POLLS]);
  });

  test('is migrated once by ten brokers that start concurrently', async () => {
    const { direct, url } = await pooled(lacking, aDatabase);
    await Promise.all(Array.from({ length: 10 }, () => migratePostgres(url)));
    expect(await asked(direct, 'select * from __drizzle_migrations')).toHaveLength(POSTGRES_MIGRATIONS);
    const stores = await Promise.all(Array.from({ length: 3 }, () => openPostgres(`${url}?prepare=false`)));
    await Promise.all(stores.map((store) => store.close()));
  });
});
