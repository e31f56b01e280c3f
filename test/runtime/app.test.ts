// Starting a broker in this process: what is left open when it cannot be put together.
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import { start } from '../../src/runtime/app.ts';
import { parseConfig } from '../../src/runtime/config.ts';
import { migrateStore } from '../../src/stores/open.ts';
import { openWithdrawalLog } from '../../src/stores/shared/withdrawal-log.ts';
import { aDatabase, asked } from '../support/postgres.ts';

async function listenOn(port: number): Promise<number> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  const bound = (server.address() as AddressInfo).port;
  server.close();
  await once(server, 'close');
  return bound;
}

test('start: a broker that cannot be put together leaves its port free', async () => {
  const port = await listenOn(0);
  const parsed = parseConfig({ VALETKEY_PORT: `${port}`, VALETKEY_DATABASE_URL: 'file::memory:' }, () => '');
  if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
  const broken = { ...parsed.config, outboundAllow: ['10.0.0.0/99'] };
  await expect(start(broken, createLogger('silent'))).rejects.toThrow('CIDR');
  expect(await listenOn(port)).toBe(port);
});

test('start: a broker whose database fails while withdrawals are repeated leaves its port free', async () => {
  const url = await aDatabase();
  await migrateStore(url);
  await asked(url, 'alter table audit rename to no_audit');
  const port = await listenOn(0);
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-start-'));
  try {
    const withdrawal = { operation: 'deleteCaller', args: ['clr_1', { id: 'evt_1' }] } as never;
    await openWithdrawalLog(join(folder, 'valetkey'), Date.now).add([{ id: 'evt_1', at: Date.now(), withdrawal }]);
    const settings = { VALETKEY_PORT: `${port}`, VALETKEY_DATABASE_URL: url, VALETKEY_DATA_DIR: folder };
    const parsed = parseConfig(settings, () => '');
    if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
    await expect(start(parsed.config, createLogger('silent'))).rejects.toThrow('"audit" does not exist');
    expect(await listenOn(port)).toBe(port);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('start: a data folder that cannot be used is named by its setting, and not by that of the database', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-start-'));
  try {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    for (const VALETKEY_DATA_DIR of [file, join(file, 'below')]) {
      const settings = { VALETKEY_DATABASE_URL: 'postgres://u:p@127.0.0.1:1/x', VALETKEY_DATA_DIR };
      const parsed = parseConfig(settings, () => '');
      if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
      await expect(start(parsed.config, createLogger('silent'))).rejects.toThrow(
        `VALETKEY_DATA_DIR: ${VALETKEY_DATA_DIR} cannot be used (`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
