// The order in which the parts of a process start and stop.
import { expect, test } from 'vitest';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import { type Room, startAll } from '../../src/runtime/lifecycle.ts';

const log = createLogger('silent');

/** Rooms that note what happens to them; `failing` names the steps that throw. */
function roomsNamed(names: string[], failing: string[] = []) {
  const steps: string[] = [];
  const step = (name: string) => async () => {
    steps.push(name);
    if (failing.includes(name)) throw new Error(name);
  };
  const rooms = names.map((name): Room => ({ name, start: step(`start ${name}`), stop: step(`stop ${name}`) }));
  return { rooms, steps };
}

test('lifecycle: starts in order, stops in reverse order and only once', async () => {
  const { rooms, steps } = roomsNamed(['store', 'cache', 'http']);
  const stop = await startAll(rooms, log);
  expect(steps.splice(0)).toEqual(['start store', 'start cache', 'start http']);
  await stop();
  await stop();
  expect(steps).toEqual(['stop http', 'stop cache', 'stop store']);
});

test('lifecycle: a failing start stops what was started, itself included, and is thrown', async () => {
  const { rooms, steps } = roomsNamed(['store', 'cache', 'http'], ['start cache', 'stop cache']);
  await expect(startAll(rooms, log)).rejects.toThrow('start cache');
  expect(steps).toEqual(['start store', 'start cache', 'stop cache', 'stop store']);
});

test('lifecycle: a failing stop does not keep the others from stopping, and is thrown at the end', async () => {
  const { rooms, steps } = roomsNamed(['store', 'cache', 'http'], ['stop http', 'stop cache']);
  const stop = await startAll(rooms, log);
  await expect(stop()).rejects.toThrow('stop http');
  expect(steps.slice(3)).toEqual(['stop http', 'stop cache', 'stop store']);
});

test('lifecycle: a stop that does not end in time is left behind, the others are stopped, and it is said', async () => {
  const { rooms, steps } = roomsNamed(['store', 'cache', 'http']);
  const hung = { name: 'disk', stop: () => new Promise<void>(() => undefined) };
  const stop = await startAll([hung, rooms[0]!, hung, ...rooms.slice(1)], log, { deadlineMs: 20, latePartMs: 10 });
  await expect(stop()).rejects.toThrow('not stopped in time');
  expect(steps.slice(3)).toEqual(['stop http', 'stop cache', 'stop store']);
});

test('lifecycle: a room may lack a start or a stop', async () => {
  const stop = await startAll(
    [
      { name: 'store', stop: () => undefined },
      { name: 'scheduler', start: () => undefined },
    ],
    log,
  );
  await expect(stop()).resolves.toBeUndefined();
});
