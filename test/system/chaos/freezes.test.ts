// The short chaos run with frozen replicas, at a provider without a reuse window, over TLS, in the long run of the tests:
// test/system/replicas/frozen.test.ts freezes a replica at each point. `npm run chaos` runs for as long as one wants.
import { describe, it, vi } from 'vitest';
import { isLong } from '../../support/long.ts';
import { replicasFrozen } from './freezes.ts';
import { runScenarios, SEED } from './short-run.ts';

vi.setConfig({ testTimeout: 180_000 });

describe.concurrent(`chaos of frozen replicas, seed ${SEED} (CHAOS_SEED runs it again)`, () => {
  it.runIf(isLong).for(['sqlite', 'postgres'] as const)(
    'on %s: spends nothing twice, serves no refused token, loses no grant',
    async (store, { expect }) => {
      const scenarios = [replicasFrozen(3, 5_000)];
      expect(await runScenarios({ windowMs: 0, replicas: 2, store, tls: true, scenarios })).toEqual([]);
    },
  );
});
