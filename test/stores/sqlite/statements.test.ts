import Sqlite, { type Database } from 'better-sqlite3';
import { expect, onTestFinished, test, vi } from 'vitest';
import { compileWhenRun } from '../../../src/stores/sqlite/statements.ts';

function aDatabase(): { client: Database; compiled: () => number } {
  const client = new Sqlite(':memory:');
  onTestFinished(() => void client.close());
  const compile = vi.spyOn(client, 'prepare');
  compileWhenRun(client);
  client.exec("create table pairs (name text, value integer); insert into pairs values ('a', 1), ('b', 2)");
  return { client, compiled: () => compile.mock.calls.length };
}

test('a statement is compiled when it is first run, and once for its text', () => {
  const { client, compiled } = aDatabase();
  const text = 'select value from pairs where name = ?';
  const [first, second] = [client.prepare(text), client.prepare(text)];
  expect(compiled()).toBe(0);
  expect([first.get('a'), second.get('b'), client.prepare(text).all('a')]).toEqual([
    { value: 1 },
    { value: 2 },
    [{ value: 1 }],
  ]);
  expect(compiled()).toBe(1);
});

test('each statement returns rows in its own form, also after another one of its text', () => {
  const { client } = aDatabase();
  const text = 'select name, value from pairs order by name';
  const [objects, arrays, column] = [client.prepare(text), client.prepare(text).raw(), client.prepare(text).pluck()];
  for (let round = 0; round < 2; round++) {
    expect(objects.get()).toEqual({ name: 'a', value: 1 });
    expect(arrays.all()).toEqual([
      ['a', 1],
      ['b', 2],
    ]);
    expect(column.all()).toEqual(['a', 'b']);
  }
  // drizzle asks for the form before every run.
  expect(objects.raw().get()).toEqual(['a', 1]);
});

test('a statement that is wrong throws when it runs, and others go on', () => {
  const { client } = aDatabase();
  const wrong = client.prepare('select name from nowhere');
  expect(() => wrong.get()).toThrow('no such table: nowhere');
  expect(client.prepare('insert into pairs values (@name, @value)').run({ name: 'c', value: 3 }).changes).toBe(1);
});

test('of many texts, the last used stay compiled', () => {
  const { client, compiled } = aDatabase();
  const often = () => client.prepare('select count(*) from pairs').pluck().get();
  for (let at = 0; at < 1_000; at++) {
    expect(client.prepare(`select ${at}`).pluck().get()).toBe(at);
    expect(often()).toBe(2);
  }
  expect(compiled()).toBe(1_001);
  expect(client.prepare('select 0').pluck().get()).toBe(0);
  expect(compiled()).toBe(1_002);
});
