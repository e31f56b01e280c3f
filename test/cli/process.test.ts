// The command line as a process: only what needs one. The other tests run the commands in this process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath, pathToFileURL } from 'node:url';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseKeyRing } from '../../src/adapters/keyring/keyring.ts';
import { generateKey } from '../../src/runtime/keys.ts';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { bundled } from '../support/bundle.ts';
import { expectOk } from '../support/contract.ts';
import { createTerminal } from '../support/terminal.ts';

const SOURCE = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));

let broker: TestBroker;
/** The bundle starts in a third of the time. */
let cli: string;
const url = 'https://id.example/x';
const folder = mkdtempSync(join(tmpdir(), 'valetkey-cli-'));
beforeAll(async () => {
  [broker, cli] = await Promise.all([startTestBroker(), bundled('cli')]);
  const params = { authorization_url: url, token_url: url };
  const setup = { provider: 'generic-oauth2', client_id: 'me', params };
  expectOk(await broker.ask('PUT', '/v1/integrations/acme', setup), 201);
});
afterAll(async () => {
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

function begin(args: string[], env: Record<string, string> = {}, command = [process.execPath, cli]) {
  const [program = '', ...first] = command;
  return spawn(program, [...first, ...args], {
    env: { PATH: process.env.PATH, VALETKEY_URL: broker.url, VALETKEY_KEY: broker.adminKey, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: 45_000,
  });
}
async function valetkey(args: string[], input = '') {
  const child = begin(args);
  child.stdin.end(input);
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: code as number | null, out, err };
}

test.concurrent('keys generate: prints a key that the broker accepts, with the given id', async () => {
  const { code, out } = await valetkey(['keys', 'generate', '--kid', 'k2']);
  expect(code).toBe(0);
  expect(out).toMatch(/^k2:[\w-]{43}\n$/);
  expect(parseKeyRing(out.trim()).ok).toBe(true);
});

test.concurrent('keys generate: an id that no key may have is named, without a stack', async () => {
  for (const kid of ['two words', 'a:b', '', 'k'.repeat(33)]) {
    const { code, out, err } = await valetkey(['keys', 'generate', '--kid', kid]);
    expect({ code, out }).toEqual({ code: 64, out: '' });
    expect(err).toMatch(/^--kid: 1 to 32 letters/);
    expect(err).not.toContain('    at ');
  }
});

test.concurrent('connections import: only the result is on stdout', async () => {
  const taken = await valetkey(['connections', 'import', 'acme', 'ada'], '{"access_token":"a-secret-token"}');
  expect(taken).toMatchObject({ code: 0, err: '' });
  expect(taken.out).not.toContain('a-secret-token');
  expect(await valetkey(['token', 'acme', 'ada'])).toEqual({ code: 0, out: 'a-secret-token\n', err: '' });
});

test.concurrent('errors: on stderr, with an exit code for scripts', async () => {
  const refused = await valetkey(['connections', 'revoke', 'con_nothing']);
  expect(refused).toMatchObject({ code: 1, out: '' });
  expect(refused.err).toMatch(/^Not found: .*con_nothing/);
});

test.concurrent('--help and an unknown command: load no part of the broker', async () => {
  const path = join(folder, 'trace.mjs');
  const trace = pathToFileURL(path).href;
  writeFileSync(
    path,
    `import { registerHooks } from 'node:module';
    registerHooks({ load(url, context, next) { process.stderr.write(url + '\\n'); return next(url, context); } });`,
  );
  const child = begin(['--help'], { NODE_OPTIONS: `--import=${trace}` }, [process.execPath, SOURCE]);
  const [out, loaded] = await Promise.all([text(child.stdout), text(child.stderr)]);
  expect(out).toContain('Usage: valetkey <command>');
  const ours = loaded.split('\n').filter((line) => line.startsWith('file:') && line !== trace);
  expect(ours).toContain(pathToFileURL(SOURCE).href);
  expect(
    ours.filter(
      (line) =>
        !/\/src\/(cli\.ts|cli\/|client\/(secure-url|time|errors|api-errors|api-links|paths)\.ts|domain\/visible-text\.ts|runtime\/(declarative|secret)-file\.ts)|\/node_modules\/commander\//.test(
          line,
        ),
    ),
  ).toEqual([]);
});

test.concurrent('connect: Ctrl-C ends the wait, and prints how long the link is valid', async () => {
  const child = begin(['connect', 'acme', 'grace', '--no-open']);
  const gone = once(child, 'exit');
  let printed = '';
  for await (const chunk of child.stderr) {
    printed += chunk;
    if (printed.includes('/connect/') && !child.killed) child.kill('SIGINT');
  }
  expect((await gone)[0]).toBe(130);
  expect(printed).toMatch(/stopped waiting; the link is valid until 20/);
});

test.concurrent('completion: bash completes commands and options with the script', async () => {
  const { out: script } = await createTerminal({})(['completion', 'bash']);
  const completed = async (...words: string[]) => {
    const line = words.map((word) => `"${word}"`).join(' ');
    const asking = `${script}\nCOMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _valetkey; echo "\${COMPREPLY[@]}"`;
    const child = begin([], {}, ['bash', '-c', asking]);
    return (await text(child.stdout)).trim();
  };
  expect(await completed('valetkey', 'conn')).toBe('connect connect-sessions connections');
  expect(await completed('valetkey', '--json', 'connections', 'r')).toBe('refresh retry revoke');
  expect(await completed('valetkey', 'callers', 'keys', 'add', 'clr_1', '--e')).toBe('--expires');
  expect(await completed('valetkey', 'token', '--u')).toBe('--url');
});

test.concurrent.each(['keys rotate', 'signing-keys list', 'audit verify', 'unreadable-responses list'])(
  '%s: with a typing error in the database URL, no database and no key file is made',
  async (command) => {
    const elsewhere = mkdtempSync(join(folder, 'elsewhere-'));
    const path = join(elsewhere, 'data', 'valetkey.db');
    // Without VALETKEY_KEYS: no key file either.
    const env = { VALETKEY_DATABASE_URL: `file:${path}`, VALETKEY_DATA_DIR: join(elsewhere, 'data') };
    const child = begin([...command.split(' '), '--json'], env);
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    expect({ code, out }).toEqual({ code: 78, out: '' });
    const issue = { path: 'VALETKEY_DATABASE_URL', message: expect.stringContaining(`no database file at ${path}`) };
    expect(JSON.parse(err.trimEnd().split('\n').at(-1)!)).toMatchObject({ code: 'misconfigured', issues: [issue] });
    expect(readdirSync(elsewhere)).toEqual([]);
  },
  60_000,
);

test.concurrent('serve and migrate: configuration faults are listed, with --json as a problem, without secrets', async () => {
  const env = { VALETKEY_KEYS: 'k1:dG9vLXNob3J0LWEtc2VjcmV0', VALETKEY_PORT: 'x' };
  const refused = async (args: string[], more: Record<string, string>) => {
    const child = begin(args, more);
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    expect({ code, out }).toEqual({ code: 78, out: '' });
    expect(err).not.toContain('dG9vLXNob3J0');
    return err;
  };
  expect(await refused(['serve'], env)).toMatch(/^Valetkey cannot start:\n {2}- VALETKEY_/);
  const { title, issues, ...problem } = JSON.parse(await refused(['serve', '--json'], env)) as Json;
  expect(problem).toMatchObject({ type: 'urn:valetkey:problem:misconfigured', code: 'misconfigured' });
  const paths = (issues as { path: string }[]).map(({ path }) => path);
  expect([title, paths.toSorted()]).toEqual(['The configuration is not valid', ['VALETKEY_KEYS', 'VALETKEY_PORT']]);
  const away = { VALETKEY_DATABASE_URL: 'postgres://me:a-secret@127.0.0.1:1/x', VALETKEY_KEYS: generateKey('k1') };
  const migrated = await refused(['migrate', '--json'], away);
  expect(JSON.parse(migrated)).toMatchObject({ issues: [{ path: 'VALETKEY_DATABASE_URL' }] });
  expect(migrated).not.toContain('a-secret');
}, 60_000);

test.concurrent('audit verify: exit code 0 and the head for a chain that holds, 1 for one that does not', async () => {
  const path = join(folder, 'audited.db');
  const env = { VALETKEY_DATABASE_URL: `file:${path}`, VALETKEY_KEYS: generateKey('k1') };
  const audited = await startTestBroker(env);
  expectOk(await audited.ask('POST', '/v1/callers', { name: 'mailer', grants: [] }), 201);
  await audited.stop();
  const verify = async () => {
    const child = begin(['audit', 'verify', '--json'], env);
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    expect(`${out}${err}`).not.toContain(env.VALETKEY_KEYS.slice(3));
    return { ...(JSON.parse(out) as Json), code: code as number | null } as Json;
  };
  expect(await verify()).toMatchObject({
    code: 0,
    ok: true,
    broken: null,
    unprotected: 0,
    head: { seal: expect.stringMatching(/^\d+$/) },
  });
  const client = new Sqlite(path);
  client.exec("delete from audit where action = 'caller.created'");
  client.close();
  expect(await verify()).toMatchObject({ code: 1, ok: false, broken: { problem: expect.stringMatching(/deleted/) } });
  // Two processes, beside those of other tests.
}, 180_000);

test
  .skipIf(!existsSync('/dev/full'))
  .concurrent('output that cannot be written: exit code 1, without a stack', async () => {
    const full = begin(['whoami'], {}, ['sh', '-c', 'exec "$0" "$@" > /dev/full', process.execPath, cli]);
    const [err, [code]] = await Promise.all([text(full.stderr), once(full, 'exit')]);
    expect([code, err]).toEqual([1, expect.stringMatching(/^the output cannot be written: ENOSPC[^\n]*\n$/)]);
  });

test.concurrent('stderr that no one reads: the exit code stays', async () => {
  const child = begin(['callers', 'nothing-like-it']);
  child.stderr.destroy();
  child.stdin.end();
  expect(await once(child, 'exit')).toEqual([64, null]);
});
