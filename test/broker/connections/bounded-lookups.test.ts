// What strangers ask for by a made-up link, state or session id never takes many of the database's connections.
import { expect, test } from 'vitest';
import { withBoundedLookups } from '../../../src/broker/connections/connect-flow/bounded-lookups.ts';
import { StoreError } from '../../../src/ports/index.ts';

test('look-ups of strangers: few at once, of all kinds together, and beyond a queue they are refused', async () => {
  const open: (() => void)[] = [];
  const found = (..._: unknown[]) => new Promise<undefined>((answer) => open.push(() => answer(undefined)));
  const store = withBoundedLookups({ sessionBySecret: found, session: found, flowOf: found, consumeFlow: found });
  const asked = Array.from({ length: 300 }, (_, n) =>
    [() => store.sessionBySecret('x'), () => store.sessionOfPage('x'), () => store.flowOf('x')][n % 3]!(),
  );
  const settled = Promise.allSettled(asked);
  await Promise.resolve();
  expect(open.length).toBe(4);
  for (let answered = 0; answered < open.length; answered++) {
    open[answered]!();
    await new Promise((turn) => setImmediate(turn));
    expect(open.length - answered).toBeLessThanOrEqual(5);
  }
  const refused = (await settled).filter((one) => one.status === 'rejected');
  expect(refused.length).toBe(96);
  expect(refused.every(({ reason }) => reason instanceof StoreError)).toBe(true);
});

test('a flow that has begun reads its session without waiting for them', () => {
  const session = async (_: string) => undefined;
  const none = async (..._: unknown[]) => undefined;
  const store = withBoundedLookups({ sessionBySecret: none, session, flowOf: none, consumeFlow: none });
  expect(store.session).toBe(session);
});
