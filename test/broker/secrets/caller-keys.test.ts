// The format of caller keys.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { isMistyped, newCallerKey } from '../../../src/broker/secrets/caller-keys.ts';

const many = Array.from({ length: 200 }, newCallerKey);

test('new caller keys: unique, and matched by the pattern that the documentation gives to secret scanners', () => {
  const docs = readFileSync(new URL('../../../docs/callers.md', import.meta.url), 'utf8');
  const [, pattern = ''] = /`\\b(vk_[^`]*?)\\b`/.exec(docs) ?? [];
  for (const key of many) expect(key).toMatch(new RegExp(`^${pattern}$`));
  expect(new Set(many).size).toBe(many.length);
});

test('mistyped caller key: recognised when characters are missing, changed, swapped or added', () => {
  for (const key of many) {
    expect(isMistyped(key)).toBe(false);
    const swapped = key[9] === key[10] ? undefined : key.slice(0, 9) + key[10] + key[9] + key.slice(11);
    const typos = [
      key.slice(0, -1),
      key.slice(0, 20),
      `${key}x`,
      `${key.slice(0, 5)}${key[5] === 'a' ? 'b' : 'a'}${key.slice(6)}`,
    ];
    for (const typo of [...typos, key.toLowerCase(), ...(swapped ? [swapped] : [])])
      expect(isMistyped(typo), typo.length.toString()).toBe(typo !== key);
  }
});

test('mistyped caller key: not claimed without the prefix, since admins may choose their key', () => {
  for (const key of ['a'.repeat(32), 'VK_abc', '']) expect(isMistyped(key)).toBe(false);
});
