// Tokens that were issued while the store took no commits: they are served from the rescue file, though no cache has them.
import Sqlite from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { startTestSetup } from '../support/broker-setup.ts';

test('database that is locked for eleven minutes: no read goes back to the token before', async () => {
  const setup = await startTestSetup({});
  onTestFinished(() => setup.close());
  const { broker, importConnection, inSeconds, refreshCount, advance } = setup;
  const id = await importConnection('a', { access_token: 'at-rejected', expires_at: inSeconds(3600) });
  const tokenOf = async (path: string) => (await broker.ask('GET', path)).body.access_token;
  const byId = `/v1/connections/${id}/token`;
  expect(await tokenOf(byId)).toBe('at-rejected');

  const other = new Sqlite(broker.database, { timeout: 5_000 });
  onTestFinished(() => void other.close());
  const refresh = () => broker.ask('POST', `/v1/connections/${id}/refresh`, { rejected_token: 'at-rejected' });
  const answered = refresh();
  await expect.poll(refreshCount, { interval: 1 }).toBe(1);
  other.exec('begin immediate');
  const { status, body } = await answered;
  expect(status).toBe(200);
  const issued = body.access_token;
  expect(issued).not.toBe('at-rejected');

  // The token cache keeps nothing for longer than ten minutes.
  advance(11 * 60_000);
  expect(await tokenOf(byId)).toBe(issued);
  advance(11 * 60_000);
  expect(await tokenOf(`/v1/token?integration=${body.integration}&owner=${body.owner}`)).toBe(issued);
  advance(11 * 60_000);
  expect((await refresh()).body.access_token).toBe(issued);
  other.exec('rollback');
  await expect.poll(async () => (await broker.ask('GET', `/v1/connections/${id}`)).body.generation).toBe(2);
  expect(await tokenOf(byId)).toBe(issued);
});
