// Reading JSON by the catalogue's paths.
import { expect, test } from 'vitest';
import { at, firstAt } from '../../src/domain/json-path.ts';

const json = {
  team: { id: 'T1' },
  data: [{ token: 'a' }, { token: 'b' }],
  accounts: [
    { is_default: false, id: 1 },
    { is_default: true, id: 2 },
  ],
  '@odata.nextLink': 'https://graph.example/next',
  error: { '.tag': 'too_many' },
  nothing: null,
};

test.each<[string, unknown]>([
  ['team.id', 'T1'],
  ['data[1].token', 'b'],
  ['data[].token', ['a', 'b']],
  ['accounts[is_default].id', 2],
  ['@odata\\.nextLink', 'https://graph.example/next'],
  ['error.\\.tag', 'too_many'],
  ['@odata.nextLink', undefined],
  ['data[7].token', undefined],
  ['team.constructor', undefined],
  ['nothing.more', undefined],
])('%s', (path, value) => {
  expect(at(json, path)).toEqual(value);
});

test('a list at the root', () => {
  expect(at([{ id: 1 }], '[0].id')).toBe(1);
  expect(at([{ id: 1 }, {}], '[].id')).toEqual([1]);
});

test('the first path with a value counts', () => {
  expect(firstAt(json, ['nothing', 'missing', 'team.id'])).toBe('T1');
  expect(firstAt(json, [])).toBeUndefined();
});
