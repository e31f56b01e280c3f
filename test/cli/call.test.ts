// `valetkey call`: what the API gets, what is printed, and the exit codes.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answer } from '../support/byte-upstream.ts';
import { type ProxySetup, startProxySetup } from '../support/proxy-setup.ts';
import { startScriptedServer } from '../support/scripted-server.ts';
import { createTerminal, type Valetkey } from '../support/terminal.ts';

let setup: ProxySetup;
let valetkey: Valetkey;
let ada: string;
beforeAll(async () => {
  setup = await startProxySetup();
  ada = await setup.connect('bearer', 'ada');
  await setup.connect('bearer', 'grace', undefined, { label: 'work' });
  valetkey = createTerminal({ VALETKEY_URL: setup.broker.url, VALETKEY_KEY: setup.broker.adminKey });
  setup.upstream.onHead = () => undefined;
  setup.upstream.onComplete = ({ socket, line }) =>
    void socket.write(
      line.includes('/gone') ? answer('{"no":1}', { status: '404 No' }) : answer('{"é":1}', { headers: ['X-Api: 1'] }),
    );
});
afterAll(() => setup.close());
const last = () => setup.upstream.requests.at(-1)!;

test('call: prints the body as it is; with -i, the status and the headers first', async () => {
  expect(await valetkey(['call', ada, 'GET', '/user?a=1'])).toEqual({ code: 0, out: '{"é":1}', err: '' });
  expect([last().line, last().header('authorization')]).toEqual([
    'GET /api/v1/user?a=1 HTTP/1.1',
    'Bearer secret-of-ada',
  ]);
  const { out } = await valetkey(['call', ada, '/user', '-i'], { outIsTty: true });
  expect(out).toMatch(/^HTTP 200 OK\n(?:[\w-]+: .*\n)*valetkey-attempts: 1\n(?:[\w-]+: .*\n)*x-api: 1\n\n\{"é":1\}\n$/);
});

test('call: by owner, with headers, another host, and a body from the line, a file or stdin', async () => {
  const owner = ['--integration', 'bearer', '--owner', 'grace', '--label', 'work'];
  await valetkey([
    'call',
    ...owner,
    'report',
    '/x',
    '--host',
    'files',
    '-H',
    'X-A: 1',
    '-H',
    'Content-Type: text/x',
    '-d',
    'plain',
  ]);
  const { line, body } = last();
  expect([line, last().header('x-a'), last().header('content-type'), body.toString()]).toEqual([
    'REPORT /files/x HTTP/1.1',
    '1',
    'text/x',
    'plain',
  ]);
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-call-'));
  try {
    writeFileSync(join(folder, 'body.json'), '{"a":1}');
    await valetkey(['call', ada, '/x', '-d', `@${folder}/body.json`]);
    expect([last().line, last().header('content-type'), last().body.toString()]).toEqual([
      'POST /api/v1/x HTTP/1.1',
      'application/json',
      '{"a":1}',
    ]);
    expect(await valetkey(['call', ada, '/x', '-d', `@${folder}/none`])).toMatchObject({
      code: 1,
      err: expect.stringContaining('cannot be read'),
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
  await valetkey(['call', ada, 'PUT', '/x', '-d', '-'], { inputBytes: async () => new Uint8Array([0, 255]) });
  expect(last().body).toEqual(Buffer.from([0, 255]));
});

test('call: exit code 1 for a refusal of the API, with its body, and for one of the broker, with its reason', async () => {
  const gone = await valetkey(['call', ada, 'GET', '/gone']);
  expect(gone).toEqual({ code: 1, out: '{"no":1}', err: 'the API answered with status 404\n' });
  const before = setup.upstream.requests.length;
  const refused = await valetkey(['--json', 'call', ada, 'GET', '/x', '--host', 'nowhere']);
  expect(refused).toMatchObject({ code: 1, out: '' });
  expect(JSON.parse(refused.err)).toMatchObject({ code: 'invalid_path', status: 400 });
  const grants = [{ actions: ['proxy'], integrations: ['*'], owners: ['*'], methods: ['GET'] }];
  const { body } = await setup.broker.ask('POST', '/v1/callers', { name: 'reader', grants });
  const reader = createTerminal({ VALETKEY_URL: setup.broker.url, VALETKEY_KEY: String(body.key) });
  expect((await reader(['call', ada, 'DELETE', '/x'])).err).toMatch(/"proxy" for DELETE/);
  const wrong = await valetkey(['call', ada, 'GET', '/x', '--retry', '9']);
  expect(wrong).toMatchObject({ code: 1, err: expect.stringContaining('valetkey-retry') });
  expect(setup.upstream.requests).toHaveLength(before);
});

test.each([
  [['call', 'con_1']],
  [['call', 'con_1', 'GET', '/../../callers']],
  [['call', 'con_1', 'GET', 'user']],
  [['call', 'con/1', 'GET', '/user']],
  [['call', 'con_1', 'GET', '/user', '-H', 'nothing']],
  [['call', '--owner', 'ada', 'GET', '/user']],
  [['call', 'con_1', '--integration', 'a', '--owner', 'ada', 'GET', '/user']],
])('%j: exit code 64, and nothing is sent', async (args) => {
  const nowhere = () => Promise.reject(new Error('sent'));
  expect(await valetkey(args, { fetch: nowhere })).toMatchObject({ code: 64, out: '' });
});

test('call: exit code 69 where another server answers, 130 when it is interrupted', async () => {
  const other = await startScriptedServer(() => ({ status: 200, body: 'Welcome' }));
  try {
    const elsewhere = createTerminal({ VALETKEY_URL: other.url, VALETKEY_KEY: 'k' });
    expect(await elsewhere(['call', 'con_1', 'GET', '/x'])).toMatchObject({ code: 69, out: '' });
  } finally {
    await other.close();
  }
  const stopped = { interrupted: () => AbortSignal.abort() };
  expect(await valetkey(['call', ada, 'GET', '/x'], stopped)).toMatchObject({ code: 130, out: '' });
});
