// Catalogue entries for tests: valid ones, and folders of them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Catalogue } from '../../src/catalogue/load.ts';
import type { Provider } from '../../src/domain/provider.ts';

/** Writes files by name; strings as they are, objects as JSON. Removed when the test ends. */
export function createFolder(files: Record<string, unknown>): string {
  const dir = mkdtempSync(join(tmpdir(), 'valetkey-catalogue-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content));
  return dir;
}

export const codeMode = (more: object = {}) => ({
  mode: 'oauth2_code',
  authorization_url: 'https://acme.test/a',
  token_url: 'https://acme.test/t',
  ...more,
});

export const entry = (id: string, more: object = {}) => ({
  id,
  name: 'Acme',
  category: 'generic',
  docs_url: 'https://acme.test/docs',
  confidence: 'unverified',
  auth: [codeMode()],
  ...more,
});

export function providersOf(catalogue: Catalogue): ReadonlyMap<string, Provider> {
  if (!catalogue.ok) throw new Error(catalogue.issues.join('\n'));
  return catalogue.providers;
}

export const issuesOf = (catalogue: Catalogue): string[] => (catalogue.ok ? [] : catalogue.issues);
