// What each key encrypts, in SQLite, where the rows are many: read in steps that leave nothing out, between which others get on.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ciphertext } from '../../../src/domain/connection.ts';
import type { Store } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { createMigratedFile } from '../../support/sqlite-file.ts';
import { aRevocation } from '../builders.ts';

const folder = mkdtempSync(join(tmpdir(), 'valetkey-key-use-'));
/** Some steps, and a row more. Every hundredth of them, and the last one, is encrypted by another key. */
const ROWS = 2_001;
const idOf = (n: number) => `row_${String(n).padStart(5, '0')}`;
const kidOf = (n: number) => (n % 100 === 0 ? 'old' : 'new');

describe('key use', () => {
  let store: Store;
  beforeAll(async () => {
    const path = join(folder, 'valetkey.db');
    await createMigratedFile(path);
    store = await openSqlite(`file:${path}`);
    const all = Array.from({ length: ROWS }, (_, n) => {
      const accessToken = `v3.${kidOf(n)}.n.${n}` as Ciphertext;
      return store.addPendingRevocation(aRevocation({ id: idOf(n), accessToken, refreshToken: null }));
    });
    await Promise.all(all);
  });
  afterAll(async () => {
    await store?.close();
    rmSync(folder, { recursive: true });
  });

  /** How many turns the event loop has made until the work was done. */
  async function turnsOf<T>(work: Promise<T>): Promise<{ result: T; turns: number }> {
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
    });
    let turns = 0;
    for (; !isDone; turns++) await nextTurn();
    return { result: await done, turns };
  }

  test('every secret is counted once, in several turns of the event loop', async () => {
    const { result, turns } = await turnsOf(store.keysInUse());
    expect(result).toEqual([
      { kid: 'new', secrets: ROWS - 21, outdated: 0 },
      { kid: 'old', secrets: 21, outdated: 0 },
    ]);
    expect(turns).toBeGreaterThan(ROWS / 500);
  });

  test('the few that another key encrypts are found among many, in several turns', async () => {
    const found: string[] = [];
    const { turns } = await turnsOf(
      store.reencryptBatch('new', null, 50, ({ id }) => {
        found.push(id);
        return undefined;
      }),
    );
    expect(found).toEqual(Array.from({ length: 21 }, (_, n) => idOf(n * 100)));
    expect(turns).toBeGreaterThan(ROWS / 500);
  });

  test('a batch ends with its last row, in the middle of a step', async () => {
    const { next, left } = await store.reencryptBatch('new', null, 3, () => undefined);
    expect(left.map(({ id }) => id)).toEqual([idOf(0), idOf(100), idOf(200)]);
    expect(next).toEqual({ table: 'outbox_revocations', id: idOf(200) });
    const further = await store.reencryptBatch('new', next, 1, () => undefined);
    expect(further.left.map(({ id }) => id)).toEqual([idOf(300)]);
  });
});
