// Batch verification: what other requests wait for, when all that it needs is in memory.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createBatchVerification } from '../../../src/broker/jwt/batch-verification.ts';
import type { JwtVerdict } from '../../../src/ports/index.ts';

type Parts = Parameters<typeof createBatchVerification>[0];

test('batches of tokens that are verified at once, by the dozen: a turn of the event loop holds few of them', async () => {
  const verdict: JwtVerdict = { active: true, issuer: 'https://id.example', claims: {}, header: {} };
  let verified = 0;
  const verification = {
    verify: async () => {
      verified++;
      return verdict;
    },
  } as unknown as Parts['verification'];
  const verifier = { claimedIssuer: () => 'https://id.example' };
  const batch = createBatchVerification({ verification, verifier, access: {} as Parts['access'] });
  const call = { principal: { caller: { permissions: [{ actions: ['jwt:verify'] }] } } } as never;
  const tokens = Array.from({ length: 100 }, (_, i) => ({ token: `token ${i}` }));

  let isOver = false;
  const all = Promise.all(Array.from({ length: 24 }, () => batch.verify(call, tokens))).finally(() => {
    isOver = true;
  });
  let most = 0;
  for (let before = 0; !isOver; before = verified) {
    await nextTurn();
    most = Math.max(most, verified - before);
  }
  expect(verified).toBe(2_400);
  expect(most).toBeLessThanOrEqual(64);
  expect((await all).flat()).toEqual(Array(2_400).fill(verdict));
});
