// The scopes that integrations ask for, in memory: after a change, and while the store is away.
import { expect, test } from 'vitest';
import { createRequestedScopes } from '../../../src/broker/integrations/scopes/requested-scopes.ts';
import { anIntegration } from '../../stores/builders.ts';

function setup() {
  let scopes = ['read'];
  let isAway = false;
  let reads = 0;
  const requested = createRequestedScopes({
    store: {
      integration: async (id) => {
        reads++;
        if (isAway) throw new Error('away');
        return id === 'slack' ? { ...anIntegration({ scopes }), version: 1 } : undefined;
      },
    },
  });
  return {
    requested,
    set: (next: string[]) => {
      scopes = next;
    },
    away: (next: boolean) => {
      isAway = next;
    },
    reads: () => reads,
  };
}

test('requested scopes: read once, and again after a change', async () => {
  const { requested, set, reads } = setup();
  expect(requested.known('slack')).toBeUndefined();
  const first = await requested.find('slack');
  expect(first).toEqual(['read']);
  expect(requested.known('slack')).toBe(first);
  await requested.find('slack');
  expect(reads()).toBe(1);
  set(['read', 'write']);
  requested.changed('slack');
  expect(requested.known('slack')).toBeUndefined();
  expect(await requested.find('slack')).toEqual(['read', 'write']);
  expect(await requested.find('none')).toEqual([]);
});

test('requested scopes: a read that a change overtakes is not kept; while the store is away, what is known is told', async () => {
  const { requested, away } = setup();
  const reading = requested.find('slack');
  requested.changed('slack');
  expect(await reading).toEqual(['read']);
  expect(requested.known('slack')).toBeUndefined();
  away(true);
  expect(await requested.find('slack')).toEqual([]);
  away(false);
  await requested.find('slack');
  away(true);
  requested.changed(undefined);
  expect(requested.known('slack')).toEqual(['read']);
});
