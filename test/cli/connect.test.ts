// `valetkey connect` and `valetkey token`, with a real provider.
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { walkThrough } from '../../demo/browser.ts';
import { type Json, startTestBroker } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectOk } from '../support/contract.ts';
import { startResourceServer, walk } from '../support/resource-server.ts';
import { type ScriptedResponse, startScriptedServer } from '../support/scripted-server.ts';
import { createTerminal, type Valetkey } from '../support/terminal.ts';

let testSetup: TestSetup;
let valetkey: Valetkey;
beforeAll(async () => {
  testSetup = await startTestSetup();
  valetkey = createTerminal({ VALETKEY_URL: testSetup.broker.url, VALETKEY_KEY: testSetup.broker.adminKey });
});
afterAll(() => testSetup.close());

const grantAccess = { open: async (url: string) => void (await walkThrough(url, { login: 'ada' })) };

test('connect: opens the browser, waits, and shows the connection; with --connection, renews it', async () => {
  const made = await valetkey(
    ['connect', 'acme', 'ada', '--label', 'work', '--scope', 'openid', '--json'],
    grantAccess,
  );
  expect(made.code, made.err).toBe(0);
  const link = expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/connect\/\S+$/);
  expect(JSON.parse(made.err)).toMatchObject({ id: expect.stringMatching(/^cs_/), url: link });
  const connection = JSON.parse(made.out) as Json;
  expect(connection).toMatchObject({ integration: 'acme', owner: 'ada', label: 'work', status: 'active' });
  const renewed = await valetkey(['connect', '--connection', String(connection.id)], grantAccess);
  expect(renewed.out).toContain(`id\t${connection.id}\n`);
  expect(renewed.out).toContain('generation\t2\n');
});

test('connect: a remote MCP server by its URL alone', async () => {
  const resource = await startResourceServer();
  onTestFinished(() => resource.close());
  const { host } = new URL(resource.url);
  const put = await valetkey(['integrations', 'put', 'mcp', '--provider', 'mcp', '--param', `servers=${host}`]);
  expect(put.code, put.err).toBe(0);
  const open = async (url: string) => void (await walk(url));
  const made = await valetkey(['connect', 'mcp', 'user_42', '--param', `server_url=${resource.url}`, '--json'], {
    open,
  });
  expect(made.code, made.err).toBe(0);
  expect(JSON.parse(made.out)).toMatchObject({ integration: 'mcp', status: 'active' });
  const refused = await valetkey(['connect', 'mcp', 'user_42', '--param', 'server_url=https://evil.example/mcp']);
  expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('params.server_url') });
  resource.documents = {};
  const broken = await valetkey(['connect', 'mcp', 'user_43', '--param', `server_url=${resource.url}?x=1`]);
  expect(broken).toMatchObject({ code: 1, err: expect.stringContaining('no metadata of a protected resource') });
});

test('connect: exits with 1 and the reason when the owner declines, and after --timeout', async () => {
  const cancel = { open: async (url: string) => void (await walkThrough(url, { cancel: true })) };
  const refused = await valetkey(['connect', 'acme', 'grace'], cancel);
  expect(refused).toMatchObject({ code: 1, out: '' });
  expect(refused.err).toMatch(/not connected: access_denied/);
  let now = Date.now();
  const late = await valetkey(['connect', 'acme', 'grace', '--no-open', '--timeout', '5'], {
    now: () => {
      now += 1_000;
      return now;
    },
  });
  expect(late).toMatchObject({ code: 1, out: '' });
  expect(late.err).toMatch(/not connected yet; the link is valid until 20/);
});

test('connect: goes on while the broker is restarted, and gives up when the link has ended', async () => {
  const expires_at = '2026-03-02T10:35:00.000Z';
  const session = { id: 'cs_1', url: 'http://127.0.0.1:1/connect/x', status: 'pending', expires_at };
  const script: ScriptedResponse[] = [
    { status: 201, body: session },
    'drop',
    { status: 502, body: '<html>bad gateway</html>' },
    { status: 503, headers: { 'retry-after': '7' }, body: { code: 'store_unavailable', title: 'T', detail: 'D' } },
    { body: { ...session, status: 'completed', connection_id: 'con_1' } },
    { body: { id: 'con_1', status: 'active' } },
    { status: 201, body: session },
  ];
  const server = await startScriptedServer(() => script.shift() ?? 'drop');
  onTestFinished(server.close);
  const at = createTerminal({ VALETKEY_URL: server.url, VALETKEY_KEY: 'k' });
  let now = Date.parse('2026-03-02T10:25:00.000Z');
  const pauses: number[] = [];
  const pause = async (ms: number) => {
    pauses.push(ms);
    now += ms;
  };
  const made = await at(['connect', 'acme', 'ada', '--no-open'], { now: () => now, pause });
  expect([made.code, made.out, pauses]).toEqual([0, expect.stringContaining('con_1'), [1_000, 1_000, 7_000]]);
  const gone = await at(['connect', 'acme', 'ada', '--no-open'], { now: () => now, pause });
  expect([gone.code, now]).toEqual([69, Date.parse(expires_at)]);
});

test('connect --integrations: the owner chooses; portal: a link to the own connections', async () => {
  const link = await valetkey(['connect', '--integrations', 'acme', 'ada', '--no-open', '--timeout', '0']);
  expect(link.err).toMatch(/^Open this link .*\n {2}http\S+\/connect\/\S+\n/);
  const misused = await valetkey(['connect', '--integrations', 'acme', 'acme', 'ada']);
  expect([misused.code, misused.err]).toEqual([64, expect.stringContaining('needs OWNER')]);
  const portal = await valetkey(['portal', 'ada', '--return-url', 'http://127.0.0.1:9/', '--integrations', 'acme']);
  expect(portal.out).toMatch(/^id\tps_\w+\nurl\thttp\S+\/connect\/portal\/\S+\n/);
  const elsewhere = await valetkey(['portal', 'ada', '--return-url', 'https://evil.example/']);
  expect([elsewhere.code, elsewhere.err]).toEqual([1, expect.stringContaining('return_url')]);
});

test('connect-sessions: lists what is open, and cancels it', async () => {
  const body = { integration: 'acme', owner: 'lovelace' };
  const { id } = expectOk(await testSetup.broker.ask('POST', '/v1/connect-sessions', body), 201);
  const list = await valetkey(['connect-sessions', 'list', '--owner', 'lovelace', '--status', 'pending']);
  expect(list.out).toMatch(new RegExp(`^${id}\tacme\tlovelace\t-\tpending\t`));
  expect((await valetkey(['connect-sessions', 'cancel', String(id)])).out).toContain('status\tcancelled\n');
  expect((await valetkey(['connect-sessions', 'list', '--owner', 'lovelace', '--status', 'pending'])).out).toBe('');
});

test('connect: keeps waiting when no browser can be opened', async () => {
  const stopped = { interrupted: () => AbortSignal.abort() };
  const { code, err } = await valetkey(['connect', 'acme', 'grace'], stopped);
  expect(code).toBe(130);
  expect(err).toMatch(
    /^Open this link in a browser and grant access:\n {2}http:\/\/127\.0\.0\.1:\d+\/connect\/\S+\nNo browser could be opened\.\nstopped waiting/,
  );
  const asJson = await valetkey(['connect', 'acme', 'grace', '--json'], stopped);
  expect([asJson.code, asJson.out]).toEqual([130, '']);
  const [session, problem] = asJson.err
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Json);
  expect([session?.url, problem?.code]).toEqual([expect.stringContaining('/connect/'), 'interrupted']);
});

test('token: prints only the token, its header, or the whole response', async () => {
  const id = await testSetup.importConnection('eve', {}, { label: 'home' });
  const { out: token, err } = await valetkey(['token', 'acme', 'eve', '--min-ttl', '30']);
  expect(err).toBe('');
  const all = JSON.parse((await valetkey(['token', '--connection', id, '--json'])).out) as Json;
  expect(token).toBe(`${all.access_token}\n`);
  expect((await valetkey(['token', 'acme', 'eve', '--label', 'home', '--header'])).out).toBe(
    `Authorization: Bearer ${all.access_token}\n`,
  );
  const refreshed = await valetkey(['connections', 'refresh', id]);
  expect(refreshed.out).toMatch(/^the token expires at 20\S+Z\n$/);
  const stale = { input: async () => token };
  const current = JSON.parse(
    (await valetkey(['connections', 'refresh', id, '--rejected-token-stdin', '--json'], stale)).out,
  ) as Json;
  expect(current.access_token).not.toBe(all.access_token);
  expect(testSetup.refreshCount()).toBe(2);
});

test('token: prints the connect command when the owner has to connect', async () => {
  const unknown = await valetkey(['token', 'acme', 'new owner', '--label', 'work']);
  expect(unknown).toMatchObject({ code: 1, out: '' });
  expect(unknown.err).toMatch(/valetkey connect acme 'new owner' --label work\n$/);

  const id = await testSetup.importConnection('mallory', { refresh_token: 'never-issued' });
  const dead = await valetkey(['token', 'acme', 'mallory']);
  expect(dead).toMatchObject({ code: 1, out: '' });
  expect(dead.err).toMatch(new RegExp(`valetkey connect acme mallory --connection ${id}\n$`));
  expect((await valetkey(['token', '--connection', id])).err).toMatch(new RegExp(`connect --connection ${id}\n$`));
  // The printed command works.
  expect((await valetkey(['connect', '--connection', id], grantAccess)).code).toBe(0);
  expect((await valetkey(['token', 'acme', 'mallory'])).code).toBe(0);
});

test('token: lists the connections of an owner who has several', async () => {
  const ids = [
    await testSetup.importConnection('twin', {}, { label: 'a' }),
    await testSetup.importConnection('twin', {}, { label: 'b' }),
  ];
  const { code, err } = await valetkey(['token', 'acme', 'twin']);
  expect(code).toBe(1);
  for (const id of ids) expect(err).toContain(`--connection ${id}`);
});

test('token --header: follows token_type, and fails for a token that is not sent in a header', async () => {
  const broker = await startTestBroker();
  try {
    const at = createTerminal({ VALETKEY_URL: broker.url, VALETKEY_KEY: broker.adminKey });
    const header = async (provider: string, credentials: Json) => {
      expectOk(await broker.ask('PUT', `/v1/integrations/${provider}`, { provider }), 201);
      const body = { integration: provider, owner: 'x', credentials };
      expectOk(await broker.ask('POST', '/v1/connections', body), 201);
      return at(['token', provider, 'x', '--header']);
    };
    const keyed = await header('sendgrid', { api_key: 'SG.made-up-key-of-a-test' });
    expect(keyed.out).toBe('Authorization: Bearer SG.made-up-key-of-a-test\n');
    const query = await header('google-maps', { api_key: `AIza${'x'.repeat(35)}` });
    expect(query).toMatchObject({ code: 1, out: '' });
    expect(query.err).toMatch(/not sent in a header: its token_type is query:key/);
  } finally {
    await broker.stop();
  }
});
