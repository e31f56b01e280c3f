// Import of a token response as it was received (RFC 6749 5.1), beside our own members.
import { hash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { type OddProvider, startOddProvider } from '../support/odd-provider.ts';
import { newOwner, putIntegration, readDatabaseFiles } from '../support/owner-browser.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-server.ts';

let broker: TestBroker;
let provider: OddProvider;

beforeAll(async () => {
  [broker, provider] = await Promise.all([startTestBroker({}, undefined, { refreshAhead: false }), startOddProvider()]);
  provider.documents.set('/.well-known/openid-configuration', provider.metadata(provider.url));
  const setup = { provider: 'generic-oidc', client_id: 'client', client_secret: 'a secret' };
  await putIntegration(broker, 'acme', { ...setup, params: { issuer: provider.url } });
  await putIntegration(broker, 'key', { provider: 'sendgrid' });
});
afterAll(() => Promise.all([broker.stop(), provider.close()]));

const add = (credentials: Json, more: Json = {}) =>
  broker.ask('POST', '/v1/connections', { integration: 'acme', owner: newOwner(), ...more, credentials });

async function imported(credentials: Json, more?: Json): Promise<Json> {
  const { status, body } = await add(credentials, more);
  expect(status, JSON.stringify(body)).toBe(201);
  return body;
}

async function issues(credentials: Json, more?: Json) {
  const { status, body } = await add(credentials, more);
  expect(status, JSON.stringify(body)).toBe(400);
  return (body.issues as { path: string }[]).map(({ path }) => path);
}

const secondsLeft = ({ expires_at }: Json) => (Date.parse(String(expires_at)) - Date.now()) / 1_000;
/** OpenID Connect Core 3.1.3.6, with SHA-256. */
const atHash = (accessToken: string) => hash('sha256', accessToken, 'buffer').subarray(0, 16).toString('base64url');
const epoch = () => Math.floor(Date.now() / 1_000);

/** As Keycloak sends it. */
const response = () => ({
  access_token: 'at-0123456789',
  expires_in: 300,
  refresh_expires_in: 1_800,
  refresh_token: 'rt-0123456789',
  token_type: 'Bearer',
  id_token: provider.idToken(),
  'not-before-policy': 0,
  session_state: '3a4e3c5b',
  scope: 'openid profile',
});

describe('a token response', () => {
  test('is imported as it is', async () => {
    const connection = await imported(response());
    expect(connection).toMatchObject({ scopes: ['openid', 'profile'], status: 'active' });
    expect(secondsLeft(connection)).toBeGreaterThan(280);
    expect(secondsLeft(connection)).toBeLessThan(301);
    const { body } = await broker.ask('GET', `/v1/connections/${connection.id}/token`);
    expect(body).toMatchObject({ access_token: 'at-0123456789', token_type: 'Bearer' });
    expect(await readDatabaseFiles(broker)).not.toContain('rt-0123456789');
  });

  test.each([
    ['a numeric string', () => ({ expires_in: '600' }), 600],
    ['expires_at in seconds, which counts first', () => ({ expires_in: 60, expires_at: epoch() + 900.5 }), 900],
    ['expires_at in milliseconds', () => ({ expires_at: Date.now() + 900_000 }), 900],
    ['a point in time in expires_in', () => ({ expires_in: epoch() + 900 }), 900],
    ['no lifetime left', () => ({ expires_in: -5 }), 0],
  ])('with %s', async (_, members, expected) => {
    const left = secondsLeft(await imported({ ...response(), expires_in: undefined, ...members() }));
    expect(left).toBeGreaterThan(expected - 30);
    expect(left).toBeLessThan(expected + 2);
  });

  test.each([
    ['email calendar', ['email', 'calendar']],
    ['email,calendar', ['email', 'calendar']],
    ['email, calendar', ['email', 'calendar']],
    [['email calendar'], ['email', 'calendar']],
    ['', []],
    [null, ['openid', 'offline_access']],
  ])('with the scope %j', async (scope, expected) => {
    expect((await imported({ ...response(), scope })).scopes).toEqual(expected);
  });

  test('without a refresh token ends with its access token', async () => {
    const connection = await imported({ ...response(), refresh_token: null });
    expect(connection.reauth_due_at).toBe(connection.expires_at);
  });

  test('that contradicts itself, or that the broker cannot use, is refused', async () => {
    expect(await issues({ ...response(), scopes: ['email'] })).toEqual(['credentials.scope']);
    expect(await issues({ ...response(), scope: 'caf\u00e9' })).toEqual(['credentials.scope']);
    expect(await issues({ ...response(), expires_in: 'soon' })).toEqual(['credentials.expires_in']);
    expect(await issues({ ...response(), token_type: 'DPoP' })).toEqual(['credentials.token_type']);
    expect(await issues({ token_type: 'Bearer' })).toEqual(['credentials']);
    expect(await issues({ ...response(), token_type: undefined })).toContain('credentials.not-before-policy');
    expect(await issues({ access_token: 'a', sesion: 'b' })).toEqual(['credentials.sesion']);
    const keyed = await issues({ ...response() }, { integration: 'key' });
    expect(keyed).toEqual(expect.arrayContaining(['credentials.token_type', 'credentials.id_token']));
  });
});

describe('the ID token of an import', () => {
  const renew = (connection: Json, claims: Json, owner: string) =>
    add({ ...response(), id_token: provider.idToken(claims) }, { owner, connection_id: connection.id });

  test('says whose account it is, though it has expired', async () => {
    const owner = newOwner();
    const connection = await imported(
      { ...response(), id_token: provider.idToken({ exp: epoch() - 9_999 }) },
      { owner },
    );
    expect(await renew(connection, { sub: 'bob' }, owner)).toMatchObject({
      status: 409,
      body: { code: 'identity_mismatch', connection_id: connection.id },
    });
    expect((await renew(connection, {}, owner)).status).toBe(201);
  });

  test('proves nothing to a caller of some owners without the access token that it was issued with', async () => {
    const owner = newOwner();
    const key = await broker.callerKey({ actions: ['connections:write'], integrations: ['acme'], owners: [owner] });
    const give = (claims: Json) => {
      const credentials = { ...response(), id_token: provider.idToken({ sub: 'victim', ...claims }) };
      return broker.ask('POST', '/v1/connections', { integration: 'acme', owner, credentials }, key);
    };
    expect(expectOk(await give({}), 201).account).toBeNull();
    expect(expectOk(await give({ at_hash: atHash('another access token') }), 201).account).toBeNull();
    const theirs = await give({ at_hash: atHash(response().access_token) });
    expect(expectOk(theirs, 201).account).toMatchObject({ id: 'victim' });
    expect(expectOk(await give({}), 201).account).toMatchObject({ id: 'victim' });
    expectProblem(await give({ sub: 'bob' }), 409, 'identity_mismatch');
  });

  test.each([
    ['another audience', { aud: 'other' }],
    ['another issuer', { iss: 'https://other.example' }],
  ])('of %s says nothing', async (_, claims) => {
    const owner = newOwner();
    const connection = await imported({ ...response(), id_token: provider.idToken(claims) }, { owner });
    expect((await renew(connection, { sub: 'bob' }, owner)).status).toBe(201);
  });

  test('that is no JWT, or whose signature is not valid, says nothing', async () => {
    for (const id_token of ['nothing', `${provider.idToken().slice(0, -8)}AAAAAAAA`]) {
      const owner = newOwner();
      const connection = await imported({ ...response(), id_token }, { owner });
      expect((await renew(connection, { sub: 'bob' }, owner)).status).toBe(201);
    }
  });
});

describe('an import that is repeated, at a provider that rotates refresh tokens', () => {
  let rotating: ScriptedServer;
  let held: Promise<void> | undefined;
  const sent = () => rotating.received.map(({ form }) => form.get('refresh_token'));

  beforeAll(async () => {
    rotating = await startScriptedServer(async ({ form }) => {
      const token = form.get('refresh_token') ?? '';
      await held;
      const isReuse = rotating.received.filter((one) => one.form.get('refresh_token') === token).length > 1;
      if (isReuse) return { status: 400, body: { error: 'invalid_grant' } };
      return {
        body: { access_token: `at-${token}`, refresh_token: `${token}+`, token_type: 'Bearer', expires_in: 3_600 },
      };
    });
    const setup = { provider: 'generic-oauth2', client_id: 'client', client_secret: 'a secret' };
    const params = { authorization_url: `${rotating.url}/authorize`, token_url: `${rotating.url}/token` };
    await putIntegration(broker, 'rotating', { ...setup, params });
  });
  afterAll(() => rotating.close());

  const given = (refresh_token: string) => ({ access_token: `old-${refresh_token}`, refresh_token, expires_in: 3_000 });
  const place = () => ({ integration: 'rotating', owner: newOwner() });
  const refresh = (id: unknown) => broker.ask('POST', `/v1/connections/${id}/refresh`, {});
  const tokenOf = async (id: unknown) => expectOk(await broker.ask('GET', `/v1/connections/${id}/token`)).access_token;

  test('after a refresh: what was refreshed stays, and no refresh token is sent twice', async () => {
    const at = place();
    const { id } = await imported(given('one'), at);
    expectOk(await refresh(id));
    const again = await imported(given('one'), { ...at, metadata: { run: 2 } });
    expect(again).toMatchObject({ id, metadata: { run: 2 }, status: 'active' });
    expect(await tokenOf(id)).toBe('at-one');
    expectOk(await refresh(id));
    expect(await imported({ refresh_token: 'one' }, at)).toMatchObject({ id });
    expect(await tokenOf(id)).toBe('at-one+');
    expect(sent().filter((token) => token?.startsWith('one'))).toEqual(['one', 'one+']);
  });

  test('during the first refresh: its successor is kept', async () => {
    const at = place();
    const { id } = await imported(given('two'), at);
    const { promise, resolve: answer } = Promise.withResolvers<void>();
    held = promise;
    const refreshing = refresh(id);
    await expect.poll(sent, { timeout: 30_000 }).toContain('two');
    const again = add(given('two'), at);
    answer();
    held = undefined;
    expectOk(await refreshing);
    expectOk(await again, 201);
    expect(expectOk(await refresh(id)).access_token).toBe('at-two+');
    expect(sent().filter((token) => token?.startsWith('two'))).toEqual(['two', 'two+']);
  });

  test('that was found dead: is tried with the refresh token that it has', async () => {
    const at = place();
    const { id } = await imported(given('three'), at);
    expectOk(await refresh(id));
    // Someone else has spent it.
    await fetch(rotating.url, { method: 'POST', body: new URLSearchParams({ refresh_token: 'three+' }) });
    expectProblem(await refresh(id), 409, 'reauthorization_required');
    expect(await imported(given('three'), at)).toMatchObject({ id, status: 'active' });
    expectProblem(await refresh(id), 409, 'reauthorization_required');
    expect(sent().filter((token) => token === 'three')).toHaveLength(1);
  });

  test('after a newer access token was imported alone: that stays, too', async () => {
    const at = place();
    const { id } = await imported(given('six'), at);
    expectOk(await refresh(id));
    await imported({ access_token: 'newer', expires_in: 3_000 }, at);
    await imported(given('six'), at);
    expect(await tokenOf(id)).toBe('newer');
    expect(expectOk(await refresh(id)).access_token).toBe('at-six+');
  });

  test('another refresh token replaces it, and the first one once more', async () => {
    const at = place();
    const { id } = await imported(given('four'), at);
    for (const token of ['five', 'four']) {
      await imported(given(token), at);
      expect(expectOk(await refresh(id)).access_token).toBe(`at-${token}`);
    }
  });
});
