// Back-channel logout by a certified OpenID provider: its logout tokens end grants without offline access, and sessions of the
// console, and no others.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LocalProvider, startProvider } from '../../demo/provider.ts';
import { claimsOf } from '../../src/domain/jwt-claims.ts';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { type ConsoleBrowser, consoleBrowser } from '../support/console-browser.ts';
import { expectOk } from '../support/contract.ts';
import { connect, connectionOf, createConnectSession } from '../support/owner-browser.ts';

const SCOPES = { online: ['openid', 'profile'], offline: ['openid', 'offline_access'] };
type Name = keyof typeof SCOPES;

let broker: TestBroker;
let op: LocalProvider;
/** Of the ID tokens that the provider has issued to the console, in their order. */
const sessionIds: string[] = [];
const STAFF = { client_id: 'client-staff', client_secret: 'a-client-secret-of-some-length' };

beforeAll(async () => {
  const roles = { viewer: { claim: 'sub', values: ['ada', 'grace', 'lin'] } };
  broker = await startTestBroker({}, { console: { integration: 'staff', roles } });
  const names = Object.keys(SCOPES) as Name[];
  op = await startProvider({
    clients: [
      ...names.map((name) => ({
        client_id: `client-${name}`,
        client_secret: 'a-client-secret-of-some-length',
        redirect_uris: [`${broker.url}/oauth2/callback/${name}`],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code' as const],
        backchannel_logout_uri: `${broker.url}/logout/${name}`,
      })),
      {
        ...STAFF,
        redirect_uris: [`${broker.url}/console/callback`],
        grant_types: ['authorization_code'],
        response_types: ['code' as const],
        backchannel_logout_uri: `${broker.url}/logout/staff`,
        backchannel_logout_session_required: true,
      },
    ],
    configuration: {
      features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
      // Without its guard against loopback addresses.
      fetch: (url, init) => fetch(url, Object.assign({}, init, { dispatcher: undefined }) as object),
    },
  });
  op.provider.on('grant.success', ({ body }) => {
    const claims = claimsOf(String((body as Json).id_token));
    if (typeof claims?.sid === 'string') sessionIds.push(claims.sid);
  });
  const staff = { provider: 'generic-oidc', ...STAFF, params: { issuer: op.issuer } };
  expectOk(await broker.ask('PUT', '/v1/integrations/staff', staff), 201);
  for (const name of names) {
    const client = { client_id: `client-${name}`, client_secret: 'a-client-secret-of-some-length' };
    const setup = { provider: 'generic-oidc', ...client, scopes: SCOPES[name], params: { issuer: op.issuer } };
    const put = expectOk(await broker.ask('PUT', `/v1/integrations/${name}`, setup), 201);
    expect(put.signals).toMatchObject({ logout_url: `${broker.url}/logout/${name}`, issuer: op.issuer });
  }
});
afterAll(async () => {
  await broker?.stop();
  await op?.close();
});

async function connected(integration: Name, login: string): Promise<string> {
  const invited = await createConnectSession(broker, { integration });
  await connect(broker, invited.url, { login });
  return String((await connectionOf(broker, invited)).id);
}
const shown = async (id: string): Promise<Json> => expectOk(await broker.ask('GET', `/v1/connections/${id}`));
/** As at the end of a session; rejects unless the receiver answers 200. */
const logOut = async (name: Name | 'staff', login: string | undefined, sid?: string): Promise<void> => {
  const client = (await op.provider.Client.find(`client-${name}`)) as unknown as {
    backchannelLogoutSessionRequired: boolean;
    backchannelLogout(sub: string | undefined, sid: string | undefined): Promise<void>;
  };
  client.backchannelLogoutSessionRequired = sid !== undefined;
  await client.backchannelLogout(login, sid);
};

/** Someone who is signed in to the console, and which session of the provider that is. */
async function signedIn(login: string): Promise<{ browser: ConsoleBrowser; sid: string }> {
  const browser = consoleBrowser(broker.url);
  const entrance = await browser.get('/console');
  const start = /href="([^"]*sign-in\/start[^"]*)"/.exec(entrance.html)![1]!.replaceAll('&amp;', '&');
  let at = await browser.get(start);
  for (let n = 0; n < 3 && at.url.origin === op.issuer; n++)
    at = await browser.post(at.url.href, { login, decision: 'allow' });
  expect(at.url.pathname).toBe('/console');
  return { browser, sid: sessionIds.at(-1)! };
}
const isIn = async ({ browser }: { browser: ConsoleBrowser }): Promise<boolean> =>
  (await browser.get('/console')).url.pathname === '/console';

test('a logout ends the grants of that account without offline access, and leaves those with it', async () => {
  const [online, offline, other] = [
    await connected('online', 'ada'),
    await connected('offline', 'ada'),
    await connected('online', 'grace'),
  ];
  await logOut('online', 'ada');
  await logOut('offline', 'ada');
  const ended = { status: 'needs_reauth', reason: 'deauthorized' };
  await expect.poll(() => shown(online), { timeout: 30_000, interval: 50 }).toMatchObject(ended);
  const processed = async () => (await fetch(`${broker.url}/metrics`)).text();
  const line = 'valetkey_signals_processed_total{integration="offline",type="backchannel-logout",outcome="located"} 1';
  await expect.poll(processed, { timeout: 30_000, interval: 50 }).toContain(line);
  expect(await shown(offline)).toMatchObject({ status: 'active' });
  expect(await shown(other)).toMatchObject({ status: 'active' });
});

test('a logout ends the sessions of the console that it names, at its own integration, although no connection is theirs', async () => {
  const [first, second] = [await signedIn('lin'), await signedIn('lin')];
  const [other, third] = [await signedIn('grace'), await signedIn('ada')];
  expect(new Set([first.sid, second.sid, other.sid]).size).toBe(3);

  await logOut('online', 'lin', first.sid);
  await logOut('staff', 'lin', 'a session of another browser');
  await logOut('staff', 'lin', first.sid);
  await expect.poll(() => isIn(first), { timeout: 30_000, interval: 50 }).toBe(false);
  expect(await isIn(second)).toBe(true);

  // Everywhere, as some providers say it: no session is named.
  await logOut('staff', 'lin');
  await expect.poll(() => isIn(second), { timeout: 30_000, interval: 50 }).toBe(false);
  // By the session alone.
  await logOut('staff', undefined, third.sid);
  await expect.poll(() => isIn(third), { timeout: 30_000, interval: 50 }).toBe(false);
  expect(await isIn(other)).toBe(true);

  const { data } = (await broker.ask('GET', '/v1/audit?action=console_session.ended&limit=10')).body as {
    data: Json[];
  };
  const details = data.map(({ detail }) => detail);
  const lin = `user:lin@${op.issuer} has signed out`;
  expect(details).toEqual([`${op.issuer} has ended a session`, lin, lin]);
  expect(JSON.stringify(data)).not.toContain(third.sid);
});
