import { expect, test } from 'vitest';
import { entriesOnDemand, linesOf } from '../../src/catalogue/entries-on-demand.ts';
import { loadCatalogue } from '../../src/catalogue/load.ts';

const loaded = loadCatalogue([]);
if (!loaded.ok) throw new Error(loaded.issues.join('\n'));
const { providers } = loaded;

test('catalogue entries on demand: are those that were written, in their order, by every way to read them', () => {
  const read = entriesOnDemand(linesOf(providers));
  expect(read.get('github')).toEqual(providers.get('github'));
  expect(read.get('github')).toBe(read.get('github'));
  expect([read.has('github'), read.has('none'), read.get('none')]).toEqual([true, false, undefined]);
  expect(read.size).toBe(providers.size);
  expect([...read.keys()]).toEqual([...providers.keys()]);
  expect([...read]).toEqual([...providers]);
  expect([...read.entries()]).toEqual([...providers]);
  expect([...read.values()]).toEqual([...providers.values()]);
  const seen: string[] = [];
  read.forEach((_, id) => {
    seen.push(id);
  });
  expect(seen).toEqual([...providers.keys()]);
});

test('catalogue entries on demand: the lines are ASCII, and one that is not asked for is not parsed', () => {
  const named = { ...providers.get('github')!, name: 'Größe 🙂' };
  const lines = linesOf(new Map([['github', named]]));
  expect(lines.join('\n')).not.toMatch(/[\u0080-\uffff]/);
  expect(entriesOnDemand(lines).get('github')).toEqual(named);
  const broken = entriesOnDemand(['["a","github"]', '{', lines[1]!]);
  expect(broken.get('github')).toEqual(named);
  expect(() => broken.get('a')).toThrow(SyntaxError);
});
