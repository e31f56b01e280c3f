// `valetkey status`, and GET /v1/status.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Clock } from '../../src/ports/index.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-server.ts';
import { createTerminal, type Valetkey } from '../support/terminal.ts';

/** Milliseconds. It stands, so that an open circuit is not probed because the machine is slow. */
const time = Date.now();
const clock: Clock = { now: () => time, monotonic: () => time };

let broker: TestBroker;
let down: ScriptedServer;
let valetkey: Valetkey;
beforeAll(async () => {
  down = await startScriptedServer(() => ({ status: 500, body: { error: 'server_error' } }));
  broker = await startTestBroker({}, undefined, { clock, refreshAhead: false });
  valetkey = createTerminal({ VALETKEY_URL: broker.url, VALETKEY_KEY: broker.adminKey });
  const params = { authorization_url: `${down.url}/a`, token_url: `${down.url}/token` };
  const setup = { provider: 'generic-oauth2', client_id: 'me', client_secret: 'secret', params };
  for (const id of ['acme', 'quiet']) expectOk(await broker.ask('PUT', `/v1/integrations/${id}`, setup), 201);
});
afterAll(async () => {
  await broker.stop();
  await down.close();
});

test('status: ok while circuits are closed; degraded, with the integration, once one is open', async () => {
  const well = await valetkey(['status']);
  expect(well).toMatchObject({ code: 0, err: expect.stringMatching(/^ok: version \d+\.\d+\.\d+; store ok; /) });
  expect(well.out).toBe('acme\tgeneric-oauth2\tclosed\t0\t0\t0\t0\t0\nquiet\tgeneric-oauth2\tclosed\t0\t0\t0\t0\t0\n');

  for (let i = 0; i < 6; i++) {
    const body = { integration: 'acme', owner: `user_${i}`, credentials: { refresh_token: `rt-${i}` } };
    expectOk(await broker.ask('POST', '/v1/connections', body), 201);
    expectProblem(await broker.ask('GET', `/v1/token?integration=acme&owner=user_${i}`), 503, 'provider_unavailable');
  }
  const answer = expectOk(await broker.ask('GET', '/v1/status'));
  expect(answer).toMatchObject({
    status: 'degraded',
    store: 'ok',
    rescued_responses: 0,
    integrations: [
      { id: 'acme', circuit_breaker: expect.stringMatching(/^(open|half_open)$/) },
      { id: 'quiet', circuit_breaker: 'closed' },
    ],
  });
  // One that the open circuit has kept from trying does not fail, unless the machine was so slow that it was the probe. The counters
  // are read again after a moment.
  const connections = async () =>
    (await broker.ask('GET', '/v1/status')).body.integrations as { connections: object }[];
  await expect
    .poll(async () => (await connections())[0]!.connections, { timeout: 30_000 })
    .toMatchObject({ active: 6, failing: expect.toBeOneOf([5, 6]) });
  const ill = await valetkey(['status']);
  expect(ill).toMatchObject({ code: 1, err: expect.stringMatching(/^degraded: .*circuit breakers not closed: acme;/) });
  const json = await valetkey(['status', '--json']);
  expect(json).toMatchObject({ code: 1, err: '' });
  expect(JSON.parse(json.out)).toMatchObject({ status: 'degraded' });
});

test('status: only with admin on all integrations', async () => {
  for (const grant of [{ actions: ['token', 'connections:read'] }, { actions: ['admin'], integrations: ['acme'] }]) {
    const key = await broker.callerKey(grant);
    expectProblem(await broker.ask('GET', '/v1/status', undefined, key), 403, 'forbidden');
  }
  const nobody = await fetch(`${broker.url}/v1/status`);
  expect(nobody.status).toBe(401);
});
