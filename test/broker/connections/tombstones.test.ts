// Tombstones are deleted after their time: a real broker, whose clock is moved.
import { expect, onTestFinished, test } from 'vitest';
import { startHousekeeping } from '../../../src/broker/connections/housekeeping.ts';
import { startTestBroker } from '../../support/broker.ts';
import { createMovingClock } from '../../support/moving-clock.ts';

const DAY = 86_400_000;

async function brokerWith(env: Record<string, string>) {
  const clock = createMovingClock();
  const broker = await startTestBroker(env, undefined, { clock, outboxEveryMs: 5 });
  onTestFinished(broker.stop);
  const urls = { authorization_url: `${broker.url}/authorize`, token_url: `${broker.url}/token` };
  const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params: urls };
  expect((await broker.ask('PUT', '/v1/integrations/acme', setup)).status).toBe(201);
  return {
    ask: broker.ask,
    move: clock.advance,
    async imported(owner: string): Promise<string> {
      const credentials = { access_token: 'at' };
      const { body } = await broker.ask('POST', '/v1/connections', { integration: 'acme', owner, credentials });
      return String(body.id);
    },
  };
}

test('a revoked connection is shown as revoked for its days, then its id is not found; what lives stays', async () => {
  const { ask, move, imported } = await brokerWith({ VALETKEY_TOMBSTONE_DAYS: '30' });
  const [revoked, living] = [await imported('ada'), await imported('grace')];
  const read = (id: string) => ask('GET', `/v1/connections/${id}`);
  const { body } = await ask('DELETE', `/v1/connections/${revoked}`);
  expect(body).toMatchObject({ status: 'revoked', upstream_revocation: 'unsupported' });
  move(29 * DAY);
  const marker = await imported('edsger');
  await ask('DELETE', `/v1/connections/${marker}`);
  expect((await read(revoked)).body).toMatchObject({ status: 'revoked' });
  expect((await ask('GET', `/v1/connections/${revoked}/token`)).status).toBe(410);
  move(2 * DAY);
  await expect.poll(async () => (await read(revoked)).status).toBe(404);
  expect((await ask('GET', `/v1/connections/${revoked}/token`)).status).toBe(404);
  expect((await read(marker)).body).toMatchObject({ status: 'revoked' });
  expect((await read(living)).body).toMatchObject({ status: 'active' });
  const { body: audit } = await ask('GET', `/v1/audit?connection_id=${revoked}&action=connection.revoked`);
  expect(audit.data).toHaveLength(1);
});

/** Housekeeping on a store in which only tombstones are left to do. `portions`: what is examined and found, page by page. */
async function purges(tombstoneDays: number | null, portions: { purged: number; next: string | null }[]) {
  const asked: unknown[] = [];
  let now = 1_000 * DAY;
  let rounds = 0;
  const left = [...portions];
  const nothing = async () => false;
  const housekeeping = startHousekeeping({
    store: {
      deleteExpired: nothing,
      deleteUnreadableResponses: nothing,
      deleteCapturedCalls: nothing,
      deleteHourlyCounts: nothing,
      deleteRegistrations: nothing,
      foldConnectionCounts: nothing,
      wipeDeleted: async () => true,
      correctTimes: async () => 0,
      correctDueTimes: async () => ({ corrected: 0, next: null }),
      correctDeliveries: async () => ({ corrected: 0, next: null }),
      retryFailed: async () => ({ retried: 0, next: null }),
      async purgeTombstones(before, { after, limit }) {
        asked.push({ days: (now - before) / DAY, after, limit });
        return left.shift() ?? { purged: 0, next: null };
      },
    },
    endedCandidates: {
      async destroyAll() {
        rounds++;
      },
    },
    tombstoneDays,
    clock: { now: () => now, monotonic: () => now },
    log: { debug() {}, info() {}, warn() {}, error() {} },
    everyMs: 1,
  });
  onTestFinished(housekeeping.stop);
  return {
    asked,
    async rounds(count: number) {
      const until = rounds + count;
      await expect.poll(() => rounds).toBeGreaterThanOrEqual(until);
    },
    pass: (ms: number) => {
      now += ms;
    },
  };
}

test('they are purged page by page, and again a day later', async () => {
  const { asked, rounds, pass } = await purges(30, [
    { purged: 500, next: 'con_b' },
    { purged: 0, next: 'con_d' },
  ]);
  const page = { days: 30, limit: 500 };
  const whole = [
    { ...page, after: undefined },
    { ...page, after: 'con_b' },
    { ...page, after: 'con_d' },
  ];
  await expect.poll(() => asked).toEqual(whole);
  pass(DAY - 1);
  await rounds(3);
  expect(asked).toEqual(whole);
  pass(1 + 60_000);
  await expect.poll(() => asked).toEqual([...whole, { ...page, after: undefined }]);
});

test('forever: nothing is looked for', async () => {
  const { asked, rounds } = await purges(null, []);
  await rounds(3);
  expect(asked).toEqual([]);
});
