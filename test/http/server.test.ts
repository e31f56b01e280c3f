// What the first requests of a process do: they load the framework, and end what is only for a start.
import { expect, test } from 'vitest';
import { createFastRoutes } from '../../src/http/fast-path/index.ts';
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

test('fast routes: what is to be done with the first use is done once, and not for probes', () => {
  let uses = 0;
  const routes = createFastRoutes({ onFirstUse: () => uses++ } as never);
  const ask = (method: string, url: string) => typeof routes({ method, url } as never);
  expect(['/healthz', '/readyz', '/metrics'].map((path) => ask('GET', path))).toEqual(Array(3).fill('function'));
  expect(uses).toBe(0);
  expect([ask('GET', '/v1/connections'), ask('GET', '/v1/connections/con_1/token')]).toEqual(['undefined', 'function']);
  expect(ask('GET', '/readyz')).toBe('function');
  expect(uses).toBe(1);
});
