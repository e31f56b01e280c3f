// What is in flight: its order, and that what was removed is let go of.
import { expect, test } from 'vitest';
import { InFlight } from '../../src/domain/in-flight.ts';
import { collectAll, collectYoung, oldBytes } from '../support/collections.ts';

const itemsOf = (of: InFlight<{ n: number }>) => Array.from(of, ({ item }) => item.n);

test('what is in flight: in the order in which it came, without what was removed', () => {
  const inFlight = new InFlight<{ n: number }>();
  const [first, second, third, fourth] = [1, 2, 3, 4].map((n) => inFlight.add({ n }));
  inFlight.remove(second!);
  expect(itemsOf(inFlight)).toEqual([1, 3, 4]);
  inFlight.remove(first!);
  inFlight.remove(fourth!);
  expect(itemsOf(inFlight)).toEqual([3]);
  inFlight.add({ n: 5 });
  expect(itemsOf(inFlight)).toEqual([3, 5]);
  inFlight.remove(third!);
  expect(itemsOf(inFlight)).toEqual([5]);
  expect(inFlight.size).toBe(1);
});

test('an entry that was removed: has no item, and is not removed twice', () => {
  const inFlight = new InFlight<{ n: number }>();
  const [entry] = [inFlight.add({ n: 1 }), inFlight.add({ n: 2 })];
  inFlight.remove(entry);
  inFlight.remove(entry);
  expect(entry.item).toBeUndefined();
  expect(itemsOf(inFlight)).toEqual([2]);
  expect(inFlight.size).toBe(1);
});

test('each is removed while it is iterated over: none is left out', () => {
  const inFlight = new InFlight<{ n: number }>();
  for (const n of [1, 2, 3]) inFlight.add({ n });
  const seen: number[] = [];
  for (const entry of inFlight) {
    seen.push(entry.item.n);
    inFlight.remove(entry);
  }
  expect(seen).toEqual([1, 2, 3]);
  expect(inFlight.size).toBe(0);
});

/** Bytes. */
const EACH = 80_000;
const COUNT = 400;

test('objects that come and go: the collections of young objects let go of them', () => {
  const inFlight = new InFlight<{ of: number[] }>();
  const made = () => inFlight.add({ of: new Array<number>(EACH / 8).fill(0.5) });
  const old = made();
  collectAll();
  const before = oldBytes();
  let entry = old;
  for (let i = 0; i < COUNT; i++) {
    const next = made();
    inFlight.remove(entry);
    entry = next;
    if (i % 10 === 0) collectYoung();
  }
  expect(oldBytes() - before).toBeLessThan((COUNT * EACH) / 8);
});
