// What ends a grant is what the vendor has signed: a tenant who can have the vendor sign a body of their own, by a webhook to a URL of
// their own, ends no grant of another's with it.
import { createHmac, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk } from '../../support/contract.ts';

const SECRET = 'client-secret-of-the-app';
let broker: TestBroker;
beforeAll(async () => {
  broker = await startTestBroker();
  for (const provider of ['shopify', 'monday']) {
    const wanted = { provider, client_id: 'app', client_secret: SECRET, webhook: {} };
    expectOk(await broker.ask('PUT', `/v1/integrations/${provider}`, wanted), 201);
  }
  const slack = { provider: 'slack', client_id: 'app', client_secret: 'a secret', webhook: { secrets: [SECRET] } };
  expectOk(await broker.ask('PUT', '/v1/integrations/slack', slack), 201);
});
afterAll(() => broker.stop());

async function imported(integration: string, whose: object): Promise<string> {
  const owner = `owner-${randomUUID()}`;
  const credentials = { access_token: randomUUID(), refresh_token: randomUUID(), expires_in: 86_400 };
  const wanted = { integration, owner, credentials, ...whose };
  return String(expectOk(await broker.ask('POST', '/v1/connections', wanted), 201).id);
}

async function send(integration: string, body: string, headers: Record<string, string>): Promise<void> {
  const url = `${broker.url}/webhooks/${integration}`;
  const sent = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
  expect(sent.status).toBe(200);
}

/** Once all that was sent is processed. */
async function statusOf(id: string): Promise<unknown> {
  const waiting = async () => {
    const { data } = expectOk(await broker.ask('GET', '/v1/webhooks?status=received'));
    return (data as unknown[]).length;
  };
  await expect.poll(waiting, { timeout: 30_000 }).toBe(0);
  return expectOk(await broker.ask('GET', `/v1/connections/${id}`)).status;
}

const fromShopify = (body: object, shop: string, topic: string) => {
  const text = JSON.stringify(body);
  return send('shopify', text, {
    'x-shopify-hmac-sha256': createHmac('sha256', SECRET).update(text).digest('base64'),
    'x-shopify-shop-domain': `${shop}.myshopify.com`,
    'x-shopify-topic': topic,
    'x-shopify-event-id': randomUUID(),
  });
};

test('a body of one shop, sent with the topic and the shop of another in headers that nothing signs, ends nothing', async () => {
  const id = await imported('shopify', { params: { shop: 'victims' } });
  const own = { id: 7, myshopify_domain: 'attackers.myshopify.com' };
  await fromShopify(own, 'victims', 'app/uninstalled');
  await fromShopify({ shop_id: 7, shop_domain: 'attackers.myshopify.com' }, 'victims', 'shop/redact');
  expect(await statusOf(id)).toBe('active');
  await fromShopify({ id: 9, myshopify_domain: 'victims.myshopify.com' }, 'victims', 'app/uninstalled');
  expect(await statusOf(id)).toBe('needs_reauth');
  // As the headers say where the body names none.
  const unnamed = await imported('shopify', { params: { shop: 'unnamed' } });
  await fromShopify({ id: 10 }, 'unnamed', 'app/uninstalled');
  expect(await statusOf(unnamed)).toBe('needs_reauth');
});

test('a token that does not cover the body says of no account that the app was uninstalled there', async () => {
  const id = await imported('monday', { captured: { account_id: '1825528' } });
  // As the app's own pages in the browser have it, for a user of another account.
  const token = await new SignJWT({ dat: { account_id: 5, user_id: 6 } })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuedAt()
    .setExpirationTime('5m')
    .sign(Buffer.from(SECRET));
  const body = { type: 'uninstall', data: { account_id: 1825528 } };
  await send('monday', JSON.stringify(body), { authorization: token });
  expect(await statusOf(id)).toBe('active');
});

const fromSlack = (body: object) => {
  const text = JSON.stringify({ type: 'event_callback', event_id: randomUUID(), enterprise_id: 'E1', ...body });
  const at = String(Math.floor(Date.now() / 1_000));
  const signature = createHmac('sha256', SECRET).update(`v0:${at}:${text}`).digest('hex');
  return send('slack', text, { 'x-slack-request-timestamp': at, 'x-slack-signature': `v0=${signature}` });
};

test('of an organisation, what one workspace says is about that one, and about installs for all of them', async () => {
  const captured = { enterprise_id: 'E1' };
  const all = await imported('slack', { captured });
  const other = await imported('slack', { captured: { ...captured, team_id: 'T2' } });
  await fromSlack({ team_id: 'T1', event: { type: 'message', text: 'of T1' } });
  await fromSlack({ team_id: 'T1', event: { type: 'app_uninstalled' } });
  expect([await statusOf(all), await statusOf(other)]).toEqual(['needs_reauth', 'active']);
  const about = async (id: string) =>
    (expectOk(await broker.ask('GET', `/v1/webhooks?connection=${id}`)).data as unknown[]).length;
  expect([await about(all), await about(other)]).toEqual([2, 0]);
});
