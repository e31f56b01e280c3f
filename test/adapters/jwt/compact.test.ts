// The compact form of a JWS: one text for one token.
import { expect, test } from 'vitest';
import { isCompact } from '../../../src/adapters/jwt/compact.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

test('of all ways to write a signature, the one that an encoder writes is accepted', () => {
  for (const bytes of [1, 2, 3, 64, 65, 256]) {
    const written = Buffer.alloc(bytes, 0xa7).toString('base64url');
    const accepted = [...ALPHABET].filter((last) => isCompact(`e30.e30.${written.slice(0, -1)}${last}`));
    const canonical = accepted.filter((last) => {
      const text = written.slice(0, -1) + last;
      return Buffer.from(text, 'base64url').toString('base64url') === text;
    });
    expect(accepted).toEqual(canonical);
    expect(accepted).toContain(written.at(-1));
  }
});

test('an empty signature has the form; a character too many, padding, and other parts have not', () => {
  expect(isCompact('e30.e30.')).toBe(true);
  for (const text of ['e30.e30.A', 'e30.e30.AAAAA', 'e30.e30.AA==', 'e30.e30', '.e30.AA', 'e30..AA', 'a.b.c.d'])
    expect(isCompact(text), text).toBe(false);
});
