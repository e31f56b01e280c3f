// What a single refresh asks of PostgreSQL: each statement is a way there and back and a transaction, which cost more than
// what is in them.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startTestBroker } from '../../support/broker.ts';
import { expectOk } from '../../support/contract.ts';
import { createMovingClock } from '../../support/moving-clock.ts';
import { startScriptedServer } from '../../support/scripted-server.ts';
import { startStatementLog } from '../../support/statement-log.ts';
import { createMigratedDatabase } from '../../support/stores.ts';

async function brokerWithLog() {
  const log = await startStatementLog(await createMigratedDatabase());
  const clock = createMovingClock();
  let issued = 0;
  const provider = await startScriptedServer(() => {
    const token = { access_token: `at-${++issued}`, token_type: 'Bearer', refresh_token: `rt-${issued}` };
    return { body: { ...token, expires_in: 3_600 } };
  });
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-statements-'));
  const env = { VALETKEY_DATABASE_URL: log.url, VALETKEY_DATA_DIR: folder };
  const broker = await startTestBroker(env, undefined, { clock, refreshAhead: false });
  onTestFinished(async () => {
    await broker.stop();
    await log.close();
    await provider.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const params = { authorization_url: `${provider.url}/authorize`, token_url: `${provider.url}/token` };
  const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
  expectOk(await broker.ask('PUT', '/v1/integrations/acme', setup), 201);
  return { log, broker, pass: clock.advance };
}

test('a refresh for a reader is three statements, which are planned once; refreshes share those of the rate limit, and their integration and changes are not read', async () => {
  const { log, broker, pass } = await brokerWithLog();
  const ids: string[] = [];
  for (let n = 0; n < 9; n++) {
    const credentials = { refresh_token: `r-${n}`, access_token: `a-${n}`, expires_in: 3_600 };
    const body = { integration: 'acme', owner: `o-${n}`, credentials };
    ids.push(String(expectOk(await broker.ask('POST', '/v1/connections', body), 201).id));
  }
  pass(3_600_000);
  const asked: string[][] = [];
  for (const id of ids) {
    log.take();
    const { body } = await broker.ask('GET', `/v1/connections/${id}/token`);
    expect(body.access_token).toMatch(/^at-/);
    asked.push(log.take());
  }
  // Statements of timers are among them, but not in every one. The first refresh reads the integration.
  const [first, second, ...others] = asked as [string[], string[], ...string[][]];
  expect(first).toContain('integration');
  expect(second.filter((statement) => others.every((one) => one.includes(statement)))).toEqual([
    'served_rows',
    'claim_free',
    'commit_refreshes',
  ]);
  const takes = asked.flat().filter((statement) => statement === 'take_from_bucket').length;
  expect(takes).toBeGreaterThan(0);
  expect(takes).toBeLessThan(asked.length);
});
