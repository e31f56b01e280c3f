// A connection without a refresh token: what the log and the metrics say when it cannot be refreshed.
import { expect, onTestFinished, test } from 'vitest';
import type { Logger } from '../../../src/ports/index.ts';
import { startTestSetup } from '../../support/broker-setup.ts';
import { expectOk, expectProblem } from '../../support/contract.ts';
import { newOwner } from '../../support/owner-browser.ts';

test('no refresh token: logged and counted once before the token expires and once after, however often it is read', async () => {
  const lines: object[] = [];
  const ignore = () => undefined;
  const warn: Logger['warn'] = (fields, message) => {
    if (message.startsWith('refresh: ')) lines.push(fields);
  };
  const log: Logger = { debug: ignore, info: ignore, warn, error: ignore };
  const testSetup = await startTestSetup({}, log);
  onTestFinished(() => testSetup.close());
  const { broker } = testSetup;
  const credentials = { access_token: 'all there is', expires_at: testSetup.inSeconds(600) };
  const body = { integration: 'acme', owner: newOwner(), credentials };
  const id = String(expectOk(await broker.ask('POST', '/v1/connections', body), 201).id);
  const series = async () => {
    const metrics = await (await fetch(new URL('/metrics', broker.url))).text();
    return metrics
      .split('\n')
      .filter((line) =>
        /^valetkey_(refreshes_total|access_token_remaining_lifetime_seconds_count)\{.* [1-9]/.test(line),
      );
  };
  const ofAttempt = { attempt: expect.stringMatching(/^att_/), connection: id, integration: 'acme' };
  const notRefreshable = 'valetkey_refreshes_total{integration="acme",outcome="not_refreshable"} 1';
  const grantExpired = 'valetkey_refreshes_total{integration="acme",outcome="grant_expired"} 1';

  for (let i = 0; i < 3; i++)
    expectProblem(await broker.ask('POST', `/v1/connections/${id}/refresh`), 409, 'reauthorization_required');
  expect(lines).toEqual([expect.objectContaining({ ...ofAttempt, code: 'not_refreshable', reason: null })]);
  expect(await series()).toEqual([notRefreshable]);

  testSetup.advance(601_000);
  for (let i = 0; i < 3; i++)
    expectProblem(await broker.ask('GET', `/v1/connections/${id}/token`), 409, 'reauthorization_required');
  expect(lines.slice(1)).toEqual([
    expect.objectContaining({ ...ofAttempt, code: 'grant_expired', reason: 'grant_expired' }),
  ]);
  expect((await series()).toSorted()).toEqual([grantExpired, notRefreshable]);
});
