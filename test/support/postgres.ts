// PostgreSQL databases for tests, on one server for the whole run, which is started when the first test needs it.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Client } from 'pg';
import { inject, TestRunner } from 'vitest';
import type { TestProject } from 'vitest/node';
import { findPostgres, startPostgres } from './postgres-server.ts';

/** How many migrations of PostgreSQL there are. */
export const POSTGRES_MIGRATIONS: number = JSON.parse(
  readFileSync(new URL('../../drizzle/postgres/meta/_journal.json', import.meta.url), 'utf8'),
).entries.length;

declare module 'vitest' {
  interface ProvidedContext {
    /** A URL that responds with that of the server's first database, once it runs. Empty: there is no PostgreSQL here. */
    postgres: string;
  }
}

/** Once for a run of vitest: most runs of a single file need no PostgreSQL. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const found = await findPostgres();
  if ('missing' in found) {
    console.warn(`The tests on PostgreSQL are skipped: ${found.missing}.`);
    provide('postgres', '');
    return async () => undefined;
  }
  let server: ReturnType<typeof startPostgres> | undefined;
  const starter = createServer((_, response) => {
    server ??= startPostgres();
    server.then(
      ({ url }) => response.end(url('postgres')),
      (error: Error) => response.writeHead(500).end(String(error)),
    );
  }).listen(0, '127.0.0.1');
  await once(starter, 'listening');
  provide('postgres', `http://127.0.0.1:${(starter.address() as { port: number }).port}`);
  return async () => {
    starter.close();
    await (await server)?.stop();
  };
}

/** For hooks, in which a test cannot be skipped. */
export const hasPostgres = (): boolean => inject('postgres') !== '';

/** The URL of the server's first database, which tests leave alone. Where there is none, the current test is skipped. */
export async function postgresUrl(): Promise<string> {
  if (!hasPostgres()) TestRunner.getCurrentTest()?.context.skip('there is no PostgreSQL here');
  const response = await fetch(inject('postgres'));
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text;
}

let made = 0;

/** The URL of a new database: an empty one, or a copy of `template` (a URL; no client may be connected to it). */
export async function aDatabase(template?: string): Promise<string> {
  const from = template === undefined ? 'template0' : nameIn(template);
  return create(`test_${process.pid}_${++made}`, from);
}

/**
 * The URL of the database of this name. The first worker that asks for it creates it and calls `fill`, which leaves no client
 * connected to it; the others wait.
 */
export async function sharedDatabase(name: string, fill: (url: string) => Promise<void>): Promise<string> {
  const url = await postgresUrl();
  const client = await clientOf(url);
  await client.query('select pg_advisory_lock(1)');
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [name]);
    if (rowCount === 0) {
      await client.query(`drop database if exists ${name}_unfinished`);
      await fill(await create(`${name}_unfinished`, 'template0'));
      await client.query(`alter database ${name}_unfinished rename to ${name}`);
    }
  } finally {
    await client.query('select pg_advisory_unlock(1)');
  }
  return at(url, name);
}

async function create(name: string, template: string): Promise<string> {
  const url = await postgresUrl();
  await (await clientOf(url)).query(`create database ${name} template ${template} strategy file_copy`);
  return at(url, name);
}

const nameIn = (url: string): string => new URL(url).pathname.slice(1);
const at = (url: string, name: string): string => Object.assign(new URL(url), { pathname: name }).href;

const clients = new Map<string, Promise<Client>>();

/** One for all calls of a worker: a new connection takes longer than to copy or to clear a database. */
function clientOf(url: string): Promise<Client> {
  const known = clients.get(url);
  if (known !== undefined) return known;
  // Tests may ask for several at once.
  const client = new Client({ connectionString: url, pipeline: true });
  // The server ends before the worker does.
  client.on('error', () => undefined);
  const opened = client.connect().then(() => client);
  clients.set(url, opened);
  return opened;
}

/** Deletes every row of it but those of the processes that have it open: twenty times as fast as another copy. */
export async function clear(url: string): Promise<void> {
  const client = await clientOf(url);
  await client.query(
    `do $$ declare name text; begin
       set local session_replication_role = replica;
       for name in select tablename from pg_tables
         where schemaname = 'public' and tablename not in ('__drizzle_migrations', 'replicas')
       loop execute format('delete from %I', name); end loop;
     end $$`,
  );
}

/** A statement that takes away the functions of the database whose names match, as if it never had them. */
export const withoutFunctions = (names: string): string =>
  `set allow_system_table_mods = on; update pg_proc set proname = 'no_' || proname where proname ~ '${names}'`;

/** The rows of one statement, on a connection of its own. */
export async function asked(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}
