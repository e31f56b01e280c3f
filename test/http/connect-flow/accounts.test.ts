// Whose account a connection is: shown, compared whenever the grant is renewed, and what a renewal keeps.
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createCookieJar } from '../../../demo/browser.ts';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk, expectProblem } from '../../support/contract.ts';
import {
  callbackWithConsent,
  connectionOf,
  createConnectSession,
  newOwner,
  openLink,
  type Page,
  putIntegration,
  queryDatabase,
  sessionOf,
  visit,
} from '../../support/owner-browser.ts';
import {
  type ReceivedRequest,
  type ScriptedResponse,
  type ScriptedServer,
  startScriptedServer,
} from '../../support/scripted-server.ts';

let broker: TestBroker;
let provider: ScriptedServer;
/** What the token endpoint answers to a code, and to a refresh. */
let code: (request: ReceivedRequest) => ScriptedResponse;
let refresh: (request: ReceivedRequest) => ScriptedResponse | Promise<ScriptedResponse>;
let userinfo: () => ScriptedResponse;
let issued = 0;

const tokens = (more: Json = {}): Json => {
  const n = ++issued;
  return { access_token: `at-${n}`, token_type: 'Bearer', expires_in: 3_600, refresh_token: `rt-${n}`, ...more };
};
const bare = (more: Json = {}): Json => tokens({ refresh_token: undefined, ...more });
const slack = (team: string, user: string, more: Json = {}): Json =>
  tokens({ ok: true, scope: 'chat:write', team: { id: team, name: team }, authed_user: { id: user }, ...more });

const forms = (grant: string) =>
  provider.received.filter(({ form }) => form.get('grant_type') === grant).map(({ form }) => form);
const revoked = () => provider.received.filter(({ path }) => path === '/revoke').map(({ form }) => form.get('token'));

beforeAll(async () => {
  provider = await startScriptedServer((request) => {
    if (request.path === '/me') return userinfo();
    if (request.path === '/revoke') return { body: {} };
    return request.form.get('grant_type') === 'refresh_token' ? refresh(request) : code(request);
  });
  broker = await startTestBroker({}, undefined, { outboxEveryMs: 20, refreshAhead: false });
  const at = { authorization_url: `${provider.url}/authorize`, token_url: `${provider.url}/token` };
  const client = { client_id: 'client', client_secret: 'secret' };
  const integrations: Record<string, Json> = {
    slack: { provider: 'slack', ...client, overrides: at, scopes: ['chat:write'] },
    told: {
      provider: 'generic-oauth2',
      ...client,
      params: { ...at, userinfo_url: `${provider.url}/me`, revocation_url: `${provider.url}/revoke` },
      scopes: ['read'],
    },
    untold: { provider: 'generic-oauth2', ...client, params: at, scopes: ['read', 'write'] },
  };
  for (const [id, setup] of Object.entries(integrations))
    expect((await putIntegration(broker, id, setup)).status).toBe(201);
});
afterAll(() => Promise.all([broker.stop(), provider.close()]));
beforeEach(() => {
  provider.received.length = 0;
  code = () => ({ body: tokens() });
  refresh = () => ({ body: tokens() });
  userinfo = () => ({ body: { sub: 'ada', name: 'Ada' } });
});

interface Connected {
  page: Page;
  session: Json;
  /** What the owner was asked for. */
  scopes: string[];
  link: { id: string; url: string };
}

async function consent(wanted: Json): Promise<Connected> {
  const link = await createConnectSession(broker, wanted);
  const jar = createCookieJar();
  const { location } = await openLink(link.url, jar);
  const scopes = (new URL(location!).searchParams.get('scope') ?? '').split(/[ ,]/);
  const page = await visit(callbackWithConsent(location), jar);
  return { page, session: await sessionOf(broker, link), scopes, link };
}

async function connected(integration: string, wanted: Json = {}) {
  const owner = newOwner();
  const { link, scopes } = await consent({ integration, owner, ...wanted });
  const connection = await connectionOf(broker, link);
  return { owner, id: String(connection.id), connection, scopes };
}

const viewOf = async (id: string) => expectOk(await broker.ask('GET', `/v1/connections/${id}`));
const tokenOf = async (id: string) => expectOk(await broker.ask('GET', `/v1/connections/${id}/token`)).access_token;
const refreshed = (id: string) => broker.ask('POST', `/v1/connections/${id}/refresh`, {});
const imported = (body: Json) => broker.ask('POST', '/v1/connections', body);

describe('the account', () => {
  test('is shown on the connection and on its session: captured from the token response', async () => {
    code = () => ({ body: slack('T1', 'U1') });
    const { link, session } = await consent({ integration: 'slack', owner: newOwner() });
    const account = { issuer: 'https://slack.com', id: 'T1/U1', name: 'T1' };
    expect(session.account).toEqual(account);
    expect((await connectionOf(broker, link)).account).toEqual(account);
  });

  test('is what the userinfo endpoint of a generic provider says', async () => {
    const { connection } = await connected('told');
    expect(connection.account).toEqual({ issuer: `${provider.url}/me`, id: 'ada', name: 'Ada' });
  });

  test('is null where the provider does not tell, and for an id that is no text', async () => {
    expect((await connected('untold')).connection.account).toBeNull();
    userinfo = () => ({ body: { sub: 'a\u0000b' } });
    expect((await connected('told')).connection.account).toBeNull();
  });

  test('is recorded by a later refresh when the provider could not tell it', async () => {
    userinfo = () => ({ status: 503 });
    const { id, connection } = await connected('told');
    expect(connection.account).toBeNull();
    userinfo = () => ({ body: { sub: 'ada', name: 'Ada' } });
    expectOk(await refreshed(id));
    expect((await viewOf(id)).account).toMatchObject({ id: 'ada' });
  });
});

describe('a renewal', () => {
  test.each([
    ['team, by id', 'slack', true],
    ['team, by owner', 'slack', false],
    ['user of the userinfo endpoint, by id', 'told', true],
    ['user of the userinfo endpoint, by owner', 'told', false],
  ])('of another %s: identity_mismatch, and nothing changes', async (_, integration, byId) => {
    code = () => ({ body: slack('T1', 'U1') });
    const { id, owner, connection } = await connected(integration);
    const before = await tokenOf(id);
    code = () => ({ body: slack('T2', 'U1') });
    userinfo = () => ({ body: { sub: 'mallory' } });
    const { page, session } = await consent({ integration, owner, ...(byId && { connection_id: id }) });
    expect(page.status).toBe(409);
    expect(page.text).toContain('identity_mismatch');
    expect(session).toMatchObject({ status: 'failed', error: 'identity_mismatch', account: null });
    expect(await tokenOf(id)).toBe(before);
    expect(await viewOf(id)).toEqual(connection);
  });

  test('of another account: what was obtained is revoked upstream', async () => {
    const { id, owner } = await connected('told');
    code = () => ({ body: tokens({ access_token: 'stray-at', refresh_token: 'stray-rt' }) });
    userinfo = () => ({ body: { sub: 'a stranger' } });
    await consent({ integration: 'told', owner, connection_id: id });
    await vi.waitFor(() => expect(revoked()).toContain('stray-rt'), { timeout: 30_000 });
    expect(await viewOf(id)).toMatchObject({ status: 'active', upstream_revocation: null });
  });

  test('of an account that another live connection has: of what was obtained, a token that both have is not revoked', async () => {
    userinfo = () => ({ body: { sub: 'shared' } });
    code = () => ({ body: tokens({ access_token: 'shared-at', refresh_token: 'shared-rt' }) });
    await connected('told');
    userinfo = () => ({ body: { sub: 'ada' } });
    code = () => ({ body: tokens() });
    const { id, owner } = await connected('told');
    // Those of the tests before.
    const pending = () => queryDatabase<{ n: number }>(broker, 'select count(*) as n from outbox_revocations');
    await vi.waitFor(() => expect(pending()).toEqual([{ n: 0 }]), { timeout: 30_000 });
    userinfo = () => ({ body: { sub: 'shared' } });
    code = () => ({ body: tokens({ access_token: 'another-at', refresh_token: 'shared-rt' }) });
    const { session } = await consent({ integration: 'told', owner, connection_id: id });
    expect(session).toMatchObject({ error: 'identity_mismatch' });
    expect(pending()).toEqual([{ n: 0 }]);
    expect(revoked()).toEqual([]);
    // Where a revocation ends the token alone, one that only the stranger's grant has is revoked.
    code = () => ({ body: tokens({ access_token: 'stray-at-2', refresh_token: 'stray-rt-2' }) });
    await consent({ integration: 'told', owner, connection_id: id });
    await vi.waitFor(() => expect(revoked()).toContain('stray-rt-2'), { timeout: 30_000 });
  });

  test('while the provider cannot say whose it is: provider_unavailable, and nothing changes', async () => {
    const { id, owner, connection } = await connected('told');
    userinfo = () => ({ status: 503 });
    const { page, session } = await consent({ integration: 'told', owner, connection_id: id });
    expect(page.status).toBe(503);
    expect(session).toMatchObject({ status: 'failed', error: 'provider_unavailable' });
    expect(await viewOf(id)).toEqual(connection);
  });

  test('that does not say whose it is, of a connection whose account is known: account_unknown', async () => {
    const { id, owner, connection } = await connected('told');
    userinfo = () => ({ status: 403, body: { error: 'insufficient_scope' } });
    const { page, session } = await consent({ integration: 'told', owner, connection_id: id });
    expect(page.status).toBe(409);
    expect(session).toMatchObject({ status: 'failed', error: 'account_unknown' });
    expect(await viewOf(id)).toEqual(connection);
  });

  test('of a connection from before accounts were stored: compared with what was captured, and recorded', async () => {
    code = () => ({ body: slack('T1', 'U1') });
    const { id, owner } = await connected('slack');
    queryDatabase(broker, 'update connections set account = null where id = ?', id);
    code = () => ({ body: slack('T2', 'U1') });
    expect((await consent({ integration: 'slack', owner, connection_id: id })).session).toMatchObject({
      error: 'identity_mismatch',
    });
    code = () => ({ body: slack('T1', 'U1') });
    await consent({ integration: 'slack', owner, connection_id: id });
    expect((await viewOf(id)).account).toMatchObject({ id: 'T1/U1' });
  });

  test('of the same account under another name keeps the connection', async () => {
    const { id, owner } = await connected('told');
    userinfo = () => ({ body: { sub: 'ada', name: 'Countess' } });
    await consent({ integration: 'told', owner });
    expect(await viewOf(id)).toMatchObject({ generation: 2, account: { id: 'ada', name: 'Countess' } });
    userinfo = () => ({ body: { sub: 'ada' } });
    await consent({ integration: 'told', owner });
    expect(await viewOf(id)).toMatchObject({ generation: 3, account: { id: 'ada', name: 'Countess' } });
  });
});

test('a refresh that answers for another account: identity_changed', async () => {
  code = () => ({ body: slack('T1', 'U1') });
  const { id } = await connected('slack');
  refresh = () => ({ body: slack('T1', 'U1') });
  expectOk(await refreshed(id));
  refresh = () => ({ body: slack('T2', 'U1') });
  expectProblem(await refreshed(id), 409, 'reauthorization_required');
  expect(await viewOf(id)).toMatchObject({ status: 'needs_reauth', reason: 'identity_changed' });
});

describe('a renewal without a refresh token', () => {
  test.each(['told', 'untold', 'slack'])('keeps the stored one (%s)', async (integration) => {
    code = () => ({ body: slack('T1', 'U1', { refresh_token: `r0-${integration}` }) });
    const { id, owner } = await connected(integration);
    code = () => ({ body: { ...slack('T1', 'U1'), ...bare() } });
    const { link } = await consent({ integration, owner, connection_id: id });
    const renewed = await connectionOf(broker, link);
    expect(renewed).toMatchObject({ id, status: 'active', generation: 2 });
    expect(renewed.next_refresh_at).not.toBeNull();
    expect(await tokenOf(id)).toBe(`at-${issued}`);
    refresh = () => ({ body: slack('T1', 'U1') });
    expectOk(await refreshed(id));
    expect(forms('refresh_token').at(-1)?.get('refresh_token')).toBe(`r0-${integration}`);
  });

  test('keeps it for a connection that needs its owner', async () => {
    const { id, owner } = await connected('told');
    queryDatabase(broker, "update connections set status = 'needs_reauth', reason = 'grant_revoked' where id = ?", id);
    code = () => ({ body: bare() });
    await consent({ integration: 'told', owner, connection_id: id });
    expectOk(await refreshed(id));
    expect(await viewOf(id)).toMatchObject({ status: 'active', reason: null, generation: 3 });
  });

  test('with replace_scopes gives it up: it still has the scopes that are given up', async () => {
    const { id, owner } = await connected('told');
    code = () => ({ body: bare() });
    const { link } = await consent({ integration: 'told', owner, connection_id: id, replace_scopes: true });
    expect((await connectionOf(broker, link)).next_refresh_at).toBeNull();
  });

  test('waits for a refresh that is spending it, and keeps its successor', async () => {
    const { id, owner } = await connected('told');
    let respond = () => {};
    const held = new Promise<void>((resolve) => {
      respond = resolve;
    });
    refresh = () => held.then(() => ({ body: tokens({ refresh_token: 'successor' }) }));
    const refreshing = refreshed(id);
    await vi.waitFor(() => expect(forms('refresh_token')).toHaveLength(1), { timeout: 30_000 });
    code = () => ({ body: bare({ access_token: 'at-of-renewal' }) });
    const renewing = consent({ integration: 'told', owner, connection_id: id });
    await vi.waitFor(() => expect(forms('authorization_code').length).toBeGreaterThan(1), { timeout: 30_000 });
    respond();
    expectOk(await refreshing);
    expect((await renewing).session).toMatchObject({ status: 'completed' });
    expect(await tokenOf(id)).toBe('at-of-renewal');
    refresh = () => ({ body: tokens() });
    expectOk(await refreshed(id));
    expect(forms('refresh_token').at(-1)?.get('refresh_token')).toBe('successor');
  });

  test('keeps what was captured and the end of the grant', async () => {
    code = () => ({ body: slack('T1', 'U1', { app_id: 'A1' }) });
    const { id, owner } = await connected('slack');
    code = () => ({ body: { ...slack('T1', 'U1'), ...bare() } });
    await consent({ integration: 'slack', owner });
    expect((await viewOf(id)).captured).toMatchObject({ app_id: 'A1', team_id: 'T1' });
  });
});

describe('an import', () => {
  test('of an access token renews the connection of its slot, and keeps the refresh token', async () => {
    code = () => ({ body: tokens({ refresh_token: 'r0-import', scope: 'read more' }) });
    const { id, owner } = await connected('told');
    const body = { integration: 'told', owner, credentials: { access_token: 'brought' } };
    expect(expectOk(await imported(body), 201)).toMatchObject({ id, generation: 2, scopes: ['read', 'more'] });
    expect(await tokenOf(id)).toBe('brought');
    expectOk(await refreshed(id));
    expect(forms('refresh_token').at(-1)?.get('refresh_token')).toBe('r0-import');
  });

  test.each([
    ['captured values, by id', true, { captured: { team_id: 'T2', user_id: 'U1' } }],
    ['captured values, by slot', false, { captured: { team_id: 'T2', user_id: 'U1' } }],
    ['its account, by slot', false, { account: { id: 'T2/U1' } }],
  ])('of another account, by %s: identity_mismatch', async (_, byId, more) => {
    code = () => ({ body: slack('T1', 'U1') });
    const { id, owner, connection } = await connected('slack');
    const wanted = { integration: 'slack', owner, credentials: { refresh_token: 'theirs' }, ...more };
    const answer = await imported({ ...wanted, ...(byId && { connection_id: id }) });
    expect(expectProblem(answer, 409, 'identity_mismatch')).toMatchObject({ connection_id: id });
    expect(await viewOf(id)).toEqual(connection);
  });

  test('of an access token is of the account that the provider tells', async () => {
    const { id, owner, connection } = await connected('told');
    const wanted = { integration: 'told', owner, credentials: { access_token: 'theirs' } };
    userinfo = () => ({ body: { sub: 'mallory' } });
    expectProblem(await imported(wanted), 409, 'identity_mismatch');
    userinfo = () => ({ status: 503 });
    expectProblem(await imported({ ...wanted, connection_id: id }), 503, 'provider_unavailable');
    expect(await viewOf(id)).toEqual(connection);
    userinfo = () => ({ body: { sub: 'ada', name: 'Ada L.' } });
    expect(expectOk(await imported(wanted), 201)).toMatchObject({ id, generation: 2, account: { name: 'Ada L.' } });
    const first = expectOk(await imported({ ...wanted, owner: newOwner() }), 201);
    expect(first.account).toMatchObject({ id: 'ada' });
  });

  test('has the account that it states', async () => {
    const credentials = { refresh_token: 'r' };
    const captured = { team_id: 'T1', user_id: 'U1' };
    const one = expectOk(await imported({ integration: 'slack', owner: newOwner(), captured, credentials }), 201);
    expect(one.account).toEqual({ issuer: 'https://slack.com', id: 'T1/U1', name: null });
    const account = { issuer: 'https://idp.example', id: 'ada', name: 'Ada' };
    const two = expectOk(await imported({ integration: 'untold', owner: newOwner(), account, credentials }), 201);
    expect(two.account).toEqual(account);
    // No one tells whose the new grant is, so the connection can still be renewed in a browser.
    const { session } = await consent({ integration: 'untold', owner: two.owner, connection_id: two.id });
    expect(session).toMatchObject({ status: 'completed', account });
    const answer = await imported({ integration: 'untold', owner: newOwner(), account: { id: 'x' }, credentials });
    expectProblem(answer, 400, 'invalid_request');
  });
});

describe('scopes of a renewal', () => {
  test('are those that are asked for, and those that the connection has', async () => {
    code = () => ({ body: tokens({ scope: 'read write admin' }) });
    const { id, owner } = await connected('untold');
    code = () => ({ body: tokens() });
    const { scopes } = await consent({ integration: 'untold', owner, scopes: ['read', 'new'] });
    expect(scopes.sort()).toEqual(['admin', 'new', 'read', 'write']);
    expect(((await viewOf(id)).scopes as string[]).sort()).toEqual(['admin', 'new', 'read', 'write']);
    const byId = await consent({ integration: 'untold', owner, connection_id: id });
    expect(byId.scopes.sort()).toEqual(['admin', 'new', 'read', 'write']);
  });

  test('are those that are asked for alone, with replace_scopes', async () => {
    const { id, owner } = await connected('untold');
    const { scopes } = await consent({ integration: 'untold', owner, scopes: ['read'], replace_scopes: true });
    expect(scopes).toEqual(['read']);
    expect((await viewOf(id)).scopes).toEqual(['read']);
  });

  test('are recorded as granted when the owner grants fewer', async () => {
    const { id, owner } = await connected('untold');
    code = () => ({ body: tokens({ scope: 'read' }) });
    await consent({ integration: 'untold', owner });
    expect((await viewOf(id)).scopes).toEqual(['read']);
  });
});
