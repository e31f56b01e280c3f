// Migrating between databases as an operator does: with processes, one of which is killed in the middle, a broker on
// either side, and the commands of docs/operations.md as they are written there.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { generateKey } from '../../src/adapters/keyring/keyring.ts';
import { migratePostgres } from '../../src/stores/postgres/store.ts';
import { openSqlite } from '../../src/stores/sqlite/store.ts';
import { anEntry } from '../stores/builders.ts';
import { bundled } from '../support/bundle.ts';
import { expectOk } from '../support/contract.ts';
import { read } from '../support/deploy-files.ts';
import { isLong } from '../support/long.ts';
import { aDatabase, asked } from '../support/postgres.ts';
import { startRestartableBroker } from '../support/restartable-broker.ts';

async function migrating(from: string, to: string, dataDir: string) {
  const child = spawn(process.execPath, [await bundled('cli'), 'migrate-data', '--from', from, '--to', to], {
    env: { PATH: process.env.PATH, VALETKEY_DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)];
  const ended = once(child, 'close').then(async ([code]) => ({ code, stdout: await stdout, stderr: await stderr }));
  return { child, ended };
}
/** The commands of the page that begin with this comment, with these databases in the place of its own. */
async function runCommands(name: string, databases: Record<string, string>, dataDir: string) {
  const [, commands = ''] = new RegExp(`\`\`\`sh\\n *# ${name}\\n([\\s\\S]*?)\`\`\``).exec(read('docs/operations.md'))!;
  const typed = Object.entries(databases).reduce(
    (text, [documented, own]) => {
      expect(text).toContain(` ${documented}`);
      return text.replace(` ${documented}`, ` '${own}'`);
    },
    commands.replace('npx valetkey', '"$NODE" "$CLI"'),
  );
  const env = { PATH: process.env.PATH, NODE: process.execPath, CLI: await bundled('cli'), VALETKEY_DATA_DIR: dataDir };
  return promisify(execFile)('sh', ['-e', '-c', typed], { env });
}
const OLD = 'file:./data/valetkey.db';
const NEW = 'postgres://valetkey@db.example.com:5432/valetkey';

const migrated = async (from: string, to: string, dataDir: string) => (await migrating(from, to, dataDir)).ended;

/** Blocks the insert of this row of the audit log until it is released. */
async function stopAt(url: string, row: string) {
  const holder = new Client({ connectionString: url });
  await holder.connect();
  await holder.query('select pg_advisory_lock(1)');
  await holder.query(`create function wait() returns trigger language plpgsql as
    'begin perform pg_advisory_xact_lock(1); return new; end'`);
  await holder.query(
    `create trigger wait before insert on audit for each row when (new.id = '${row}') execute function wait()`,
  );
  const waiting = async () => {
    // Of this database alone: tests on others have advisory locks too.
    const { rows } = await holder.query(
      `select l.pid from pg_locks l join pg_database d on d.oid = l.database
       where d.datname = current_database() and l.locktype = 'advisory' and not l.granted`,
    );
    return rows.map(({ pid }) => Number(pid));
  };
  return {
    async reached() {
      while ((await waiting()).length === 0) await pause(10);
    },
    /** Rolls back what was being written first, as when the machine is lost. */
    async release() {
      for (const pid of await waiting()) await holder.query('select pg_terminate_backend($1, 5000)', [pid]);
      await holder.query('drop function wait cascade');
      await holder.end();
    },
  };
}

test('data migration to PostgreSQL, killed half-way and run again, and back: the broker serves and refreshes on each', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-migrated-'));
  const [file, there, back] = [`file:${folder}/valetkey.db`, await aDatabase(), `file:${folder}/back.db`];
  const env = { VALETKEY_KEYS: generateKey(), VALETKEY_DATABASE_URL: file, VALETKEY_DATA_DIR: folder };
  const broker = await startRestartableBroker({ env });
  t.onTestFinished(async () => {
    await broker.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const [ada, grace] = [await broker.importConnection('ada'), await broker.importConnection('grace')];
  const token = async (id: string) => expectOk(await broker.ask('GET', `/v1/connections/${id}/token`)).access_token;
  const refresh = async (id: string) => expectOk(await broker.ask('POST', `/v1/connections/${id}/refresh`, {}));
  const first = await token(ada);
  expect(await token(grace)).toBeTruthy();

  if (isLong) {
    const early = await migrated(file, there, folder);
    expect(early).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(`a broker runs on ${file}`) });
  }
  await broker.current().stop('SIGKILL');

  const log = await openSqlite(file);
  const ids = Array.from({ length: 2_500 }, (_, n) => `evz_${String(n).padStart(4, '0')}`);
  await log.appendAudit(ids.map((id) => anEntry({ id })));
  await log.close();
  await migratePostgres(there);
  const stop = await stopAt(there, 'evz_2000');
  const { child, ended } = await migrating(file, there, folder);
  await stop.reached();
  child.kill('SIGKILL');
  expect(await ended).toMatchObject({ code: null, stdout: '' });
  await stop.release();
  const [before] = await asked(there, 'select count(*)::int as rows from audit');
  expect(before!.rows).toBeGreaterThan(1_000);
  expect(before!.rows).toBeLessThan(2_500);
  env.VALETKEY_DATABASE_URL = there;
  if (isLong)
    await expect(broker.start()).rejects.toThrow(
      /VALETKEY_DATABASE_URL: a data migration from file:.* has not finished/,
    );

  const again = await runCommands('migrate', { [OLD]: file, [NEW]: there }, folder);
  expect(again.stderr).toContain('All data is in postgres://');
  expect(again.stdout).toMatch(/^connections\t2\t2\t[0-9a-f]{16}\tsame$/m);
  await broker.start();
  expect(await token(ada)).toBe(first);
  const { access_token: second } = await refresh(ada);
  expect(second).not.toBe(first);

  expect(await broker.current().stop()).toBe(0);
  await runCommands('back', { [NEW]: there, 'file:./data/back.db': back }, folder);
  env.VALETKEY_DATABASE_URL = back;
  await broker.start();
  expect(await token(ada)).toBe(second);
  await refresh(ada);
  await refresh(grace);
  // What no broker starts on: in one process, test/broker/maintenance/data-migration.test.ts.
  if (!isLong) return;

  expect(await broker.current().stop()).toBe(0);
  for (const old of [file, there]) {
    env.VALETKEY_DATABASE_URL = old;
    await expect(broker.start()).rejects.toThrow(/VALETKEY_DATABASE_URL: this database was migrated to .* --force/);
  }
  const forced = spawn(process.execPath, [await bundled('cli'), 'serve', '--force'], {
    env: { PATH: process.env.PATH, ...env, VALETKEY_DATABASE_URL: file, VALETKEY_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  forced.stdout.on('data', (line) => String(line).includes('"listening"') && forced.kill('SIGTERM'));
  expect(await textOf(forced.stdout)).toContain('starting on the source because of --force');
}, 180_000);
