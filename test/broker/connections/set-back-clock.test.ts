// When the times of the store are corrected: at the start, and after the clock was set back.
import { expect, onTestFinished, test } from 'vitest';
import { createSetBackClock } from '../../../src/broker/connections/set-back-clock.ts';
import { DELIVERY_RETRIES_MS } from '../../../src/domain/time-limits.ts';
import { startTestBroker } from '../../support/broker.ts';
import { expectOk } from '../../support/contract.ts';
import { startScriptedServer } from '../../support/scripted-server.ts';
import { startWebhookReceiver, status } from '../../support/webhook-receiver.ts';

const HOUR = 3_600_000;
const SOON = { timeout: 30_000, interval: 20 };

const DELIVERIES = ['deliveries after undefined', 'deliveries after failing dlv_9'];
const DUE = ['due after undefined', 'due after con_9'];

function setup({ failed = 0, deliveries = 0 } = {}) {
  const asked: string[] = [];
  const state = { now: 10 * HOUR, monotonic: 0, failed, deliveries, isDown: false };
  const nothing = { retried: 0, corrected: 0, next: null };
  const clock = { now: () => state.now, monotonic: () => state.monotonic };
  const log = { debug() {}, info() {}, error() {}, warn: () => void asked.push('warned') };
  const { correct } = createSetBackClock({
    store: {
      async correctTimes(now) {
        if (state.isDown) throw new Error('down');
        asked.push(`times ${now / HOUR}`);
        return 0;
      },
      async retryFailed() {
        asked.push('failed');
        return { ...nothing, retried: state.failed };
      },
      async correctDeliveries(_, { after }) {
        asked.push(`deliveries after ${after}`);
        return { ...nothing, corrected: state.deliveries, next: after === undefined ? 'failing dlv_9' : null };
      },
      async correctDueTimes(_, { after }) {
        asked.push(`due after ${after}`);
        return { ...nothing, next: after === undefined ? 'con_9' : null };
      },
    },
    ...{ clock, log },
    pause: async () => undefined,
    isStopped: () => false,
  });
  return {
    state,
    async corrected() {
      await correct();
      return asked.splice(0);
    },
  };
}

test('times are corrected once at the start, and all connections examined only where there is a sign of it', async () => {
  const clean = setup();
  expect(await clean.corrected()).toEqual(['times 10', 'failed', ...DELIVERIES]);
  expect(await clean.corrected()).toEqual([]);
  for (const sign of [{ failed: 1 }, { deliveries: 1 }])
    expect(await setup(sign).corrected()).toEqual(['times 10', 'failed', ...DELIVERIES, ...DUE, 'warned']);
});

test('times are corrected after the clock was set back, and not as it goes on, ahead, or back by a little', async () => {
  const { state, corrected } = setup();
  await corrected();
  for (const [wall, monotonic] of [
    [60_000, 60_000],
    [HOUR, 0],
    [-5_000, 0],
  ] as const) {
    state.now += wall;
    state.monotonic += monotonic;
    expect(await corrected()).toEqual([]);
  }
  state.now -= HOUR;
  state.isDown = true;
  await expect(corrected()).rejects.toThrow('down');
  state.isDown = false;
  expect((await corrected()).slice(1)).toEqual(['failed', ...DELIVERIES, ...DUE]);
  expect(await corrected()).toEqual([]);
});

test('a refresh that failed while the clock was an hour ahead is tried again as soon as it is set back', async () => {
  let aheadMs = HOUR;
  let isDown = true;
  const provider = await startScriptedServer(async () =>
    isDown
      ? { status: 503, body: {} }
      : { body: { access_token: 'at-2', refresh_token: 'rt-2', token_type: 'Bearer', expires_in: 3_600 } },
  );
  const clock = { now: () => Date.now() + aheadMs, monotonic: () => performance.now() };
  const { ask, stop } = await startTestBroker({}, undefined, { clock, outboxEveryMs: 20 });
  onTestFinished(async () => {
    await stop();
    await provider.close();
  });
  const params = { authorization_url: `${provider.url}/authorize`, token_url: `${provider.url}/token` };
  const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
  expectOk(await ask('PUT', '/v1/integrations/acme', setup), 201);
  const credentials = { refresh_token: 'rt-1' };
  const { id } = expectOk(await ask('POST', '/v1/connections', { integration: 'acme', owner: 'o', credentials }), 201);
  const shown = async () => (await ask('GET', `/v1/connections/${id}`)).body;
  await expect.poll(shown, SOON).toMatchObject({ last_refresh_error: { code: 'http_503' } });
  isDown = false;
  aheadMs = 0;
  await expect.poll(shown, SOON).toMatchObject({ generation: 2, last_refresh_error: null });
});

test('a delivery that failed while the clock was an hour ahead is attempted again after its wait once it is set back', async () => {
  let aheadMs = HOUR;
  const receiver = await startWebhookReceiver();
  receiver.answer('/hooks', status(503));
  const clock = { now: () => Date.now() + aheadMs, monotonic: () => performance.now() };
  const { ask, stop } = await startTestBroker({}, undefined, { clock, outboxEveryMs: 20, deliverEveryMs: 20 });
  onTestFinished(async () => {
    await stop();
    await receiver.close();
  });
  const endpoint = { url: `${receiver.url}/hooks` };
  const { id } = expectOk(await ask('POST', '/v1/webhook-endpoints', endpoint), 201);
  expectOk(await ask('POST', `/v1/webhook-endpoints/${id}/test`), 202);
  const shown = async () => (await ask('GET', `/v1/deliveries?endpoint=${id}`)).body.data;
  await expect.poll(shown, SOON).toMatchObject([{ status: 'failing', attempts: 1 }]);
  receiver.answer('/hooks', status(204));
  aheadMs = 0;
  const nextAttempt = async () =>
    Date.parse(((await shown()) as { next_attempt_at: string }[])[0]!.next_attempt_at) - Date.now();
  await expect.poll(nextAttempt, SOON).toBeLessThan(2 * DELIVERY_RETRIES_MS[0]);
  expect(await shown()).toMatchObject([{ status: 'failing', attempts: 1 }]);
  aheadMs = 2 * DELIVERY_RETRIES_MS[0];
  await expect.poll(shown, SOON).toMatchObject([{ status: 'delivered', attempts: 2 }]);
});
