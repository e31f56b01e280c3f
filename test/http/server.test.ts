// The framework is loaded with the first request for it: what becomes of the requests after one with which that failed.
import { expect, test } from 'vitest';
import { loadedOnDemand } from '../../src/http/server.ts';

test('a framework that could not be loaded is loaded with the next request', async () => {
  const answered: string[] = [];
  const failures: unknown[] = [];
  let loads = 0;
  const framework = loadedOnDemand(
    async () => {
      if (++loads === 1) throw new Error('EMFILE');
      const answer = () => void answered.push('loaded');
      return { everything: answer, published: answer };
    },
    (error) => failures.push(error),
  );
  const request = {} as never;
  const refused = await new Promise<number>((resolve) => {
    const response = { writeHead: (status: number) => ({ end: () => resolve(status) }) };
    framework.everything(request, response as never);
  });
  expect(refused).toBe(500);
  framework.everything(request, {} as never);
  await expect.poll(() => answered).toEqual(['loaded']);
  expect([loads, failures.length]).toEqual([2, 1]);
});
