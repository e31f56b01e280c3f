// One text for one value: what message authentication codes are made of.
import { expect, test } from 'vitest';
import { canonicalJson } from '../../src/domain/canonical-json.ts';

test('canonical JSON: the order of members and absent members do not matter; everything else does', () => {
  const one = canonicalJson({ b: [1, null, { d: 'x', c: undefined }], a: { z: null, y: true } });
  expect(one).toBe('{"a":{"y":true},"b":[1,null,{"d":"x"}]}');
  expect(canonicalJson({ a: { y: true }, b: [1, null, { d: 'x' }] })).toBe(one);
  for (const other of [{ a: { y: 'true' } }, [['a', { y: true }]], { a: [{ y: true }] }, { a: { y: true, x: '' } }])
    expect(canonicalJson(other)).not.toBe(canonicalJson({ a: { y: true } }));
  expect(canonicalJson(['a', 'b'])).not.toBe(canonicalJson(['a,b']));
});

test('canonical JSON: names of the language are names like any other', () => {
  const odd = JSON.parse('{"__proto__":{"x":1},"constructor":2}');
  expect(canonicalJson(odd)).toBe('{"__proto__":{"x":1},"constructor":2}');
});

test('canonical JSON: a NUL is what a database makes of it that cannot hold one', () => {
  expect(canonicalJson('a\0b')).toBe(canonicalJson('a\uFFFDb'));
});
