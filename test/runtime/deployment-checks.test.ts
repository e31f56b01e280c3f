// Settings that are valid and leave a door open: refused or warned of, by name.
import { randomBytes, randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { mayConnectTo, parseAllow, toAllowList, urlProblem } from '../../src/adapters/outbound/ssrf-guard.ts';
import { ENOUGH_KEY_BITS, estimatedKeyBits } from '../../src/domain/key-strength.ts';
import { bindIssues } from '../../src/runtime/bind-issues.ts';
import { parseConfig } from '../../src/runtime/config.ts';
import { OWN_SECRETS } from '../../src/runtime/declarative-file.ts';
import { generateKey } from '../../src/runtime/keys.ts';
import { SETTING_NAMES, settingOf } from '../../src/runtime/settings.ts';

const PUBLIC = { VALETKEY_PUBLIC_URL: 'https://keys.example.com', VALETKEY_KEYS: generateKey() };

/** `refused` or `warned`, and the names of settings that are blamed. */
function judged(env: Record<string, string>, file: unknown = {}): { refused: string[]; warned: string[] } {
  const parsed = parseConfig({ VALETKEY_CONFIG: 'declared.json', ...env }, () => JSON.stringify(file));
  return parsed.ok ? { refused: [], warned: parsed.warnings } : { refused: parsed.issues, warned: [] };
}
const names = (texts: string[]) => texts.map((text) => text.split(':')[0]);

test('a deployment in order: nothing', () => {
  const env = { ...PUBLIC, VALETKEY_HOST: '0.0.0.0', VALETKEY_ADMIN_KEY: randomBytes(32).toString('hex') };
  expect(judged(env)).toEqual({ refused: [], warned: [] });
  expect(judged({})).toEqual({ refused: [], warned: [] });
  const VALETKEY_DATABASE_URL = 'postgres://u:p@db/x?pool=20&prepare=false&sslmode=verify-full&options=-c%20a%3Db';
  expect(judged({ ...PUBLIC, VALETKEY_DATABASE_URL })).toEqual({ refused: [], warned: [] });
});

test.each<[string, Record<string, string>, string]>([
  ['plain http', { ...PUBLIC, VALETKEY_PUBLIC_URL: 'http://keys.example.com' }, 'VALETKEY_PUBLIC_URL'],
  ['plain http at an address', { ...PUBLIC, VALETKEY_PUBLIC_URL: 'http://10.0.0.1:8080' }, 'VALETKEY_PUBLIC_URL'],
  [
    'every address, and a URL for this machine',
    { VALETKEY_HOST: '0.0.0.0', VALETKEY_PUBLIC_URL: 'http://localhost:8080' },
    'VALETKEY_HOST',
  ],
  [
    'every address of IPv6, and a URL for this machine',
    { VALETKEY_HOST: '[0:0:0:0:0:0:0:0]', VALETKEY_PUBLIC_URL: 'http://127.0.0.1' },
    'VALETKEY_HOST',
  ],
  [
    'an address of the network, and a URL for this machine',
    { VALETKEY_HOST: '10.1.2.3', VALETKEY_PUBLIC_URL: 'http://localhost:8080' },
    'VALETKEY_HOST',
  ],
  ['a proxy by a name that is not read', { ALL_PROXY: 'http://proxy.example:3128' }, 'ALL_PROXY is not read'],
  [
    'the same in lower case, beside one for http alone',
    { all_proxy: 'socks5://proxy.example:1080', HTTP_PROXY: 'http://proxy.example:3128' },
    'ALL_PROXY is not read',
  ],
  ['every address, and no URL', { VALETKEY_HOST: '::', VALETKEY_KEYS: generateKey() }, 'VALETKEY_PUBLIC_URL'],
  ['options of an SQLite file', { VALETKEY_DATABASE_URL: 'file:./data/valetkey.db?mode=ro' }, 'VALETKEY_DATABASE_URL'],
  [
    'a parameter of PostgreSQL that nothing reads',
    { VALETKEY_DATABASE_URL: 'postgres://u:p@db/valetkey?pol=20' },
    'VALETKEY_DATABASE_URL',
  ],
  ['a weak admin key on this machine', { VALETKEY_ADMIN_KEY: 'a'.repeat(40) }, 'VALETKEY_ADMIN_KEY'],
  [
    'a ring that someone typed',
    { VALETKEY_KEYS: `k:${Buffer.alloc(32, 'key').toString('base64url')}` },
    'VALETKEY_KEYS',
  ],
])('%s: a warning, by name', (_, env, name) => {
  const { refused, warned } = judged(env);
  expect(refused).toEqual([]);
  expect(names(warned)).toEqual([name]);
});

test.each<[string, Record<string, string>, string]>([
  [
    'a weak admin key',
    { ...PUBLIC, VALETKEY_ADMIN_KEY: 'change-me-change-me-change-me-change-me' },
    'VALETKEY_ADMIN_KEY',
  ],
  ['one port for both', { VALETKEY_PORT: '8081', VALETKEY_INTERNAL_PORT: '8081' }, 'VALETKEY_INTERNAL_PORT'],
  ['the default port for both', { VALETKEY_INTERNAL_PORT: '8080' }, 'VALETKEY_INTERNAL_PORT'],
  ...['0', '-1', 'abc', '1000', '2.5', 'AUTO'].map((workers): [string, Record<string, string>, string] => [
    `${workers} workers`,
    { VALETKEY_WORKERS: workers },
    'VALETKEY_WORKERS',
  ]),
  [
    'workers on a database in memory',
    { VALETKEY_WORKERS: '2', VALETKEY_DATABASE_URL: 'file::memory:' },
    'VALETKEY_WORKERS',
  ],
  ['an internal port that is none', { VALETKEY_INTERNAL_PORT: '80a' }, 'VALETKEY_INTERNAL_PORT'],
  ['a host with a port', { VALETKEY_HOST: '127.0.0.1:8080' }, 'VALETKEY_HOST'],
  ['a host that is a URL', { VALETKEY_HOST: 'http://127.0.0.1' }, 'VALETKEY_HOST'],
  ['a host that is a number', { ...PUBLIC, VALETKEY_HOST: '0' }, 'VALETKEY_HOST'],
  ['any host', { ...PUBLIC, VALETKEY_HOST: '*' }, 'VALETKEY_HOST'],
  ['a URL with a password', { ...PUBLIC, VALETKEY_PUBLIC_URL: 'https://a:b@keys.example.com' }, 'VALETKEY_PUBLIC_URL'],
  ['every proxy', { VALETKEY_TRUSTED_PROXIES: '0.0.0.0/0' }, 'VALETKEY_TRUSTED_PROXIES'],
])('%s: refused, by name', (_, env, name) => {
  expect(names(judged(env).refused)).toEqual([name]);
});

test('a key of a declared caller that is easy to guess: a warning, by the name of the caller', () => {
  const callers = [{ name: 'mailer', grants: [], key: 'k'.repeat(32) }];
  expect(judged(PUBLIC, { callers }).warned).toEqual([expect.stringContaining('caller mailer: key: is easy to guess')]);
});

test('everything is reported at once', () => {
  const env = {
    ...PUBLIC,
    VALETKEY_HOST: 'a b',
    VALETKEY_OUTBOUND_ALLOW: '0.0.0.0/0,169.254.169.254',
    VALETKEY_TRUSTED_PROXIES: 'everyone',
    VALETKEY_INTERNAL_PORT: 'x',
  };
  expect(names(judged(env, { colour: 'red' }).refused).sort()).toEqual([
    'VALETKEY_CONFIG',
    'VALETKEY_HOST',
    'VALETKEY_INTERNAL_PORT',
    'VALETKEY_OUTBOUND_ALLOW',
    'VALETKEY_OUTBOUND_ALLOW',
    'VALETKEY_TRUSTED_PROXIES',
  ]);
});

describe('how hard a key is to guess', () => {
  test.each([
    'a'.repeat(64),
    'ab'.repeat(20),
    '0123456789'.repeat(4),
    'abcdefghijklmnopqrstuvwxyz0123456789',
    'passwordpasswordpasswordpassword',
    'change-me-change-me-change-me-change-me',
    'this-is-the-secret-admin-key-not-for-production',
    'VALETKEY_ADMIN_KEY_VALETKEY_ADMIN_KEY',
    'qwertyuiopasdfghjklzxcvbnm123456',
    '00000000-0000-0000-0000-000000000000',
    'deadbeefdeadbeefdeadbeefdeadbeef',
    '00112233445566778899aabbccddeeff',
    'a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6',
    'correct horse battery staple correct horse',
    'MySuperSecretAdminKeyForValetkey2026!',
  ])('%s: easy', (key) => {
    expect(estimatedKeyBits(key)).toBeLessThan(ENOUGH_KEY_BITS);
  });

  test('what is made at random is not easy, in any spelling', () => {
    for (let n = 0; n < 200; n++)
      for (const key of [
        randomBytes(16).toString('hex'),
        randomBytes(32).toString('hex').toUpperCase(),
        randomBytes(24).toString('base64url'),
        randomBytes(32).toString('base64'),
        randomUUID(),
      ])
        expect(estimatedKeyBits(key), key).toBeGreaterThan(ENOUGH_KEY_BITS);
  });

  test('a very long key takes no time', () => {
    expect(estimatedKeyBits('ab'.repeat(500_000))).toBeLessThan(ENOUGH_KEY_BITS);
  });
});

describe('VALETKEY_OUTBOUND_ALLOW', () => {
  test.each([
    '0.0.0.0/0',
    '::/0',
    '0.0.0.0/1',
    '128.0.0.0/1',
    '2000::/3',
    '::ffff:0:0/96',
    '::ffff:0.0.0.0/97',
    '64:ff9b::/96',
    '::/8',
    '*',
    '*.example.com',
    '169.254.169.254',
    '169.254.169.254/32',
    '169.254.0.0/16',
    '::ffff:169.254.169.254',
    '::ffff:169.254.169.0/120',
    '64:ff9b::a9fe:a9fe',
    '169.254.170.2',
    'fd00:ec2::254',
    '100.100.100.200',
    '168.63.129.16',
    'metadata.google.internal',
    'METADATA.google.internal.',
    'metadata',
    'instance-data.ec2.internal',
    'fe80::1',
  ])('%s is refused', (entry) => {
    expect(parseAllow(entry)).toEqual({ ok: false, issues: [expect.stringContaining(`"${entry}"`)] });
  });

  test.each(['127.0.0.1', 'localhost', '10.0.0.0/8', '100.64.0.0/10', 'fc00::/7', 'idp.internal', '[::1]'])(
    '%s is allowed',
    (entry) => {
      expect(parseAllow(entry)).toEqual({ ok: true, allow: [entry] });
    },
  );

  test('a range of IPv4-mapped or NAT64 addresses is one of IPv4', () => {
    for (const range of ['::ffff:10.0.0.0/104', '64:ff9b::a00:0/104']) {
      const list = toAllowList([range]);
      for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '64:ff9b::a01:203'])
        expect(mayConnectTo(address, list), `${range} ${address}`).toBe(true);
      expect(mayConnectTo('192.168.0.1', list)).toBe(false);
    }
  });

  test('a range that has the address of a metadata service in it does not allow that', () => {
    const list = toAllowList(['100.64.0.0/10', 'fc00::/7', 'idp.internal']);
    expect(mayConnectTo('100.64.0.1', list)).toBe(true);
    for (const address of ['100.100.100.200', 'fd00:ec2::254', '::ffff:169.254.169.254', '169.254.169.254'])
      expect(mayConnectTo(address, list), address).toBe(false);
    expect(urlProblem(new URL('http://100.100.100.200/latest'), list)).toMatch(/metadata/);
  });
});

describe('settings in the declarative file', () => {
  const reference = (name: string) => `\${${name}}`;
  const acme = { id: 'acme', provider: 'generic-oidc', client_id: 'me', params: { issuer: 'https://id.example' } };
  const env = {
    VALETKEY_DATABASE_URL: 'file:./the-path-of-the-database.db',
    VALETKEY_KEYS: generateKey('k1'),
    VALETKEY_ADMIN_KEY: randomBytes(32).toString('hex'),
    HTTPS_PROXY: 'http://user:the-password-of-the-proxy@proxy.example:3128',
    HTTP_PROXY: 'http://user:another-password-of-it@proxy.example:3128',
    VALETKEY_ACME_SECRET: 'a-secret-of-acme',
    ACME_SECRET: 'a-secret-of-acme',
  };
  const refused = (file: unknown, more: Record<string, string> = {}) => judged({ ...env, ...more }, file).refused;

  test('the secrets of the broker are those of its settings', () => {
    const secrets = SETTING_NAMES.filter((name) => settingOf(name).secret);
    expect(OWN_SECRETS.toSorted()).toEqual(secrets.toSorted());
  });

  test.each([...OWN_SECRETS, 'VALETKEY_LOG_LEVEL', 'VALETKEY_ACME_SECRET', 'VALETKEY_NOT_SET', 'valetkey_keys'])(
    '%s in a field that is shown is refused, and its value is in no message',
    (name) => {
      const fields = [
        { client_id: reference(name) },
        { client_id: `a-${reference(name)}-b` },
        { params: { issuer: reference(name) } },
        { overrides: { token_url: `https://x.example/?${reference(name)}` } },
        { scopes: [reference(name)] },
      ];
      for (const field of fields) {
        const issues = refused({ integrations: [{ ...acme, ...field }] });
        expect(issues, JSON.stringify(field)).toEqual([expect.stringMatching(/^VALETKEY_CONFIG: integrations\.0\./)]);
        for (const value of Object.values(env)) expect(issues.join()).not.toContain(value);
      }
      expect(refused({ callers: [{ name: reference(name), grants: [] }] })).toHaveLength(1);
      expect(refused({ return_origins: [reference(name)] })).toHaveLength(1);
    },
  );

  test('the secrets of the broker are refused where secrets are expected too, under any name', () => {
    for (const name of OWN_SECRETS)
      expect(refused({ integrations: [{ ...acme, client_secret: reference(name) }] })).toHaveLength(1);
    for (const name of OWN_SECRETS)
      expect(
        refused(
          { integrations: [{ ...acme, client_secret: reference('COPY') }] },
          { COPY: `x${env[name as keyof typeof env]}` },
        ),
      ).toEqual([expect.stringContaining(name)]);
  });

  test('nor the value of a proxy that is set in lower case', () => {
    const proxy = 'http://user:hunter2-of-the-proxy@proxy.example:3128';
    const issues = refused(
      { integrations: [{ ...acme, client_id: reference('COPY') }] },
      { https_proxy: proxy, COPY: proxy },
    );
    expect(issues).toEqual([expect.stringContaining('HTTPS_PROXY, which belongs to the broker alone')]);
  });

  test('nor the file that holds one, under another name', () => {
    const files = { VALETKEY_ADMIN_KEY: '', VALETKEY_ADMIN_KEY_FILE: '/run/key', COPY_FILE: '/run/key' };
    const issues = refused({ integrations: [{ ...acme, client_id: reference('COPY') }] }, files);
    expect(issues).toContainEqual(expect.stringContaining('VALETKEY_ADMIN_KEY, which belongs to the broker alone'));
  });

  test('other variables, and a secret whose name begins like a setting, are filled in', () => {
    const integrations = [{ ...acme, client_secret: reference('VALETKEY_ACME_SECRET') }];
    expect(refused({ integrations })).toEqual([]);
    expect(refused({ integrations: [{ ...acme, client_id: reference('ACME_SECRET') }] })).toEqual([]);
    expect(
      refused({ callers: [{ name: 'x', grants: [], key: reference('MAILER') }] }, { MAILER: 'vk_'.padEnd(40, 'x7') }),
    ).toEqual([]);
  });
});

test.each([
  ['EACCES', /^VALETKEY_INTERNAL_PORT: this user may not listen on 81/],
  ['EADDRINUSE', /^VALETKEY_INTERNAL_PORT: 81 is in use/],
  ['EADDRNOTAVAIL', /^VALETKEY_HOST: ::1 is not an address/],
  ['EAFNOSUPPORT', /^VALETKEY_HOST: this machine has no addresses of the kind/],
  ['EAI_AGAIN', /^VALETKEY_HOST: ::1 is not a name/],
  ['EWHATEVER', /^VALETKEY_HOST: it is not possible to listen at ::1, port 81 \(EWHATEVER\)/],
])('a port that cannot be bound, %s: in words, by the name of the setting', (code, words) => {
  expect(bindIssues('::1', [{ which: 'internal', port: 81, code }])).toEqual([expect.stringMatching(words)]);
});
