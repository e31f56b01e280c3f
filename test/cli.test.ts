// The command line, as a process of its own, with a broker that runs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseKeyRing } from '../src/adapters/keyring.ts';
import { startTestBroker, type TestBroker } from './support/broker.ts';
import { expectOk } from './support/contract.ts';
import { startScripted } from './support/scripted.ts';

const CLI = fileURLToPath(new URL('../src/cli.ts', import.meta.url));

let broker: TestBroker;
const url = 'https://id.example/x';
beforeAll(async () => {
  broker = await startTestBroker();
  const params = { authorization_url: url, token_url: url };
  const setup = { provider: 'generic-oauth2', client_id: 'me', params };
  expectOk(await broker.ask('PUT', '/v1/integrations/acme', setup), 201);
});
afterAll(() => broker.stop());

async function valetkey(args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { PATH: process.env.PATH, VALETKEY_URL: broker.url, VALETKEY_KEY: broker.adminKey, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 15_000,
  });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: code as number | null, out, err };
}
async function adopt(owner: string, label = ''): Promise<string> {
  const body = { integration: 'acme', owner, label, credentials: { access_token: 'a-secret-token' } };
  return String(expectOk(await broker.ask('POST', '/v1/connections', body), 201).id);
}

test.concurrent('keys generate prints a key that the broker takes, with the id that is asked for', async () => {
  const [any, named] = await Promise.all([
    valetkey(['keys', 'generate']),
    valetkey(['keys', 'generate', '--kid', 'k2']),
  ]);
  expect([any.code, named.code]).toEqual([0, 0]);
  expect(named.out).toMatch(/^k2:[\w-]{43}\n$/);
  const ring = parseKeyRing(`${any.out.trim()},${named.out.trim()}`);
  expect(ring.ok && ring.keys.length).toBe(2);
});

test.concurrent('callers create prints an id and a key that opens what was granted, and no more', async () => {
  const args = ['--name', 'billing', '--action', 'token', '--action', 'connections:read', '--owner', 'user_*'];
  const { code, out } = await valetkey(['callers', 'create', ...args]);
  expect(code).toBe(0);
  const [id, key = ''] = out.trim().split('\n');
  expect(id).toMatch(/^clr_/);
  expectOk(await broker.ask('GET', '/v1/connections', undefined, key));
  expect((await broker.ask('GET', '/v1/token?integration=acme&owner=org_1', undefined, key)).status).toBe(403);
  expect((await broker.ask('GET', '/v1/token?integration=acme&owner=user_1', undefined, key)).status).toBe(404);
});

test.concurrent('connections list shows them, without secrets, and as JSON; revoke ends one, or all of an owner', async () => {
  const [work, home] = [await adopt('ada', 'work'), await adopt('ada')];
  const list = await valetkey(['connections', 'list', '--owner', 'ada']);
  expect(list.code).toBe(0);
  expect(list.out.split('\n').slice(0, 2)).toEqual([
    `${work}\tacme\tada\twork\tactive\t`,
    `${home}\tacme\tada\t-\tactive\t`,
  ]);
  const json = await valetkey(['connections', 'list', '--owner', 'ada', '--json']);
  expect(
    json.out
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { id: string }).id),
  ).toEqual([work, home]);
  expect(list.out + json.out).not.toContain('a-secret-token');

  const one = await valetkey(['connections', 'revoke', work]);
  expect([one.code, one.out]).toEqual([0, 'revoked; at the provider: unsupported\n']);
  const rest = await valetkey(['connections', 'revoke', '--owner', 'ada']);
  expect([rest.code, rest.out]).toEqual([0, '1 revoked\n']);
  const { out } = await valetkey(['connections', 'list', '--owner', 'ada', '--status', 'active']);
  expect(out).toBe('');
});

test.concurrent('what the broker refuses is told as it says it, with exit code 1', async () => {
  const grants = ['--action', 'fly', '--action', 'token'];
  const [gone, wrong, denied] = await Promise.all([
    valetkey(['connections', 'revoke', 'con_nothing']),
    valetkey(['callers', 'create', '--name', 'x', ...grants]),
    valetkey(['connections', 'list'], { VALETKEY_KEY: 'vk_nobody' }),
  ]);
  expect([gone.code, wrong.code, denied.code]).toEqual([1, 1, 1]);
  expect(gone.err).toMatch(/Not found: .*con_nothing/);
  expect(wrong.err).toMatch(/grants\.0\.actions\.0: /);
  expect(denied.err).toMatch(/Not authenticated/);
  expect(denied.err).not.toContain('vk_nobody');
});

test.concurrent('an unknown command or option is refused with how it goes', async () => {
  const [unknown, half, option, help] = await Promise.all([
    valetkey(['fly']),
    valetkey(['connections']),
    valetkey(['connections', 'list', '--colour', 'red']),
    valetkey(['--help']),
  ]);
  expect([unknown.code, half.code, help.code]).toEqual([64, 64, 0]);
  expect(unknown.err).toContain('There is no command "fly"');
  for (const { out, err } of [unknown, half, help]) expect(out + err).toContain('connections revoke ID');
  expect(option.code).not.toBe(0);
  expect(option.err).toContain('--colour');
});

test.concurrent('without a broker, a key or what a command needs, it says what to do', async () => {
  const other = await startScripted(() => ({ status: 502, body: '<html>bad gateway</html>' }));
  const [down, keyless, bare, gateway] = await Promise.all([
    valetkey(['connections', 'list'], { VALETKEY_URL: 'http://127.0.0.1:1' }),
    valetkey(['connections', 'list'], { VALETKEY_KEY: '' }),
    valetkey(['connections', 'revoke']),
    valetkey(['connections', 'list'], { VALETKEY_URL: other.url }),
  ]);
  await other.close();
  expect([down, keyless, bare, gateway].map(({ code }) => code)).toEqual([1, 1, 1, 1]);
  expect(down.err).toMatch(/no broker answers at http:\/\/127\.0\.0\.1:1; set VALETKEY_URL/);
  expect(keyless.err).toMatch(/set VALETKEY_KEY/);
  expect(bare.err).toMatch(/needs an id, --integration or --owner/);
  expect(gateway.err).toMatch(/no broker \(status 502\)/);
  for (const { err } of [down, keyless, bare, gateway]) expect(err).not.toMatch(/\n +at /);
});
