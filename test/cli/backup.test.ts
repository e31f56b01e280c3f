// `valetkey backup`: of a database that brokers are writing to.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk } from '../support/contract.ts';
import { createTerminal } from '../support/terminal.ts';

let broker: TestBroker;
const folder = mkdtempSync(join(tmpdir(), 'valetkey-backup-'));
beforeAll(async () => {
  broker = await startTestBroker({ VALETKEY_DATABASE_URL: `file:${join(folder, 'live', 'valetkey.db')}` });
});
afterAll(async () => {
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});
const at = (database: string) => createTerminal({ VALETKEY_DATABASE_URL: database });
const live = () => at(`file:${join(folder, 'live', 'valetkey.db')}`);

async function addCaller(name: string): Promise<void> {
  expectOk(await broker.ask('POST', '/v1/callers', { name, grants: [] }), 201);
}

test('backup: a verified copy with mode 0600 of what is committed, while the broker writes', async () => {
  await addCaller('before');
  const writing = { stop: false };
  const writes = (async () => {
    for (let i = 0; !writing.stop; i++) await addCaller(`during-${i}`);
  })();
  const to = join(folder, 'copy.db');
  const { code, out, err } = await live()(['backup', to, '--json']);
  writing.stop = true;
  await writes;
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(JSON.parse(out)).toEqual({ path: to, bytes: statSync(to).size, rescued: 0, verified: true });
  expect(statSync(to).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder).sort()).toEqual(['copy.db', 'live']);
  const copy = new Database(to, { readonly: true });
  expect(copy.prepare("select count(*) from callers where name = 'before'").pluck().get()).toBe(1);
  copy.close();
});

test('backup: token responses that wait in the rescue file are in the copy, beside the database', async () => {
  const rescue = new Database(join(folder, 'live', 'valetkey.db.rescue'));
  rescue.prepare("insert into rescued values ('att_x', 'an answer')").run();
  const to = join(folder, 'rescued.db');
  const { code, out } = await live()(['backup', to]);
  rescue.exec("delete from rescued where attempt = 'att_x'");
  rescue.close();
  expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining(`${to}.rescue: 1 token responses`) });
  expect(statSync(`${to}.rescue`).mode & 0o777).toBe(0o600);
  const copy = new Database(`${to}.rescue`, { readonly: true });
  expect(copy.prepare('select * from rescued').all()).toEqual([{ attempt: 'att_x', answer: 'an answer' }]);
  copy.close();
  expect(
    readdirSync(folder)
      .filter((name) => name.startsWith('rescued'))
      .sort(),
  ).toEqual(['rescued.db', 'rescued.db.rescue']);
  // A rescue file that lies there already belongs to another database.
  rmSync(to);
  expect(await live()(['backup', to])).toMatchObject({
    code: 1,
    err: expect.stringContaining('.rescue exists already'),
  });
  rmSync(`${to}.rescue`);
});

test('backup: replaces nothing, and leaves nothing behind when it fails', async () => {
  const to = join(folder, 'taken.db');
  writeFileSync(to, 'precious');
  const taken = await live()(['backup', to]);
  expect(taken).toMatchObject({ code: 1, out: '', err: expect.stringContaining('exists already') });
  expect(readFileSync(to, 'utf8')).toBe('precious');
  const before = readdirSync(folder).sort();
  mkdirSync(join(folder, 'empty'));
  const empty = join(folder, 'empty', 'x.db');
  new Database(empty).close();
  for (const [database, wanted] of [
    [join(folder, 'nothing.db'), 'there is no database file'],
    [empty, 'no broker has used this database yet'],
    [to, 'not a database'],
  ] as const) {
    const failed = await at(`file:${database}`)(['backup', join(folder, 'new.db')]);
    expect(failed).toMatchObject({ code: 1, out: '', err: expect.stringContaining(wanted) });
  }
  const nowhere = await live()(['backup', join(folder, 'no', 'such', 'folder.db')]);
  expect(nowhere).toMatchObject({
    code: 1,
    err: expect.stringMatching(/no backup was made: there is no folder .*such: make it/),
  });
  expect(
    readdirSync(folder)
      .filter((name) => name !== 'empty')
      .sort(),
  ).toEqual(before);
});

test('backup: PostgreSQL has its own tools; a wrong URL is named without its password', async () => {
  const postgres = await at('postgres://u:hunter2@db.example/valetkey')(['backup', join(folder, 'x.db')]);
  expect(postgres).toMatchObject({ code: 1, err: expect.stringContaining('pg_dump') });
  const wrong = await at('mysql://u:hunter2@db.example')(['backup', join(folder, 'x.db')]);
  expect(wrong).toMatchObject({ code: 1, err: expect.stringContaining('VALETKEY_DATABASE_URL') });
  expect(postgres.err + wrong.err).not.toContain('hunter2');
});
