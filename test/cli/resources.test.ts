// The commands for connections, callers, integrations and the audit log.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { createTerminal, type Valetkey } from '../support/terminal.ts';

let broker: TestBroker;
let valetkey: Valetkey;
const folder = mkdtempSync(join(tmpdir(), 'valetkey-cli-'));
const endpoint = 'https://id.example/x';
const CLUSTER = 'https://cluster.example';
beforeAll(async () => {
  broker = await startTestBroker({}, { trusted_issuers: [{ issuer: CLUSTER }] });
  valetkey = createTerminal({
    VALETKEY_URL: broker.url,
    VALETKEY_KEY: broker.adminKey,
    ACME_SECRET: 'the-client-secret',
  });
  const params = ['--param', `authorization_url=${endpoint}`, '--param', `token_url=${endpoint}`];
  await ok(['integrations', 'put', 'acme', '--provider', 'generic-oauth2', '--client-id', 'me', ...params]);
});
afterAll(async () => {
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The output of a command that succeeds, without anything on stderr. */
async function ok(args: string[], more?: Parameters<Valetkey>[1]): Promise<string> {
  const { code, out, err } = await valetkey(args, more);
  expect({ code, err }, args.join(' ')).toEqual({ code: 0, err: '' });
  return out;
}
const json = async (args: string[], more?: Parameters<Valetkey>[1]): Promise<Json[]> =>
  (await ok([...args, '--json'], more))
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Json);
async function adopt(owner: string, ...more: string[]): Promise<string> {
  const input = async () => '{"access_token":"a-secret-token"}';
  const [made] = await json(['connections', 'import', 'acme', owner, ...more], { input });
  return String(made?.id);
}

test('connections: list shows no secrets; revoke revokes one, or all of an owner', async () => {
  const [work, home] = [await adopt('ada', '--label', 'work'), await adopt('ada')];
  const list = await ok(['connections', 'list', '--owner', 'ada']);
  expect(list).toBe(`${work}\tacme\tada\twork\tactive\t\t\n${home}\tacme\tada\t-\tactive\t\t\n`);
  const rows = await json(['connections', 'list', '--owner', 'ada']);
  expect(rows.map(({ id }) => id)).toEqual([work, home]);
  expect(list + JSON.stringify(rows)).not.toContain('a-secret-token');
  expect(await ok(['connections', 'show', work])).toContain(`id\t${work}\n`);

  expect(await ok(['connections', 'revoke', work])).toBe('revoked; at the provider: unsupported\n');
  expect(await ok(['connections', 'revoke', '--owner', 'ada', '--yes'])).toBe('1 revoked\n');
  expect(await ok(['connections', 'list', '--owner', 'ada', '--status', 'active'])).toBe('');
});

test('connections revoke: many are only revoked when their integration or owner is typed, or with --yes', async () => {
  await adopt('bulk', '--label', 'a');
  await adopt('bulk', '--label', 'b');
  const live = async () => (await json(['connections', 'list', '--owner', 'bulk', '--status', 'active'])).length;
  const revoke = ['connections', 'revoke', '--owner', 'bulk'];
  expect(await ok([...revoke, '--dry-run'])).toBe('2 connections of owner bulk would be revoked\n');
  expect(await json([...revoke, '--dry-run', '--yes'])).toEqual([{ would_revoke: 2 }]);
  expect(await ok([...revoke, '--integration', 'acme', '--dry-run'])).toBe(
    '2 connections of integration acme of owner bulk would be revoked\n',
  );
  const unattended = await valetkey(revoke);
  expect(unattended).toMatchObject({ code: 64, out: '', err: expect.stringContaining('confirm with --yes') });
  expect((await valetkey([...revoke, '--json'], { inputIsTty: true })).code).toBe(64);
  const asked: string[] = [];
  const answering = (line: string) => ({
    inputIsTty: true,
    question: async (text: string) => {
      asked.push(text);
      return line;
    },
  });
  for (const wrong of ['', 'y', 'yes', 'bul'])
    expect(await valetkey(revoke, answering(wrong))).toMatchObject({ code: 1, err: 'nothing was revoked\n' });
  expect(asked[0]).toMatch(/^This revokes 2 connections of owner bulk, .*\nType bulk to confirm: $/);
  expect((await valetkey(['connections', 'revoke', '--integration', 'acme', '--owner', ''])).code).toBe(64);
  expect(await live()).toBe(2);
  expect(await ok(revoke, answering(' bulk '))).toBe('2 revoked\n');
  expect(await live()).toBe(0);
});

test('lists at a terminal: aligned tables with headings, not truncated, for wide and control characters too', async () => {
  const metadata = '{"note":"\\u001b[31mred"}';
  const id = await adopt('東京', '--metadata', metadata);
  const long = await adopt(`${'x'.repeat(200)}-東京`);
  const out = await ok(['connections', 'list', '--status', 'active'], { outIsTty: true });
  const lines = out.trimEnd().split('\n');
  expect(lines[0]).toMatch(/^ID +INTEGRATION +OWNER +LABEL +STATUS +REASON +ACCOUNT$/);
  const row = lines.find((line) => line.startsWith(id)) ?? '';
  expect(row).toMatch(new RegExp(`^${id}  acme {9}東京 +- {6}active  - {7}-$`));
  expect(lines.find((line) => line.startsWith(long))).toContain(`${'x'.repeat(200)}-東京  -`);
  // A wide character takes two columns.
  expect((lines[0]?.indexOf('LABEL') ?? 0) - row.indexOf('-      active')).toBe(2);
  const shown = await ok(['connections', 'show', id], { outIsTty: true });
  expect(shown).toContain('red');
  expect(shown.includes('\u001b')).toBe(false);
  const colored = await ok(['connections', 'list'], { outIsTty: true, color: true });
  expect(colored).toContain('\u001b[1mID');
});

test('texts of others turn no direction and begin no line: in lists, and in what is refused', async () => {
  const odd = ['a\u202ebc', 'a\u2066b\u2028c'];
  for (const label of odd) await adopt('odd', '--label', label);
  const { err } = await valetkey(['token', 'acme', 'odd']);
  const listed = await ok(['connections', 'list', '--owner', 'odd'], { outIsTty: true });
  for (const text of [err, listed]) {
    expect(text).toMatch(/a bc/);
    expect(text).toMatch(/a b c/);
    expect(text).not.toMatch(/[\p{Bidi_Control}\p{Zl}]/u);
  }
  const json = await ok(['connections', 'list', '--owner', 'odd', '--json']);
  expect(json).toMatch(/^[\n -~]+$/);
  expect(
    json
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).label)
      .toSorted(),
  ).toEqual(odd.toSorted());
});

test('connections import: reads a file, and rejects a malformed or missing one', async () => {
  const file = join(folder, 'credentials.json');
  writeFileSync(file, '{"access_token":"of-the-file"}');
  const id = await adopt('file', '--credentials', file);
  expect(await ok(['token', '--connection', id])).toBe('of-the-file\n');
  writeFileSync(file, 'of-the-file');
  const args = ['connections', 'import', 'acme', 'x', '--credentials'];
  const [wrong, absent] = [await valetkey([...args, file]), await valetkey([...args, join(folder, 'nothing')])];
  expect(wrong).toMatchObject({ code: 64, err: `${file} must be a JSON object, such as {"name":"value"}\n` });
  expect(absent).toMatchObject({ code: 1, err: expect.stringContaining('cannot be read (ENOENT)') });
  const refused = await valetkey(['connections', 'refresh', id]);
  expect(refused.code).toBe(1);
});

test('callers create: prints an id and a key with exactly the given grants', async () => {
  const grant = ['--action', 'token', '--action', 'connections:read', '--owner', 'user_*'];
  const [id = '', key = ''] = (await ok(['callers', 'create', '--name', 'billing', ...grant])).split('\n');
  expectOk(await broker.ask('GET', '/v1/connections', undefined, key));
  expectProblem(await broker.ask('GET', '/v1/token?integration=acme&owner=org_1', undefined, key), 404, 'not_found');
  expectProblem(await broker.ask('GET', '/v1/token?integration=acme&owner=user_1', undefined, key), 404, 'not_found');
  const listed = await ok(['callers', 'list']);
  expect(listed).toContain(`${id}\tbilling\t${key.slice(0, 8)}…\ttoken,connections:read on * of user_*\n`);

  const [keyId = '', second = ''] = (await ok(['callers', 'keys', 'add', id, '--expires', '90d'])).split('\n');
  expectOk(await broker.ask('GET', '/v1/connections', undefined, second));
  const caller = (await json(['callers', 'list'])).find((one) => one.id === id) ?? {};
  const ends = (caller.keys as Json[]).map(({ expires_at }) => expires_at as string | null);
  expect(Date.parse(ends[1] ?? '') - Date.now()).toBeGreaterThan(89 * 86_400_000);
  expect(await ok(['callers', 'keys', 'delete', id, keyId])).toBe('deleted\n');
  expectProblem(await broker.ask('GET', '/v1/connections', undefined, second), 401, 'unauthenticated');
  expect(await ok(['callers', 'delete', id])).toBe('deleted\n');
  expectProblem(await broker.ask('GET', '/v1/connections', undefined, key), 401, 'unauthenticated');
});

test('callers update: changes what is given, and keeps the rest and the key', async () => {
  const grant = ['--action', 'connections:read', '--integration', 'acme'];
  const [id = '', key = ''] = (await ok(['callers', 'create', '--name', 'first', ...grant])).split('\n');
  const [shown] = await json(['callers', 'show', id]);
  expect(shown).toMatchObject({ name: 'first', rate_limit: null });
  const more = ['--action', 'token', '--scope', 'read', '--max-min-ttl', '600', '--rate-limit', '100/60'];
  const [changed] = await json(['callers', 'update', id, '--add', ...more]);
  expect(changed).toMatchObject({
    name: 'first',
    grants: [
      { actions: ['connections:read'], integrations: ['acme'], owners: ['*'] },
      { actions: ['token'], integrations: ['*'], owners: ['*'], scopes: ['read'], max_min_ttl: 600 },
    ],
    rate_limit: { requests: 100, window: 60 },
  });
  const [renamed] = await json(['callers', 'update', id, '--name', 'second']);
  expect(renamed).toMatchObject({ name: 'second', grants: changed?.grants, rate_limit: changed?.rate_limit });
  await json([
    'callers',
    'update',
    id,
    '--grant',
    JSON.stringify({ actions: ['*'], integrations: ['x'], owners: ['*'] }),
  ]);
  const env = { VALETKEY_URL: broker.url, VALETKEY_KEY: key };
  const [me] = await json(['whoami'], { env });
  expect(me).toMatchObject({
    id,
    name: 'second',
    grants: [{ integrations: ['x'] }],
    authenticated_by: { kind: 'key' },
  });
});

test('callers create: a workload identity has no key, and survives an update', async () => {
  const bound = ['--workload-issuer', CLUSTER, '--workload-audience', 'valetkey', '--workload-claim', 'sub=jobs:*'];
  const workload = [...bound, '--workload-max-age', '600'];
  const id = (await ok(['callers', 'create', '--name', 'job', '--action', 'token', ...workload])).trimEnd();
  expect(id).toMatch(/^clr_\w+$/);
  const [changed] = await json(['callers', 'update', id, '--name', 'jobs']);
  expect(changed).toMatchObject({
    name: 'jobs',
    keys: [],
    workloads: [{ issuer: CLUSTER, claims: { sub: 'jobs:*' }, max_age: 600 }],
  });
  await ok(['callers', 'delete', id]);
});

test('rate limit: the error says when to try again', async () => {
  const limited = ['--action', 'connections:read', '--rate-limit', '1/60'];
  const [, key = ''] = (await ok(['callers', 'create', '--name', 'eager', ...limited])).split('\n');
  const env = { VALETKEY_URL: broker.url, VALETKEY_KEY: key };
  await ok(['connections', 'list'], { env });
  const { code, err } = await valetkey(['connections', 'list'], { env });
  expect(code).toBe(1);
  expect(err).toMatch(/\nTry again in \d+ seconds\.\n$/);
});

test('validation errors: printed with their path', async () => {
  const { code, err } = await valetkey(['callers', 'create', '--name', 'x', '--action', 'fly', '--action', 'token']);
  expect(code).toBe(1);
  expect(err).toMatch(/ {2}grants\.0\.actions\.0: /);
});

test('integrations put: reads the secret from the environment or stdin, and shows the redirect URI', async () => {
  const put = ['integrations', 'put', 'acme', '--provider', 'generic-oauth2', '--client-id', 'me'];
  const params = ['--param', `authorization_url=${endpoint}`, '--param', `token_url=${endpoint}`];
  const [set] = await json([...put, ...params, '--scope', 'read', '--client-secret-env', 'ACME_SECRET']);
  expect(set).toMatchObject({ client_secret_set: true, scopes: ['read'] });
  expect(set?.redirect_uri).toBe(`${broker.url}/oauth2/callback/acme`);
  const [piped] = await json([...put, ...params, '--client-secret-stdin'], { input: async () => 'another-secret\n' });
  expect(piped).toMatchObject({ client_secret_set: true, version: Number(set?.version) + 1 });
  expect(await ok(['integrations', 'list'])).toBe('acme\tgeneric-oauth2\tme\tset\t\n');
  const unset = await valetkey([...put, ...params, '--client-secret-env', 'NOT_SET']);
  expect(unset).toMatchObject({ code: 1, err: 'NOT_SET is not set in the environment\n' });

  await ok(['integrations', 'put', 'other', ...put.slice(3), ...params]);
  const [rated] = await json(['integrations', 'put', 'other', ...put.slice(3), ...params, '--rate', '600/60/caller']);
  expect(rated?.rate).toEqual({ requests: 600, window: 60, per: 'caller' });
  expect((await valetkey([...put, ...params, '--rate', '600'])).err).toMatch(/REQUESTS\/SECONDS, such as 600\/60/);
  expect(await ok(['integrations', 'show', 'other'])).toContain('client_secret_set\tfalse\n');
  expect(await ok(['integrations', 'delete', 'other'])).toBe('deleted\n');
  expect((await valetkey(['integrations', 'show', 'other'])).err).toMatch(/^Not found: /);
});

test('sessions: created with what is given, listed, shown without their tokens, and ended', async () => {
  const create = ['sessions', 'create', '--owner', 'user_42', '--integration', 'acme', '--ttl', '15m'];
  const [id = '', token = ''] = (await ok(create)).split('\n');
  expect([id, token]).toEqual([expect.stringMatching(/^ses_/), expect.stringMatching(/^vs_/)]);
  const as = createTerminal({ VALETKEY_URL: broker.url, VALETKEY_KEY: token });
  expect((await as(['whoami'])).out).toContain('session');
  const more = ['--method', 'GET', '--path', '/repos/*', '--scope', 'read', '--max-uses', '3', '--actor', 'a1'];
  const [narrow] = await json([
    ...create,
    ...more,
    '--actor-name',
    'Agent One',
    '--purpose',
    'to look at repositories',
  ]);
  expect(narrow).toMatchObject({
    methods: ['GET'],
    paths: ['/repos/*'],
    scopes: ['read'],
    max_uses: 3,
    purpose: 'to look at repositories',
  });
  expect(narrow).toMatchObject({ actor: { id: 'a1', name: 'Agent One' }, actions: ['proxy'], status: 'active' });
  const list = await ok(['sessions', 'list', '--owner', 'user_42', '--active']);
  expect(list.split('\n')[1]).toMatch(`${id}\tactive\tuser_42\tacme\tproxy\t\tmade on the command line\t`);
  expect(list).not.toContain('vs_');
  expect(await ok(['sessions', 'show', id])).toContain(`id\t${id}\n`);
  expect(await ok(['sessions', 'end', id])).toContain('status\tended');
  expect((await as(['whoami'])).code).not.toBe(0);
  expect(await ok(['sessions', 'revoke', '--owner', 'user_42'])).toBe('1 ended\n');
  expect(await ok(['sessions', 'list', '--active'])).toBe('');
  expect((await json(['audit', '--session', id])).map(({ action }) => action)).toContain('session.ended');
  expect((await valetkey(['sessions', 'end'])).err).toContain('needs an id, or --owner');
  expect((await valetkey([...create, '--ttl', 'soon'])).err).toContain('duration');
});

test('events: oldest first, by type and id, and as they come with --follow', async () => {
  const following = json(['events', '--follow', '--limit', '1', '--type', 'connection.revoked']);
  const id = await adopt('edsger');
  // Until it follows, what is revoked is not new.
  const revoking = setInterval(() => void adopt('alan').then((one) => ok(['connections', 'revoke', one])), 200);
  const [revoked] = await following.finally(() => clearInterval(revoking));
  expect(revoked).toMatchObject({ type: 'connection.revoked', data: { connection: { owner: 'alan' } } });
  const types = (await json(['events', '--all', '--type', 'connection.created'])).map(({ type }) => type);
  expect(new Set(types)).toEqual(new Set(['connection.created']));
  const lines = (await ok(['events', '--all'])).split('\n');
  const line = lines.find((one) => one.includes(id))!;
  expect(line).toMatch(/^20\S+Z\tconnection\.created\tacme\tedsger\tcon_\w+\t-\tmsg_\w+$/);
  const event = line.split('\t').at(-1)!;
  expect(await ok(['events', 'show', event])).toContain(`id\t${event}\n`);
});

test('audit: newest first, limited by time and count', async () => {
  const ids = [await adopt('audited', '--label', 'a'), await adopt('audited', '--label', 'b')];
  const of = ['audit', '--owner', 'audited'];
  const rows = await json([...of, '--action', 'connection.imported']);
  expect(rows.map(({ connection_id }) => connection_id)).toEqual([ids[1], ids[0]]);
  expect(await json([...of, '--limit', '1'])).toHaveLength(1);
  expect(await json([...of, '--all', '--since', '1h'])).toHaveLength(2);
  const inAnHour = { now: () => Date.now() + 3_660_000 };
  expect(await json([...of, '--since', '1h'], inAnHour)).toEqual([]);
  expect(await json([...of, '--until', '1h'], inAnHour)).toHaveLength(2);
  expect(await json([...of, '--since', '2001-01-31T12:00:00+02:00', '--outcome', 'denied'])).toEqual([]);
  expect(await ok([...of, '--limit', '1'])).toMatch(
    /^20\S+Z\tconnection\.imported\tok\tclr_admin\tacme\taudited\tcon_/,
  );
});

test('lists: follow all pages', async () => {
  const many = Array.from({ length: 502 }, (_, i) => ({
    id: `many-${i}`,
    provider: 'generic-oauth2',
    client_id: 'me',
    params: { authorization_url: endpoint, token_url: endpoint },
  }));
  expectOk(await broker.ask('POST', '/v1/apply', { integrations: many }));
  expect(await json(['integrations', 'list'])).toHaveLength(503);
});
