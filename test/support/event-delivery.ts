// A test setup for deliveries: a broker that delivers events to a receiver on loopback, by a clock that the test sets.
import { afterAll, afterEach, expect, vi } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from './broker.ts';
import { expectOk } from './contract.ts';
import { createMovingClock } from './moving-clock.ts';
import { type ReceivedDelivery, startWebhookReceiver, type WebhookReceiver } from './webhook-receiver.ts';

/** For `vi.waitFor`: the first delivery loads the outbound client. */
export const PATIENT = { timeout: 30_000 };

export interface TestEndpoint {
  id: string;
  secret: string;
  /** At the receiver. */
  path: string;
  /** In the API. */
  at: string;
  /** As the broker answered. */
  body: Json;
}

export interface EventDelivery {
  broker: TestBroker;
  receiver: WebhookReceiver;
  /** The broker's time in ms. */
  now(): number;
  advance(ms: number): void;
  /** One with a path of its own, of the caller with `key`. It is deleted after the test. */
  endpoint(settings?: Json, key?: string): Promise<TestEndpoint>;
  /** Imports one; by default of an owner of its own. */
  connection(integration: string, owner?: string): Promise<{ id: string; owner: string }>;
  /** What arrived at the path, once it is so many. */
  arrived(path: string, count: number): Promise<ReceivedDelivery[]>;
  deliveriesOf(endpoint: string, key?: string): Promise<Json[]>;
}

/** With these integrations. Due deliveries are looked for every `deliverEveryMs`. It ends after the tests of the file. */
export async function startEventDelivery(integrations: string[], deliverEveryMs = 20): Promise<EventDelivery> {
  let paths = 0;
  let owners = 0;
  let made: string[] = [];
  const clock = createMovingClock();
  const receiver = await startWebhookReceiver();
  const broker = await startTestBroker({}, undefined, { clock, deliverEveryMs, refreshAhead: false });
  afterEach(async () => {
    for (const id of made) await broker.ask('DELETE', `/v1/webhook-endpoints/${id}`);
    made = [];
  });
  afterAll(async () => {
    await receiver.close();
    await broker.stop();
  });
  for (const id of integrations) {
    const integration = { provider: 'stripe', params: { mode: 'api_key' } };
    expect((await broker.ask('PUT', `/v1/integrations/${id}`, integration)).status).toBe(201);
  }
  return {
    broker,
    receiver,
    now: clock.now,
    advance: clock.advance,
    async endpoint(settings = {}, key) {
      const path = `/${++paths}`;
      const request = { url: receiver.url + path, ...settings };
      const body = expectOk(await broker.ask('POST', '/v1/webhook-endpoints', request, key), 201);
      const { id, secret } = body as { id: string; secret: string };
      made.push(id);
      return { id, secret, path, at: `/v1/webhook-endpoints/${id}`, body };
    },
    async connection(integration, owner = `user_${++owners}`) {
      const credentials = { api_key: `sk_test_${'x'.repeat(24)}` };
      const { body } = await broker.ask('POST', '/v1/connections', { integration, owner, credentials });
      return { id: String(body.id), owner };
    },
    arrived: (path, count) =>
      vi.waitFor(() => {
        const all = receiver.at(path);
        expect(all).toHaveLength(count);
        return all;
      }, PATIENT),
    deliveriesOf: async (endpoint, key) =>
      expectOk(await broker.ask('GET', `/v1/deliveries?endpoint=${endpoint}`, undefined, key)).data as Json[],
  };
}
