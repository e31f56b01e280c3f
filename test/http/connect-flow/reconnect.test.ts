// Reconnecting: the same connection under the same id, only for the same account.
import { createServer, type ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../../demo/browser.ts';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { listenAtLoopback } from '../../support/loopback.ts';
import {
  browseToCallback,
  callbackWithConsent,
  connect,
  connectionOf,
  connectionsOf,
  createConnectSession,
  expectErrorPage,
  newOwner,
  openLink,
  putIntegration,
  putIntegrationAt,
  queryDatabase,
  sessionOf,
  visit,
} from '../../support/owner-browser.ts';

let broker: TestBroker;
let provider: LocalProvider;

beforeAll(async () => {
  [broker, provider] = await Promise.all([startTestBroker(), startProvider()]);
  await putIntegrationAt(broker, 'acme', provider, { return_origins: ['https://app.example'] });
  await putIntegrationAt(broker, 'other', provider);
});
afterAll(() => Promise.all([broker.stop(), provider.close()]));

async function connected(wanted: Json = {}, login = 'ada') {
  const owner = newOwner();
  const invited = await createConnectSession(broker, { owner, ...wanted });
  await connect(broker, invited.url, { login });
  const connection = await connectionOf(broker, invited);
  return { owner, id: String(connection.id), connection };
}

const tokenOf = async (id: string) => (await broker.ask('GET', `/v1/connections/${id}/token`)).body.access_token;

/** As after a refused refresh. */
function needReauth(id: string) {
  const change = "update connections set status = 'needs_reauth', reason = 'grant_revoked', next_refresh_at = null";
  queryDatabase(broker, `${change} where id = ?`, id);
}

describe('a connect session with a connection_id', () => {
  test('renews the connection under its id, with a new token', async () => {
    const { owner, id, connection } = await connected({ label: 'work', metadata: { team: 7 } });
    const before = await tokenOf(id);
    const again = await createConnectSession(broker, { owner, connection_id: id });
    await connect(broker, again.url);
    const renewed = await connectionOf(broker, again);
    expect(renewed).toMatchObject({ id, generation: 2, status: 'active', label: 'work', metadata: { team: 7 } });
    expect(renewed.created_at).toBe(connection.created_at);
    const after = await tokenOf(id);
    expect(after).not.toBe(before);
    const me = await fetch(`${provider.issuer}/me`, { headers: { authorization: `Bearer ${after}` } });
    expect(me.status).toBe(200);
  });

  test('makes a connection active that needed its owner', async () => {
    const { owner, id } = await connected();
    needReauth(id);
    const again = await createConnectSession(broker, { owner, connection_id: id, metadata: { team: 8 } });
    await connect(broker, again.url);
    expect(await connectionOf(broker, again)).toMatchObject({
      id,
      generation: 2,
      status: 'active',
      reason: null,
      metadata: { team: 8 },
    });
    expect((await broker.ask('GET', `/v1/connections/${id}/token`)).status).toBe(200);
    expect(await connectionsOf(broker, owner)).toHaveLength(1);
  });

  test('changes nothing when the owner cancels', async () => {
    const { owner, id } = await connected();
    const before = await tokenOf(id);
    const again = await createConnectSession(broker, { owner, connection_id: id, return_url: 'https://app.example/' });
    const page = await connect(broker, again.url, { cancel: true });
    expect(page.location).toBe(`https://app.example/?status=error&connect_session_id=${again.id}&error=access_denied`);
    expect(await tokenOf(id)).toBe(before);
    expect(await connectionsOf(broker, owner)).toMatchObject([{ id, generation: 1, status: 'active' }]);
  });

  test('is a 410 after the connection was revoked', async () => {
    const { owner, id } = await connected();
    await broker.ask('DELETE', `/v1/connections/${id}`);
    const { status, body } = await broker.ask('POST', '/v1/connect-sessions', {
      integration: 'acme',
      owner,
      connection_id: id,
    });
    expect(status).toBe(410);
    expect(body).toMatchObject({ code: 'connection_revoked', connection_id: id });
  });

  test('does not restore a connection that is revoked while the owner is at the provider', async () => {
    const { owner, id } = await connected();
    const again = await createConnectSession(broker, { owner, connection_id: id });
    const jar = createCookieJar();
    const callback = await browseToCallback(broker, again.url, jar);
    await broker.ask('DELETE', `/v1/connections/${id}`);
    expectErrorPage(await visit(callback, jar), 410, 'connection_gone', callback);
    expect(await sessionOf(broker, again)).toMatchObject({ status: 'failed', error: 'connection_gone' });
    expect(await connectionsOf(broker, owner)).toMatchObject([{ id, status: 'revoked' }]);
  });

  test.each([
    ['with another label', { label: 'home' }, 'label'],
    ['for another owner', { owner: 'somebody-else' }, 'connection_id'],
    ['at another integration', { integration: 'other' }, 'connection_id'],
  ])('%s is a 400', async (_, change, path) => {
    const { owner, id } = await connected({ label: 'work' });
    const wanted = { integration: 'acme', owner, connection_id: id, ...change };
    const { status, body } = await broker.ask('POST', '/v1/connect-sessions', wanted);
    expect(status).toBe(400);
    expect(body).toMatchObject({ code: 'invalid_request', issues: [{ path }] });
  });

  test('is a 404 if there is no such connection', async () => {
    const wanted = { integration: 'acme', owner: newOwner(), connection_id: 'con_nothing' };
    expect((await broker.ask('POST', '/v1/connect-sessions', wanted)).status).toBe(404);
  });

  test('is a 404 for callers whose grants do not touch the owner, whatever owner they name', async () => {
    const { owner, id } = await connected();
    const key = await broker.callerKey({ owners: [`${owner}-else`] });
    const wanted = { integration: 'acme', owner, connection_id: id };
    expect((await broker.ask('POST', '/v1/connect-sessions', wanted, key)).status).toBe(404);
    const stolen = { ...wanted, owner: `${owner}-else` };
    expect((await broker.ask('POST', '/v1/connect-sessions', stolen, key)).status).toBe(404);
  });
});

describe('a connect session for the same integration, owner and label', () => {
  test('renews the existing connection', async () => {
    const { owner, id } = await connected({ label: 'work', metadata: { team: 7 } });
    const again = await createConnectSession(broker, { owner, label: 'work' });
    await connect(broker, again.url);
    expect(await connectionOf(broker, again)).toMatchObject({ id, generation: 2, metadata: { team: 7 } });
  });

  test('makes a connection active that needed its owner', async () => {
    const { owner, id } = await connected();
    needReauth(id);
    const again = await createConnectSession(broker, { owner });
    await connect(broker, again.url);
    expect(await connectionOf(broker, again)).toMatchObject({ id, generation: 2, status: 'active', reason: null });
  });

  test('creates a new connection after the old one was revoked', async () => {
    const { owner, id } = await connected();
    await broker.ask('DELETE', `/v1/connections/${id}`);
    const again = await createConnectSession(broker, { owner });
    await connect(broker, again.url);
    const created = await connectionOf(broker, again);
    expect(created).toMatchObject({ status: 'active', generation: 1 });
    expect(created.id).not.toBe(id);
  });

  test('with another label creates another connection, also of another account', async () => {
    const { owner, id } = await connected({ label: 'work' });
    const again = await createConnectSession(broker, { owner, label: 'home' });
    await connect(broker, again.url, { login: 'bob' });
    expect((await connectionOf(broker, again)).id).not.toBe(id);
    expect(await connectionsOf(broker, owner)).toHaveLength(2);
  });
});

describe('another account of the provider', () => {
  test.each([
    ['by id', true],
    ['by owner', false],
  ])('does not replace the connected one (%s)', async (_, byId) => {
    const { owner, id } = await connected();
    const before = await tokenOf(id);
    const again = await createConnectSession(broker, { owner, ...(byId && { connection_id: id }) });
    const jar = createCookieJar();
    const callback = await browseToCallback(broker, again.url, jar, { login: 'mallory' });
    const page = await visit(callback, jar);
    expectErrorPage(page, 409, 'identity_mismatch', callback);
    expect(page.text).toContain('Nothing was changed');
    expect(await sessionOf(broker, again)).toMatchObject({ status: 'failed', error: 'identity_mismatch' });
    expect(await tokenOf(id)).toBe(before);
    expect(await connectionsOf(broker, owner)).toMatchObject([{ id, generation: 1, status: 'active' }]);
  });

  test('does not renew a connection that needs its owner', async () => {
    const { owner, id } = await connected();
    needReauth(id);
    const again = await createConnectSession(broker, { owner, return_url: 'https://app.example/' });
    const page = await connect(broker, again.url, { login: 'mallory' });
    expect(page.location).toBe(
      `https://app.example/?status=error&connect_session_id=${again.id}&error=identity_mismatch`,
    );
    expect(await connectionsOf(broker, owner)).toMatchObject([{ id, status: 'needs_reauth' }]);
  });
});

describe('concurrent connect sessions', () => {
  /** Owners who come back from the provider in `count` browsers, each with a session of its own. */
  async function readyToFinish(count: number, wanted: Json, logins: string[] = []) {
    const ready = [];
    for (let i = 0; i < count; i++) {
      const invited = await createConnectSession(broker, wanted);
      const jar = createCookieJar();
      const callback = await browseToCallback(broker, invited.url, jar, { login: logins[i] ?? 'ada' });
      ready.push({ invited, finish: () => visit(callback, jar) });
    }
    return ready;
  }

  test('for one owner and label create one connection, which all sessions name', async () => {
    const owner = newOwner();
    const ready = await readyToFinish(3, { owner });
    const pages = await Promise.all(ready.map(({ finish }) => finish()));
    expect(pages.map((page) => page.status)).toEqual([200, 200, 200]);
    const [connection, ...more] = await connectionsOf(broker, owner);
    expect(more).toEqual([]);
    expect(connection).toMatchObject({ status: 'active', generation: 3 });
    for (const { invited } of ready)
      expect(await sessionOf(broker, invited)).toMatchObject({ status: 'completed', connection_id: connection?.id });
    const { body } = await broker.ask('GET', `/v1/connections/${connection?.id}/token`);
    const me = await fetch(`${provider.issuer}/me`, { headers: { authorization: `Bearer ${body.access_token}` } });
    expect(await me.json()).toMatchObject({ sub: 'ada' });
  });

  test('with two accounts create one connection of one account', async () => {
    const owner = newOwner();
    const ready = await readyToFinish(2, { owner }, ['ada', 'mallory']);
    const pages = await Promise.all(ready.map(({ finish }) => finish()));
    expect(pages.map((page) => page.status).sort()).toEqual([200, 409]);
    expect(await connectionsOf(broker, owner)).toMatchObject([{ status: 'active', generation: 1 }]);
  });

  describe('that exchange their codes at the same time', () => {
    let gate: Gate;
    beforeAll(async () => {
      gate = await startGate();
      await putIntegration(broker, 'gated', {
        provider: 'generic-oauth2',
        client_id: 'client',
        params: { authorization_url: `${gate.url}/authorize`, token_url: `${gate.url}/token` },
      });
    });
    afterAll(() => gate.close());

    test('create one connection', async () => {
      const owner = newOwner();
      const flows = [];
      for (let i = 0; i < 4; i++) {
        const invited = await createConnectSession(broker, { integration: 'gated', owner });
        const jar = createCookieJar();
        flows.push({ invited, jar, callback: callbackWithConsent((await openLink(invited.url, jar)).location) });
      }
      gate.openAt(flows.length);
      const pages = await Promise.all(flows.map(({ callback, jar }) => visit(callback, jar)));
      expect(pages.map((page) => page.status)).toEqual([200, 200, 200, 200]);
      expect(await connectionsOf(broker, owner)).toMatchObject([{ status: 'active', generation: 4 }]);
      for (const { invited } of flows) expect(await sessionOf(broker, invited)).toMatchObject({ status: 'completed' });
    });

    test('in two tabs of one session finish once', async () => {
      const owner = newOwner();
      const invited = await createConnectSession(broker, { integration: 'gated', owner });
      const jar = createCookieJar();
      const callbacks: string[] = [];
      for (let i = 0; i < 2; i++) callbacks.push(callbackWithConsent((await openLink(invited.url, jar)).location));
      gate.openAt(callbacks.length);
      const pages = await Promise.all(callbacks.map((callback) => visit(callback, jar)));
      expect(pages.map((page) => page.status)).toEqual([200, 200]);
      expect(await connectionsOf(broker, owner)).toMatchObject([{ status: 'active', generation: 1 }]);
    });
  });
});

/** A token endpoint that holds its responses until the set number of requests has come, and then sends all at once. */
async function startGate() {
  let count = 1;
  let waiting: ServerResponse[] = [];
  const server = createServer((_, res) => {
    waiting.push(res);
    if (waiting.length < count) return;
    for (const [i, one] of waiting.entries()) {
      one.writeHead(200, { 'content-type': 'application/json' });
      one.end(JSON.stringify({ access_token: `token-${i}`, token_type: 'Bearer', expires_in: 3_600 }));
    }
    waiting = [];
  });
  const { url, close } = await listenAtLoopback(server);
  return {
    url,
    openAt(requests: number) {
      count = requests;
    },
    close,
  };
}
type Gate = Awaited<ReturnType<typeof startGate>>;
