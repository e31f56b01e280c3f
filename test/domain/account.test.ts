// The account of a grant, as a provider tells it: only text that every database stores.
import { expect, test } from 'vitest';
import { accountOf } from '../../src/domain/account.ts';
import type { AuthMode } from '../../src/domain/auth-modes.ts';

const told = (subject: string, name: string) =>
  accountOf({ mode: 'oauth2_code' } as AuthMode, {
    values: {},
    captured: {},
    identity: { issuer: 'https://idp.example', subject },
    name,
  });

test('a name is cut to 255 characters, and never ends in half of one', () => {
  expect(told('1', ` a\u0000b ${'x'.repeat(300)}`)?.name).toBe(`a b ${'x'.repeat(251)}`);
  const name = told('1', `${'x'.repeat(254)}😀`)?.name;
  expect([name?.length, name?.isWellFormed()]).toEqual([255, true]);
});

test('an id that is not stored as it is says nothing', () => {
  expect(told('1', 'x')?.id).toBe('1');
  for (const id of ['', 'a\u0000', 'a\ud83d', 'x'.repeat(256)]) expect(told(id, 'x')).toBeNull();
});
