// Files of the broker beside its data, in a folder where someone else has put something in their place.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WITHDRAWAL_TTL_MS } from '../../src/domain/time-limits.ts';
import { StoreError } from '../../src/ports/index.ts';
import { assertOwnFile, reserveOwnFile, writeOwnFile } from '../../src/stores/shared/own-files.ts';
import { openWithdrawalLog } from '../../src/stores/shared/withdrawal-log.ts';
import { startLiveness } from '../../src/stores/sqlite/liveness.ts';
import { isInUse, openProcessLocks } from '../../src/stores/sqlite/process-locks.ts';
import { countRescued, openRescue } from '../../src/stores/sqlite/rescue-file.ts';
import { openSqlite } from '../../src/stores/sqlite/store.ts';
import { createMigratedFile } from '../support/sqlite-file.ts';

let folder: string;
let victim: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'valetkey-own-')));
  victim = join(folder, 'victim');
  writeFileSync(victim, 'precious');
});
afterEach(() => rmSync(folder, { recursive: true }));

const data = () => join(folder, 'valetkey.db');
const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);
const unharmed = () => expect(readFileSync(victim, 'utf8')).toBe('precious');

describe('a symbolic link in the place of', () => {
  test('the rescue file is refused', () => {
    symlinkSync(victim, `${data()}.rescue`);
    expect(() => openRescue(`file:${data()}`)).toThrow('valetkey.db.rescue is a symbolic link: remove it');
    expect(() => countRescued(data())).toThrow(StoreError);
    unharmed();
  });

  test('a file of withdrawals is neither written nor read', async () => {
    const log = openWithdrawalLog(data(), () => 5 * WITHDRAWAL_TTL_MS);
    const link = `${data()}.withdrawals.5`;
    symlinkSync(victim, link);
    const withdrawal = { operation: 'revoke', args: [] } as never;
    await expect(log.add([{ id: 'evt_1', at: 5 * WITHDRAWAL_TTL_MS, withdrawal }])).rejects.toThrow('ELOOP');
    expect(await log.since(0)).toEqual([]);
    unharmed();
  });

  test('a lock of another process is no process, and makes no file', () => {
    const nowhere = join(folder, 'nowhere');
    const [holder, other] = ['00000000-0000-0000-0000-000000000000', '11111111-1111-1111-1111-111111111111'];
    symlinkSync(nowhere, `${data()}-alive-${holder}`);
    symlinkSync(victim, `${data()}-alive-${other}`);
    expect(isInUse(data())).toBe(false);
    const locks = openProcessLocks(data());
    expect([locks.stateOf(holder), locks.stateOf(other)]).toEqual(['unknown', 'unknown']);
    expect(locks.alive()).toEqual([locks.holder]);
    locks.release();
    expect(existsSync(nowhere)).toBe(false);
    unharmed();
  });

  test('what a process tells the others is not written', () => {
    const liveness = startLiveness(data());
    symlinkSync(victim, `${data()}-applied-${liveness.holder}-new`);
    expect(() => liveness.tellApplied(7)).toThrow('ELOOP');
    liveness.stop();
    unharmed();
  });
});

test('a named pipe is refused, and no one waits for its other end', () => {
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  expect(() => assertOwnFile(pipe)).toThrow('no regular file');
  expect(() => reserveOwnFile(pipe)).toThrow(StoreError);
  expect(() => writeOwnFile(pipe, 'x')).toThrow('ENXIO');
});

test('a database that is a symbolic link works: its path is the operator’s', async () => {
  mkdirSync(join(folder, 'volume'));
  await createMigratedFile(join(folder, 'volume', 'real.db'));
  symlinkSync(join('volume', 'real.db'), data());
  const store = await openSqlite(`file:${data()}`);
  await store.ping();
  await store.close();
  expect(lstatSync(data()).isSymbolicLink()).toBe(true);
});

test('every file is for its owner alone', async () => {
  chmodSync(folder, 0o755);
  const store = await openSqlite(`file:${data()}`);
  openRescue(`file:${data()}`).close();
  const feed = await store.subscribe(() => undefined);
  await store.ping();
  const log = openWithdrawalLog(data(), () => 5 * WITHDRAWAL_TTL_MS);
  await log.add([{ id: 'evt_1', at: 5 * WITHDRAWAL_TTL_MS, withdrawal: { operation: 'revoke', args: [] } as never }]);
  const names = execFileSync('ls', ['-A', folder], { encoding: 'utf8' }).trim().split('\n');
  const modes = Object.fromEntries(
    names
      .filter((name) => name !== 'victim')
      .map((name) => [name.replace(/-[0-9a-f]{8}-[0-9a-f-]{27}$/, '-…'), modeOf(join(folder, name))]),
  );
  await feed.stop();
  await store.close();
  expect(modes).toEqual({
    'valetkey.db': '600',
    'valetkey.db-alive-…': '600',
    'valetkey.db-applied-…': '600',
    'valetkey.db-shm': '600',
    'valetkey.db-wal': '600',
    'valetkey.db.rescue': '600',
    'valetkey.db.rescue-journal': '600',
    'valetkey.db.withdrawals.5': '600',
  });
});

test('a database where no folder can be made, as below /proc: the error of the system, and no loop', () => {
  const script = `
    const { openStore } = await import(${JSON.stringify(new URL('../../src/stores/open.ts', import.meta.url).href)});
    await openStore({ databaseUrl: 'file:/proc/valetkey/none/valetkey.db' }, console).catch(({ message }) => console.log(message));
  `;
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect([status, stdout]).toEqual([0, expect.stringMatching(/mkdir '\/proc/)]);
});
