// Agents: what becomes of requests after one for which undici could not be imported.
import { expect, test, vi } from 'vitest';
import { createAgents } from '../../../src/adapters/outbound/agents.ts';

test('an agent that could not be made is made again for the next request, and does not keep a broker from stopping', async () => {
  const options = { proxies: { resolves: 'broker' }, allow: ['127.0.0.1'], connectTimeoutMs: 1_000, connections: 1 };
  const agents = createAgents(options as unknown as Parameters<typeof createAgents>[0]);
  vi.doMock('undici', () => {
    throw new Error('EMFILE');
  });
  await expect(Promise.resolve(agents.agentFor('direct', undefined))).rejects.toThrow();
  vi.doUnmock('undici');
  await expect(Promise.resolve(agents.agentFor('direct', undefined))).resolves.toBeDefined();
  await agents.close();
});
