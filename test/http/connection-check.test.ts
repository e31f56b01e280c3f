// Checks of connections: whether the token works, and whose account it is, asked of the API itself.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CheckView } from '../../src/api/index.ts';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem, RFC3339_UTC } from '../support/contract.ts';
import { codeMode, entry } from '../support/entries.ts';
import {
  type ReceivedRequest,
  type ScriptedResponse,
  type ScriptedServer,
  startScriptedServer,
} from '../support/scripted-server.ts';
import { createTerminal } from '../support/terminal.ts';

let server: ScriptedServer;
let broker: TestBroker;
let folder: string;
let api: (request: ReceivedRequest) => ScriptedResponse;
let tokenEndpoint: () => ScriptedResponse;
let tokens = 0;

const me = (id: string): ScriptedResponse => ({ body: { user: { id } } });
const good = (): ScriptedResponse => ({
  body: { access_token: `at-${++tokens}`, token_type: 'Bearer', expires_in: 3_600 },
});

beforeAll(async () => {
  server = await startScriptedServer((request) => (request.path === '/token' ? tokenEndpoint() : api(request)));
  folder = mkdtempSync(join(tmpdir(), 'valetkey-checks-'));
  const acme = entry('acme', {
    auth: [
      codeMode({
        authorization_url: `${server.url}/authorize`,
        token_url: `${server.url}/token`,
        token_answer: { capture: { user_id: 'user.id', team_id: 'team.id' } },
        account: { issuer: server.url, id: ['{user_id}'] },
      }),
      { mode: 'api_key', send: { in: 'query', name: 'key', prefix: '' } },
    ],
    api_base_url: `${server.url}/v1`,
    api_headers: { 'X-Version': '7' },
    api: {
      whoami: [
        {
          method: 'POST',
          path: '/me?fields=id',
          json: { query: '{ me { id } }' },
          only: ['oauth2_code'],
          identity: { user_id: 'user.id', team_id: 'team.id' },
          healthy_when: { path: 'errors', present: false },
        },
        { path: '/keys/self', account: 'id', proves: [403] },
      ],
    },
    rate_limits: { scope: 'connection', signals: [{ status: [403], contains: ['slow down'] }] },
  });
  writeFileSync(join(folder, 'acme.json'), JSON.stringify(acme));
  broker = await startTestBroker({ VALETKEY_PROVIDERS_DIR: folder }, undefined, { refreshAhead: false });
  const client = { client_id: 'c', client_secret: 's' };
  const set = (id: string, setup: object) => broker.ask('PUT', `/v1/integrations/${id}`, setup);
  expectOk(await set('acme', { provider: 'acme', ...client }), 201);
  expectOk(await set('keys', { provider: 'acme', params: { mode: 'api_key' } }), 201);
  const params = { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token` };
  expectOk(await set('plain', { provider: 'generic-oauth2', ...client, params }), 201);
});
afterAll(async () => {
  await broker?.stop();
  await server.close();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  server.received.length = 0;
  tokenEndpoint = good;
  api = () => me('u1');
});

let owners = 0;
async function connect(integration = 'acme', credentials: Json = { refresh_token: 'rt' }, captured?: Json) {
  const body = { integration, owner: `user-${++owners}`, credentials, ...(captured && { captured }) };
  return String(expectOk(await broker.ask('POST', '/v1/connections', body), 201).id);
}
const acme = () => connect('acme', { refresh_token: 'rt' }, { user_id: 'u1', team_id: 't1' });
const check = (id: string, key?: string) => broker.ask('POST', `/v1/connections/${id}/check`, undefined, key);
const connection = async (id: string): Promise<Json> => expectOk(await broker.ask('GET', `/v1/connections/${id}`));
async function typesOf(id: string): Promise<string[]> {
  const { data } = expectOk(await broker.ask('GET', '/v1/events?limit=100'));
  const events = data as { type: string; data: { connection?: { id: string } } }[];
  return events.filter((event) => event.data.connection?.id === id).map(({ type }) => type);
}
const auditOf = async (id: string): Promise<Json[]> => {
  const { data } = expectOk(await broker.ask('GET', '/v1/audit?limit=100'));
  return (data as Json[]).filter(
    (one) => one.connection_id === id && String(one.action).startsWith('connection.check'),
  );
};

describe('check of a connection', () => {
  test('that works: its account, as the entry says, once, audited and told on the connection', async () => {
    const id = await acme();
    expect(await connection(id)).toMatchObject({ last_checked_at: null, last_check_error: null });
    const body = expectOk(await check(id));
    CheckView.strict().parse(body);
    const account = { issuer: server.url, id: 'u1', name: null };
    expect(body).toEqual({
      ok: true,
      status: 'active',
      reason: null,
      account,
      upstream_status: 200,
      retry_after: null,
      checked_at: expect.stringMatching(RFC3339_UTC),
    });
    const [call, ...others] = server.received.filter(({ path }) => path !== '/token');
    expect(others).toEqual([]);
    expect(call).toMatchObject({ method: 'POST', path: '/v1/me?fields=id', body: '{"query":"{ me { id } }"}' });
    expect(call!.headers).toMatchObject({
      authorization: `Bearer at-${tokens}`,
      'content-type': 'application/json',
      'x-version': '7',
    });
    expect(await connection(id)).toMatchObject({ last_checked_at: body.checked_at, last_check_error: null });
    expect(await auditOf(id)).toEqual([expect.objectContaining({ action: 'connection.checked', detail: 'ok' })]);
    expect(await typesOf(id)).toEqual(['connection.created']);
  });

  test('with a token that is not accepted any more: renewed once, and another one works', async () => {
    const id = await acme();
    expectOk(await broker.ask('GET', `/v1/connections/${id}/token`));
    const old = `Bearer at-${tokens}`;
    api = ({ headers }) => (headers.authorization === old ? { status: 401 } : me('u1'));
    expect(expectOk(await check(id))).toMatchObject({ ok: true, upstream_status: 200 });
    expect(await connection(id)).toMatchObject({ status: 'active', generation: 3 });
  });

  test.each<[string, ScriptedResponse]>([
    ['401', { status: 401 }],
    ['200 with what the entry says is none', { body: { errors: [{ message: 'no' }] } }],
  ])('%s to every token: token_rejected and an event, and the grant stays', async (_, answer) => {
    const id = await acme();
    api = () => answer;
    expect(expectOk(await check(id))).toMatchObject({ ok: false, reason: 'token_rejected', status: 'active' });
    expect(server.received.filter(({ path }) => path !== '/token')).toHaveLength(2);
    expect(await connection(id)).toMatchObject({ status: 'active', last_check_error: 'token_rejected' });
    expect(await typesOf(id)).toEqual(['connection.created', 'connection.check_failed']);
    expect(await auditOf(id)).toEqual([
      expect.objectContaining({ action: 'connection.check_failed', detail: 'token_rejected' }),
    ]);
    expectOk(await broker.ask('GET', `/v1/connections/${id}/token`));
  });

  test.each<[string, ScriptedResponse, Json]>([
    ['429', { status: 429, headers: { 'retry-after': '7' } }, { reason: 'rate_limited', retry_after: 7 }],
    ['403 that is a limit', { status: 403, body: { error: 'slow down' } }, { reason: 'rate_limited' }],
    ['403', { status: 403, body: { error: 'no' } }, { reason: 'forbidden' }],
    ['500', { status: 500 }, { reason: 'provider_unavailable', upstream_status: 500 }],
    ['a lost connection', 'drop', { reason: 'provider_unavailable', upstream_status: null }],
    ['a redirect', { status: 302, headers: { location: 'https://elsewhere.test/' } }, { reason: 'unexpected_answer' }],
    ['a page instead of JSON', { body: '<html>' }, { reason: 'unexpected_answer' }],
  ])('%s: says nothing of the grant, no event, one call', async (_, answer, expected) => {
    const id = await acme();
    api = () => answer;
    expect(expectOk(await check(id))).toMatchObject({ ok: false, status: 'active', ...expected });
    expect(server.received.filter(({ path }) => path !== '/token')).toHaveLength(1);
    expect(await connection(id)).toMatchObject({ status: 'active', last_check_error: expected.reason });
    expect(await typesOf(id)).toEqual(['connection.created']);
    expect(await auditOf(id)).toEqual([
      expect.objectContaining({ action: 'connection.checked', detail: expected.reason }),
    ]);
  });

  test.each<[string, ScriptedResponse, string]>([
    ['user', { body: { user: { id: 'u2' } } }, 'u2'],
    ['team, which no rule uses', { body: { user: { id: 'u1' }, team: { id: 't2' } } }, 'u1'],
  ])('of another %s: identity_changed, and the owner has to connect again', async (_, answer, told) => {
    const id = await acme();
    api = () => answer;
    expect(expectOk(await check(id))).toMatchObject({
      ok: false,
      reason: 'identity_changed',
      status: 'needs_reauth',
      account: { id: told },
    });
    expect(await connection(id)).toMatchObject({
      status: 'needs_reauth',
      reason: 'identity_changed',
      last_check_error: 'identity_changed',
      account: { id: 'u1' },
    });
    expect(await typesOf(id)).toEqual(['connection.created', 'connection.needs_reauth', 'connection.check_failed']);
    expectProblem(await broker.ask('GET', `/v1/connections/${id}/token`), 409, 'reauthorization_required');
    const problem = expectProblem(await check(id), 409, 'reauthorization_required');
    expect(problem.reason).toBe('identity_changed');
  });

  test('whose grant has ended, as the renewal finds out: told with that reason', async () => {
    const id = await acme();
    expectOk(await broker.ask('GET', `/v1/connections/${id}/token`));
    api = () => ({ status: 401 });
    tokenEndpoint = () => ({ status: 400, body: { error: 'invalid_grant' } });
    expect(expectOk(await check(id))).toMatchObject({ ok: false, reason: 'grant_revoked', status: 'needs_reauth' });
    expect(await typesOf(id)).toEqual(['connection.created', 'connection.needs_reauth']);
  });

  test('that cannot be renewed now: token_rejected, and the grant stays', async () => {
    const id = await acme();
    expectOk(await broker.ask('GET', `/v1/connections/${id}/token`));
    api = () => ({ status: 401 });
    tokenEndpoint = () => ({ status: 503 });
    expect(expectOk(await check(id))).toMatchObject({ ok: false, reason: 'token_rejected', status: 'active' });
  });

  test('with a key: in its place, its account told, and a 403 proves it where the entry says so', async () => {
    const id = await connect('keys', { api_key: 'k e+y' });
    api = () => ({ body: { id: 7 } });
    expect(expectOk(await check(id))).toMatchObject({ ok: true, account: { issuer: server.url, id: '7' } });
    expect(server.received.at(-1)).toMatchObject({ method: 'GET', path: '/v1/keys/self?key=k%20e%2By' });
    api = () => ({ status: 403 });
    expect(expectOk(await check(id))).toMatchObject({ ok: true, upstream_status: 403, account: null });
    api = () => ({ status: 401 });
    expect(expectOk(await check(id))).toMatchObject({ ok: false, reason: 'token_rejected', status: 'active' });
    expect(await connection(id)).toMatchObject({ status: 'active', last_refresh_error: null });
  });

  test('without a call in the catalogue: 409 check_unsupported, and nothing is sent', async () => {
    const id = await connect('plain', { access_token: 'at' });
    expect(expectProblem(await check(id), 409, 'check_unsupported').integration).toBe('plain');
    expect(server.received).toEqual([]);
  });

  test('is not sent while a limit is used up or the API is down: what it meets holds for other calls, too', async () => {
    const calls = () => server.received.filter(({ path }) => path !== '/token').length;
    const limited = await acme();
    api = () => ({ status: 429, headers: { 'retry-after': '60' } });
    for (let i = 0; i < 2; i++)
      expect(expectOk(await check(limited))).toMatchObject({ ok: false, reason: 'rate_limited', status: 'active' });
    const { body } = await check(limited);
    expect(body.upstream_status).toBeNull();
    expect([60, 59, 58, 57, 56]).toContain(body.retry_after);
    const headers = { authorization: `Bearer ${broker.adminKey}` };
    expect((await fetch(`${broker.url}/v1/connections/${limited}/proxy/me`, { headers })).status).toBe(429);
    expect(calls()).toBe(1);

    const [one, other] = [await connect('keys', { api_key: 'one' }), await connect('keys', { api_key: 'two' })];
    api = () => ({ status: 500 });
    const statuses: unknown[] = [];
    for (let i = 0; i < 7; i++) {
      const body = expectOk(await check(i % 2 ? one : other));
      expect(body.reason).toBe('provider_unavailable');
      statuses.push(body.upstream_status);
    }
    expect(statuses).toEqual([500, 500, 500, 500, 500, null, null]);
    expect(calls()).toBe(1 + 5);
  });

  test('takes connections:write; what the caller does not see is not there', async () => {
    const id = await acme();
    const caller = (action: string, integration: string) =>
      broker.callerKey({ actions: [action], integrations: [integration] });
    expectOk(await check(id, await caller('connections:write', 'acme')));
    server.received.length = 0;
    expectProblem(await check(id, await caller('token', 'acme')), 403, 'forbidden');
    expectProblem(await check(id, await caller('connections:write', 'other')), 404, 'not_found');
    expectProblem(await check('con_01k00000000000000000000000'), 404, 'not_found');
    expectOk(await broker.ask('DELETE', `/v1/connections/${id}`));
    server.received.length = 0;
    expectProblem(await check(id), 410, 'connection_revoked');
    expect(server.received).toEqual([]);
  });

  test('valetkey connections check: 0 when it works, 1 when not', async () => {
    const id = await acme();
    const valetkey = createTerminal({ VALETKEY_URL: broker.url, VALETKEY_KEY: broker.adminKey });
    const fine = await valetkey(['connections', 'check', id]);
    expect(fine).toMatchObject({ code: 0 });
    expect(fine.out).toContain('the token works, of u1');
    api = () => ({ status: 401 });
    const bad = await valetkey(['connections', 'check', id, '--json']);
    expect(bad.code).toBe(1);
    expect(JSON.parse(bad.out)).toMatchObject({ ok: false, reason: 'token_rejected' });
  });
});
