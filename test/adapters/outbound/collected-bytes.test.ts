// The bytes of a body, collected from its pieces.
import { expect, test } from 'vitest';
import { CollectedBytes } from '../../../src/adapters/outbound/collected-bytes.ts';

test('one piece is kept as it is, and is not written to', () => {
  const piece = Buffer.from('abcdef').subarray(1, 4);
  const collected = new CollectedBytes();
  collected.add(piece);
  expect(collected.bytes.buffer).toBe(piece.buffer);
  collected.add(Buffer.from('xyz'));
  expect(collected.bytes.toString()).toBe('bcdxyz');
  expect(piece.toString()).toBe('bcd');
});

test('many pieces are one buffer, with no more than twice the room that they need', () => {
  const collected = new CollectedBytes();
  for (let n = 0; n < 100_000; n++) collected.add(Buffer.from([n & 0x7f]));
  collected.add(Buffer.alloc(0));
  expect(collected).toMatchObject({ length: 100_000, pieces: 100_001 });
  expect([...collected.bytes]).toEqual(Array.from({ length: 100_000 }, (_, n) => n & 0x7f));
  expect(collected.bytes.buffer.byteLength).toBeLessThanOrEqual(200_000);
  collected.clear();
  expect(collected.bytes).toHaveLength(0);
});
