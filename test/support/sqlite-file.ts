// SQLite files for tests: copies of one that each worker migrates once, since migrating takes longer than what most tests do.
import { mkdtempSync, rmSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject, onTestFinished } from 'vitest';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** A folder of this run for the files that are copied. */
    templates: string;
  }
}

/** Once for a run of vitest: workers have no end at which they could clean up. */
export default function setup({ provide }: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-templates-'));
  provide('templates', folder);
  return () => rmSync(folder, { recursive: true, force: true });
}

let template: Promise<string> | undefined;

/** Makes a database with empty tables at this path. */
export async function createMigratedFile(path: string): Promise<void> {
  template ??= createTemplate();
  await copyFile(await template, path);
}

/** The URL of a database with empty tables, for the current test, which closes it. In memory, each would be migrated again. */
export async function emptyDatabase(): Promise<string> {
  const folder = mkdtempSync(join(inject('templates'), `${process.pid}-`));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'valetkey.db');
  await createMigratedFile(path);
  return `file:${path}`;
}

async function createTemplate(): Promise<string> {
  const path = join(inject('templates'), `${process.pid}.db`);
  const { openSqlite } = await import('../../src/stores/sqlite/store.ts');
  const store = await openSqlite(`file:${path}`);
  await store.close();
  return path;
}
