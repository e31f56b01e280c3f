// Lanes: what many slow endpoints leave to the others, and how little they may hold.
import { expect, test } from 'vitest';
import { createLanes } from '../../../src/broker/events/delivery/lanes.ts';

/** Takes all that it may have, and returns what it has then. */
const hungry = (lanes: ReturnType<typeof createLanes>, endpoint: string) => lanes.take(endpoint, 1_000);

test('lanes: an endpoint that is not known has one, a fast one eight, and one that became slow one again', () => {
  const lanes = createLanes();
  const [first, ...more] = hungry(lanes, 'a');
  expect(more).toEqual([]);
  expect(hungry(lanes, 'a')).toEqual([]);
  first!.release(20);
  const eight = hungry(lanes, 'a');
  expect(eight).toHaveLength(8);
  for (const lane of eight) lane.release(15_000);
  expect(hungry(lanes, 'a')).toHaveLength(1);
});

test('lanes: a thousand endpoints that hang hold a lane each, and leave eight to a fast one', () => {
  const lanes = createLanes();
  hungry(lanes, 'fast')[0]!.release(5);
  for (let i = 0; i < 1_000; i++) hungry(lanes, `slow ${i}`);
  expect(lanes.used()).toBe(1_000);
  expect(hungry(lanes, 'fast')).toHaveLength(8);
});

test('lanes: a thousand fast endpoints that begin to hang leave room for one that has none', () => {
  const lanes = createLanes();
  for (let i = 0; i < 1_000; i++) hungry(lanes, `${i}`)[0]!.release(5);
  for (let i = 0; i < 1_000; i++) hungry(lanes, `${i}`);
  expect(lanes.isFull()).toBe(false);
  expect(lanes.used()).toBeLessThan(2_048);
  expect(hungry(lanes, 'another')).toHaveLength(1);
});

test('lanes: all together are bounded, and a lane that is released twice counts once', () => {
  const lanes = createLanes();
  const all = Array.from({ length: 5_000 }, (_, i) => hungry(lanes, `${i}`)).flat();
  expect(all).toHaveLength(2_048);
  expect(lanes.isFull()).toBe(true);
  all[0]!.release();
  all[0]!.release();
  expect(lanes.used()).toBe(2_047);
});
