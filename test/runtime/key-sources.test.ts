// Where the encryption keys come from, and what each source does without usable keys.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { generateKey, parseKeyRing } from '../../src/adapters/keyring/keyring.ts';
import type { Logger } from '../../src/ports/index.ts';
import { keySource } from '../../src/runtime/key-sources.ts';
import { SetupError } from '../../src/runtime/setup-error.ts';

const warnings: string[] = [];
const log: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: (_, message) => void warnings.push(message),
  error: () => undefined,
};

async function fileIn(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-keys-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return join(folder, name);
}

test('key source environment: the keys of VALETKEY_KEYS, in their order', async () => {
  const parsed = parseKeyRing(`${generateKey('new')},${generateKey('old')}`);
  if (!parsed.ok) throw new Error(parsed.issues.join());
  const source = keySource({ from: 'environment', keys: parsed.keys }, log);
  expect((await source.load()).map(({ kid }) => kid)).toEqual(['new', 'old']);
});

test('key source file: created once, read again, with a warning each time', async () => {
  const source = keySource({ from: 'file', path: await fileIn('a/valetkey.keys') }, log);
  const [first] = await source.load();
  const [again] = await source.load();
  expect(again?.kid).toBe(first?.kid);
  expect(again?.key.equals(first!.key)).toBe(true);
  expect(warnings).toHaveLength(2);
  expect(warnings[0]).toMatch(/VALETKEY_KEYS is not set.*development only/);
});

test.each([
  ['that others may read', generateKey(), 0o644, /other users may read the key file/],
  ['with an invalid key', 'k1:short', 0o600, /entry 1 of the key ring/],
])('key source file %s: SetupError that names VALETKEY_KEYS', async (_, text, mode, message) => {
  const path = await fileIn('valetkey.keys');
  await writeFile(path, text);
  await chmod(path, mode);
  const loading = keySource({ from: 'file', path }, log).load();
  await expect(loading).rejects.toBeInstanceOf(SetupError);
  await expect(loading).rejects.toThrow(/^VALETKEY_KEYS: /);
  await expect(loading).rejects.toThrow(message);
});

test('key source memory: one new key', async () => {
  const keys = async () => (await keySource({ from: 'memory' }, log).load()).map(({ kid }) => kid);
  const [first, second] = [await keys(), await keys()];
  expect(first).toHaveLength(1);
  expect(first).not.toEqual(second);
});
