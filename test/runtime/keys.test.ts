// The key ring at a start and at a rotation: what the checks in the database make of it.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createKeyRing, generateKey, parseKeyRing } from '../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import { keyRotationText } from '../../src/broker/maintenance/key-rotation/key-rotation-report.ts';
import type { EncryptionStage } from '../../src/ports/index.ts';
import { start } from '../../src/runtime/app.ts';
import { parseConfig } from '../../src/runtime/config.ts';
import { openKeyRingOf, proveKeys, runKeyRotation } from '../../src/runtime/keys.ts';
import { openSqlite } from '../../src/stores/sqlite/store.ts';
import { createMigratedFile, emptyDatabase } from '../support/sqlite-file.ts';

const entry = generateKey('k1');
const parsed = parseKeyRing(entry);
if (!parsed.ok) throw new Error(parsed.issues.join());
const { keys } = parsed;
const atStart = () => createKeyRing(keys, undefined, { envelope: 'v1', protection: 'legacy' });

test('keys: of two processes that start on a new database at once, both write as the first of them has said', async () => {
  const store = await openSqlite(await emptyDatabase());
  onTestFinished(() => store.close());
  const earlier: EncryptionStage = { envelope: 'v2', protection: 'enforced' };
  const first = createKeyRing(keys, undefined, earlier);
  const ring = atStart();
  await proveKeys(
    {
      ...store,
      async addKeyCheck(check) {
        await store.addKeyCheck(first.check('k1', earlier));
        await store.addKeyCheck(check);
      },
    },
    ring,
  );
  expect(ring.stage()).toEqual(earlier);

  const later = atStart();
  await proveKeys(store, later);
  expect(later.stage()).toEqual(earlier);
});

test('keys: no key file is made for a database that another key has encrypted', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-keys-at-start-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'valetkey.keys');
  const store = await openSqlite(await emptyDatabase());
  onTestFinished(() => store.close());
  const read = parseConfig({ VALETKEY_DATABASE_URL: `file:${join(folder, 'valetkey.db')}` }, () => '');
  if (!read.ok) throw new Error(read.issues.join());
  const { config } = read;
  await proveKeys(store, atStart());

  const opening = openKeyRingOf(store, config, createLogger('silent'));
  await expect(opening).rejects.toThrow(`VALETKEY_KEYS: not set, and there is no key file ${path}, but`);
  await expect(opening).rejects.toThrow('key k1');
  expect(readdirSync(folder)).toEqual([]);

  writeFileSync(path, entry, { mode: 0o600 });
  expect((await openKeyRingOf(store, config, createLogger('silent'))).encryptionKid).toBe('k1');
});

test('keys: of a database that is none, no key file is left', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-keys-at-start-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'notes.txt'), 'These are notes, and no database at all.'.repeat(50));
  const env = { VALETKEY_PORT: '0', VALETKEY_DATABASE_URL: `file:${join(folder, 'notes.txt')}` };
  const read = parseConfig(env, () => '');
  if (!read.ok) throw new Error(read.issues.join());
  await expect(start(read.config, createLogger('silent'))).rejects.toThrow(/notes\.txt is no SQLite database/);
  expect(readdirSync(folder)).toEqual(['notes.txt']);
});

test('keys: a rotation for whose database no broker has used the new key says so before what can be removed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-keys-at-start-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'valetkey.db');
  await createMigratedFile(path);
  const store = await openSqlite(`file:${path}`);
  await proveKeys(store, atStart());
  await store.close();
  const env = { VALETKEY_DATABASE_URL: `file:${path}`, VALETKEY_DATA_DIR: folder };
  const config = (entries: Record<string, string>) => {
    const read = parseConfig({ ...env, ...entries }, () => '');
    if (!read.ok) throw new Error(read.issues.join());
    return read.config;
  };
  const log = createLogger('silent');
  const rotate = (VALETKEY_KEYS: string) => runKeyRotation(config({ VALETKEY_KEYS }), log, async () => undefined);
  const added = `${generateKey('k2')},${entry}`;
  const lines = keyRotationText(await rotate(added)).split('\n');
  expect(lines).toContainEqual(expect.stringMatching(/^No broker has used k2 yet/));
  expect(lines).toContainEqual('Remove from VALETKEY_KEYS after that, on every broker: k1.');
  expect(keyRotationText(await rotate(added))).not.toContain('No broker has used');

  await expect(runKeyRotation(config({}), log)).rejects.toThrow('with the environment of the brokers');
  expect(readdirSync(folder).filter((name) => name.includes('keys'))).toEqual([]);
});
