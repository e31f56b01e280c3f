// The bundle works like the sources: in a process, from another folder, with only the files of the image.
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { Script } from 'node:vm';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { walkThrough } from '../../demo/browser.ts';
import { startProvider } from '../../demo/provider.ts';
import { parseKeyRing } from '../../src/adapters/keyring/keyring.ts';
import { loadCatalogue } from '../../src/catalogue/load.ts';
import { presentProvider } from '../../src/http/presenters/providers.ts';
import { type Answer, ask } from '../support/broker.ts';
import { expectOk } from '../support/contract.ts';
import { buildImageFolder, type Image, ROOT } from '../support/image.ts';
import { visit } from '../support/owner-browser.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

let image: Image;
const elsewhere = mkdtempSync(join(tmpdir(), 'valetkey-bundle-'));
beforeAll(async () => {
  image = await buildImageFolder();
});
afterAll(() => {
  image?.remove();
  rmSync(elsewhere, { recursive: true, force: true });
});

interface Bundled {
  url: string;
  /** With the admin key. */
  ask(method: string, path: string, body?: unknown): Promise<Answer>;
  /** Resolves with the exit code. */
  stop(): Promise<number | null>;
}

async function startBundle(database: string, more: Record<string, string> = {}): Promise<Bundled> {
  const adminKey = randomBytes(32).toString('base64url');
  const env = {
    PATH: process.env.PATH,
    VALETKEY_PORT: '0',
    VALETKEY_DATABASE_URL: `file:./${database}.db`,
    VALETKEY_ADMIN_KEY: adminKey,
    VALETKEY_OUTBOUND_ALLOW: '127.0.0.1',
    ...more,
  };
  const main = join(image.folder, 'dist/main.js');
  const child = spawn(process.execPath, [main], { cwd: elsewhere, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = once(child, 'exit').then(([code]) => code as number | null);
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { event, url: at } = JSON.parse(line);
      if (event === 'listening') resolve(at);
    });
    void gone.then((code) => reject(new Error(`the bundle ended with ${code} before it listened`)));
  });
  return {
    url,
    ask: (method, path, body) => ask(url, adminKey, method, path, body),
    stop() {
      child.kill('SIGTERM');
      return gone;
    },
  };
}

const valetkey = (...args: string[]) =>
  promisify(execFile)(process.execPath, [join(image.folder, 'dist/cli.js'), ...args], { cwd: elsewhere });

it.each(['main.js', 'cli.js'])('bundle: %s on an older Node says which one it needs', async (name) => {
  const pretend = 'Object.defineProperty(process.versions, "node", { value: "20.20.2" });';
  const options = ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`];
  const ended = promisify(execFile)(process.execPath, [...options, join(image.folder, 'dist', name)]);
  await expect(ended).rejects.toMatchObject({
    code: 78,
    stderr: expect.stringMatching(/^Valetkey needs Node 24 or newer/),
  });
});

it('bundle: has the compiled code of what a start runs, which V8 accepts', () => {
  const source = readFileSync(join(image.folder, 'dist/code/main.cjs'), 'latin1');
  const cachedData = readFileSync(join(image.folder, 'dist/code/main.cache'));
  // What V8 compiles before anything has run is a fraction of it. Under another name, since V8 remembers what it compiled.
  const fresh = new Script(source, { filename: 'fresh.cjs' }).createCachedData();
  expect(fresh.length * 3).toBeLessThan(cachedData.length);
  expect(new Script(source, { filename: 'main.cjs', cachedData }).cachedDataRejected).toBe(false);
});

it('bundle: a start and the first requests leave the young generation of the heap small', async () => {
  const broker = await startBundle('young');
  try {
    expect((await broker.ask('GET', '/v1/connections')).status).toBe(200);
    const metrics = await (await fetch(`${broker.url}/metrics`)).text();
    const size = /^nodejs_heap_space_size_total_bytes\{space="new"\} (\d+)/m.exec(metrics)?.[1];
    expect(Number(size)).toBeGreaterThan(0);
    expect(Number(size)).toBeLessThan(4 * 2 ** 20);
  } finally {
    await broker.stop();
  }
});

it('bundle: probes do not load the classes of fetch that Node has, the first request of the API does', async () => {
  const isLoaded = `process.moduleLoadList.includes('NativeModule internal/deps/undici/undici')`;
  const child = spawnBundle('probed', `process.on('SIGUSR2', () => console.error(${isLoaded}));`);
  const gone = once(child, 'exit');
  const told = async () => {
    child.kill('SIGUSR2');
    return String((await once(child.stderr, 'data'))[0]).trim();
  };
  try {
    const url = await new Promise<string>((resolve) => {
      createInterface(child.stdout).on('line', (line) => {
        const { event, url: at } = JSON.parse(line);
        if (event === 'listening') resolve(at);
      });
    });
    for (const path of ['/healthz', '/readyz', '/metrics']) expect((await fetch(url + path)).status).toBe(200);
    expect(await told()).toBe('false');
    expect((await fetch(`${url}/v1/connections`)).status).toBe(401);
    expect(await told()).toBe('true');
  } finally {
    child.kill('SIGKILL');
    await gone;
  }
});

/** `before` runs in its process, first. */
function spawnBundle(database: string, before: string) {
  const options = [
    '--import',
    `data:text/javascript,${encodeURIComponent(before)}`,
    join(image.folder, 'dist/main.js'),
  ];
  const env = { PATH: process.env.PATH, VALETKEY_PORT: '0', VALETKEY_DATABASE_URL: `file:./${database}.db` };
  return spawn(process.execPath, options, { cwd: elsewhere, env });
}

it('bundle: what a start loads of Node is loaded before V8 gets other flags, under which it refuses what Node has compiled', async () => {
  const child = spawnBundle(
    'early',
    `const v8 = process.getBuiltinModule('v8');
    const { setFlagsFromString } = v8;
    let early;
    v8.setFlagsFromString = (flags) => {
      early ??= new Set(process.moduleLoadList);
      setFlagsFromString(flags);
    };
    process.once('SIGTERM', () => {
      console.error(JSON.stringify(process.moduleLoadList.filter((name) => !early.has(name))));
      process.exit();
    });`,
  );
  child.stdout.on('data', (lines) => String(lines).includes('"event":"listening"') && child.kill('SIGTERM'));
  const [names] = await once(child.stderr, 'data');
  const late = (JSON.parse(names) as string[]).filter((name) => name.startsWith('NativeModule '));
  // Small ones, which are loaded by the first use of a function, and `perf_hooks`.
  const expected = / process$|\/async_local_storage\/|\/util\/comparisons$|perf_hooks$|\/perf\/|\/histogram$/;
  expect(late.filter((name) => !expected.test(name))).toEqual([]);
});

it('bundle: V8 optimizes nothing until it is ready, not even what Node runs', async () => {
  const env = { PATH: process.env.PATH, VALETKEY_PORT: '0', VALETKEY_DATABASE_URL: 'file:./optimized.db' };
  const child = spawn(process.execPath, ['--trace-opt', join(image.folder, 'dist/main.js')], { cwd: elsewhere, env });
  const lines: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    lines.push(line);
    const [, url] = /"event":"listening","url":"([^"]+)"/.exec(line) ?? [];
    if (url === undefined) continue;
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    child.kill('SIGTERM');
  }
  expect(lines.join()).toContain('"event":"stopped"');
  // How often these run depends on how long the path of the bundle is.
  const ofPaths = /isPosixPathSeparator|normalizeString/;
  expect(lines.filter((line) => line.includes('compiling method') && !ofPaths.test(line))).toEqual([]);
});

it('bundle: the line that it listens is written in the turn of the event loop in which it does', async () => {
  const child = spawnBundle(
    'line',
    `const { on } = process;
    process.on = (event, ...given) => {
      if (event === 'SIGINT') process.nextTick(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
      return on.call(process, event, ...given);
    };`,
  );
  const gone = once(child, 'exit');
  createInterface(child.stdout).on('line', (line) => line.includes('"event":"listening"') && child.kill('SIGKILL'));
  expect(await gone).toEqual([null, 'SIGKILL']);
});

it('bundle: the broker describes no schemas and routes', () => {
  const code = readFileSync(join(image.folder, 'dist/code/main.cjs'), 'utf8');
  expect(code).not.toMatch(/preserveMetadataFromModifier|class OpenApiGeneratorV31/);
  expect(code).not.toContain('Manage callers: internal services, their keys and their permissions.');
});

it('bundle: the broker is ASCII, of which V8 takes a byte for each letter', () => {
  expect(readFileSync(join(image.folder, 'dist/code/main.cjs'), 'utf8')).not.toMatch(/[\u0080-\uffff]/);
});

it.each([
  ['of another version', (path: string) => writeFileSync(path, Buffer.alloc(4_096))],
  ['cut off', (path: string, whole: Buffer) => writeFileSync(path, whole.subarray(0, 100_000))],
  ['missing', () => undefined],
  ['not readable', (path: string) => void mkdirSync(path)],
])('bundle: starts with compiled code that is %s, and stops on SIGTERM', async (state, spoil) => {
  const path = join(image.folder, 'dist/code/main.cache');
  const kept = readFileSync(path);
  rmSync(path);
  spoil(path, kept);
  try {
    const broker = await startBundle(state.replaceAll(' ', '-'));
    expect(await broker.stop()).toBe(0);
  } finally {
    rmSync(path, { recursive: true, force: true });
    writeFileSync(path, kept);
  }
});

it('bundle: with source maps, stacks name the sources', async () => {
  const failing = `const { on } = process;
    process.on = (event, ...given) => {
      if (event === 'SIGTERM') throw new Error('found');
      return on.call(process, event, ...given);
    };`;
  const options = ['--enable-source-maps', '--import', `data:text/javascript,${encodeURIComponent(failing)}`];
  const env = { PATH: process.env.PATH, VALETKEY_PORT: '0', VALETKEY_DATABASE_URL: 'file:./maps.db' };
  const ended = promisify(execFile)(process.execPath, [...options, join(image.folder, 'dist/main.js')], {
    cwd: elsewhere,
    env,
  });
  await expect(ended).rejects.toMatchObject({
    stderr: expect.stringMatching(/Error: found.*src\/runtime\/main\.ts:\d+/s),
  });
});

it('bundle: the first requests of a process, sent at once, all wait until the framework is loaded, and are answered', async () => {
  const broker = await startBundle('first');
  try {
    const paths = ['/readyz', '/healthz', '/v1/whoami', '/v1/connections', '/openapi.json'];
    const answers = await Promise.all([...paths, ...paths].map((path) => broker.ask('GET', path)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  } finally {
    expect(await broker.stop()).toBe(0);
  }
});

it('bundle: connects an account, serves and refreshes its token, verifies a JWT', async () => {
  const provider = await startProvider();
  const broker = await startBundle('whole');
  try {
    const { clientId, clientSecret } = await provider.addClient([`${broker.url}/oauth2/callback/acme`]);
    const client = { client_id: clientId, client_secret: clientSecret };
    const setup = { provider: 'generic-oidc', ...client, params: { issuer: provider.issuer } };
    expectOk(await broker.ask('PUT', '/v1/integrations/acme', setup), 201);
    const wanted = { integration: 'acme', owner: 'user_42' };
    const invited = expectOk(await broker.ask('POST', '/v1/connect-sessions', wanted), 201);
    await walkThrough(String(invited.url), { login: 'ada' });
    const { connection_id: id } = expectOk(await broker.ask('GET', `/v1/connect-sessions/${invited.id}`));
    const served = expectOk(await broker.ask('GET', `/v1/connections/${id}/token`));
    const refreshed = expectOk(await broker.ask('POST', `/v1/connections/${id}/refresh`, {}));
    expect(refreshed.access_token).toMatch(/./);
    expect(refreshed.access_token).not.toBe(served.access_token);
    const verified = expectOk(await broker.ask('POST', '/v1/jwt/verify', { token: 'e30.e30.e30' }));
    expect(verified.active).toBe(false);
    expect(expectOk(await broker.ask('DELETE', `/v1/connections/${id}`)).upstream_revocation).toBe('done');
  } finally {
    expect(await broker.stop()).toBe(0);
    await provider.close();
  }
});

it('bundle: has the migrations, the catalogue, the stylesheets and the OpenAPI document', async () => {
  const broker = await startBundle('files');
  try {
    const { data } = expectOk(await broker.ask('GET', '/v1/providers?limit=500'));
    const known = loadCatalogue([]);
    const byId = (data as { id: string }[]).map(({ id }) => known.ok && known.providers.get(id));
    expect(known.ok && known.providers.size).toBe(byId.length);
    expect(data).toEqual(byId.map((provider) => provider && presentProvider(provider)));
    const page = await visit(`${broker.url}/connect/unknown`);
    expect(page.status).toBeGreaterThanOrEqual(400);
    expect(page.text).toContain('/assets/valetkey.css');
    const stylesheet = await visit(`${broker.url}/assets/valetkey.css`);
    expect(stylesheet.text).toBe(readFileSync(join(ROOT, 'src/http/pages/valetkey.css'), 'utf8'));
    const described = await broker.ask('GET', '/openapi.json');
    expect(described.body).toEqual(JSON.parse(readFileSync(join(ROOT, 'openapi.json'), 'utf8')));
    expect((await visit(`${broker.url}/docs`)).text).toContain('/v1/connections');
    expect((await visit(`${broker.url}/metrics`)).text).toContain('valetkey_http_requests_total');
  } finally {
    expect(await broker.stop()).toBe(0);
  }
});

it('bundle: reads the entries of the deployment, and says what is wrong with one', async () => {
  const folder = mkdtempSync(join(elsewhere, 'providers-'));
  const entry = { extends: 'github', id: 'acme', name: 'Acme' };
  writeFileSync(join(folder, 'acme.json'), JSON.stringify(entry));
  const broker = await startBundle('providers', { VALETKEY_PROVIDERS_DIR: folder });
  expect(expectOk(await broker.ask('GET', '/v1/providers/acme'))).toMatchObject({ id: 'acme', name: 'Acme' });
  expect(await broker.stop()).toBe(0);
  writeFileSync(join(folder, 'acme.json'), JSON.stringify({ ...entry, category: 'none' }));
  await expect(valetkey('providers', 'check', join(folder, 'acme.json'))).rejects.toMatchObject({
    stderr: expect.stringContaining('category: Invalid option'),
  });
});

it('bundle: entries of the deployment that extend built-in ones become what they are in the sources', async () => {
  const folder = mkdtempSync(join(elsewhere, 'extending-'));
  const builtIn = loadCatalogue([]);
  if (!builtIn.ok) throw new Error(builtIn.issues.join('\n'));
  for (const id of builtIn.providers.keys())
    writeFileSync(join(folder, `x-${id}.json`), JSON.stringify({ extends: id, id: `x-${id}`, name: 'X' }));
  const broker = await startBundle('extending', { VALETKEY_PROVIDERS_DIR: folder });
  try {
    const extended = loadCatalogue([folder]);
    if (!extended.ok) throw new Error(extended.issues.join('\n'));
    for (const [id, provider] of extended.providers)
      expect(expectOk(await broker.ask('GET', `/v1/providers/${id}`)), id).toEqual(presentProvider(provider));
  } finally {
    expect(await broker.stop()).toBe(0);
  }
});

it('bundle: has the command line', async () => {
  const { stdout } = await valetkey('keys', 'generate', '--kid', 'k2');
  expect(stdout).toMatch(/^k2:[\w-]{43}\n$/);
  expect(parseKeyRing(stdout.trim()).ok).toBe(true);
  expect((await valetkey('--help')).stdout).toContain('valetkey <command>');
  expect((await valetkey('providers', 'show', 'generic-oidc')).stdout).toContain('generic-oidc');
  await expect(valetkey('demo', '--once')).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('in the repository, run: npm run demo'),
  });
});

it('bundle: has the license of every bundled library', () => {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const licenses = readFileSync(join(image.folder, 'dist/LICENSES.txt'), 'utf8');
  for (const name of Object.keys(dependencies)) expect(licenses).toMatch(new RegExp(`^${name} \\S+ \\(\\S+\\)$`, 'm'));
});
