// SQLite files for tests: copies of one that was migrated once, since migrating takes longer than what most tests do.
import { rmSync } from 'node:fs';
import { copyFile, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqlite } from '../../src/stores/sqlite/store.ts';

let template: Promise<string> | undefined;

/** Makes a database with empty tables at this path. */
export async function createMigratedFile(path: string): Promise<void> {
  template ??= createTemplate();
  await copyFile(await template, path);
}

async function createTemplate(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-template-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'valetkey.db');
  const store = await openSqlite(`file:${path}`);
  await store.close();
  return path;
}
