// A provider that refuses to renew a token younger than its `min_age` (Instagram) is not asked before.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectProblem } from '../../support/contract.ts';
import { createMovingClock, type MovingClock } from '../../support/moving-clock.ts';
import { putIntegration } from '../../support/owner-browser.ts';
import { type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

const MIN_AGE_SECONDS = 86_400;
/** By its margin alone, it would be due after half of this. */
const LIFE_SECONDS = 100_000;

const aging = {
  id: 'aging',
  name: 'Aging',
  category: 'generic',
  docs_url: 'https://aging.test/docs',
  confidence: 'unverified',
  params: { base: { title: 'base', pattern: 'http://127\\.0\\.0\\.1:[0-9]+' } },
  auth: [
    {
      mode: 'oauth2_code',
      authorization_url: '{base}/authorize',
      token_url: '{base}/token',
      refresh: { min_age: MIN_AGE_SECONDS, idle_lifetime: LIFE_SECONDS },
    },
  ],
};

let clock: MovingClock;
let broker: TestBroker;
let provider: ScriptedServer;
let id: string;
let issued: number;

beforeEach(async () => {
  issued = 0;
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-providers-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'aging.json'), JSON.stringify(aging));
  provider = await startScriptedServer(() => ({
    body: { access_token: `at-${++issued}`, token_type: 'Bearer', refresh_token: 'rt', expires_in: LIFE_SECONDS },
  }));
  clock = createMovingClock();
  broker = await startTestBroker({ VALETKEY_PROVIDERS_DIR: folder }, undefined, { clock, refreshAhead: false });
  const params = { base: provider.url };
  await putIntegration(broker, 'acme', { provider: 'aging', client_id: 'client', client_secret: 'secret', params });
  const body = { integration: 'acme', owner: 'ada', credentials: { refresh_token: 'rt', access_token: 'at-imported' } };
  id = String((await broker.ask('POST', '/v1/connections', body)).body.id);
});
afterEach(async () => {
  await provider.close();
  await broker.stop();
});

const refresh = async (): Promise<Json> => (await broker.ask('POST', `/v1/connections/${id}/refresh`, {})).body;
const refuse = (rejected_token: string) => broker.ask('POST', `/v1/connections/${id}/refresh`, { rejected_token });
const nextRefreshIn = async (): Promise<number> => {
  const { body } = await broker.ask('GET', `/v1/connections/${id}`);
  return (Date.parse(String(body.next_refresh_at)) - clock.now()) / 1_000;
};

test('refresh: a token younger than min_age is served as it is, an older one is renewed', async () => {
  expect((await refresh()).access_token).toBe('at-imported');
  clock.advance((MIN_AGE_SECONDS - 60) * 1_000);
  expect((await refresh()).access_token).toBe('at-imported');
  expect(provider.received).toEqual([]);
  clock.advance(61_000);
  expect((await refresh()).access_token).toBe('at-1');
  expect((await refresh()).access_token).toBe('at-1');
  expect(provider.received).toHaveLength(1);
});

test('refresh with a rejected token that is younger than min_age: 503, and the provider is not asked', async () => {
  const answer = await refuse('at-imported');
  expectProblem(answer, 503, 'provider_unavailable');
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(provider.received).toEqual([]);
  clock.advance((MIN_AGE_SECONDS + 1) * 1_000);
  expect((await refuse('at-imported')).body.access_token).toBe('at-1');
});

test('refresh with a rejected token that the provider issues again: 503, never the rejected one', async () => {
  clock.advance((MIN_AGE_SECONDS + 1) * 1_000);
  expect((await refuse('at-imported')).body.access_token).toBe('at-1');
  clock.advance((MIN_AGE_SECONDS + 1) * 1_000);
  issued = 0;
  expectProblem(await refuse('at-1'), 503, 'provider_unavailable');
  expect(provider.received).toHaveLength(2);
});

test('next refresh: never before min_age, after an import and after a refresh', async () => {
  expect(await nextRefreshIn()).toBeGreaterThan(MIN_AGE_SECONDS - 60);
  clock.advance((MIN_AGE_SECONDS + 1) * 1_000);
  await refresh();
  expect(provider.received).toHaveLength(1);
  expect(await nextRefreshIn()).toBeGreaterThan(MIN_AGE_SECONDS - 60);
});
