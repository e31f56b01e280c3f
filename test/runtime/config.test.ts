// The environment and the declarative file: what is accepted, what is refused, and what applying the file twice changes.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import { type Running, start } from '../../src/runtime/app.ts';
import { type Config, parseConfig } from '../../src/runtime/config.ts';
import { generateKey } from '../../src/runtime/keys.ts';
import { SetupError } from '../../src/runtime/setup-error.ts';
import { ask, type Json } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';

const noFile = () => {
  throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
};
const parse = (env: Record<string, string>, declared?: unknown) =>
  parseConfig(
    declared === undefined ? env : { VALETKEY_CONFIG: 'declared.json', ...env },
    declared === undefined ? noFile : () => (typeof declared === 'string' ? declared : JSON.stringify(declared)),
  );
function configOf(env: Record<string, string>, declared?: unknown): Config {
  const parsed = parse(env, declared);
  if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
  return parsed.config;
}
function issuesOf(env: Record<string, string>, declared?: unknown): string[] {
  const parsed = parse(env, declared);
  return parsed.ok ? [] : parsed.issues;
}

/** A reference to the environment in the file. */
const envReference = (name: string) => `\${${name}}`;

describe('settings', () => {
  test('on loopback, every setting has a default', () => {
    expect(configOf({})).toMatchObject({
      host: '127.0.0.1',
      port: 8080,
      workers: 1,
      publicUrl: undefined,
      databaseUrl: 'file:./data/valetkey.db',
      dataDir: './data',
      keys: { from: 'file', path: 'data/valetkey.keys' },
      adminKey: undefined,
      outboundAllow: [],
      tokenCache: { entries: 50_000 },
      auditDays: 400,
      tombstoneDays: 400,
      auditRefreshes: 'changes',
      eventDays: 30,
      signing: { algorithm: 'ES256', days: 30 },
      logLevel: 'info',
    });
  });

  test('workers: a number, or as many as there are cores', () => {
    expect(configOf({ VALETKEY_WORKERS: '64' }).workers).toBe(64);
    expect(configOf({ VALETKEY_WORKERS: 'auto' }).workers).toBe(availableParallelism());
  });

  test.each([
    ['VALETKEY_WORKERS', ['0', '65', 'two'], 'a whole number from 1 to 64, or auto'],
    ['VALETKEY_TOMBSTONE_DAYS', ['0', '36501', 'never'], 'a whole number of days from 1 to 36500, or forever'],
    ['VALETKEY_EVENT_DAYS', ['0', '3651', 'forever'], 'a whole number from 1 to 3650'],
    ['VALETKEY_PORT', ['65536'], 'a port number, at most 65535'],
    ['VALETKEY_APP_NAME', ['x'.repeat(61)], '1 to 60 characters'],
  ])('%s out of its range: the message says what is wanted', (name, values, wanted) => {
    for (const value of values) expect(issuesOf({ [name]: value })).toEqual([`${name}: ${wanted}`]);
  });

  test('an empty variable counts as not set', () => {
    const config = configOf({ VALETKEY_PORT: '', VALETKEY_KEYS: ' ', VALETKEY_ADMIN_KEY: '', VALETKEY_CONFIG: '' });
    expect(config).toMatchObject({ port: 8080, adminKey: undefined });
  });

  test('.env.example is a valid configuration, and says what takes effect without it', () => {
    const text = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8');
    const lines = text.split('\n').filter((line) => /^[A-Z]/.test(line));
    const parsed = parse(Object.fromEntries(lines.map((line) => line.split('='))));
    expect(parsed).toMatchObject({ ok: true, warnings: [] });
    expect(parsed.ok && { ...parsed.config, catalogue: null }).toEqual({ ...configOf({}), catalogue: null });
  });

  test('VALETKEY_TOKEN_CACHE: tokens, or megabytes', () => {
    expect(configOf({ VALETKEY_TOKEN_CACHE: '1000' }).tokenCache).toEqual({ entries: 1_000 });
    expect(configOf({ VALETKEY_TOKEN_CACHE: '200MB' }).tokenCache).toEqual({ bytes: 200_000_000 });
  });

  test('VALETKEY_AUDIT_DAYS: the days that audit entries are stored', () => {
    expect(configOf({ VALETKEY_AUDIT_DAYS: '90' }).auditDays).toBe(90);
    expect(configOf({}).auditDays).toBe(400);
    expect(configOf({ VALETKEY_AUDIT_DAYS: 'forever' }).auditDays).toBeNull();
    expect(configOf({ VALETKEY_TOMBSTONE_DAYS: '30' }).tombstoneDays).toBe(30);
    expect(configOf({ VALETKEY_TOMBSTONE_DAYS: 'forever' }).tombstoneDays).toBeNull();
  });

  test.each([
    ['VALETKEY_PORT', 'http'],
    ['VALETKEY_PORT', '65536'],
    ['VALETKEY_PORT', 'tcp://10.0.0.1:80'],
    ['VALETKEY_PUBLIC_URL', 'valetkey.example'],
    ['VALETKEY_PUBLIC_URL', 'ftp://localhost'],
    ['VALETKEY_PUBLIC_URL', 'http://localhost/?a=b'],
    ['VALETKEY_DATABASE_URL', 'valetkey.db'],
    ['VALETKEY_DATABASE_URL', 'file:'],
    ['VALETKEY_DATABASE_URL', 'mysql://localhost/valetkey'],
    ['VALETKEY_DATABASE_URL', 'postgres://user:a b[@localhost:x/valetkey'],
    ['VALETKEY_KEYS', 'no-key'],
    ['VALETKEY_ADMIN_KEY', 'x'.repeat(31)],
    ['VALETKEY_OUTBOUND_ALLOW', 'http://localhost'],
    ['VALETKEY_PROVIDERS_DIR', '/nowhere/at/all'],
    ['VALETKEY_CONFIG', 'nowhere.json'],
    ['VALETKEY_TOKEN_CACHE', '0'],
    ['VALETKEY_TOKEN_CACHE', '2 GB'],
    ['VALETKEY_AUDIT_REFRESHES', 'none'],
    ['VALETKEY_AUDIT_DAYS', '0'],
    ['VALETKEY_AUDIT_DAYS', '90d'],
    ['VALETKEY_LOG_LEVEL', 'chatty'],
  ])('%s=%s is the one fault, by name', (name, value) => {
    const issues = issuesOf({ [name]: value });
    expect(issues).toHaveLength(1);
    expect(issues[0]).toMatch(new RegExp(`^${name}: `));
  });

  test.each(['postgres://u:p@db.example/valetkey?sslmode=verify-full', 'postgresql://localhost:5433/valetkey?pool=20'])(
    '%s: accepted, with a folder for what stays on this machine',
    (databaseUrl) => {
      const keys = { from: 'file', path: 'data/valetkey.keys' };
      expect(configOf({ VALETKEY_DATABASE_URL: databaseUrl })).toMatchObject({ databaseUrl, dataDir: './data', keys });
      const elsewhere = configOf({ VALETKEY_DATABASE_URL: databaseUrl, VALETKEY_DATA_DIR: '/var/lib/valetkey' });
      expect(elsewhere.keys).toEqual({ from: 'file', path: '/var/lib/valetkey/valetkey.keys' });
    },
  );

  test('an invalid database URL: its password is not repeated', () => {
    expect(issuesOf({ VALETKEY_DATABASE_URL: 'postgres://u:hunter2@[localhost/x' }).join()).not.toContain('hunter2');
  });

  test('every fault of every variable is reported, and no secret', () => {
    const keys = `${generateKey('a')},${generateKey('a')},b:short-secret`;
    const issues = issuesOf({ VALETKEY_PORT: 'x', VALETKEY_KEYS: keys, VALETKEY_OUTBOUND_ALLOW: 'ok.example,*,a b' });
    expect(issues.map((issue) => issue.split(': ')[0])).toEqual([
      'VALETKEY_PORT',
      'VALETKEY_KEYS',
      'VALETKEY_KEYS',
      'VALETKEY_OUTBOUND_ALLOW',
      'VALETKEY_OUTBOUND_ALLOW',
    ]);
    for (const part of keys.split(/[,:]/).filter((text) => text.length > 2)) expect(issues.join()).not.toContain(part);
  });

  test('the public URL loses its trailing slash', () => {
    expect(configOf({ VALETKEY_PUBLIC_URL: 'http://localhost:9/' }).publicUrl).toBe('http://localhost:9');
  });

  test.each([
    [{ VALETKEY_PUBLIC_URL: 'https://valetkey.example' }],
    [{ VALETKEY_PUBLIC_URL: 'http://localhost.example' }],
    [{ VALETKEY_HOST: '0.0.0.0' }],
    [{ VALETKEY_HOST: '::' }],
    [{ VALETKEY_PUBLIC_URL: 'https://valetkey.example', VALETKEY_DATABASE_URL: 'file::memory:' }],
  ])('VALETKEY_KEYS is required beyond loopback: %o', (env) => {
    expect(issuesOf(env)).toEqual([expect.stringMatching(/^VALETKEY_KEYS: required/)]);
    expect(configOf({ ...env, VALETKEY_KEYS: generateKey() }).keys.from).toBe('environment');
  });

  test.each([
    [{ VALETKEY_PUBLIC_URL: 'http://localhost:1' }],
    [{ VALETKEY_PUBLIC_URL: 'http://127.1.2.3:1' }],
    [{ VALETKEY_HOST: '::1' }],
    [{ VALETKEY_HOST: '0.0.0.0', VALETKEY_PUBLIC_URL: 'http://[::1]:1' }],
  ])('VALETKEY_KEYS may be left out on loopback: %o', (env) => {
    expect(configOf(env).keys.from).toBe('file');
  });

  test('an unknown name is a warning; names of the command line and of Kubernetes are not', () => {
    const parsed = parse({
      VALETKEY_PROT: '1',
      VALETKEY_URL: 'x',
      VALETKEY_SERVICE_HOST: 'x',
      VALETKEY_PORT_80_TCP: 'x',
    });
    expect(parsed.ok && parsed.warnings).toEqual([expect.stringContaining('VALETKEY_PROT ')]);
  });
});

describe('secrets in files', () => {
  const ring = generateKey('a');
  const adminKey = randomBytes(32).toString('base64url');
  const files: Record<string, string> = {
    keys: `${ring}\n`,
    admin: `${adminKey}\r\n\n`,
    database: 'postgres://u:hunter2@db.example/valetkey\n',
    short: 'short-secret\n',
    empty: '\n',
  };
  const readFile = (path: string) => files[path] ?? noFile();
  const from = (env: Record<string, string>) => parseConfig(env, readFile);

  test('NAME_FILE: the setting is the content of the file, without the line break at its end', () => {
    const parsed = from({
      VALETKEY_KEYS_FILE: 'keys',
      VALETKEY_ADMIN_KEY_FILE: 'admin',
      VALETKEY_DATABASE_URL_FILE: 'database',
      VALETKEY_PUBLIC_URL: 'https://valetkey.example',
    });
    expect(parsed).toMatchObject({
      ok: true,
      warnings: [],
      config: { keys: { from: 'environment', keys: [{ kid: 'a' }] }, adminKey, databaseUrl: files.database!.trim() },
    });
  });

  test.each<[Record<string, string>, RegExp]>([
    [{ VALETKEY_ADMIN_KEY_FILE: 'nothing' }, /^VALETKEY_ADMIN_KEY_FILE: .*cannot be read \(ENOENT\)$/],
    [{ VALETKEY_KEYS_FILE: 'nothing', VALETKEY_HOST: '0.0.0.0' }, /^VALETKEY_KEYS_FILE: .*cannot be read/],
    [{ VALETKEY_ADMIN_KEY_FILE: 'empty' }, /^VALETKEY_ADMIN_KEY_FILE: .*empty$/],
    [{ VALETKEY_ADMIN_KEY_FILE: 'short' }, /^VALETKEY_ADMIN_KEY_FILE: at least 32 characters$/],
    [{ VALETKEY_KEYS_FILE: 'short', VALETKEY_HOST: '0.0.0.0' }, /^VALETKEY_KEYS_FILE: /],
    [{ VALETKEY_DATABASE_URL_FILE: 'short' }, /^VALETKEY_DATABASE_URL_FILE: /],
    [
      { VALETKEY_ADMIN_KEY_FILE: 'admin', VALETKEY_ADMIN_KEY: adminKey },
      /^VALETKEY_ADMIN_KEY_FILE: VALETKEY_ADMIN_KEY is set too$/,
    ],
  ])('%o is the one fault, by name, without the secret', (env, fault) => {
    const parsed = from(env);
    const issues = parsed.ok ? [] : parsed.issues;
    expect(issues).toEqual([expect.stringMatching(fault)]);
    expect(issues.join()).not.toMatch(/short-secret/);
  });

  test('a secret that was written where its file should be named is not repeated', () => {
    const parsed = from({ VALETKEY_ADMIN_KEY_FILE: adminKey });
    expect(parsed.ok ? '' : parsed.issues.join()).toMatch(/^(?!.*ENOENT.*ENOENT)VALETKEY_ADMIN_KEY_FILE: /);
    expect(JSON.stringify(parsed)).not.toContain(adminKey);
  });

  test('a setting that is no secret has no file', () => {
    const parsed = from({ VALETKEY_PUBLIC_URL_FILE: 'keys' });
    expect(parsed.ok && parsed.warnings).toEqual([expect.stringMatching(/^VALETKEY_PUBLIC_URL_FILE is not a setting/)]);
  });

  test('the declarative file takes a secret from a file too, and names what cannot be read', () => {
    const acme = { id: 'acme', provider: 'generic-oidc', client_id: 'me', params: { issuer: 'https://id.example' } };
    files.declared = JSON.stringify({ integrations: [{ ...acme, client_secret: envReference('ACME_SECRET') }] });
    const declared = (ACME_SECRET_FILE: string) => from({ VALETKEY_CONFIG: 'declared', ACME_SECRET_FILE });
    expect(declared('short')).toMatchObject({
      config: { declared: { integrations: [{ client_secret: 'short-secret' }] } },
    });
    expect(declared('nothing')).toMatchObject({
      issues: [expect.stringMatching(/integrations\.0\.client_secret: .*ACME_SECRET_FILE: .*ENOENT/)],
    });
  });
});

describe('the egress proxy', () => {
  test('is none by default; lower-case names count where the others are not set', () => {
    expect(configOf({}).egress).toEqual({ direct: [], resolves: 'broker' });
    const env = { https_proxy: 'proxy.example:3128', HTTP_PROXY: 'http://a.example', http_proxy: 'http://b.example' };
    const { egress } = configOf({ ...env, no_proxy: 'localhost,10.0.0.0/8', VALETKEY_EGRESS_RESOLVES: 'proxy' });
    expect([egress.https?.href, egress.http?.href, egress.resolves]).toEqual([
      'http://proxy.example:3128/',
      'http://a.example/',
      'proxy',
    ]);
    expect(egress.direct).toHaveLength(2);
  });

  test('its faults name the variable and not its credentials; what NO_PROXY does not know is a warning', () => {
    expect(issuesOf({ https_proxy: 'socks5://u:hunter2@p' })).toEqual([
      expect.stringMatching(/^https_proxy: (?!.*hunter2)/),
    ]);
    expect(issuesOf({ VALETKEY_EGRESS_RESOLVES: 'dns' })).toEqual([
      expect.stringMatching(/^VALETKEY_EGRESS_RESOLVES: /),
    ]);
    const parsed = parse({ NO_PROXY: '169.254.*,ok.example' });
    expect(parsed.ok && parsed.warnings).toEqual([expect.stringMatching(/^NO_PROXY: "169\.254\.\*"/)]);
  });
});

describe('PORT', () => {
  test('is the port where VALETKEY_PORT is not set', () => {
    expect(configOf({ PORT: '3000' }).port).toBe(3000);
    expect(configOf({ PORT: '3000', VALETKEY_PORT: '4000' }).port).toBe(4000);
    expect(configOf({ PORT: '', VALETKEY_PORT: '' }).port).toBe(8080);
    expect(configOf({ PORT: 'x', VALETKEY_PORT: '4000' }).port).toBe(4000);
  });

  test('is named in its fault', () => {
    expect(issuesOf({ PORT: '70000' })).toEqual([expect.stringMatching(/^PORT: /)]);
  });
});

describe('the declarative file', () => {
  const oidc = { id: 'acme', provider: 'generic-oidc', client_id: 'me', params: { issuer: 'https://id.example' } };

  test('a reference to the environment is replaced once; the value is not searched again', () => {
    const integrations = [
      { ...oidc, client_secret: envReference('SECRET'), client_id: `${envReference('A')}-${envReference('B')}` },
    ];
    const { declared } = configOf({ SECRET: `a${envReference('B')}c$&`, A: 'x', B: 'y' }, { integrations });
    expect(declared.integrations[0]).toMatchObject({ client_secret: `a${envReference('B')}c$&`, client_id: 'x-y' });
  });

  test.each<[string, unknown, string]>([
    ['invalid JSON', '{\n  "callers": [],\n}', 'declared.json: not valid JSON at line 3, column 1'],
    ['JSON that is cut off', '[', 'declared.json: not valid JSON: it ends too early'],
    ['JSON with a word that is none', '{"callers": [s3cret]}', 'declared.json: not valid JSON'],
    ['a JSON value that is not an object', '[]', 'declared.json: '],
    ['an unknown member', { colour: 'red' }, 'declared.json: Unrecognized key: "colour"'],
    [
      'an unknown member within',
      { integrations: [{ ...oidc, colour: 'red' }] },
      'integrations.0: Unrecognized key: "colour"',
    ],
    ['a missing member', { integrations: [{ ...oidc, provider: undefined }] }, 'integrations.0.provider: '],
    ['a bad id', { integrations: [{ ...oidc, id: 'A B' }] }, 'integrations.0.id: '],
    ['an id twice', { integrations: [oidc, oidc] }, 'integrations.1.id: '],
    [
      'a bad grant',
      { callers: [{ name: 'x', grants: [{ actions: ['fly'], integrations: ['*'], owners: ['*'] }] }] },
      'callers.0.grants.0.actions.0: ',
    ],
    ['a short key', { callers: [{ name: 'x', grants: [], key: 'short' }] }, 'callers.0.key: at least 32'],
    [
      'a caller twice',
      {
        callers: [
          { name: 'x', grants: [] },
          { name: 'x', grants: [] },
        ],
      },
      'callers.1: ',
    ],
    ['a key twice', { callers: ['x', 'y'].map((name) => ({ name, grants: [], key: 'k'.repeat(32) })) }, 'callers.1: '],
    ['a bad issuer', { trusted_issuers: [{ issuer: 'id.example' }] }, 'trusted_issuers.0.issuer: '],
    [
      'itself as an issuer',
      { trusted_issuers: [{ issuer: 'http://localhost:9/' }] },
      'trusted_issuers.0.issuer: is the public URL',
    ],
    ['a theme that cannot be read', { theme: { accent_light: '#ffe000' } }, 'theme.accent_light: its contrast'],
    ['a bad origin', { return_origins: ['https://app.example/x'] }, 'return_origins.0: '],
    [
      'a name that is not set',
      { integrations: [{ ...oidc, client_secret: envReference('NOT_SET') }] },
      `integrations.0.client_secret: ${envReference('NOT_SET')} is not set`,
    ],
    [
      'a name that is empty',
      { integrations: [{ ...oidc, client_secret: envReference('EMPTY') }] },
      `integrations.0.client_secret: ${envReference('EMPTY')} is not set`,
    ],
  ])('%s is refused, by its path', (_, declared, fault) => {
    const issues = issuesOf({ EMPTY: '', VALETKEY_PUBLIC_URL: 'http://localhost:9' }, declared);
    expect(issues).toHaveLength(1);
    expect(issues[0]).toContain(`VALETKEY_CONFIG: ${fault}`);
    expect(issues[0]).not.toContain('s3cret');
  });

  test('every fault is reported at once, those of the environment too', () => {
    const integrations = [
      { ...oidc, client_secret: envReference('ONE') },
      { ...oidc, id: 'b', client_id: envReference('TWO'), scopes: 'x' },
    ];
    const issues = issuesOf({ VALETKEY_PORT: 'x' }, { integrations, callers: [{ name: '', grants: [] }] });
    expect(issues.map((issue) => issue.replace(/^VALETKEY_CONFIG: /, '').split(': ')[0])).toEqual(
      expect.arrayContaining([
        'VALETKEY_PORT',
        'integrations.0.client_secret',
        'integrations.1.client_id',
        'integrations.1.scopes',
        'callers.0.name',
      ]),
    );
  });
});

describe('applying the declarative file', () => {
  let folder: string;
  const adminKey = randomBytes(32).toString('base64url');
  const callerKey = `vk_${randomBytes(32).toString('base64url')}`;
  const grants = [{ actions: ['connections:read'], integrations: ['acme'], owners: ['user_*'] }];
  const acme = {
    id: 'acme',
    provider: 'generic-oauth2',
    client_id: 'me',
    client_secret: envReference('ACME_SECRET'),
    params: { authorization_url: 'https://id.example/auth', token_url: 'https://id.example/token' },
  };
  const declared = { integrations: [acme], callers: [{ name: 'billing', key: envReference('BILLING_KEY'), grants }] };
  const env = () => ({
    VALETKEY_PORT: '0',
    VALETKEY_PUBLIC_URL: 'http://localhost:1',
    VALETKEY_DATABASE_URL: `file:${join(folder, 'valetkey.db')}`,
    VALETKEY_ADMIN_KEY: adminKey,
    ACME_SECRET: 'acme-secret',
    BILLING_KEY: callerKey,
  });
  const run = (file: unknown, more = {}): Promise<Running> =>
    start(configOf({ ...env(), ...more }, file), createLogger('silent'));
  /** Runs `look` against a broker that was started with the file. */
  async function startedWith<T>(
    file: unknown,
    look: (get: (path: string, key?: string) => ReturnType<typeof ask>) => Promise<T>,
    more = {},
  ): Promise<T> {
    const running = await run(file, more);
    try {
      return await look((path, key = adminKey) => ask(running.url, key, 'GET', path));
    } finally {
      await running.stop();
    }
  }
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'valetkey-config-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('it creates integrations and callers; a second time it changes nothing; a changed file changes only the difference', async () => {
    const state = async (get: (path: string, key?: string) => ReturnType<typeof ask>) => ({
      integration: expectOk(await get('/v1/integrations/acme')),
      callers: expectOk(await get('/v1/callers')).data as Json[],
      entries: (expectOk(await get('/v1/audit?actor=system')).data as Json[]).map(({ action }) => action),
    });
    const first = await startedWith(declared, async (get) => {
      expectOk(await get('/v1/integrations/acme', callerKey));
      expectProblem(await get('/v1/audit', callerKey), 403, 'forbidden');
      return state(get);
    });
    expect(first.integration).toMatchObject({ client_id: 'me', client_secret_set: true, version: 1 });
    expect(first.callers).toMatchObject([{ id: expect.stringMatching(/^clr_/), name: 'billing', grants }]);
    expect(JSON.stringify(first)).not.toMatch(/acme-secret|BILLING_KEY/);

    const again = await startedWith(declared, state);
    const used = (callers: Json[]) =>
      callers.map(({ keys, ...rest }) => ({ ...rest, keys: (keys as Json[]).map(({ id }) => id) }));
    expect(again.integration).toEqual(first.integration);
    expect(used(again.callers)).toEqual(used(first.callers));
    expect(first.entries).toEqual(['caller.declared', 'integration.declared']);
    expect(again.entries).toEqual(first.entries);

    const secret = await startedWith(declared, state, { ACME_SECRET: 'another-secret' });
    expect(secret.integration).toMatchObject({ version: 2, created_at: first.integration.created_at });
    const withdrawn = { ...declared, callers: [{ name: 'billing', key: envReference('BILLING_KEY'), grants: [] }] };
    const less = await startedWith(withdrawn, async (get) => {
      expectProblem(await get('/v1/integrations/acme', callerKey), 404, 'not_found');
      return state(get);
    });
    expect(less.callers.map(({ id }) => id)).toEqual(first.callers.map(({ id }) => id));

    await expect(run({ callers: [{ name: 'renamed', key: envReference('BILLING_KEY'), grants }] })).rejects.toThrow(
      /^VALETKEY_CONFIG: caller renamed: .*billing/,
    );
    await expect(run({ integrations: [{ ...acme, provider: 'nobody' }] })).rejects.toThrow(SetupError);
  });
});
