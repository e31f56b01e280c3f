// The form of caller keys.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { isMistyped, newCallerKey } from '../../../src/broker/secrets/caller-keys.ts';

const many = Array.from({ length: 200 }, newCallerKey);

test('each is another, of one length, and what the documentation tells scanners to look for', () => {
  const docs = readFileSync(new URL('../../../docs/callers.md', import.meta.url), 'utf8');
  const [, pattern = ''] = /`\\b(vk_[^`]*?)\\b`/.exec(docs) ?? [];
  for (const key of many) expect(key).toMatch(new RegExp(`^${pattern}$`));
  expect(new Set(many).size).toBe(many.length);
});

test('every slip of the hand is told from a key that is not known', () => {
  for (const key of many) {
    expect(isMistyped(key)).toBe(false);
    const swapped = key[9] === key[10] ? undefined : key.slice(0, 9) + key[10] + key[9] + key.slice(11);
    const slips = [
      key.slice(0, -1),
      key.slice(0, 20),
      `${key}x`,
      `${key.slice(0, 5)}${key[5] === 'a' ? 'b' : 'a'}${key.slice(6)}`,
    ];
    for (const slip of [...slips, key.toLowerCase(), ...(swapped ? [swapped] : [])])
      expect(isMistyped(slip), slip.length.toString()).toBe(slip !== key);
  }
});

test('what does not begin like one may be a key that people have chosen', () => {
  for (const key of ['a'.repeat(32), 'VK_abc', '']) expect(isMistyped(key)).toBe(false);
});
