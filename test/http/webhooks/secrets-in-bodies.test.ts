// A token that authenticates a sender in the body is the same for all owners of an integration: who hears of one owner's webhook is
// not told it, or could send those of others.
import { createHmac, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk } from '../../support/contract.ts';

const SECRET = 'clientState/of-the-"deployment"';
let broker: TestBroker;
beforeAll(async () => {
  broker = await startTestBroker();
});
afterAll(() => broker.stop());

async function setUp(id: string, provider: string, mode: string | undefined, params: object): Promise<string> {
  const webhook = { secrets: [SECRET] };
  const own = { client_id: 'app', client_secret: 'secret', params: mode === undefined ? {} : { mode } };
  expectOk(await broker.ask('PUT', `/v1/integrations/${id}`, { provider, ...own, webhook }), 201);
  const owner = `owner-${randomUUID()}`;
  const credentials = mode === undefined ? { api_key: 'key-of-the-owner' } : {};
  const wanted = { integration: id, owner, params, credentials };
  expectOk(await broker.ask('POST', '/v1/connections', wanted), 201);
  return owner;
}

/** What a caller for this owner alone hears, and what an admin is shown. */
async function told(integration: string, owner: string, body: string, type: string): Promise<string[]> {
  const key = await broker.callerKey({ actions: ['events'], integrations: [integration], owners: [owner] });
  const url = `${broker.url}/webhooks/${integration}`;
  const sent = await fetch(url, { method: 'POST', headers: { 'content-type': type }, body });
  expect(sent.status).toBeLessThan(300);
  const heard = async () =>
    JSON.stringify(expectOk(await broker.ask('GET', '/v1/events?types=webhook.received', undefined, key)).data);
  await expect.poll(heard, { timeout: 30_000 }).toContain('webhook_id');
  const { data } = expectOk(await broker.ask('GET', `/v1/webhooks?integration=${integration}`));
  const [{ id }] = data as [{ id: string }];
  return [await heard(), JSON.stringify(expectOk(await broker.ask('GET', `/v1/webhooks/${id}`)))];
}

test('the clientState of Microsoft Graph is handed on to no one', async () => {
  const tenant = '11111111-2222-3333-4444-555555555555';
  const owner = await setUp('graph', 'microsoft-entra', 'oauth2_client_credentials', { tenant });
  const notification = {
    subscriptionId: 's1',
    clientState: SECRET,
    tenantId: tenant,
    resource: 'users/7',
    changeType: 'updated',
  };
  const shown = await told('graph', owner, JSON.stringify({ value: [notification] }), 'application/json');
  for (const one of shown) {
    expect(one).toContain('users/7');
    expect(one).toMatch(/clientState.{5}\*{30,}/);
    expect(one).not.toContain('of-the-');
  }
});

test('the signature of Mailgun, which covers nothing of the event, is handed on to no one', async () => {
  const owner = await setUp('mailgun', 'mailgun', undefined, { domain: 'mail.example.com' });
  const timestamp = String(Math.floor(Date.now() / 1_000));
  const signature = createHmac('sha256', SECRET).update(`${timestamp}token-of-50`).digest('hex');
  const event = { id: 'e1', event: 'delivered', domain: { name: 'mail.example.com' } };
  const body = { signature: { timestamp, token: 'token-of-50', signature }, 'event-data': event };
  for (const one of await told('mailgun', owner, JSON.stringify(body), 'application/json')) {
    expect(one).toContain('mail.example.com');
    expect(one).not.toContain(signature);
  }
});
