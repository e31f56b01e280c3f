// A PostgreSQL server with durable commits, and databases that are seeded as for SQLite and then migrated.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Client } from 'pg';
import { runDataMigration } from '../src/runtime/data-migration.ts';
import { startPostgres } from '../test/support/postgres-server.ts';
import { type Seeded, type SeedOptions, seed } from './seed.ts';
import { childrenSeconds } from './servers/remote.ts';

export interface Database {
  seeded: Seeded;
  /** The environment of a replica. Each has its own data folder. */
  env(replica: number): Record<string, string>;
  ask(statement: string): Promise<Record<string, unknown>[]>;
}

export interface Server {
  database(options: SeedOptions): Promise<Database>;
  /** A database with what was seeded; its folder is removed with the server. */
  adopt(seeded: Seeded): Promise<Database>;
  /** CPU time used, in seconds; undefined if the system does not report it. */
  processor(): Promise<number | undefined>;
  stop(): Promise<void>;
}

export async function startServer(): Promise<Server> {
  const { url, stop } = await startPostgres({ durable: true });
  const clients: Client[] = [];
  const connected = async (database: string) => {
    const client = new Client({ connectionString: url(database) });
    clients.push(client);
    await client.connect();
    return client;
  };
  const admin = await connected('postgres');
  const { rows } = await admin.query("select split_part(pg_read_file('postmaster.pid'), chr(10), 1) as pid");
  const pid = Number(rows[0]?.pid);
  const folders: Seeded[] = [];

  async function adopt(seeded: Seeded): Promise<Database> {
    folders.push(seeded);
    const name = `bench_${randomUUID().replaceAll('-', '')}`;
    await admin.query(`create database ${name}`);
    const moved = await runDataMigration({
      from: `file:${seeded.database}`,
      to: url(name),
      dataDir: seeded.folder,
      onProgress: () => undefined,
    });
    if ('refused' in moved) throw new Error(moved.refused);
    if (moved.unfinished !== undefined) throw new Error(moved.unfinished);
    const client = await connected(name);
    await client.query('analyze');
    return {
      seeded,
      env: (replica) => ({
        ...seeded.env,
        VALETKEY_DATABASE_URL: url(name),
        VALETKEY_DATA_DIR: join(seeded.folder, `replica-${replica}`),
      }),
      ask: async (statement) => (await client.query(statement)).rows,
    };
  }

  return {
    database: async (options) => adopt(await seed(options)),
    adopt,
    processor: async () => childrenSeconds(pid),
    async stop() {
      await Promise.all(clients.map((client) => client.end()));
      await stop();
      await Promise.all(folders.map((seeded) => seeded.remove()));
    },
  };
}
