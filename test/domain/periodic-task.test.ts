import { expect, it } from 'vitest';
import { createPeriodicTask } from '../../src/domain/periodic-task.ts';

const fails = () => expect.unreachable();

it('periodic task: a round that fails is told, and the next one comes', async () => {
  const failures: unknown[] = [];
  const third = Promise.withResolvers<void>();
  let rounds = 0;
  const task = createPeriodicTask(
    async () => {
      if (++rounds === 3) third.resolve();
      if (rounds === 1) throw new Error('first');
    },
    (error) => failures.push(error),
  );
  task.start(1);
  expect(rounds).toBe(1);
  await third.promise;
  await task.stop();
  expect(failures).toEqual([new Error('first')]);
});

it('periodic task: stop waits for the round under way, which knows of it, and no other begins', async () => {
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  let rounds = 0;
  const task = createPeriodicTask(async () => {
    rounds++;
    await ended;
  }, fails);
  task.start(1);
  expect(task.isStopped()).toBe(false);
  let isDone = false;
  const stopped = task.stop().then(() => {
    isDone = true;
  });
  expect([task.isStopped(), isDone]).toEqual([true, false]);
  end();
  await stopped;
  expect([rounds, isDone]).toEqual([1, true]);
});

it('periodic task: one that is stopped before its first round has none', async () => {
  const task = createPeriodicTask(() => fails(), fails);
  task.start(1, 60_000);
  await task.stop();
});
