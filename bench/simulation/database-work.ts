// What the simulation costs its database: statements, commits, bytes of the write-ahead log, and processor time.
import fs, { closeSync, openSync, readSync, statSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { Worker } from 'node:worker_threads';
import Sqlite from 'better-sqlite3';
import { Client } from 'pg';
import type { Database, Server } from '../postgres.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface DatabaseWork {
  statements: number;
  commits: number;
  logBytes: number;
  /** Of the server, in seconds; undefined: it is this process. */
  serverSeconds: number | undefined;
  /** Of tables and indexes, at the end; and of each table, the largest first. */
  bytes: number;
  tables: TableSize[];
}

export interface TableSize {
  table: string;
  rowBytes: number;
  indexBytes: number;
}

export interface DatabaseMeter {
  /** From now on. */
  start(): Promise<void>;
  work(): Promise<DatabaseWork>;
}

/**
 * Counts what every connection of this process does to an SQLite file. Virtual time stands still until the disk has what is written,
 * and until the threads of the store have answered, which have locks meanwhile.
 */
export function meterSqlite(path: string, time: VirtualTime): DatabaseMeter {
  let statements = 0;
  let commits = 0;
  const log = createLogSize(`${path}-shm`);
  const probe = new Sqlite(':memory:');
  const prototype = Object.getPrototypeOf(probe.prepare('select 1')) as Record<string, Run>;
  probe.close();
  for (const method of ['run', 'get', 'all'] as const) {
    const original = prototype[method]!;
    prototype[method] = function counted(this: { source: string }, ...args: unknown[]) {
      statements++;
      const result = original.apply(this, args);
      if (this.source === 'COMMIT') {
        commits++;
        log.look();
      }
      return result;
    };
  }
  const { fdatasync } = fs;
  fs.fdatasync = ((file: number, done: fs.NoParamCallback) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    void time.during(promise);
    fdatasync(file, (error) => {
      resolve();
      done(error);
    });
  }) as typeof fdatasync;
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function asked(this: Worker, ...given: Parameters<typeof postMessage>) {
    const { promise, resolve } = Promise.withResolvers<void>();
    const answered = () => {
      this.off('message', answered).off('exit', answered);
      resolve();
    };
    this.on('message', answered).on('exit', answered);
    void time.during(promise);
    return postMessage.apply(this, given);
  };
  syncBuiltinESMExports();
  return {
    async start() {
      statements = 0;
      commits = 0;
      log.reset();
    },
    work: async () => ({
      ...{ statements, commits, logBytes: log.bytes() },
      serverSeconds: undefined,
      bytes: statSync(path).size,
      tables: tablesIn(path),
    }),
  };
}

/** Takes seconds for a gigabyte. */
function tablesIn(path: string): TableSize[] {
  const client = new Sqlite(path, { readonly: true });
  const rows = client.prepare(`
    select s.tbl_name as "table",
      sum(case when s.name = s.tbl_name then d.pgsize else 0 end) as "rowBytes",
      sum(case when s.name = s.tbl_name then 0 else d.pgsize end) as "indexBytes"
    from dbstat d join sqlite_schema s on s.name = d.name
    where d.aggregate = true group by s.tbl_name order by sum(d.pgsize) desc`);
  const tables = rows.all() as TableSize[];
  client.close();
  return tables;
}

type Run = (this: { source: string }, ...args: unknown[]) => unknown;

/** Pages of 4 KiB with a header each. */
const FRAME_BYTES = 4_096 + 24;
/** `mxFrame` of the WAL index: the frames that the log has. It begins again after a checkpoint. */
const LAST_FRAME_AT = 16;

function createLogSize(path: string) {
  let file: number | undefined;
  let frames = 0;
  let last = 0;
  const word = Buffer.alloc(4);
  const read = (): number => {
    file ??= openSync(path, 'r');
    readSync(file, word, 0, 4, LAST_FRAME_AT);
    return word.readUInt32LE();
  };
  return {
    look(): void {
      const now = read();
      frames += now >= last ? now - last : now;
      last = now;
    },
    reset(): void {
      last = read();
      frames = 0;
    },
    bytes(): number {
      if (file !== undefined) closeSync(file);
      file = undefined;
      return frames * FRAME_BYTES;
    },
  };
}

/** Counts what this process asks of PostgreSQL. Virtual time stands still until it is answered. */
export function meterPostgres(server: Server, database: Database, time: VirtualTime): DatabaseMeter {
  let statements = 0;
  for (const method of ['query', 'connect'] as const) {
    const original = Client.prototype[method] as (...args: unknown[]) => unknown;
    (Client.prototype as unknown as Record<string, unknown>)[method] = function (this: Client, ...args: unknown[]) {
      if (method === 'query') statements++;
      const { promise, resolve } = Promise.withResolvers<void>();
      void time.during(promise);
      const callback = args.at(-1);
      if (typeof callback === 'function') {
        args[args.length - 1] = (...answer: unknown[]) => {
          resolve();
          callback(...answer);
        };
        return original.apply(this, args);
      }
      const answer = original.apply(this, args) as Promise<unknown>;
      answer.then(
        () => resolve(),
        () => resolve(),
      );
      return answer;
    };
  }
  const tables = async (): Promise<TableSize[]> => {
    const rows = await database.ask(`
      select relname as "table", pg_table_size(c.oid)::float8 as "rowBytes", pg_indexes_size(c.oid)::float8 as "indexBytes"
      from pg_class c where relkind = 'r' and relnamespace = current_schema()::regnamespace
      order by pg_total_relation_size(c.oid) desc`);
    return rows as unknown as TableSize[];
  };
  const ask = async (): Promise<{ commits: number; log: number; bytes: number }> => {
    await database.ask('select pg_stat_clear_snapshot()');
    const [row] = await database.ask(`
      select xact_commit::float8 as commits, (pg_current_wal_insert_lsn() - '0/0')::float8 as log,
        pg_database_size(current_database())::float8 as bytes
      from pg_stat_database where datname = current_database()`);
    return row as { commits: number; log: number; bytes: number };
  };
  let before = { commits: 0, log: 0, bytes: 0 };
  let secondsBefore = 0;
  return {
    async start() {
      before = await ask();
      secondsBefore = (await server.processor()) ?? 0;
      statements = 0;
    },
    async work() {
      const counted = statements;
      const now = await ask();
      const seconds = await server.processor();
      return {
        statements: counted,
        commits: now.commits - before.commits,
        logBytes: now.log - before.log,
        serverSeconds: seconds === undefined ? undefined : seconds - secondsBefore,
        bytes: now.bytes,
        tables: await tables(),
      };
    },
  };
}
