// Usage errors, and errors without a broker: a message that says what to do, and an exit code.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { startScriptedServer } from '../support/scripted-server.ts';
import { createTerminal, type Valetkey } from '../support/terminal.ts';

let broker: TestBroker;
let valetkey: Valetkey;
beforeAll(async () => {
  broker = await startTestBroker();
  valetkey = createTerminal({ VALETKEY_URL: broker.url, VALETKEY_KEY: broker.adminKey });
});
afterAll(() => broker.stop());

test.each([
  [['fly'], /unknown command 'fly'/],
  [['conections', 'list'], /Did you mean connections\?/],
  [['connections', 'lst'], /Did you mean list\?/],
  [['connections'], /Usage: valetkey connections/],
  [['connections', 'list', '--colour', 'red'], /unknown option '--colour'/],
  [['connections', 'revoke'], /needs an id, --integration or --owner/],
  [['connections', 'revoke', 'con_1', '--owner', 'x'], /not both/],
  [['connections', 'import', 'acme', 'x', '--param', 'shop'], /It must be name=value/],
  [['callers', 'create', '--name', 'x'], /at least one --action/],
  [['callers', 'create', '--name', 'x', '--owner', 'y'], /at least one --action/],
  [['callers', 'create', '--name', 'x', '--grant', '[1]'], /--grant must be a JSON object/],
  [['callers', 'create', '--name', 'x', '--action', '*', '--workload-issuer', 'https://x'], /--workload-audience/],
  [['callers', 'create', '--name', 'x', '--action', '*', '--rate-limit', 'fast'], /REQUESTS\/SECONDS/],
  [['callers', 'update', 'clr_1'], /something to change/],
  [['token', 'acme'], /either INTEGRATION and OWNER, or --connection/],
  [['token', 'acme', 'x', '--connection', 'con_1'], /either INTEGRATION and OWNER, or --connection/],
  [['token', 'acme', 'x', '--min-ttl', 'long'], /a whole number/],
  [['connect', 'acme'], /needs INTEGRATION and OWNER, or --connection/],
  [['providers', 'check'], /missing required argument 'file'/],
  [['audit', '--since', 'yesterday'], /"yesterday" is not a time: use one such as/],
  [['completion', 'tcsh'], /Allowed choices are bash, zsh, fish/],
  [['whoami', '--url', 'localhost:1'], /the URL of the broker is not valid/],
])('%j: exit code 64, and a message that says what is wrong, with --json as a problem', async (args, words) => {
  const { code, out, err } = await valetkey(args);
  expect({ code, out }).toEqual({ code: 64, out: '' });
  expect(err).toMatch(words);
  for (const all of [
    ['--json', ...args],
    [...args, '--json'],
  ]) {
    const asJson = await valetkey(all);
    expect([asJson.code, asJson.out]).toEqual([64, '']);
    const { type, code: name, detail } = JSON.parse(asJson.err) as Json;
    expect([type, name]).toEqual(['urn:valetkey:problem:usage', 'usage']);
    expect(detail).toMatch(args.join() === 'connections' ? /^a command is missing; use --help/ : words);
    expect(detail).not.toMatch(/^error:/);
  }
});

test('help: all commands, the environment and the exit codes; for a command, examples', async () => {
  const help = await valetkey(['--help']);
  expect(help).toMatchObject({ code: 0, err: '' });
  expect(await valetkey([])).toEqual(help);
  for (const said of [
    'connections',
    'list, show, refresh, check, capture, captures, retry, revoke, import',
    'VALETKEY_KEY',
    '69   no broker answers',
  ])
    expect(help.out).toContain(said);
  const one = await valetkey(['help', 'connections', 'revoke']);
  expect(one).toEqual(await valetkey(['connections', 'revoke', '--help']));
  for (const said of ['Usage: valetkey connections revoke [options] [id]', 'Examples:\n  valetkey', '--json'])
    expect(one.out).toContain(said);
});

describe('no broker', () => {
  test('nothing answers: exit code 69, and how to start a broker', async () => {
    const { code, err } = await createTerminal({ VALETKEY_URL: 'http://127.0.0.1:1', VALETKEY_KEY: 'k' })(['whoami']);
    expect(code).toBe(69);
    expect(err).toMatch(/no broker answers at http:\/\/127\.0\.0\.1:1; set VALETKEY_URL.* valetkey serve/);
  });

  test('another server answers: exit code 69, and its redirect does not get the key', async () => {
    const other = await startScriptedServer(({ path }) =>
      path === '/v1/whoami'
        ? { status: 302, headers: { location: `${other.url}/elsewhere` }, body: '' }
        : { status: 502, body: '<html>bad gateway</html>' },
    );
    const at = createTerminal({ VALETKEY_URL: other.url, VALETKEY_KEY: 'k' });
    const [sent, gateway] = [await at(['whoami']), await at(['connections', 'list'])];
    await other.close();
    expect([sent.code, gateway.code]).toEqual([69, 69]);
    expect(sent.err).toMatch(/is not a Valetkey broker \(status 302\)/);
    expect(gateway.err).toMatch(/is not a Valetkey broker \(status 502\)/);
  });

  test.each([
    ['null', 200],
    ['[]', 200],
    ['"text"', 200],
    ['{}', 200],
    ['{"data":[null],"next_cursor":null}', 200],
    ['{"data":[{}],"next_cursor":0}', 200],
    ['null', 400],
    ['', 204],
  ])('%s with status %i, which no broker answers: exit code 69, without a stack', async (body, status) => {
    const answering = async () => new Response(status === 204 ? null : body, { status });
    const env = { VALETKEY_URL: 'http://127.0.0.1:1', VALETKEY_KEY: 'k' };
    const at = createTerminal(env, { fetch: answering as typeof fetch });
    const always = [['callers', 'list'], ['callers', 'update', 'x', '--name', 'y'], ['status'], ['events'], ['audit']];
    const unlessObject = ['callers', 'show', 'x'];
    for (const args of body.startsWith('{') ? always : [...always, unlessObject]) {
      const { code, out, err } = await at([...args, ...(args[0] === 'status' ? [] : ['--json'])]);
      expect([args, code, out]).toEqual([args, 69, '']);
      expect(err).toContain('is not a Valetkey broker');
    }
  });

  test.each([
    [['callers', 'list'], '{"data":[{}],"next_cursor":null}'],
    [['events'], '{"data":[{}],"next_cursor":"c"}'],
    [['webhooks', 'list'], '{"data":[{}],"next_cursor":null}'],
    [['apply', '-f', '-', '--yes'], '{"data":[],"next_cursor":null}'],
  ])('%j: rows without what a row has: exit code 69', async (args, body) => {
    const answering = async () => new Response(body);
    const at = createTerminal({ VALETKEY_KEY: 'k' }, { fetch: answering as typeof fetch, input: async () => '{}' });
    expect(await at(args)).toMatchObject({ code: 69, err: expect.stringContaining('is not a Valetkey broker') });
  });

  test.each(['two\nlines', 'a\u0000b', 'bell\u0007', 'a \u{1f511}'])(
    'a key that no header can have (%j): exit code 64, and the variable, not the key',
    async (key) => {
      const at = createTerminal({ VALETKEY_URL: broker.url, VALETKEY_ADMIN_KEY: key });
      const { code, err } = await at(['whoami', '--json']);
      const { code: name, detail } = JSON.parse(err) as Json;
      expect([code, name]).toEqual([64, 'usage']);
      expect(detail).toMatch(/^VALETKEY_ADMIN_KEY is no caller key: it has a line break/);
      expect(detail).not.toContain(key);
    },
  );

  test('call: a host that no header can have is a usage error', async () => {
    const args = ['call', 'con_1', 'GET', '/', '--host', 'two\nlines'];
    expect(await valetkey(args)).toMatchObject({ code: 64, out: '' });
  });

  test('no key: the message names the variable', async () => {
    const { code, err } = await createTerminal({ VALETKEY_URL: broker.url, VALETKEY_KEY: '' })(['connections', 'list']);
    expect(code).toBe(1);
    expect(err).toMatch(/set VALETKEY_KEY to a caller key/);
  });
});

test.each([
  'http://valetkey.example:8080',
  'http://10.0.0.1',
  'http://127.0.0.1.evil.example',
  'http://localhost.evil.example',
  'http://0.0.0.0:8080',
  'http://[::ffff:10.0.0.1]',
  'HTTP://VALETKEY.example',
  'http://localhost@evil.example',
  'https://user:password@valetkey.example',
])('%s: nothing is sent there, above all no key', async (url) => {
  const sent: unknown[] = [];
  const fetching = async (...request: unknown[]) => {
    sent.push(request);
    return Response.json({ id: 'clr_1' });
  };
  const at = createTerminal({ VALETKEY_URL: url, VALETKEY_KEY: 'k' }, { fetch: fetching as typeof fetch });
  for (const args of [['whoami'], ['connections', 'list'], ['connections', 'revoke', '--owner', 'x', '--yes']])
    expect(await at(args)).toMatchObject({ code: 64, out: '' });
  expect((await at(['whoami'])).err).not.toMatch(/user:|password@/);
  expect(sent).toEqual([]);
  // Where the network is trusted.
  if (!url.includes('@')) expect((await at(['whoami', '--allow-http'])).code).toBe(0);
});

test('--version: the version of the package', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as Json;
  expect(await createTerminal({})(['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' });
});

test('rejected key: the message names its variable, never the key', async () => {
  const { code, err } = await createTerminal({ VALETKEY_URL: `${broker.url}/`, VALETKEY_ADMIN_KEY: 'vk_unknown' })([
    'connections',
    'list',
  ]);
  expect(code).toBe(1);
  expect(err).toMatch(/^Not authenticated: [\s\S]*comes from VALETKEY_ADMIN_KEY/);
  expect(err).not.toContain('vk_unknown');
});

test('VALETKEY_KEY_FILE: the key is the content of the file; a file that cannot be read is named', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-key-'));
  const file = join(folder, 'key');
  writeFileSync(file, `${broker.adminKey}\n`);
  const at = (env: Record<string, string>) => createTerminal({ VALETKEY_URL: broker.url, ...env })(['whoami']);
  expect((await at({ VALETKEY_KEY_FILE: file })).code).toBe(0);
  expect((await at({ VALETKEY_ADMIN_KEY_FILE: file })).code).toBe(0);
  const absent = await at({ VALETKEY_KEY_FILE: join(folder, 'nothing') });
  expect(absent).toMatchObject({ code: 1, err: expect.stringMatching(/^VALETKEY_KEY_FILE: .*\(ENOENT\)\n$/) });
  const both = await at({ VALETKEY_KEY: 'k', VALETKEY_KEY_FILE: file });
  expect(both).toMatchObject({ code: 1, err: 'VALETKEY_KEY_FILE: VALETKEY_KEY is set too\n' });
  rmSync(folder, { recursive: true });
});

test('missing permission: the message has the command that grants it', async () => {
  const key = await broker.callerKey({ actions: ['connections:read'] });
  const args = ['token', 'acme', "o'neill & co"];
  const { code, err } = await valetkey(args, { env: { VALETKEY_URL: broker.url, VALETKEY_KEY: key } });
  expect(code).toBe(1);
  expect(err).toMatch(/^The caller has no grant for this: /);
  expect(err).toMatch(
    /valetkey callers update clr_\w+ --add --action token --integration acme --owner 'o'\\''neill & co'\n$/,
  );
});

test('--json: an error is the problem itself', async () => {
  const { code, out, err } = await valetkey(['connections', 'show', 'con_nothing', '--json']);
  expect({ code, out }).toEqual({ code: 1, out: '' });
  expect(JSON.parse(err)).toMatchObject({ code: 'not_found', status: 404 });
});

test.each([
  [['providers', 'show', 'none'], {}, 1, 'failed', /there is no provider "none"/],
  [['whoami'], { VALETKEY_KEY: '' }, 1, 'failed', /set VALETKEY_KEY/],
  [['whoami'], { VALETKEY_URL: 'http://127.0.0.1:1' }, 69, 'unreachable', /no broker answers/],
] as const)('--json: %j with %j is a problem of the command itself', async (args, env, exit, name, detail) => {
  const at = createTerminal({ VALETKEY_URL: broker.url, VALETKEY_KEY: broker.adminKey, ...env });
  const { code, out, err } = await at([...args, '--json']);
  expect({ code, out }).toEqual({ code: exit, out: '' });
  const problem = { type: `urn:valetkey:problem:${name}`, title: expect.any(String), code: name };
  expect(JSON.parse(err)).toEqual({ ...problem, detail: expect.stringMatching(detail) });
});

test('--json: help is help', async () => {
  const help = await valetkey(['connections', '--help', '--json']);
  expect(help).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/^Usage: valetkey connections/) });
});
