// Captures: what an API and a caller tell each other, kept for an admin without its secrets, and gone after a day.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { Json } from '../../support/broker.ts';
import { answer } from '../../support/byte-upstream.ts';
import { consoleBrowser, openLink } from '../../support/console-browser.ts';
import { expectOk, expectProblem } from '../../support/contract.ts';
import { createMovingClock, type MovingClock } from '../../support/moving-clock.ts';
import { type ProxySetup, startProxySetup } from '../../support/proxy-setup.ts';
import { createTerminal } from '../../support/terminal.ts';

let setup: ProxySetup;
let clock: MovingClock;
beforeAll(async () => {
  clock = createMovingClock();
  setup = await startProxySetup({}, { clock, outboxEveryMs: 20 });
});
afterAll(() => setup.close());
beforeEach(() => setup.upstream.reset());

const ask = (method: string, path: string, body?: unknown, key?: string) => setup.broker.ask(method, path, body, key);
const start = (id: string, body: Json = {}) => ask('POST', `/v1/connections/${id}/capture`, body);
const list = async (id: string, query = '') =>
  expectOk(await ask('GET', `/v1/connections/${id}/captures${query}`)) as { data: Json[]; next_cursor: string | null };
const captured = (id: string, count: number) =>
  vi.waitFor(
    async () => {
      const { data } = await list(id);
      expect(data).toHaveLength(count);
      return data as (Json & { request: Message; response: Message })[];
    },
    { timeout: 30_000 },
  );
async function signedIn(role: string) {
  const browser = consoleBrowser(setup.broker.url);
  const { url } = (await ask('POST', '/v1/console-links', { role })).body;
  expect((await openLink(browser, url)).status).toBe(200);
  return browser;
}
interface Message {
  headers: { name: string; value: string }[];
  body: { text: string | null; bytes: number; cut: boolean; omitted: string | null };
}
const replies = (body: string | Buffer, headers: string[] = []) => {
  setup.upstream.onHead = ({ socket }) => {
    socket.write(`HTTP/1.1 200 OK\r\n${[...headers, `Content-Length: ${body.length}`].join('\r\n')}\r\n\r\n`);
    socket.write(body);
  };
};
const filesOf = (path: string) =>
  ['', '-wal'].map((end) => readFileSync(path + end, { flag: 'a+' }).toString('latin1')).join('');

test('no secret of a captured call is listed or stored, wherever it was; what else was told is', async () => {
  const token = 'tok/en+of ada=';
  const jwt = `eyJhbGciOiJIUzI1NiJ9.${'e30'.repeat(5)}.sig`;
  const secrets = [token, 'hunter2', 'set-me', 'of-a-form', 'in-a-url', 'of-xml', jwt, 'gone-too'];
  const id = await setup.connect('header', 'secretive', { api_key: token });
  const other = await setup.connect('bearer', 'other');
  await setup.call(id, 'GET', '/before');
  const started = expectOk(await start(id, { duration: 60 }), 201);
  expect(Date.parse(String(started.until)) - Date.parse(String(started.started_at))).toBe(60_000);

  const told = {
    title: 'a title',
    note: `x ${token} y`,
    password: 'hunter2',
    deep: [{ client_secret: { a: 'gone-too' } }],
  };
  replies(JSON.stringify({ id: 7, echo: encodeURIComponent(token), jwt, b64: btoa(token) }), [
    'Content-Type: application/json',
    'Set-Cookie: a=set-me',
    `X-Echo: ${token}`,
    `Location: https://x.example/?access_token=in-a-url&page=2`,
  ]);
  const body = JSON.stringify(told);
  await setup.call(id, 'POST', '/users/42?q=in-a-url', {
    headers: ['Content-Type: application/json', 'X-Mine: 1'],
    body,
  });
  replies('<a><password>of-xml</password><b>seen</b></a>');
  const form = { headers: ['Content-Type: application/x-www-form-urlencoded'], body: 'a=1&pass%77ord=of-a-form&b=2' };
  await setup.call(id, 'POST', '/forms', form);
  replies(gzipSync(JSON.stringify({ token: 'hunter2', seen: 'in gzip' })), ['Content-Encoding: gzip']);
  await setup.call(id, 'GET', '/gzip');
  replies(Buffer.from([0xff, 0, 1, 2]));
  await setup.call(id, 'GET', '/binary');
  await setup.call(other, 'GET', '/other');

  const [binary, gzip, forms, users] = await captured(id, 4);
  expect(users).toMatchObject({ method: 'POST', host: setup.upstream.host, status: 200, attempts: 1, complete: true });
  expect([users!.path, users!.error, users!.request.body.bytes]).toEqual(['/users/{}', null, body.length]);
  expect(JSON.parse(users!.request.body.text!)).toEqual({
    ...{ title: 'a title', note: 'x … y', password: '…', deep: [{ client_secret: '…' }] },
  });
  expect(JSON.parse(users!.response.body.text!)).toEqual({
    id: 7,
    echo: '…',
    jwt: '…',
    b64: expect.stringMatching(/^…=*$/),
  });
  const headers = (message: Message) => message.headers.map(({ name, value }) => `${name}: ${value}`);
  expect(headers(users!.request)).toEqual(expect.arrayContaining(['X-Mine: 1', 'X-Acme-Key: …']));
  expect(headers(users!.response)).toEqual(
    expect.arrayContaining(['Set-Cookie: …', 'X-Echo: …', 'Location: https://x.example/?access_token=…&page=2']),
  );
  expect(forms!.request.body.text).toBe('a=1&pass%77ord=…&b=2');
  expect(forms!.response.body.text).toBe('<a><password>…</password><b>seen</b></a>');
  expect(gzip!.response.body.text).toBe('{"token":"…","seen":"in gzip"}');
  expect(binary!.response.body).toEqual({ text: null, bytes: 4, cut: false, omitted: 'binary' });
  expect((await list(other)).data).toEqual([]);

  const everything = JSON.stringify(await list(id)) + JSON.stringify(setup.log) + filesOf(setup.broker.database);
  for (const secret of secrets) expect(everything).not.toContain(secret);
  expect(filesOf(setup.broker.database)).not.toContain('a title');
});

test('the console starts a capture, shows what it captured and ends it, for an admin alone', async () => {
  const id = await setup.connect('bearer', 'watched', { api_key: 'tok-canary' });
  const path = `/console/connections/${id}`;
  const admin = await signedIn('admin');
  expect((await admin.get(path)).html).toContain(`href="${path}/captures"`);
  expect((await admin.get(`${path}/captures`)).text).toContain('Nothing was captured within the last day.');
  const started = await admin.post(`${path}/captures/start`, { minutes: '2' });
  expect(started.text).toMatch(/capturing.*It ends .*(minute|seconds)/);
  const body = '{"note":"<img src=x>\u202e","password":"hunter2"}';
  replies('answered', ['X-Evil: <script>\u202e']);
  await setup.call(id, 'POST', '/things/7', { headers: ['Content-Type: application/json'], body });
  await captured(id, 1);
  const page = await admin.get(`${path}/captures`);
  for (const part of [
    'POST /things/{}',
    '200',
    setup.upstream.host,
    '&lt;img src=x&gt;\\u202e',
    'answered',
    'Authorization',
  ])
    expect(page.html).toContain(part);
  expect(page.html).not.toMatch(/tok-canary|hunter2|<img src=x|<script>\u202e|\u202e/);
  expect((await admin.post(`${path}/captures/stop`)).text).toContain('The capture has ended.');
  expect((await admin.get(`${path}/captures`)).text).toContain('No calls are captured now.');
  // A length that the form does not have is the longest; a capture of what is gone is refused.
  expect((await admin.post(`${path}/captures/start`, { minutes: '99999' })).text).toMatch(/in 1[45] minutes/);
  expect((await admin.post(`${path.slice(0, -2)}/captures/start`)).status).toBe(404);
  for (const role of ['operator', 'viewer'] as const) {
    const person = await signedIn(role);
    expect((await person.get(path)).html).not.toContain('/captures');
    expect((await person.get(`${path}/captures`)).status).toBe(403);
    for (const action of ['start', 'stop']) expect((await person.post(`${path}/captures/${action}`)).status).toBe(403);
  }
  const { data } = (await ask('GET', `/v1/audit?connection_id=${id}`)).body as { data: Json[] };
  const byPeople = data
    .filter(({ actor }) => String(actor).startsWith('user:'))
    .map(({ action, outcome }) => `${action} ${outcome}`);
  expect(byPeople).toEqual(
    expect.arrayContaining([
      'connection.capture_started ok',
      'connection.capture_stopped ok',
      'connection.captures_read ok',
    ]),
  );
});

test('a large body is cut without the beginning of a secret, and passed on whole', async () => {
  const id = await setup.connect('bearer', 'large', { api_key: 'a-token-at-the-cut' });
  expectOk(await start(id), 201);
  const body = `${'word '.repeat(13_105)}a-token-at-the-cut and more`;
  replies(body);
  expect((await setup.call(id, 'POST', '/large', { body })).body.toString()).toBe(body);
  const [call] = await captured(id, 1);
  for (const { body: kept } of [call!.request, call!.response]) {
    expect([kept.cut, kept.bytes, kept.omitted]).toEqual([true, body.length, null]);
    expect(kept.text).toMatch(/^(word )+…$/);
  }
});

test('a capture ends by itself, by an admin and with its connection; its calls are deleted after a day', async () => {
  const id = await setup.connect('bearer', 'ending');
  expectOk(await start(id), 201);
  await setup.call(id, 'GET', '/one');
  await setup.call(id, 'GET', '/two');
  await captured(id, 2);
  const first = await list(id, '?limit=1');
  const second = await list(id, `?limit=1&cursor=${encodeURIComponent(first.next_cursor!)}`);
  expect([...first.data, ...second.data].map(({ path }) => path)).toEqual(['/two', '/one']);
  expect((await ask('DELETE', `/v1/connections/${id}/capture`)).status).toBe(204);
  expect((await ask('DELETE', `/v1/connections/${id}/capture`)).status).toBe(204);
  await setup.call(id, 'GET', '/stopped');
  expectOk(await start(id, { duration: 900 }), 201);
  clock.advance(900_001);
  await setup.call(id, 'GET', '/expired');
  expectOk(await start(id), 201);
  setup.upstream.onHead = ({ socket }) => socket.write(answer());
  await setup.call(id, 'GET', '/last');
  expect((await captured(id, 3)).map(({ path }) => path)).toEqual(['/last', '/two', '/one']);

  clock.advance(24 * 3_600_000 - 600_000);
  await captured(id, 1);
  expectOk(await ask('DELETE', `/v1/connections/${id}`));
  expect((await list(id)).data).toEqual([]);
  expectProblem(await start(id), 410, 'connection_revoked');
  const { data } = expectOk(await ask('GET', '/v1/audit?limit=200'));
  const actions = (data as Json[]).filter((one) => one.connection_id === id).map(({ action }) => action);
  expect(actions.filter((one) => one === 'connection.capture_started')).toHaveLength(3);
  expect(actions.filter((one) => one === 'connection.capture_stopped')).toHaveLength(1);
  expect(actions).toContain('connection.captures_read');
});

test.skipIf(process.env.VALETKEY_TEST_STORE === 'postgres')(
  'a store that fails costs the capture, and no call',
  async () => {
    const id = await setup.connect('bearer', 'unlucky', { api_key: 'key-of-the-unlucky' });
    expectOk(await start(id), 201);
    const inside = new Database(setup.broker.database);
    inside.exec('alter table captured_calls rename to elsewhere');
    setup.log.length = 0;
    const got = await setup.call(id, 'GET', '/lost');
    expect([got.status, got.isComplete]).toEqual([200, true]);
    await vi.waitFor(
      () => expect(setup.log.map(({ message }) => message)).toContain('proxy: captured call could not be stored'),
      { timeout: 30_000 },
    );
    inside.exec('alter table elsewhere rename to captured_calls');
    inside.close();
    expect(JSON.stringify(setup.log)).not.toContain('key-of-the-unlucky');
    await setup.call(id, 'GET', '/kept');
    expect((await captured(id, 1))[0]!.path).toBe('/kept');
  },
);

test('valetkey connections capture and captures', async () => {
  const id = await setup.connect('bearer', 'at-a-terminal');
  const valetkey = createTerminal({ VALETKEY_URL: setup.broker.url, VALETKEY_KEY: setup.broker.adminKey });
  const started = await valetkey(['connections', 'capture', id, '--for', '2m', '--json']);
  expect(started.code).toBe(0);
  const { started_at, until } = JSON.parse(started.out) as Record<string, string>;
  expect(Date.parse(until!) - Date.parse(started_at!)).toBe(120_000);
  await setup.call(id, 'GET', '/things');
  await captured(id, 1);
  const shown = await valetkey(['connections', 'captures', id]);
  expect([shown.code, shown.out]).toEqual([0, expect.stringMatching(/GET.*\/things.*200|200.*\/things/)]);
  expect(await valetkey(['connections', 'capture', id, '--stop'])).toMatchObject({ code: 0 });
  expect((await valetkey(['connections', 'capture', id, '--stop', '--for', '1m'])).code).not.toBe(0);
  expect((await valetkey(['connections', 'capture', id, '--for', '16m'])).code).not.toBe(0);
});

test('only an admin of the connection captures, and at most for 15 minutes', async () => {
  const id = await setup.connect('bearer', 'guarded');
  const grants = [{ actions: ['proxy', 'token', 'connections:write'], integrations: ['*'], owners: ['*'] }];
  const { key } = expectOk(await ask('POST', '/v1/callers', { name: 'service', grants }), 201) as { key: string };
  expectProblem(await ask('POST', `/v1/connections/${id}/capture`, {}, key), 403, 'forbidden');
  expectProblem(await ask('DELETE', `/v1/connections/${id}/capture`, undefined, key), 403, 'forbidden');
  expectProblem(await ask('GET', `/v1/connections/${id}/captures`, undefined, key), 403, 'forbidden');
  expectProblem(await start(id, { duration: 901 }), 400, 'invalid_request');
  expectProblem(await start('con_none'), 404, 'not_found');
});
