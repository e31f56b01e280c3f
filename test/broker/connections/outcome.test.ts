// What a browser is shown of a flow that is under way or has ended.
import { expect, test } from 'vitest';
import { createOutcome } from '../../../src/broker/connections/connect-flow/outcome.ts';
import type { FlowParts } from '../../../src/broker/connections/connect-flow/steps.ts';
import { refuse } from '../../../src/domain/errors.ts';
import type { Store } from '../../../src/ports/index.ts';
import { aSession, NOW } from '../../stores/builders.ts';

test('reloads while a code is exchanged look for its outcome once, together', async () => {
  const session = aSession({ returnUrl: null });
  let looked = 0;
  const store = {
    session: async () => (++looked < 3 ? session : { ...session, status: 'failed' as const, error: 'access_denied' }),
  } as Pick<Store, 'session'>;
  const targets = { find: async () => refuse({ code: 'not_found', what: 'integration', id: 'slack' }) };
  const outcome = createOutcome({ store, targets, clock: { now: () => NOW } } as unknown as FlowParts);
  const request = { cookies: [], address: null, requestId: 'r' };
  await Promise.all(Array.from({ length: 50 }, () => outcome.afterExchange(session, request)));
  expect(looked).toBe(3);
});
