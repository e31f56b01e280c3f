// Limits of an API, kept by two brokers on one database: a rate that they share, and a block that both heed.

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { callApi, type LimitedApi, startLimitedApi } from '../../support/limited-api.ts';
import { hasPostgres } from '../../support/postgres.ts';
import { createMigratedDatabase } from '../../support/stores.ts';

const stores: [string, (folder: string) => Promise<string>][] = [
  ['SQLite', async (folder) => `file:${join(folder, 'shared.db')}`],
  ['PostgreSQL', createMigratedDatabase],
];

describe.each(hasPostgres() ? stores : stores.slice(0, 1))(
  'limits of APIs on %s, at two replicas:',
  (_, databaseIn) => {
    let folder: string;
    let api: LimitedApi;
    let here: TestBroker;
    let there: TestBroker;
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'valetkey-replicas-'));
      api = await startLimitedApi({ scope: 'connection' });
      const env = {
        VALETKEY_DATABASE_URL: await databaseIn(folder),
        VALETKEY_DATA_DIR: folder,
        VALETKEY_KEYS: `k1:${randomBytes(32).toString('base64url')}`,
        VALETKEY_PROVIDERS_DIR: api.providers,
      };
      // Counted together, however slow this machine is.
      const tuning = { refreshAhead: false, limitsEveryMs: 20, limitsWaitMs: 60_000 };
      here = await startTestBroker(env, undefined, tuning);
      there = await startTestBroker({ ...env, VALETKEY_DATA_DIR: join(folder, 'there') }, undefined, tuning);
    });
    afterAll(async () => {
      await Promise.all([here?.stop(), there?.stop()]);
      await api?.close();
      await rm(folder, { recursive: true, force: true });
    });

    test('a rate is that of both together', async () => {
      const id = await api.connect(here, 'rated', 'ada', { rate: { requests: 10, window: 10_000 } });
      const calls = Array.from({ length: 30 }, (_, i) => callApi(i % 2 ? here : there, id));
      const statuses = (await Promise.all(calls)).map(({ status }) => status);
      expect(statuses.filter((status) => status === 200)).toHaveLength(10);
      expect(statuses.filter((status) => status === 429)).toHaveLength(20);
      expect(api.upstream.requests).toHaveLength(10);
    });

    test('a refusal at one blocks the bucket at the other', async () => {
      const id = await api.connect(here, 'blocked', 'grace');
      api.answers('429 Too Many Requests', ['Retry-After: 60']);
      expect((await callApi(here, id)).status).toBe(429);
      api.answers('200 OK');
      api.upstream.requests = [];
      await expect.poll(async () => (await callApi(there, id)).status, { interval: 20 }).toBe(429);
      const sent = api.upstream.requests.length;
      const { body } = await callApi(there, id);
      expect(body).toMatchObject({ code: 'upstream_rate_limited', scope: 'connection' });
      expect(body.retry_after).toBeGreaterThan(50);
      expect(api.upstream.requests).toHaveLength(sent);
    });
  },
);
