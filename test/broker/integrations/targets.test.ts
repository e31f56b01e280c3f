// Resolving integrations when many refreshes need the same one, on a real store.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { createKeyRing, generateKey, parseKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createTargets } from '../../../src/broker/integrations/targets.ts';
import { loadCatalogue } from '../../../src/catalogue/load.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anEntry, anIntegration } from '../../stores/builders.ts';

async function targetsOfAStore() {
  const store = await openSqlite('file::memory:');
  onTestFinished(() => store.close());
  const keys = parseKeyRing(generateKey());
  if (!keys.ok) throw new Error(keys.issues.join());
  let reads = 0;
  const integration: typeof store.integration = (id) => {
    reads++;
    return store.integration(id);
  };
  const catalogue = loadCatalogue([]);
  if (!catalogue.ok) throw new Error(catalogue.issues.join());
  const targets = createTargets({
    store: { integration },
    vault: createKeyRing(keys.keys),
    catalogue: catalogue.providers,
  });
  const put = (clientId: string) => store.putIntegration(anIntegration({ provider: 'github', clientId }), anEntry());
  return { targets, put, reads: () => reads };
}

test('targets: lookups in one turn of the event loop share one read of the store', async () => {
  const { targets, put, reads } = await targetsOfAStore();
  await put('first');
  const found = await Promise.all(Array.from({ length: 50 }, () => targets.find('slack')));
  expect(found).toEqual(Array(50).fill(expect.objectContaining({ integration: expect.anything() })));
  expect(reads()).toBe(1);
});

test('targets: a lookup in the next turn of the event loop reads the store again', async () => {
  const { targets, put } = await targetsOfAStore();
  await put('first');
  await targets.find('slack');
  await put('second');
  await nextTurn();
  expect(await targets.find('slack')).toMatchObject({ integration: { clientId: 'second' } });
});
