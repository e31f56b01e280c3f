// The broker's client at the authorization server of a resource: registered by hand, by a metadata document, or by itself once for
// all connections; and again when the server does not know it any more.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk, expectProblem } from '../../support/contract.ts';
import { createMovingClock } from '../../support/moving-clock.ts';
import { newOwner, readDatabaseFiles } from '../../support/owner-browser.ts';
import { connectResource, type ResourceServer, startResourceServer, walk } from '../../support/resource-server.ts';

let broker: TestBroker;
let resource: ResourceServer;
const clock = createMovingClock();

beforeAll(async () => {
  [broker, resource] = await Promise.all([
    startTestBroker({ VALETKEY_APP_NAME: 'Acme' }, undefined, { clock, outboxEveryMs: 20, refreshAhead: false }),
    startResourceServer(),
  ]);
});
afterAll(async () => {
  await broker.stop();
  await resource.close();
});
beforeEach(() => {
  Object.assign(resource.as, { metadata: {}, registered: {} });
});

let integrations = 0;
async function integrate(more: object = {}, params: object = {}): Promise<string> {
  const id = `docs-${++integrations}`;
  const body = { provider: 'mcp', params: { server_url: resource.url, ...params }, ...more };
  expectOk(await broker.ask('PUT', `/v1/integrations/${id}`, body), 201);
  return id;
}
const sessionFor = (integration: string) =>
  broker.ask('POST', '/v1/connect-sessions', { integration, owner: newOwner() });
const refresh = (id: string) => broker.ask('POST', `/v1/connections/${id}/refresh`, {});
const registrations = () => resource.as.registrations().length;
const lastClient = () => resource.as.lastAuthorization.get('client_id') ?? '';
/** Purged at the server, with all that it has issued to it. */
const purge = (client: string) => resource.as.clients.delete(client);

describe('a registered client', () => {
  it('is one for all connections, also for those that begin at once; it is in no answer, and its secret in no file', async () => {
    const [integration, had] = [await integrate(), registrations()];
    const links = await Promise.all(Array.from({ length: 20 }, () => sessionFor(integration)));
    expect(links.map(({ status }) => status)).toEqual(links.map(() => 201));
    expect(registrations() - had).toBe(1);
    await connectResource(broker, integration, newOwner());
    await connectResource(broker, integration, newOwner());
    expect(registrations() - had).toBe(1);
    expect(JSON.parse(resource.as.registrations().at(-1)?.body ?? '')).toEqual({
      client_name: 'Acme',
      client_uri: broker.url,
      redirect_uris: [`${broker.url}/oauth2/callback/${integration}`],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      application_type: 'web',
      token_endpoint_auth_method: 'client_secret_basic',
    });
    const { secret } = resource.as.clients.get(lastClient())!;
    expect(await readDatabaseFiles(broker)).not.toContain(secret);
    const { body } = await broker.ask(
      'GET',
      `/v1/audit?action=integration.client_registered&integration=${integration}`,
    );
    expect(body.data).toMatchObject([{ actor: 'system', detail: resource.as.issuer }]);
  });

  it.each([
    ['none', ['none'], { client_secret: '' }],
    ['none', ['none'], { client_secret: 'unasked', token_endpoint_auth_method: 'none' }],
    ['client_secret_post', ['client_secret_post', 'none'], {}],
  ])('authenticates as the server has it: %s of %j', async (method, supported, registered) => {
    resource.as.metadata = { token_endpoint_auth_methods_supported: supported };
    resource.as.registered = registered;
    const id = await connectResource(broker, await integrate(), newOwner());
    expectOk(await refresh(id));
    expect(resource.as.clients.get(lastClient())?.method).toBe(method);
    expect(resource.as.tokenRequests.at(-1)?.has('client_secret')).toBe(method === 'client_secret_post');
  });

  it('that the server does not know at the code exchange is registered again, and the owner sent on once more', async () => {
    const integration = await integrate();
    const link = expectOk(await sessionFor(integration), 201);
    const had = registrations();
    const begun = await walk(String(link.url), {}, undefined, (back) => {
      purge(lastClient());
      return back;
    });
    // To the authorization server again, as the new client.
    expect(begun.status).toBe(303);
    expect(registrations() - had).toBe(1);
    const client = new URL(begun.location ?? '').searchParams.get('client_id');
    expect(resource.as.clients.has(client ?? '')).toBe(true);
  });

  it('that the server refuses whatever is registered is registered again once, and the session fails', async () => {
    const integration = await integrate();
    const link = expectOk(await sessionFor(integration), 201);
    const had = registrations();
    resource.as.intercept = ({ path }) =>
      path === '/token' ? { status: 401, body: { error: 'invalid_client' } } : undefined;
    const jar = (await import('../../../demo/browser.ts')).createCookieJar();
    const again = await walk(String(link.url), {}, jar);
    const { visit } = await import('../../support/owner-browser.ts');
    const authorized = await fetch(again.location ?? '', { redirect: 'manual' });
    const page = await visit(authorized.headers.get('location') ?? '', jar);
    resource.as.intercept = () => undefined;
    expect(page.status).toBe(502);
    expect(registrations() - had).toBe(1);
    const { status, error } = expectOk(await broker.ask('GET', `/v1/connect-sessions/${link.id}`));
    expect({ status, error }).toEqual({ status: 'failed', error: 'integration_misconfigured' });
  });

  it('that was purged is registered again once by the refreshes of all its connections, which then need their owners', async () => {
    const integration = await integrate();
    const ids = [];
    for (let n = 0; n < 3; n++) ids.push(await connectResource(broker, integration, newOwner()));
    purge(lastClient());
    const had = registrations();
    const answers = await Promise.all(ids.map(refresh));
    expect(registrations() - had).toBe(1);
    for (const { body } of answers) expect(body.code).toMatch(/reauthorization_required|provider_unavailable/);
    // The next owner connects as the new client.
    expectOk(await refresh(await connectResource(broker, integration, newOwner())));
    expect(registrations() - had).toBe(1);
  });

  it('is replaced before its secret expires', async () => {
    const day = 86_400_000;
    resource.as.registered = { client_secret_expires_at: Math.floor((clock.now() + day) / 1_000) };
    const integration = await integrate();
    await connectResource(broker, integration, newOwner());
    const first = lastClient();
    clock.advance(day - 2 * 3_600_000);
    await connectResource(broker, integration, newOwner());
    expect(lastClient()).toBe(first);
    clock.advance(1.5 * 3_600_000);
    await connectResource(broker, integration, newOwner());
    expect(lastClient()).not.toBe(first);
  });

  it('that is refused, and a server that registers none, are said with the redirect URI that is to be registered by hand', async () => {
    resource.as.intercept = ({ path }) =>
      path === '/register'
        ? { status: 400, body: { error: 'invalid_redirect_uri', error_description: 'xyz' } }
        : undefined;
    const refused = expectProblem(await sessionFor(await integrate()), 502, 'integration_misconfigured');
    resource.as.intercept = () => undefined;
    expect(refused.reason).toBe('registration_refused');
    expect(refused.detail).toContain('answered 400 (invalid_redirect_uri)');
    expect(refused.detail).not.toContain('xyz');
    resource.as.metadata = { registration_endpoint: undefined };
    const integration = await integrate();
    const none = expectProblem(await sessionFor(integration), 502, 'integration_misconfigured');
    expect(none.reason).toBe('client_not_registered');
    expect(none.detail).toContain(`${broker.url}/oauth2/callback/${integration}`);
  });
});

describe('other clients', () => {
  it('one that was registered by hand is used as it is, and no other is made', async () => {
    const had = registrations();
    const client = { id: 'by-hand', secret: 'a-secret-of-ours', method: 'client_secret_basic' };
    const integration = await integrate(
      { client_id: client.id, client_secret: client.secret },
      { issuer: resource.as.issuer },
    );
    const redirectUris = [`${broker.url}/oauth2/callback/${integration}`];
    resource.as.clients.set(client.id, { ...client, redirectUris });
    expectOk(await refresh(await connectResource(broker, integration, newOwner())));
    expect([lastClient(), registrations()]).toEqual([client.id, had]);
  });

  it('where the server takes metadata documents, the client id is the URL of one over https: here, of one elsewhere', async () => {
    resource.as.metadata = { client_id_metadata_document_supported: true };
    const elsewhere = 'https://conformance-test.local/client-metadata.json';
    for (const params of [{}, { client_metadata_url: elsewhere }]) {
      const had = registrations();
      const integration = await integrate({}, params);
      const url = `${broker.url}/oauth2/clients/${integration}.json`;
      const redirectUris = [`${broker.url}/oauth2/callback/${integration}`];
      const isOurs = Object.keys(params).length === 0;
      resource.as.clients.set(elsewhere, { id: elsewhere, secret: undefined, method: 'none', redirectUris });
      expectOk(await refresh(await connectResource(broker, integration, newOwner())));
      // This broker has no public address: its document is no client id.
      expect(registrations()).toBe(had + (isOurs ? 1 : 0));
      if (!isOurs) expect(lastClient()).toBe(elsewhere);
      const document = await fetch(url, { redirect: 'error' });
      expect(document.headers.get('cache-control')).toBe('max-age=3600');
      expect(document.headers.get('content-type')).toMatch(/^application\/json/);
      const text = await document.text();
      expect(text.length).toBeLessThan(5_000);
      expect(JSON.parse(text)).toEqual({
        client_id: url,
        client_name: 'Acme',
        client_uri: broker.url,
        redirect_uris: redirectUris,
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        application_type: 'web',
        token_endpoint_auth_method: 'none',
        token_endpoint_auth_methods_supported: ['none', 'private_key_jwt'],
        jwks_uri: `${broker.url}/oauth2/jwks`,
      });
      const signing = url.replace(/json$/, 'private_key_jwt.json');
      expect(await (await fetch(signing)).json()).toEqual({
        ...JSON.parse(text),
        client_id: signing,
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_methods_supported: ['private_key_jwt'],
      });
    }
    expectProblem(await broker.ask('GET', '/oauth2/clients/none.json'), 404, 'not_found');
  });
});
