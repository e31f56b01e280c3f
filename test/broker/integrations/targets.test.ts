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
  let now = 1_000;
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
    clock: { monotonic: () => now },
  });
  const put = (clientId: string) => store.putIntegration(anIntegration({ provider: 'github', clientId }), anEntry());
  const known = async () => {
    await nextTurn();
    return targets.known('slack');
  };
  return { targets, put, known, reads: () => reads, pass: (ms: number) => (now += ms) };
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

const withClient = (clientId: string) => ({ integration: { clientId } });

test('targets: what is known is not read again, until a change of it is reported', async () => {
  const { targets, put, known, reads } = await targetsOfAStore();
  await put('first');
  expect(await known()).toMatchObject(withClient('first'));
  await put('second');
  targets.changed('github');
  expect(await known()).toMatchObject(withClient('first'));
  expect(reads()).toBe(1);
  targets.changed('slack');
  expect(await known()).toMatchObject(withClient('second'));
  await put('third');
  targets.changed(undefined);
  expect(await known()).toMatchObject(withClient('third'));
});

test('targets: what is known is read again after ten seconds, since a standby may lack a change', async () => {
  const { put, known, pass } = await targetsOfAStore();
  await put('first');
  await known();
  await put('second');
  pass(9_000);
  expect(await known()).toMatchObject(withClient('first'));
  pass(2_000);
  expect(await known()).toMatchObject(withClient('second'));
});

test('targets: a read that a change overtakes is not remembered, nor shared with who asks after the change', async () => {
  const { targets, put, known, reads } = await targetsOfAStore();
  await put('first');
  const overtaken = targets.known('slack');
  targets.changed('slack');
  await overtaken;
  await put('second');
  expect(await known()).toMatchObject(withClient('second'));
  expect(reads()).toBe(2);
  targets.changed('slack');
  const both = [targets.find('slack')];
  targets.changed('slack');
  both.push(targets.find('slack'));
  await Promise.all(both);
  expect(reads()).toBe(4);
});

test('targets: an integration that is absent is looked for again', async () => {
  const { put, known } = await targetsOfAStore();
  expect(await known()).toMatchObject({ fault: { code: 'not_found' } });
  await put('first');
  expect(await known()).toMatchObject(withClient('first'));
});
