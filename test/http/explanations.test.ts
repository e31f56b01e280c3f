// The 3 a.m. drill: what has happened is said where it is looked for, in the API and at the command line, in the same words.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { type ScriptedResponse, type ScriptedServer, startScriptedServer } from '../support/scripted-server.ts';
import { createTerminal, type Valetkey } from '../support/terminal.ts';
import { startWebhookReceiver, status, type WebhookReceiver } from '../support/webhook-receiver.ts';

let broker: TestBroker;
let vendor: ScriptedServer;
let receiver: WebhookReceiver;
let valetkey: Valetkey;
/** By the client that asks, so by integration. */
const answers = new Map<string, ScriptedResponse>();
let secondsLater = 0;

beforeAll(async () => {
  vendor = await startScriptedServer(({ form }) => answers.get(form.get('client_id') ?? '') ?? { status: 500 });
  receiver = await startWebhookReceiver();
  const clock = {
    now: () => Date.now() + secondsLater * 1_000,
    monotonic: () => performance.now() + secondsLater * 1_000,
  };
  broker = await startTestBroker({}, undefined, { clock, refreshAhead: false });
  valetkey = createTerminal({ VALETKEY_URL: broker.url, VALETKEY_KEY: broker.adminKey });
});
afterAll(async () => {
  await broker.stop();
  await vendor.close();
  await receiver.close();
});

const integrationOf = (id: string, secret = 'the-client-secret') => {
  const params = {
    authorization_url: `${vendor.url}/a`,
    token_url: `${vendor.url}/token`,
    client_auth: 'client_secret_post',
  };
  return broker.ask('PUT', `/v1/integrations/${id}`, {
    provider: 'generic-oauth2',
    client_id: id,
    client_secret: secret,
    params,
  });
};
async function connect(integration: string, owner: string): Promise<string> {
  const body = { integration, owner, credentials: { refresh_token: `rt-${owner}` } };
  return String(expectOk(await broker.ask('POST', '/v1/connections', body), 201).id);
}
const read = (id: string) => broker.ask('GET', `/v1/connections/${id}/token`);
const explanation = async (id: string) =>
  expectOk(await broker.ask('GET', `/v1/connections/${id}`)).explanation as Json;
const ofStatus = async (id: string) =>
  (expectOk(await broker.ask('GET', '/v1/status')).integrations as Json[]).find((one) => one.id === id)?.explanation;

test('the provider is down: the vendor, with the next try; then it works, and there is nothing to explain', async () => {
  expectOk(await integrationOf('down'), 201);
  answers.set('down', { status: 503 });
  const [first, ...others] = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((owner) => connect('down', owner)));
  expect(await explanation(first!)).toBeNull();
  const problem = expectProblem(await read(first!), 503, 'provider_unavailable');
  const one = await explanation(first!);
  expect(one).toMatchObject({ fixable_by: 'vendor', since: expect.any(String), until: expect.any(String) });
  expect(String(one.summary)).toContain('outage');
  expect(problem.detail).toContain('has an outage: its token endpoint answers with errors. Wait: ');
  for (const id of others) expectProblem(await read(id), 503, 'provider_unavailable');
  const all = await ofStatus('down');
  expect(all).toMatchObject({ fixable_by: 'vendor', summary: expect.stringContaining('several connections') });
  // Times of a circuit are by the monotonic clock, whose milliseconds are others.
  expect(await explanation(first!)).toEqual({ ...(all as Json), since: expect.any(String), until: expect.any(String) });
  const { err } = await valetkey(['status']);
  expect(err).toContain(`down: ${(all as Json).summary} Since `);

  answers.set('down', { body: { access_token: 'at', token_type: 'Bearer', expires_in: 3_600 } });
  secondsLater += 3_600;
  expectOk(await read(others[0]!));
  expect([await explanation(others[0]!), await ofStatus('down')]).toEqual([null, null]);
});

test('the client secret was replaced at the vendor: the admin, by setting it; nothing of it is shown', async () => {
  expectOk(await integrationOf('rotated', 'the-old-secret'), 201);
  answers.set('rotated', { status: 401, body: { error: 'invalid_client' } });
  const ids = [];
  for (const owner of ['a', 'b', 'c', 'd']) ids.push(await connect('rotated', owner));
  const problem = expectProblem(await read(ids[0]!), 502, 'integration_misconfigured');
  expect(problem.detail).toContain('Set the client secret of the integration');
  expect(await explanation(ids[0]!)).toMatchObject({
    fixable_by: 'admin',
    how: expect.stringContaining('client secret'),
  });
  for (const id of ids.slice(1)) await read(id);
  await expect
    .poll(() => ofStatus('rotated'), { timeout: 30_000 })
    .toMatchObject({
      fixable_by: 'admin',
      since: expect.any(String),
      summary: expect.stringContaining('refuses the client'),
    });
  const shown = await valetkey(['connections', 'show', ids[0]!]);
  expect(shown.out).toMatch(
    /^explanation\t.* refuses the client .*An admin of the integration can fix it\. Set the client secret/m,
  );
  expect(shown.out).not.toContain('the-old-secret');

  expectOk(await integrationOf('rotated', 'the-new-secret'));
  answers.set('rotated', { body: { access_token: 'at', token_type: 'Bearer', expires_in: 3_600 } });
  expectOk(await read(ids[0]!));
  await expect.poll(() => ofStatus('rotated'), { timeout: 30_000 }).toBeNull();
  expect(await explanation(ids[0]!)).toBeNull();
});

test('the owner has withdrawn the consent: the owner, by a connect link; the problem says the same', async () => {
  expectOk(await integrationOf('withdrawn'), 201);
  answers.set('withdrawn', { status: 400, body: { error: 'invalid_grant' } });
  const id = await connect('withdrawn', 'ada');
  const problem = expectProblem(await read(id), 409, 'reauthorization_required');
  const why = await explanation(id);
  expect(why).toMatchObject({ fixable_by: 'owner', since: expect.any(String), until: null });
  const unnamed = String(why.summary).replace(/^.* says that/, 'The provider says that');
  expect(problem.detail).toBe(`${unnamed} ${why.how}`);
  expect(await ofStatus('withdrawn')).toBeNull();
  expect(JSON.parse((await valetkey(['connections', 'show', id, '--json'])).out).explanation).toEqual(why);
  // A caller who may not see the connection learns nothing of it.
  const stranger = await broker.callerKey({ actions: ['token', 'connections:read'], integrations: ['other'] });
  const unseen = expectProblem(await broker.ask('GET', `/v1/connections/${id}`, undefined, stranger), 404, 'not_found');
  expect(unseen.detail).not.toContain('grant is gone');

  expectOk(await broker.ask('DELETE', `/v1/connections/${id}`));
  expect(await explanation(id)).toMatchObject({ fixable_by: 'no_one', since: expect.any(String) });
});

test('a caller with a wrong key: what is wrong with it', async () => {
  const key = await broker.callerKey({ actions: ['token'] });
  const problemWith = async (wrong: string) =>
    expectProblem(
      await broker.ask('GET', '/v1/token?integration=down&owner=a', undefined, wrong),
      401,
      'unauthenticated',
    );
  expect(await problemWith(key.slice(0, -1))).toMatchObject({
    reason: 'mistyped',
    detail: expect.stringContaining('Copy'),
  });
});

test('a dead endpoint: who runs its receiver, since when', async () => {
  receiver.answer('/gone', status(410));
  const made = expectOk(await broker.ask('POST', '/v1/webhook-endpoints', { url: `${receiver.url}/gone` }), 201);
  expect(made.explanation).toBeNull();
  await broker.ask('POST', `/v1/webhook-endpoints/${made.id}/test`);
  const why = async () => expectOk(await broker.ask('GET', `/v1/webhook-endpoints/${made.id}`)).explanation;
  await expect.poll(why, { timeout: 30_000 }).toMatchObject({
    fixable_by: 'admin',
    summary: expect.stringContaining('answered 410'),
    since: expect.any(String),
  });
});
