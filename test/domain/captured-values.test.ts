// Which values a webhook finds a connection by, and when a refresh changes them.
import { expect, test } from 'vitest';
import { capturedValues, keepsCapturedValues } from '../../src/domain/captured-values.ts';
import { aConnection } from '../stores/builders.ts';

test('scalars of 1 to 256 characters are values, by their keys', () => {
  const captured = {
    text: 'T1',
    number: 1.5,
    yes: true,
    none: null,
    nested: { a: 'x' },
    empty: '',
    emoji: '😀'.repeat(256),
  };
  const rows = capturedValues(
    aConnection({ id: 'con_1', integration: 'slack', captured, params: { shop: 'a' }, account: null }),
  );
  expect(rows).toContainEqual({
    id: 'con_1:captured.text',
    connectionId: 'con_1',
    integration: 'slack',
    key: 'captured.text',
    value: 'T1',
  });
  expect(rows.map(({ key, value }) => `${key}=${value.slice(0, 4)}`).sort()).toEqual([
    'captured.emoji=😀😀',
    'captured.number=1.5',
    'captured.text=T1',
    'captured.yes=true',
    'identity.sub=sub-',
    'params.shop=a',
  ]);
  const untold = { params: {}, account: null, identity: null };
  const long = aConnection({ captured: { long: 'x'.repeat(257), emoji: '😀'.repeat(257) }, ...untold });
  expect(capturedValues(long)).toEqual([]);
});

test('each scalar of a list is a value under the key of the list, the first thousand', () => {
  const many = Array.from({ length: 1_001 }, (_, i) => i);
  const captured = { sites: ['a', 'b', 'a', { id: 'c' }, ['d'], '', 7], many };
  const rows = capturedValues(aConnection({ id: 'con_1', captured, params: {}, account: null, identity: null }));
  expect(rows.filter(({ key }) => key === 'captured.sites').map(({ id, value }) => [id, value])).toEqual([
    ['con_1:captured.sites[0]', 'a'],
    ['con_1:captured.sites[1]', 'b'],
    ['con_1:captured.sites[6]', '7'],
  ]);
  expect(rows.filter(({ key }) => key === 'captured.many').map(({ value }) => value)).toEqual(
    many.slice(0, -1).map(String),
  );
  const known = { captured: { sites: ['a', 'b'] }, account: null, identity: null };
  expect(keepsCapturedValues(known, { ...known, captured: { sites: ['a', 'b'] } })).toBe(true);
  expect(keepsCapturedValues(known, { ...known, captured: { sites: ['a', 'b', 'c'] } })).toBe(false);
});

test('a refresh keeps them if captures and account id are the same, whatever the name is', () => {
  const before = {
    captured: { team: 'T1', nested: { a: 1 } },
    account: { issuer: 'i', id: 'a', name: 'Ada' },
    identity: { issuer: 'i', subject: 'a' },
  };
  expect(keepsCapturedValues(before, { ...before, account: { ...before.account, name: null } })).toBe(true);
  expect(keepsCapturedValues(before, { ...before, captured: { team: 'T1', nested: { a: 2 } } })).toBe(true);
  expect(keepsCapturedValues(before, { ...before, captured: { team: 'T2' } })).toBe(false);
  expect(keepsCapturedValues(before, { ...before, captured: { team: 'T1', realm: 'R' } })).toBe(false);
  expect(keepsCapturedValues(before, { ...before, account: null })).toBe(false);
  expect(keepsCapturedValues(before, { ...before, identity: { issuer: 'i', subject: 'b' } })).toBe(false);
});
