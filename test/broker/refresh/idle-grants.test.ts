// A grant that dies of idleness is refreshed before that, however it was created.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createCookieJar } from '../../../demo/browser.ts';
import { type Json, startTestBroker } from '../../support/broker.ts';
import {
  callbackWithConsent,
  connectionOf,
  createConnectSession,
  openLink,
  putIntegration,
  visit,
} from '../../support/owner-browser.ts';
import { startScriptedServer } from '../../support/scripted-server.ts';

const IDLE_SECONDS = 100_000;

/** Its tokens do not expire. Only idleness ends a grant. */
const forgetful = {
  id: 'forgetful',
  name: 'Forgetful',
  category: 'generic',
  docs_url: 'https://forgetful.test/docs',
  confidence: 'unverified',
  params: { base: { title: 'base', pattern: 'http://127\\.0\\.0\\.1:[0-9]+' } },
  auth: [
    {
      mode: 'oauth2_code',
      authorization_url: '{base}/authorize',
      token_url: '{base}/token',
      refresh: { idle_lifetime: IDLE_SECONDS },
    },
  ],
};

test('idle grant: connect, import and refresh each schedule the next refresh well before it dies', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-providers-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'forgetful.json'), JSON.stringify(forgetful));
  const provider = await startScriptedServer(() => ({
    body: { access_token: 'at', token_type: 'Bearer', refresh_token: 'rt' },
  }));
  onTestFinished(() => provider.close());
  const broker = await startTestBroker({ VALETKEY_PROVIDERS_DIR: folder });
  onTestFinished(() => broker.stop());
  const setup = { client_id: 'client', client_secret: 'client-secret', params: { base: provider.url } };
  await putIntegration(broker, 'acme', { provider: 'forgetful', ...setup });

  const expectInTime = ({ next_refresh_at: next }: Json) => {
    const share = (Date.parse(String(next)) - Date.now()) / 1_000 / IDLE_SECONDS;
    expect(share).toBeGreaterThan(0.59);
    expect(share).toBeLessThan(0.81);
  };
  const jar = createCookieJar();
  const invited = await createConnectSession(broker);
  const { location } = await openLink(invited.url, jar);
  expect((await visit(callbackWithConsent(location), jar)).status).toBe(200);
  expectInTime(await connectionOf(broker, invited));

  const credentials = { refresh_token: 'rt', access_token: 'at' };
  const { body } = await broker.ask('POST', '/v1/connections', { integration: 'acme', owner: 'ada', credentials });
  expectInTime(body);
  expect((await broker.ask('POST', `/v1/connections/${body.id}/refresh`, {})).status).toBe(200);
  expectInTime((await broker.ask('GET', `/v1/connections/${body.id}`)).body);
});
