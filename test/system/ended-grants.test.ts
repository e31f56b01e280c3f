// A connection that nothing renews ends with its access token, whether anyone reads it or not.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectOk } from '../support/contract.ts';
import { INTEGRATION, type RestartableBroker, startRestartableBroker } from '../support/restartable-broker.ts';

let broker: RestartableBroker;
beforeAll(async () => {
  broker = await startRestartableBroker();
});
afterAll(() => broker?.close());

const importAt = async (owner: string, expiresInMs: number) => {
  const expires_at = new Date(Date.now() + expiresInMs).toISOString();
  const credentials = { access_token: `at-of-${owner}`, expires_at };
  return String(
    expectOk(await broker.ask('POST', '/v1/connections', { integration: INTEGRATION, owner, credentials }), 201).id,
  );
};
const connection = async (id: string) => expectOk(await broker.ask('GET', `/v1/connections/${id}`));

test('of an access token that expires without a refresh token: its owner must connect again, and who listens is told', async () => {
  const ended = await importAt('ended', 60_000);
  const living = await importAt('living', 3 * 3_600_000);
  expect(await connection(ended)).toMatchObject({ status: 'active', next_refresh_at: null });
  // A process that starts looks at once, and this one an hour later.
  await broker.current().stop();
  await broker.start({ aheadMs: 3_600_000 });
  await expect
    .poll(() => connection(ended), { timeout: 30_000 })
    .toMatchObject({
      status: 'needs_reauth',
      reason: 'grant_expired',
    });
  expect(await connection(living)).toMatchObject({ status: 'active' });
  const { data } = expectOk(await broker.ask('GET', '/v1/events?types=connection.needs_reauth'));
  expect(data).toMatchObject([{ data: { connection: { id: ended }, reason: 'grant_expired' } }]);
});
