// All time limits are defined in src/domain/time-limits.ts, and nowhere else in the broker.
import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const SRC = new URL('../../src/', import.meta.url);
const FOLDERS = 'domain,broker,stores,adapters,http,runtime';
/** A constant by its name, a default by its unit, or an option of a library, each set to a number other than 0. */
const DEFINITION =
  /^.*(\bconst \w*(_MS\b|_S\b|TIMEOUT|DEADLINE|TTL\b|TTL_|TOLERANCE|INTERVAL|WITHIN)\w*[^=]*= |\b\w+Ms = |\b(?:\w+Timeout\w*|timeout|query_timeout|ttl): )\(?\[?[1-9].*$/gm;

const definitionsIn = (source: string) => source.match(DEFINITION)?.map((line) => line.trim()) ?? [];

test('time limits: all are defined in src/domain/time-limits.ts', () => {
  const files = globSync(`{${FOLDERS}}/**/*.ts`, { cwd: SRC }).filter((path) => path !== 'domain/time-limits.ts');
  expect(files.length).toBeGreaterThan(100);
  const found = files.flatMap((path) =>
    definitionsIn(readFileSync(new URL(path, SRC), 'utf8')).map((line) => `${path}: ${line}`),
  );
  expect(found).toEqual([]);
});

test.each([
  'const POLL_MS = 250;',
  'export const KEPT_MS = 10 * 60_000;',
  'const RETRIES_MS: number[] = [10, 20];',
  'const CLOCK_TOLERANCE = 30;',
  'const { allow, timeoutMs = 10_000 } = options;',
  'const pool = { connectionTimeoutMillis: 2_000 };',
  'new LRUCache({ max: 5, ttl: 60_000 });',
])('time limits: a definition is recognized: %s', (line) => {
  expect(definitionsIn(line)).toEqual([line]);
});

test.each([
  'const everyMs = listener ? CHANGE_POLL_NOTIFIED_MS : CHANGE_POLL_MS;',
  'const client = new Sqlite(path, { timeout: 0 });',
  'const ttl = { ttl: JWKS_TTL_MS };',
  'const MAX_SESSIONS = 500;',
])('time limits: no definition: %s', (line) => {
  expect(definitionsIn(line)).toEqual([]);
});
