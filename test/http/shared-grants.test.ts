// Where revoking a token ends the whole grant of an account: a revocation never ends what another connection uses. Where it
// does not: what a reconnect has replaced is revoked.
import { createServer } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { createCookieJar } from '../../demo/browser.ts';
import { BACKGROUND_BACKOFF_MAX_MS } from '../../src/domain/time-limits.ts';
import type { Json } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectOk } from '../support/contract.ts';
import { listenAtLoopback } from '../support/loopback.ts';
import {
  browseToCallback,
  callbackWithConsent,
  connect,
  connectionOf,
  createConnectSession,
  newOwner,
  openLink,
  visit,
} from '../support/owner-browser.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-server.ts';

const SOON = { interval: 20, timeout: 30_000 };

let testSetup: TestSetup;
beforeAll(async () => {
  testSetup = await startTestSetup();
});
afterAll(() => testSetup.close());

const ask = (method: string, path: string, body?: Json) => testSetup.broker.ask(method, path, body);
const revoke = async (id: string) => expectOk(await ask('DELETE', `/v1/connections/${id}`)).upstream_revocation;
const outcomeOf = async (id: string) => expectOk(await ask('GET', `/v1/connections/${id}`)).upstream_revocation;
const refresh = async (id: string) => (await ask('POST', `/v1/connections/${id}/refresh`, {})).status;
const KEPT = 'kept_for_other_connection';

describe('a provider whose revocations end the whole grant of an account', () => {
  beforeAll(async () => {
    const { integrationBody: body } = testSetup;
    const params = { ...(body.params as Json), revocation_ends: 'grant' };
    expectOk(await ask('PUT', '/v1/integrations/acme', { ...body, params }));
  });
  afterEach(() => testSetup.proxy.setRule('pass'));

  let logins = 0;
  const newLogin = () => `login-${++logins}`;
  const revocations = () => testSetup.proxy.requests.filter(({ path }) => path.endsWith('/revocation')).length;

  /** A connection that the owner has made in a browser, with this account. */
  async function connected(login: string, wanted: Json = {}): Promise<string> {
    const invited = await createConnectSession(testSetup.broker, { owner: newOwner(), ...wanted });
    expect((await connect(testSetup.broker, invited.url, { login })).status).toBe(200);
    return String((await connectionOf(testSetup.broker, invited)).id);
  }

  test('one of two connections of an account: kept, and the other lives; then the other: done', async () => {
    const login = newLogin();
    const [one, other] = [await connected(login), await connected(login)];
    const before = revocations();
    expect(await revoke(one)).toBe(KEPT);
    expect(await outcomeOf(one)).toBe(KEPT);
    expect(revocations()).toBe(before);
    expect(await refresh(other)).toBe(200);
    expect(await revoke(other)).toBe('done');
    expect(revocations()).toBeGreaterThan(before);
  });

  test('connections of other accounts: done', async () => {
    const owner = newOwner();
    const one = await connected(newLogin(), { owner });
    const other = await connected(newLogin(), { owner, label: 'work' });
    expect(await revoke(one)).toBe('done');
    expect(await refresh(other)).toBe(200);
  });

  test('all in bulk: the last one ends the grant', async () => {
    const login = newLogin();
    const owner = newOwner();
    const ids = [await connected(login, { owner }), await connected(login, { owner, label: 'work' })];
    expectOk(await ask('POST', '/v1/connections/revoke', { owner }));
    for (const id of ids) await expect.poll(() => outcomeOf(id), SOON).not.toBe('pending');
    // The first may have been delivered before the second was revoked.
    expect(await Promise.all(ids.map(outcomeOf))).toContain('done');
  });

  test('a connection whose account is not known: kept for the others of its owner', async () => {
    const owner = newOwner();
    const [one, two] = [
      await testSetup.importConnection(owner, { access_token: 'at' }),
      await testSetup.importConnection(owner, { access_token: 'at' }, { label: 'work' }),
    ];
    expect(await revoke(one)).toBe(KEPT);
    expect(await revoke(two)).toBe('done');
  });

  test('an owed revocation: cancelled by a reconnect of the account', async () => {
    const login = newLogin();
    const owner = newOwner();
    const id = await connected(login, { owner });
    testSetup.proxy.setRule('cut');
    expect(await revoke(id)).toBe('pending');
    testSetup.proxy.setRule('pass');
    const again = await connected(login, { owner });
    const before = revocations();
    testSetup.advance(BACKGROUND_BACKOFF_MAX_MS);
    await expect.poll(() => outcomeOf(id), SOON).toBe(KEPT);
    expect(revocations()).toBe(before);
    expect(await refresh(again)).toBe(200);
  });

  test('an owed revocation waits for an owner who is connecting', async () => {
    const login = newLogin();
    const owner = newOwner();
    const id = await connected(login, { owner });
    const jar = createCookieJar();
    const invited = await createConnectSession(testSetup.broker, { owner });
    const callback = await browseToCallback(testSetup.broker, invited.url, jar, { login });
    expect(await revoke(id)).toBe('pending');
    testSetup.advance(20_000);
    await expect.poll(() => outcomeOf(id), SOON).toBe('pending');
    expect((await visit(callback, jar)).status).toBe(200);
    const { id: again } = await connectionOf(testSetup.broker, invited);
    testSetup.advance(20_000);
    await expect.poll(() => outcomeOf(id), SOON).toBe(KEPT);
    expect(await refresh(String(again))).toBe(200);
  });
});

describe('a code and a revocation at once, where it ends the whole grant', () => {
  test('the code is exchanged when the revocation has ended', async () => {
    const order: string[] = [];
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const server = createServer(async (req, res) => {
      const path = String(req.url);
      order.push(path);
      if (path === '/revoke') await released;
      order.push(`${path} answered`);
      const token = { access_token: 'at', refresh_token: 'rt', token_type: 'Bearer', expires_in: 3_600 };
      res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(token));
    });
    const { url, close } = await listenAtLoopback(server);
    onTestFinished(close);
    const params = {
      authorization_url: `${url}/auth`,
      token_url: `${url}/token`,
      revocation_url: `${url}/revoke`,
      revocation_ends: 'grant',
    };
    const setup = { provider: 'generic-oauth2', client_id: 'me', client_secret: 's', params };
    expectOk(await ask('PUT', '/v1/integrations/at-once', setup), 201);
    const body = { integration: 'at-once', owner: newOwner(), credentials: { refresh_token: 'old' } };
    const { id } = expectOk(await ask('POST', '/v1/connections', body), 201);
    const revoking = revoke(String(id));
    await expect.poll(() => order, SOON).toContain('/revoke');
    const jar = createCookieJar();
    const invited = await createConnectSession(testSetup.broker, { integration: 'at-once', owner: body.owner });
    const visiting = visit(callbackWithConsent((await openLink(invited.url, jar)).location), jar);
    for (let i = 0; i < 5; i++) await ask('GET', '/v1/whoami');
    expect(order).toEqual(['/revoke']);
    release();
    expect(await revoking).toBe('done');
    expect((await visiting).status).toBe(200);
    expect(order).toEqual(['/revoke', '/revoke answered', '/token', '/token answered']);
  });
});

describe('what a reconnect has replaced', () => {
  let server: ScriptedServer;
  let issued: number;
  /** The refresh token of each token response; undefined: a new one. */
  let refreshToken: string | undefined;
  beforeAll(async () => {
    server = await startScriptedServer(({ path }) =>
      path === '/token'
        ? {
            body: {
              access_token: `at-${++issued}`,
              refresh_token: refreshToken ?? `rt-${issued}`,
              token_type: 'Bearer',
              expires_in: 3_600,
            },
          }
        : {},
    );
  });
  beforeEach(() => {
    issued = 0;
    refreshToken = undefined;
    server.received.length = 0;
  });
  afterAll(() => server.close());
  const revoked = () => server.received.filter(({ path }) => path === '/revoke').map(({ form }) => form.get('token'));

  async function reconnected(integration: string, more: Json): Promise<void> {
    const urls = { authorization_url: `${server.url}/auth`, token_url: `${server.url}/token` };
    const params = { ...urls, revocation_url: `${server.url}/revoke`, ...more };
    const setup = { provider: 'generic-oauth2', client_id: 'me', client_secret: 's', params };
    expectOk(await ask('PUT', `/v1/integrations/${integration}`, setup), 201);
    const owner = newOwner();
    for (let i = 0; i < 2; i++) {
      const jar = createCookieJar();
      const invited = await createConnectSession(testSetup.broker, { integration, owner });
      const page = await visit(callbackWithConsent((await openLink(invited.url, jar)).location), jar);
      expect(page.status, page.text).toBe(200);
    }
    // Something else that is delivered shows that the outbox has been at it.
    const body = { integration, owner: newOwner(), credentials: { refresh_token: 'last' } };
    const { id } = expectOk(await ask('POST', '/v1/connections', body), 201);
    expectOk(await ask('POST', '/v1/connections/revoke', { integration, owner: body.owner }));
    await expect.poll(() => outcomeOf(String(id)), SOON).toBe('done');
  }

  test('is revoked where a revocation ends a token only', async () => {
    await reconnected('by-token', {});
    await expect.poll(revoked, SOON).toEqual(expect.arrayContaining(['rt-1', 'at-1']));
    expect(revoked()).not.toContain('rt-2');
    expect(revoked()).not.toContain('at-2');
  });

  test('is not revoked where the same refresh token was issued again', async () => {
    refreshToken = 'the-same';
    await reconnected('the-same', {});
    expect(revoked()).toEqual(['last']);
  });

  test('is not revoked where a revocation ends the whole grant', async () => {
    await reconnected('by-grant', { revocation_ends: 'grant' });
    expect(revoked()).toEqual(['last']);
  });
});
