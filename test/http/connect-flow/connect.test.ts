// The connect flow from a connect session to a connection, when owner and provider behave as expected.
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../../demo/browser.ts';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import {
  browseToCallback,
  connect,
  connectionOf,
  connectionsOf,
  createConnectSession,
  expectErrorPage,
  newOwner,
  openLink,
  putIntegration,
  putIntegrationAt,
  readDatabaseFiles,
  sessionOf,
  visit,
} from '../../support/owner-browser.ts';
import { type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

let broker: TestBroker;
let provider: LocalProvider;

beforeAll(async () => {
  [broker, provider] = await Promise.all([startTestBroker(), startProvider()]);
  await putIntegrationAt(broker, 'acme', provider, {
    scopes: ['openid', 'offline_access', 'email'],
    return_origins: ['https://app.example'],
  });
});
afterAll(() => Promise.all([broker.stop(), provider.close()]));

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

describe('opening the connect URL', () => {
  test('redirects to the provider with PKCE, state and nonce', async () => {
    const { url } = await createConnectSession(broker);
    const page = await openLink(url);
    expect(page.status).toBe(303);
    const to = new URL(page.location ?? '');
    expect(`${to.origin}${to.pathname}`).toBe(`${provider.issuer}/auth`);
    const asked = Object.fromEntries(to.searchParams);
    expect(asked).toMatchObject({
      response_type: 'code',
      code_challenge_method: 'S256',
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      state: expect.stringMatching(/^[\w-]{43,}$/),
      nonce: expect.stringMatching(/^[\w-]{43,}$/),
      redirect_uri: `${broker.url}/oauth2/callback/acme`,
      scope: 'openid offline_access email',
    });
    expect(new Set([asked.state, asked.nonce, asked.code_challenge, url.split('/').at(-1)]).size).toBe(4);
    expect(page.headers.get('cache-control')).toBe('no-store');
    expect(page.headers.get('referrer-policy')).toBe('no-referrer');
  });

  test('requests the scopes of the session if it has some', async () => {
    const { url } = await createConnectSession(broker, { scopes: ['openid'] });
    expect(new URL((await openLink(url)).location ?? '').searchParams.get('scope')).toBe('openid');
  });

  test('binds the browser by a cookie that is HttpOnly and SameSite', async () => {
    const page = await visit((await createConnectSession(broker)).url);
    const cookie = page.headers.get('set-cookie') ?? '';
    expect(cookie).toMatch(/^valetkey-[\w-]+=[\w-]{43};/);
    expect(cookie).toContain('HttpOnly');
    expect(cookie).toContain('SameSite=Lax');
    expect(cookie).toContain('Path=/');
    expect(cookie).not.toContain('Domain');
  });

  test('uses a new state, nonce and code challenge every time', async () => {
    const jar = createCookieJar();
    const { url } = await createConnectSession(broker);
    const [a, b] = [await openLink(url, jar), await openLink(url, jar)].map(
      (p) => new URL(p.location ?? '').searchParams,
    );
    for (const name of ['state', 'nonce', 'code_challenge']) expect(a?.get(name)).not.toBe(b?.get(name));
  });

  test('does nothing for a HEAD request', async () => {
    const { url } = await createConnectSession(broker);
    const head = await visit(url, createCookieJar(), { method: 'HEAD' });
    expect(head.headers.get('set-cookie')).toBeNull();
    expect((await connect(broker, url)).status).toBe(200);
  });
});

test('browser cookie behind https: __Host- prefix and Secure', async () => {
  const secure = await startTestBroker({
    VALETKEY_PUBLIC_URL: 'https://broker.example',
    VALETKEY_KEYS: `k1:${randomBytes(32).toString('base64url')}`,
  });
  try {
    await putIntegrationAt(secure, 'acme', provider);
    const { url } = await createConnectSession(secure);
    expect(url).toMatch(/^https:\/\/broker\.example\/connect\/[\w-]{43}$/);
    const link = new URL(new URL(url).pathname, secure.url);
    const jar = createCookieJar();
    const cookie = (await visit(link, jar)).headers.get('set-cookie') ?? '';
    expect(cookie).toMatch(/^__Host-valetkey-[\w-]+=[\w-]{43};/);
    const page = await openLink(link, jar);
    for (const attribute of ['Secure', 'HttpOnly', 'SameSite=Lax', 'Path=/']) expect(cookie).toContain(attribute);
    expect(cookie).not.toContain('Domain');
    expect(page.headers.get('strict-transport-security')).toMatch(/max-age=\d+/);
    expect(new URL(page.location ?? '').searchParams.get('redirect_uri')).toBe(
      'https://broker.example/oauth2/callback/acme',
    );
  } finally {
    await secure.stop();
  }
});

describe('the whole connect flow', () => {
  test('creates an active connection and shows a page', async () => {
    const owner = newOwner();
    const invited = await createConnectSession(broker, { owner, label: 'work', metadata: { team: 7 } });
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'pending', integration: 'acme', owner });
    const page = await connect(broker, invited.url);
    expect(page.status).toBe(200);
    expect(page.text).toContain('is connected');
    expect(page.headers.get('cache-control')).toBe('no-store');
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");

    const connection = await connectionOf(broker, invited);
    expect(connection).toMatchObject({
      integration: 'acme',
      owner,
      label: 'work',
      status: 'active',
      reason: null,
      metadata: { team: 7 },
      scopes: expect.arrayContaining(['openid', 'offline_access', 'email']),
      generation: 1,
    });
    const { status, body } = await broker.ask('GET', `/v1/connections/${connection.id}/token`);
    expect(status).toBe(200);
    const me = await fetch(`${provider.issuer}/me`, { headers: { authorization: `Bearer ${body.access_token}` } });
    expect(await me.json()).toMatchObject({ sub: 'ada' });
  });

  test('redirects to the return_url and keeps its query', async () => {
    const invited = await createConnectSession(broker, { return_url: 'https://app.example/done?tab=2&status=old#end' });
    const page = await connect(broker, invited.url);
    expect(page.status).toBe(303);
    const { id } = await connectionOf(broker, invited);
    expect(page.location).toBe(
      `https://app.example/done?tab=2&status=success&connect_session_id=${invited.id}&connection_id=${id}#end`,
    );
  });

  test('is in the audit log, with the actor browser', async () => {
    const owner = newOwner();
    const invited = await createConnectSession(broker, { owner });
    await connect(broker, invited.url);
    const { connection_id: id } = await sessionOf(broker, invited);
    const { body } = await broker.ask('GET', `/v1/audit?owner=${owner}`);
    expect(body.data).toMatchObject([
      { action: 'connection.created', actor: 'browser', outcome: 'ok', connection_id: id, address: '127.0.0.1' },
      { action: 'connect_session.created', outcome: 'ok' },
    ]);
  });

  test('writes no secret to the disk in plain text, neither during the flow nor afterwards', async () => {
    let exchanged: { verifier: unknown; tokens: Record<string, unknown> } | undefined;
    provider.provider.on('grant.success', (ctx) => {
      exchanged = { verifier: ctx.oidc.params?.code_verifier, tokens: ctx.body as Record<string, unknown> };
    });
    const jar = createCookieJar();
    const invited = await createConnectSession(broker);
    const began = await openLink(invited.url, jar);
    const asked = new URL(began.location ?? '').searchParams;
    const during = await readDatabaseFiles(broker);
    const callback = await browseToCallback(broker, invited.url, jar);
    const page = await visit(callback, jar);
    provider.provider.removeAllListeners('grant.success');
    expect(page.status).toBe(200);

    const cookie = /=([\w-]{43})/.exec(jar.header(new URL(invited.url)) ?? '')?.[1];
    const secrets = {
      session: invited.url.split('/').at(-1),
      cookie,
      state: asked.get('state'),
      nonce: asked.get('nonce'),
      usedState: callback.searchParams.get('state'),
      code: callback.searchParams.get('code'),
      verifier: exchanged?.verifier,
      accessToken: exchanged?.tokens.access_token,
      refreshToken: exchanged?.tokens.refresh_token,
      idToken: exchanged?.tokens.id_token,
    };
    const after = await readDatabaseFiles(broker);
    for (const [name, secret] of Object.entries(secrets)) {
      expect(String(secret).length, name).toBeGreaterThan(20);
      expect(during, name).not.toContain(secret);
      expect(after, name).not.toContain(secret);
    }
    // The digests, which are stored instead, are found: these are the right files.
    expect(during).toContain(sha256(asked.get('state') ?? ''));
    expect(after).toContain(sha256(secrets.session ?? ''));
  });
});

describe('an owner who cancels at the provider', () => {
  test('is redirected to the return_url with the error', async () => {
    const owner = newOwner();
    const invited = await createConnectSession(broker, { owner, return_url: 'https://app.example/done?tab=2' });
    const page = await connect(broker, invited.url, { cancel: true });
    expect(page.status).toBe(303);
    expect(page.location).toBe(
      `https://app.example/done?tab=2&status=error&connect_session_id=${invited.id}&error=access_denied`,
    );
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'failed', error: 'access_denied' });
    expect(await connectionsOf(broker, owner)).toEqual([]);
  });

  test('sees a page if there is no return_url', async () => {
    const invited = await createConnectSession(broker);
    const jar = createCookieJar();
    const callback = await browseToCallback(broker, invited.url, jar, { cancel: true });
    const page = await visit(callback, jar);
    expectErrorPage(page, 403, 'access_denied', callback);
    expect(page.text).toContain('You cancelled. Nothing was connected.');
    const again = await visit(invited.url, jar);
    expect(again.text).toContain('You cancelled. Nothing was connected.');
    expectErrorPage(await visit(invited.url, createCookieJar()), 410, 'invitation_used', invited.url);
  });
});

describe('a provider that does not answer', () => {
  const return_origins = ['https://app.example'];
  let down: ScriptedServer;
  beforeAll(async () => {
    down = await startScriptedServer(() => 'drop');
  });
  afterAll(() => down.close());

  test('during discovery: the session stays pending', async () => {
    await putIntegrationAt(broker, 'down', provider, { params: { issuer: down.url }, return_origins });
    const invited = await createConnectSession(broker, { integration: 'down', return_url: 'https://app.example/' });
    const jar = createCookieJar();
    expectErrorPage(await openLink(invited.url, jar), 503, 'provider_unavailable', invited.url);
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'pending' });
    await putIntegrationAt(broker, 'down', provider, { return_origins });
    expect((await connect(broker, invited.url, { jar })).location).toContain('status=success');
  });

  test('during the code exchange: the session fails and the return_url gets the error', async () => {
    await putIntegrationAt(broker, 'half', provider, { overrides: { token_url: `${down.url}/token` }, return_origins });
    const invited = await createConnectSession(broker, { integration: 'half' });
    const jar = createCookieJar();
    const callback = await browseToCallback(broker, invited.url, jar);
    expectErrorPage(await visit(callback, jar), 503, 'provider_unavailable', callback);
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'failed', error: 'provider_unavailable' });

    const returning = await createConnectSession(broker, { integration: 'half', return_url: 'https://app.example/' });
    const page = await connect(broker, returning.url);
    expect(page.location).toBe(
      `https://app.example/?status=error&connect_session_id=${returning.id}&error=provider_unavailable`,
    );
  });
});

describe('connect flow of an integration', () => {
  test('with a wrong client secret: the page says that the owner did nothing wrong', async () => {
    await putIntegrationAt(broker, 'mistyped', provider, { client_secret: 'mistyped' });
    const invited = await createConnectSession(broker, { integration: 'mistyped' });
    const jar = createCookieJar();
    const callback = await browseToCallback(broker, invited.url, jar);
    const page = await visit(callback, jar);
    expectErrorPage(page, 502, 'integration_misconfigured', callback);
    expect(page.text).toContain('This is not your fault');
    expect(page.text).not.toContain('mistyped');
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'failed', error: 'integration_misconfigured' });
  });

  test('that is misconfigured: another browser cannot make the session fail', async () => {
    await putIntegrationAt(broker, 'broken', provider);
    const invited = await createConnectSession(broker, { integration: 'broken' });
    const jar = createCookieJar();
    const callback = await browseToCallback(broker, invited.url, jar);
    const { body } = await broker.ask('GET', '/v1/integrations/broken');
    const setup = { provider: 'generic-oidc', client_id: String(body.client_id) };
    await putIntegration(broker, 'broken', { ...setup, params: { issuer: `${provider.issuer}/elsewhere` } });
    expectErrorPage(await visit(invited.url), 403, 'other_browser', invited.url);
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'pending' });
    await putIntegration(broker, 'broken', { ...setup, params: { issuer: provider.issuer } });
    expect((await visit(callback, jar)).status).toBe(200);
  });

  test('that was deleted: its links have ended, and lead nowhere when its id is set up again', async () => {
    await putIntegrationAt(broker, 'leaving', provider);
    const invited = await createConnectSession(broker, { integration: 'leaving' });
    expect((await broker.ask('DELETE', '/v1/integrations/leaving')).status).toBe(204);
    expectErrorPage(await openLink(invited.url), 410, 'invitation_cancelled', invited.url);
    await putIntegrationAt(broker, 'leaving', provider);
    expectErrorPage(await openLink(invited.url), 410, 'invitation_cancelled', invited.url);
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'cancelled' });
  });
});
