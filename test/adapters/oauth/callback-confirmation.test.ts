// The request that confirms what a callback names: where it goes, with what, and that it cannot hang.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createProviderClient } from '../../../src/adapters/oauth/provider-client.ts';
import { createOutbound, type OutboundRequest } from '../../../src/adapters/outbound/outbound.ts';
import { LOOKUP_DEADLINE_MS } from '../../../src/domain/time-limits.ts';
import { createTarget, REDIRECT_URI, unwrap } from '../../support/oauth.ts';
import { type ScriptedResponse, type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

const TOKEN = 'access-token-canary';

let server: ScriptedServer;
let answer: Record<string, ScriptedResponse>;
/** The real one, which lets what hangs end soon. */
const outbound = createOutbound({ allow: ['127.0.0.1'] });
const limits = new Map<string, number | undefined>();
const impatient = Object.assign(
  (url: string | URL, init: OutboundRequest = {}) => {
    limits.set(new URL(url).pathname, init.timeoutMs);
    const hangs = answer[new URL(url).pathname] === 'hang';
    return outbound(url, hangs ? { ...init, timeoutMs: 50 } : init);
  },
  { close: outbound.close },
);
const client = createProviderClient({
  outbound: impatient,
  clock: { now: Date.now, monotonic: () => 0 },
  signAssertion: async () => expect.fail(),
  clientAssertions: { algorithm: async () => 'ES256', sign: async () => 'signed' },
  verifyIdTokenSignature: async () => 'valid',
});

beforeAll(async () => {
  server = await startScriptedServer(({ path }) => answer[path.split('?')[0]!] ?? { status: 404 });
});
beforeEach(() => {
  server.received.length = 0;
  limits.clear();
  answer = { '/token': { body: { access_token: TOKEN, token_type: 'Bearer' } } };
});
afterAll(async () => {
  await outbound.close();
  await server.close();
});

const CAPTURE = { tenant: 'tenant', team: 'team' };
const CONFIRM = { path: '/tenants/{tenant}', denied: [403], if_denied: 'fail', otherwise: 'drop' };

async function connected(named: Record<string, string>, confirm: object = {}, mode: object = {}, entry: object = {}) {
  const urls = { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token` };
  const callback = { capture: CAPTURE, confirm: { ...CONFIRM, ...confirm } };
  const auth = [{ mode: 'oauth2_code', ...urls, callback, ...mode }];
  const at = createTarget({ api_base_url: `${server.url}/api`, ...entry, auth });
  const expected = {
    ...{ state: 's', nonce: 'n', verifier: 'v'.repeat(43), redirectUri: REDIRECT_URI },
    ...{ scopes: ['read'], issuer: null, captured: named },
  };
  return unwrap(await client.exchange(at, new URLSearchParams({ code: 'c', state: 's' }), expected));
}
const asked = () => server.received.filter(({ path }) => path !== '/token');

describe('the confirmation of what a callback names', () => {
  test('has its values percent-encoded, in the path and in the query', async () => {
    answer['/api/tenants/a%2Fb%3F%23'] = { body: {} };
    const named = { tenant: 'a/b?#', team: 'x&y=z é' };
    const { captured, unconfirmed } = await connected(named, { path: '/tenants/{tenant}?team={team}' });
    expect([captured, unconfirmed]).toEqual([named, undefined]);
    expect(asked().map(({ path }) => path)).toEqual(['/api/tenants/a%2Fb%3F%23?team=x%26y%3Dz%20%C3%A9']);
  });

  test('may have them in the path of the base URL', async () => {
    answer['/api/b%2Fc/tenants/b%2Fc'] = { body: {} };
    const entry = { api_base_url: `${server.url}/api/{tenant}` };
    expect((await connected({ tenant: 'b/c' }, {}, {}, entry)).captured).toEqual({ tenant: 'b/c' });
  });

  test('sends the token as Bearer, or as the entry says', async () => {
    answer['/api/tenants/t'] = { body: {} };
    await connected({ tenant: 't' });
    await connected({ tenant: 't' }, { headers: { Authorization: 'OAuth {access_token}' } });
    expect(asked().map(({ headers }) => headers.authorization)).toEqual([`Bearer ${TOKEN}`, `OAuth ${TOKEN}`]);
  });

  test('has the deadline of look-ups, twice at most: a provider that hangs does not hang the connect', async () => {
    answer['/api/tenants/t'] = 'hang';
    const { captured, unconfirmed } = await connected({ tenant: 't' });
    expect([captured, unconfirmed]).toEqual([{}, { why: 'unavailable', outcome: 'drop' }]);
    expect(limits.get('/api/tenants/t')).toBe(LOOKUP_DEADLINE_MS);
    expect(asked()).toHaveLength(2);
  });

  test('decides nothing where a part of it is not named', async () => {
    const { captured, unconfirmed } = await connected({ tenant: 't' }, { path: '/tenants/{tenant}/{team}' });
    expect([captured, unconfirmed?.why, asked()]).toEqual([{}, 'unavailable', []]);
  });

  test('leaves other values alone where the callback names nothing of it', async () => {
    expect(await connected({ team: 't' })).toMatchObject({ captured: { team: 't' }, unconfirmed: undefined });
    expect(asked()).toEqual([]);
  });

  test('needs a scope that was granted, where the entry names some', async () => {
    answer['/api/tenants/t'] = { body: {} };
    const named = { tenant: 't' };
    expect((await connected(named, { any_scope: ['write', 'read'] })).captured).toEqual(named);
    expect(await connected(named, { any_scope: ['write'] })).toMatchObject({ captured: {} });
    expect(asked()).toHaveLength(1);
  });

  test('that denies leaves no account of the callback’s', async () => {
    answer['/api/tenants/t'] = { status: 403 };
    const account = { issuer: 'https://acme.test', id: ['{tenant}'] };
    const denied = await connected({ tenant: 't' }, {}, { account });
    expect(denied).toMatchObject({ unconfirmed: { why: 'denied', outcome: 'fail' }, account: undefined });
    expect(asked()).toHaveLength(1);
  });
});

test('a value of the callback does not stand for the look-up that tells it', async () => {
  answer['/me'] = { body: { team: 'own' } };
  const lookups = [{ url: `${server.url}/me`, capture: { team: 'team' } }];
  expect((await connected({ team: 'another' }, {}, { lookups })).captured).toEqual({ team: 'own' });
});
