// A PostgreSQL database of its own for whoever asks, on one server for the whole run, which is started when the first one asks.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Client } from 'pg';
import { inject } from 'vitest';
import type { TestProject } from 'vitest/node';
import { startPostgres } from './postgres-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Answers with the URL of the server's first database, once it runs. */
    postgres: string;
  }
}

/** Once for a run of vitest: most runs of a single file need no PostgreSQL. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  let server: ReturnType<typeof startPostgres> | undefined;
  const desk = createServer((_, response) => {
    server ??= startPostgres();
    server.then(
      ({ url }) => response.end(url('postgres')),
      (error: Error) => response.writeHead(500).end(String(error)),
    );
  }).listen(0, '127.0.0.1');
  await once(desk, 'listening');
  project.provide('postgres', `http://127.0.0.1:${(desk.address() as { port: number }).port}`);
  return async () => {
    desk.close();
    await (await server)?.stop();
  };
}

/** The URL of the server's first database, which tests leave alone. */
export async function postgresUrl(): Promise<string> {
  const response = await fetch(inject('postgres'));
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text;
}

let made = 0;

/** Of a database that nobody else has: an empty one, or a copy of `template` (a URL; nobody may be connected to it). */
export async function aDatabase(template?: string): Promise<string> {
  const url = new URL(await postgresUrl());
  const name = `test_${process.pid}_${++made}`;
  const from = template === undefined ? 'template0' : new URL(template).pathname.slice(1);
  await asked(url.href, `create database ${name} template ${from} strategy file_copy`);
  url.pathname = name;
  return url.href;
}

/** Takes every row out of it, which is twenty times as quick as another copy. Nobody may be connected to it. */
export async function emptied(url: string): Promise<void> {
  const [{ statements } = {}] = await asked(
    url,
    `select string_agg(format('delete from %I', tablename), '; ') as statements
     from pg_tables where schemaname = 'public' and tablename <> '__drizzle_migrations'`,
  );
  await asked(url, `set session_replication_role = replica; ${statements}`);
}

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
