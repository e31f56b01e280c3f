// What is counted by the hour: gathered in memory, added to the store, and not lost when a store fails or a broker stops.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createHourlyCounter } from '../../../src/broker/counts/index.ts';
import type { HourlyCount } from '../../../src/domain/hourly-counts.ts';
import { StoreError } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anEntry, NOW } from '../../stores/builders.ts';
import { startTestSetup } from '../../support/broker-setup.ts';
import { expectOk } from '../../support/contract.ts';

const HOUR_MS = 3_600_000;
const ALL = { from: 0, to: Number.MAX_SAFE_INTEGER };
const lines = (counts: HourlyCount[]) =>
  counts.map(({ integration, metric, outcome, count }) => `${metric} ${integration} ${outcome} ${count}`).sort();

test('counts of different hours are apart; what a failing store does not take is added once it does', async () => {
  const store = await openSqlite('file::memory:');
  onTestFinished(() => store.close());
  let now = NOW;
  let isDown = true;
  const addHourlyCounts = async (counts: readonly HourlyCount[]) => {
    if (isDown) throw new StoreError('down');
    await store.addHourlyCounts(counts);
  };
  const counter = createHourlyCounter({
    store: { addHourlyCounts },
    clock: { now: () => now },
    log: createLogger('silent'),
  });
  counter.note('refresh', 'slack', 'ok');
  counter.note('refresh', 'slack', 'ok');
  await counter.flush();
  now += HOUR_MS;
  counter.note('refresh', 'slack', 'ok');
  counter.noteEntries([
    anEntry({ action: 'token.read', at: NOW, count: 7 }),
    anEntry({ action: 'token.read', at: NOW + HOUR_MS, count: 2 }),
    anEntry({ action: 'connection.read', at: NOW, count: 9 }),
  ]);
  await counter.flush();
  expect(await store.hourlyCounts(ALL)).toEqual([]);
  isDown = false;
  await Promise.all([counter.flush(), counter.flush()]);
  const stored = await store.hourlyCounts(ALL);
  const [first, second] = [NOW - (NOW % HOUR_MS), NOW - (NOW % HOUR_MS) + HOUR_MS];
  const at = (hour: number) => lines(stored.filter((one) => one.hour === hour));
  expect(at(first)).toEqual(['read slack ok 7', 'refresh slack ok 2']);
  expect(at(second)).toEqual(['read slack ok 2', 'refresh slack ok 1']);
});

test('a broker counts refreshes, reads, calls and webhooks, and writes them when it stops', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-counts-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const url = `file:${join(folder, 'valetkey.db')}`;
  const setup = await startTestSetup({ VALETKEY_DATABASE_URL: url });
  const { broker, importConnection, inSeconds, integrationBody } = setup;
  const id = await importConnection('ada', { access_token: 'a', expires_at: inSeconds(600) });
  for (let i = 0; i < 5; i++) expectOk(await broker.ask('GET', `/v1/connections/${id}/token`));
  expectOk(await broker.ask('POST', `/v1/connections/${id}/refresh`, {}));
  const { overrides } = integrationBody as { overrides: object };
  const api = { ...integrationBody, overrides: { ...overrides, api_base_url: broker.url } };
  expectOk(await broker.ask('PUT', '/v1/integrations/acme', api));
  for (const path of ['healthz', 'healthz', 'nothing']) await broker.ask('GET', `/v1/connections/${id}/proxy/${path}`);
  await fetch(new URL('/webhooks/acme', broker.url), { method: 'POST' });
  await setup.close();
  const store = await openSqlite(url);
  onTestFinished(() => store.close());
  expect(lines(await store.hourlyCounts(ALL))).toEqual([
    'call acme 2xx 2',
    'call acme 4xx 1',
    // The answer to the refresh has the token as well.
    'read acme ok 6',
    'refresh acme ok 1',
    'webhook  not_set_up 1',
  ]);
});
