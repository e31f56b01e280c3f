// Connect links: created for an error, used in a browser, and the token afterwards.
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { orAborted } from '../../src/client/time.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { createTestClient, rejectionOf, type TestClient } from '../support/client.ts';
import { connect, newOwner } from '../support/owner-browser.ts';
import { type ScriptedResponse, type ScriptedServer, startScriptedServer } from '../support/scripted-server.ts';

let testSetup: TestSetup;
beforeAll(async () => {
  testSetup = await startTestSetup();
});
afterAll(() => testSetup.close());

const client = (options: Partial<Parameters<typeof createTestClient>[0]> = {}): TestClient =>
  createTestClient({ url: testSetup.broker.url, key: testSetup.broker.adminKey, ...options });
const at = (owner: string) => ({ integration: 'acme', owner });

describe('a two-phase session', () => {
  const finishing = { finish: true, return_url: 'http://127.0.0.1:1/done' };

  test('finish: connects the account for who is signed in, and refuses another owner', async () => {
    const who = at(newOwner());
    const { valetkey } = client();
    const confirm = async () => {
      const { id, url } = await valetkey.connectUrl({ ...who, ...finishing });
      const { location } = await connect(testSetup.broker, url);
      return { id, finish_code: new URL(location!).searchParams.get('finish_code')! };
    };
    const stolen = await confirm();
    const refused = await rejectionOf(valetkey.finish(stolen.id, { finish_code: stolen.finish_code, owner: 'bob' }));
    expect(refused).toMatchObject({ code: 'owner_mismatch', status: 403 });
    const { id, finish_code } = await confirm();
    const finished = await valetkey.finish(id, { finish_code, owner: who.owner });
    expect(finished).toMatchObject({ status: 'completed', account: { id: expect.any(String) } });
    expect(await valetkey.connected(id)).toEqual({ connection_id: finished.connection_id });
    expect((await valetkey.token(who)).connection_id).toBe(finished.connection_id);
  });

  test('connectSessions and cancelConnect: what is open is listed, and ends', async () => {
    const who = at(newOwner());
    const { valetkey } = client();
    const { id } = await valetkey.connectUrl({ ...who, ...finishing });
    const open = async () => {
      const ids: string[] = [];
      for await (const session of valetkey.connectSessions({ owner: who.owner, status: 'pending' }))
        ids.push(session.id);
      return ids;
    };
    expect(await open()).toEqual([id]);
    expect(await valetkey.cancelConnect(id)).toMatchObject({ id, status: 'cancelled' });
    expect(await rejectionOf(valetkey.connected(id))).toMatchObject({ code: 'not_connected', reason: 'cancelled' });
    expect(await open()).toEqual([]);
  });
});

test('createPortalSession: a link to the own connections; integrations: a link with a choice', async () => {
  const { valetkey } = client();
  const portal = await valetkey.createPortalSession({ owner: newOwner(), return_url: 'http://127.0.0.1:1/' });
  expect(portal).toMatchObject({ id: expect.stringMatching(/^ps_/), url: expect.stringContaining('/connect/portal/') });
  const { id } = await valetkey.connectUrl({ integrations: ['acme'], owner: newOwner() });
  expect(id).toMatch(/^cs_/);
});

describe('connectUrl', () => {
  test('never connected: the link creates a connection', async () => {
    const who = at(newOwner());
    const { valetkey } = client();
    const refused = await rejectionOf(valetkey.token(who));
    const link = await valetkey.connectUrl(who, refused);
    expect(link).toEqual({
      id: expect.stringMatching(/^cs_/),
      url: link.url,
      status: 'pending',
      expires_at: link.expires_at,
    });
    await connect(testSetup.broker, link.url);
    const { connection_id } = await valetkey.connected(link.id);
    expect(await valetkey.token(who)).toMatchObject({ connection_id, ...who });
  });

  test('consent withdrawn: the link renews the connection under its id', async () => {
    const who = at(newOwner());
    const id = await testSetup.importConnection(who.owner);
    const { valetkey } = client();
    const token = await valetkey.token(who);
    testSetup.provider.withdrawGrants();
    const { id: session, url } = await valetkey.connectUrl(who, await rejectionOf(valetkey.refresh(token)));
    await connect(testSetup.broker, url, { login: who.owner });
    expect(await valetkey.connected(session)).toEqual({ connection_id: id });
    expect((await valetkey.token(who)).connection_id).toBe(id);
  });

  test('one of several connections: the link renews that one', async () => {
    const who = at(newOwner());
    const connection = await testSetup.importConnection(who.owner, {}, { label: 'work' });
    const { valetkey } = client();
    const token = await valetkey.token({ connection });
    testSetup.provider.withdrawGrants();
    const { id: session, url } = await valetkey.connectUrl(who, await rejectionOf(valetkey.refresh(token)));
    await connect(testSetup.broker, url, { login: who.owner });
    expect(await valetkey.connected(session)).toEqual({ connection_id: connection });
  });

  test('connection revoked: the link creates a new connection', async () => {
    const who = at(newOwner());
    const id = await testSetup.importConnection(who.owner);
    await testSetup.broker.ask('DELETE', `/v1/connections/${id}`);
    const { valetkey } = client();
    const link = await valetkey.connectUrl(who, await rejectionOf(valetkey.token(who)));
    await connect(testSetup.broker, link.url);
    expect((await valetkey.connected(link.id)).connection_id).not.toBe(id);
  });

  test('return_url and label: passed on to the session', async () => {
    const who = { ...at(newOwner()), label: 'work' };
    await testSetup.broker.ask('PUT', '/v1/integrations/acme', {
      ...testSetup.integrationBody,
      return_origins: ['https://app.example'],
    });
    const { valetkey } = client();
    const link = await valetkey.connectUrl({ ...who, return_url: 'https://app.example/done?a=1' });
    const { location } = await connect(testSetup.broker, link.url);
    expect(location).toMatch(
      /^https:\/\/app\.example\/done\?a=1&status=success&connect_session_id=cs_\w+&connection_id=/,
    );
    expect((await valetkey.token(who)).connection_id).toBe((await valetkey.connected(link.id)).connection_id);
  });

  test('an error that connecting does not resolve: thrown again', async () => {
    const key = await testSetup.broker.callerKey({ actions: ['connections:write'] });
    const { valetkey, sent } = client({ key });
    const refused = await rejectionOf(valetkey.token(at('ada')));
    expect(await rejectionOf(valetkey.connectUrl(at('ada'), refused))).toBe(refused);
    const other = new TypeError('something else');
    expect(await rejectionOf(valetkey.connectUrl(at('ada'), other))).toBe(other);
    expect(sent).toHaveLength(1);
  });
});

describe('connected', () => {
  let scripted: ScriptedServer;
  const states = ['pending', 'pending', 'expired'];
  beforeAll(async () => {
    const session = { id: 'cs_1', ...at('ada'), label: null };
    scripted = await startScriptedServer(() => ({ body: { ...session, status: states.shift() } }));
  });
  afterAll(() => scripted.close());

  test('polls every two seconds, and rejects when the link has expired', async () => {
    const { valetkey, waits } = client({ url: scripted.url });
    expect(await rejectionOf(valetkey.connected('cs_1'))).toMatchObject({ code: 'not_connected', reason: 'expired' });
    expect(waits).toEqual([2, 2]);
  });

  test('goes on while the broker is restarted, behind a gateway that does not reach it, or overloaded', async () => {
    const session = { body: { id: 'cs_1', status: 'pending' } };
    const problem = { code: 'rate_limited', detail: 'Not now.' };
    const script: ScriptedResponse[] = [
      session,
      'drop',
      'drop',
      { status: 502, body: '<html>bad gateway</html>' },
      { status: 503, headers: { 'retry-after': '7' }, body: '<html>maintenance</html>' },
      { status: 429, headers: { 'retry-after': '20' }, body: problem },
      { body: { id: 'cs_1', status: 'completed', connection_id: 'con_1' } },
    ];
    const server = await startScriptedServer(() => script.shift()!);
    onTestFinished(server.close);
    const { valetkey } = client({ url: server.url });
    expect(await valetkey.connected('cs_1')).toEqual({ connection_id: 'con_1' });
    expect(script).toEqual([]);
  });

  test('gives up when the broker has not answered for a minute, was never there, or refuses', async () => {
    const refusal = { status: 404, body: { code: 'not_found', detail: 'No such session.' } };
    const script: ScriptedResponse[] = [{ body: { id: 'cs_1', status: 'pending' } }];
    const server = await startScriptedServer(() => script.shift() ?? 'drop');
    onTestFinished(server.close);
    const away = client({ url: server.url });
    expect(await rejectionOf(away.valetkey.connected('cs_1'))).toMatchObject({ code: 'network' });
    expect(away.waits.reduce((sum, seconds) => sum + seconds, 0)).toBe(62);
    const never = client({ url: server.url });
    expect(await rejectionOf(never.valetkey.connected('cs_1'))).toMatchObject({ code: 'network' });
    expect(never.waits).toEqual([]);
    script.push({ body: { id: 'cs_1', status: 'pending' } }, refusal);
    expect(await rejectionOf(client({ url: server.url }).valetkey.connected('cs_1'))).toMatchObject({
      code: 'not_found',
    });
  });

  test('the owner declines: rejects with the reason', async () => {
    const { valetkey } = client();
    const link = await valetkey.connectUrl(at(newOwner()));
    await connect(testSetup.broker, link.url, { cancel: true });
    const error = await rejectionOf(valetkey.connected(link.id));
    expect(error).toMatchObject({ code: 'not_connected', reason: 'access_denied' });
  });

  test("aborted signal: rejects with the signal's reason", async () => {
    const controller = new AbortController();
    const reason = new Error('gone');
    const { valetkey } = client({
      wait: (_, signal) => {
        controller.abort(reason);
        return orAborted(new Promise(() => undefined), signal);
      },
    });
    const link = await valetkey.connectUrl(at(newOwner()));
    expect(await rejectionOf(valetkey.connected(link.id, { signal: controller.signal }))).toBe(reason);
  });
});

test('verify: the broker verifies the JWT and its audience', async () => {
  const { valetkey } = client();
  const who = newOwner();
  await testSetup.importConnection(who);
  await valetkey.token(at(who));
  const idToken = testSetup.proxy.requests
    .map(({ answer }) => answer.id_token)
    .findLast((it) => typeof it === 'string');
  const good = await valetkey.verify(String(idToken), { audience: testSetup.clientId });
  expect(good).toMatchObject({ active: true, issuer: testSetup.provider.issuer, claims: { aud: testSetup.clientId } });
  expect(await valetkey.verify(String(idToken), { audience: 'another-audience' })).toMatchObject({ active: false });
  expect(await valetkey.verify('e30.e30.e30')).toMatchObject({ active: false });
});
