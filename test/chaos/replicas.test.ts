// Two brokers on one database: what one has missed, and what one leaves behind.
import { expect, it, onTestFinished } from 'vitest';
import { createLogger } from '../../src/adapters/telemetry.ts';
import { start } from '../../src/app.ts';
import { parseConfig } from '../../src/config.ts';
import { ask, startTestBroker } from '../support/broker.ts';
import { launchProvider } from './processes.ts';

it('a replica that has missed the last refreshes never serves a token that has expired', async () => {
  const provider = await launchProvider(1, '/dev/null');
  onTestFinished(async () => void (await provider.end()));
  let moved = 0;
  const clock = { now: () => Date.now() + moved, monotonic: () => performance.now() + moved };
  const one = await startTestBroker({}, undefined, { clock, refreshAhead: false });
  onTestFinished(() => one.stop());
  const env = {
    VALETKEY_PORT: '0',
    VALETKEY_DATABASE_URL: `file:${one.database}`,
    VALETKEY_ADMIN_KEY: one.adminKey,
    VALETKEY_OUTBOUND_ALLOW: '127.0.0.1',
  };
  const parsed = parseConfig(env, () => '{}');
  if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
  const other = await start(parsed.config, createLogger('silent'), { clock, refreshAhead: false });
  onTestFinished(() => other.stop());

  const params = { authorization_url: provider.tokenUrl, token_url: provider.tokenUrl };
  await one.ask('PUT', '/v1/integrations/chaos', {
    provider: 'generic-oauth2',
    client_id: 'v',
    client_secret: 's',
    params,
  });
  await provider.control('rules', { life: [60, 60] });
  const { refreshTokens } = await provider.control('seed', { names: ['owner'] });
  const credentials = { refresh_token: refreshTokens[0] };
  const imported = await one.ask('POST', '/v1/connections', { integration: 'chaos', owner: 'owner', credentials });
  const path = `/v1/connections/${imported.body.id}`;
  const readElsewhere = () => ask(other.url, one.adminKey, 'GET', `${path}/token`);

  const first = await readElsewhere();
  expect(first.status).toBe(200);
  const second = await one.ask('POST', `${path}/refresh`, {});
  expect(second.body.access_token).not.toBe(first.body.access_token);
  moved += 61_000;
  await provider.control('rules', { faults: { unavailable: 1 } });
  expect((await readElsewhere()).body).toMatchObject({ status: 503, code: 'provider_unavailable' });
  await provider.control('rules', { faults: {} });
  moved += 60_000;
  const third = await readElsewhere();
  expect(third.status).toBe(200);
  expect(await provider.control('alive', { token: String(third.body.access_token) })).toMatchObject({ alive: true });
});
