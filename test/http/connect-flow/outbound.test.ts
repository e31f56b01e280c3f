// The connect flow against server-side request forgery (SSRF): it reaches no host of the broker's network.
import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCookieJar, walkThrough } from '../../../demo/browser.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import {
  createConnectSession,
  expectErrorPage,
  openLink,
  putIntegration,
  sessionOf,
} from '../../support/owner-browser.ts';
import { type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

/** Counts the TCP connections that are made to it. */
async function startListener(host: string) {
  let connections = 0;
  const server: Server = createServer((socket) => {
    connections++;
    socket.on('error', () => {}).destroy();
  });
  await new Promise<void>((listening) => server.listen(0, host, listening));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return {
    port,
    connections: () => connections,
    close: () => new Promise<void>((closed) => void server.close(() => closed())),
  };
}
type Listener = Awaited<ReturnType<typeof startListener>>;

const client = { client_id: 'client', client_secret: 'client-secret' };
const withIssuer = (issuer: string) => ({ provider: 'generic-oidc', ...client, params: { issuer } });

describe('a broker that may reach public addresses only', () => {
  let broker: TestBroker;
  let listener: Listener;
  beforeAll(async () => {
    [broker, listener] = await Promise.all([
      startTestBroker({ VALETKEY_OUTBOUND_ALLOW: '' }),
      startListener('127.0.0.1'),
    ]);
  });
  afterAll(() => Promise.all([broker.stop(), listener.close()]));

  test.each([
    'http://id.example',
    'http://127.0.0.1:PORT',
    'https://127.0.0.1:PORT',
    'https://127.1:PORT',
    'https://2130706433:PORT',
    'https://0x7f000001:PORT',
    'https://0177.0.0.1:PORT',
    'https://0.0.0.0:PORT',
    'https://[::1]:PORT',
    'https://[::]:PORT',
    'https://[::ffff:127.0.0.1]:PORT',
    'https://[::ffff:7f00:1]:PORT',
    'https://[64:ff9b::7f00:1]:PORT',
    'https://[fe80::1]',
    'https://[fd00::1]',
    'https://169.254.169.254/latest/meta-data',
    'https://10.0.0.1',
    'https://172.16.0.1',
    'https://192.168.1.1',
    'https://100.64.0.1',
    'https://255.255.255.255',
    'https://id.example@127.0.0.1:PORT',
  ])('refuses an integration with the issuer %s', async (issuer) => {
    const { status, body } = await putIntegration(
      broker,
      'inside',
      withIssuer(issuer.replace('PORT', `${listener.port}`)),
    );
    expect(status).toBe(400);
    expect(body).toMatchObject({ code: 'invalid_request', issues: [{ path: 'params.issuer' }] });
    expect(listener.connections()).toBe(0);
  });

  test.each(['token_url', 'authorization_url', 'revocation_url', 'userinfo_url', 'api_base_url'])(
    'refuses an override of the %s with a private address',
    async (name) => {
      const overrides = { [name]: `https://127.0.0.1:${listener.port}/x` };
      const { status, body } = await putIntegration(broker, 'inside', {
        ...withIssuer('https://id.example'),
        overrides,
      });
      expect(status).toBe(400);
      expect(body).toMatchObject({ issues: [{ path: `overrides.${name}` }] });
    },
  );

  test.each(['authorization_url', 'token_url', 'revocation_url'])(
    'refuses a %s of a generic provider with a private address',
    async (name) => {
      const urls = { authorization_url: 'https://id.example/a', token_url: 'https://id.example/t' };
      const params = { ...urls, [name]: 'https://169.254.169.254/x' };
      const { status, body } = await putIntegration(broker, 'inside', {
        provider: 'generic-oauth2',
        ...client,
        params,
      });
      expect(status).toBe(400);
      expect(JSON.stringify(body.issues)).toContain(name.replace('_url', ''));
    },
  );

  test('connects to no private address through a host name', async () => {
    const issuer = `https://localhost:${listener.port}`;
    expect((await putIntegration(broker, 'named', withIssuer(issuer))).status).toBe(201);
    const invited = await createConnectSession(broker, { integration: 'named' });
    expectErrorPage(await openLink(invited.url), 502, 'integration_misconfigured', invited.url);
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'failed', error: 'integration_misconfigured' });
    expect(listener.connections()).toBe(0);
  });

  test('(the listener counts connections)', async () => {
    await expect(fetch(`http://127.0.0.1:${listener.port}`)).rejects.toThrow();
    expect(listener.connections()).toBe(1);
  });
});

describe('a provider whose metadata contains private addresses', () => {
  let broker: TestBroker;
  let provider: ScriptedServer;
  let inside: Listener;
  let metadata: Record<string, unknown> = {};
  beforeAll(async () => {
    [broker, inside] = await Promise.all([
      startTestBroker({ VALETKEY_OUTBOUND_ALLOW: '127.0.0.1' }),
      startListener('127.0.0.2'),
    ]);
    provider = await startScriptedServer(({ path }) => {
      if (path.endsWith('/.well-known/openid-configuration')) {
        const issuer = `${provider.url}${path.slice(0, path.indexOf('/.well-known'))}`;
        const authorization_endpoint = `${provider.url}/authorize`;
        return { body: { issuer, authorization_endpoint, token_endpoint: `${provider.url}/token`, ...metadata } };
      }
      const { searchParams } = new URL(path, provider.url);
      const back = `${searchParams.get('redirect_uri')}?code=c0de&state=${searchParams.get('state')}`;
      return { status: 302, headers: { location: back } };
    });
  });
  afterAll(() => Promise.all([broker.stop(), provider.close(), inside.close()]));

  let issuers = 0;
  async function flowWith(more: Record<string, unknown>) {
    metadata = more;
    await putIntegration(broker, 'acme', withIssuer(`${provider.url}/${++issuers}`));
    const invited = await createConnectSession(broker);
    const jar = createCookieJar();
    const { response, text, url } = await walkThrough(invited.url, { jar });
    const page = { status: response?.status ?? 0, headers: response?.headers ?? new Headers(), text, location: null };
    return { invited, page, url };
  }

  test.each(['http', 'https'])(
    'as its token endpoint (%s): neither the code nor the secret is sent there',
    async (scheme) => {
      const { invited, page, url } = await flowWith({ token_endpoint: `${scheme}://127.0.0.2:${inside.port}/token` });
      expectErrorPage(page, 502, 'integration_misconfigured', url);
      expect(await sessionOf(broker, invited)).toMatchObject({ status: 'failed', error: 'integration_misconfigured' });
      expect(inside.connections()).toBe(0);
    },
  );

  test('as its pushed authorization request endpoint: nothing is sent there', async () => {
    const { invited, page, url } = await flowWith({
      require_pushed_authorization_requests: true,
      pushed_authorization_request_endpoint: `https://127.0.0.2:${inside.port}/par`,
    });
    expectErrorPage(page, 502, 'integration_misconfigured', url);
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'failed', error: 'integration_misconfigured' });
    expect(inside.connections()).toBe(0);
  });

  test.each(['javascript:alert(1)', 'data:text/html,x', 'file:///etc/passwd', 'not a url'])(
    'or the authorization endpoint %s: the browser is not redirected',
    async (authorization_endpoint) => {
      const { invited, page, url } = await flowWith({ authorization_endpoint });
      expect(page.status).toBeGreaterThanOrEqual(400);
      expectErrorPage(page, 502, 'integration_misconfigured', url);
      expect(await sessionOf(broker, invited)).toMatchObject({ status: 'failed' });
    },
  );

  test('or redirects to one: the redirect is not followed', async () => {
    // The discovery document is redirected: a response from another origin is not the issuer's.
    const redirecting = await startScriptedServer(() => ({
      status: 302,
      headers: { location: `http://127.0.0.2:${inside.port}/` },
    }));
    await putIntegration(broker, 'acme', withIssuer(redirecting.url));
    const invited = await createConnectSession(broker);
    expectErrorPage(await openLink(invited.url), 502, 'integration_misconfigured', invited.url);
    expect(redirecting.received).toHaveLength(1);
    expect(inside.connections()).toBe(0);
    await redirecting.close();
  });
});
