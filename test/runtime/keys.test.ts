// The key ring at a start: what the checks in the database make of it.
import { expect, onTestFinished, test } from 'vitest';
import { createKeyRing, generateKey, parseKeyRing } from '../../src/adapters/keyring/keyring.ts';
import type { EncryptionStage } from '../../src/ports/index.ts';
import { proveKeys } from '../../src/runtime/keys.ts';
import { openSqlite } from '../../src/stores/sqlite/store.ts';
import { emptyDatabase } from '../support/sqlite-file.ts';

const parsed = parseKeyRing(generateKey('k1'));
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
