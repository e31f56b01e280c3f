// Back-channel logout by a certified OpenID provider: its logout tokens end grants without offline access, and no others.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LocalProvider, startProvider } from '../../demo/provider.ts';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk } from '../support/contract.ts';
import { connect, connectionOf, createConnectSession } from '../support/owner-browser.ts';

const SCOPES = { online: ['openid', 'profile'], offline: ['openid', 'offline_access'] };
type Name = keyof typeof SCOPES;

let broker: TestBroker;
let op: LocalProvider;

beforeAll(async () => {
  broker = await startTestBroker();
  const names = Object.keys(SCOPES) as Name[];
  op = await startProvider({
    clients: names.map((name) => ({
      client_id: `client-${name}`,
      client_secret: 'a-client-secret-of-some-length',
      redirect_uris: [`${broker.url}/oauth2/callback/${name}`],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code' as const],
      backchannel_logout_uri: `${broker.url}/logout/${name}`,
    })),
    configuration: {
      features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
      // Without its guard against loopback addresses.
      fetch: (url, init) => fetch(url, Object.assign({}, init, { dispatcher: undefined }) as object),
    },
  });
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
const logOut = async (name: Name, login: string): Promise<void> => {
  const client = (await op.provider.Client.find(`client-${name}`)) as unknown as {
    backchannelLogout(sub: string, sid: string): Promise<void>;
  };
  await client.backchannelLogout(login, 'session-1');
};

test('a logout ends the grants of that account without offline access, and leaves those with it', async () => {
  const [online, offline, other] = [
    await connected('online', 'ada'),
    await connected('offline', 'ada'),
    await connected('online', 'grace'),
  ];
  await logOut('online', 'ada');
  await logOut('offline', 'ada');
  const ended = { status: 'needs_reauth', reason: 'deauthorized' };
  await expect.poll(() => shown(online), { timeout: 10_000, interval: 50 }).toMatchObject(ended);
  const processed = async () => (await fetch(`${broker.url}/metrics`)).text();
  const line = 'valetkey_signals_processed_total{integration="offline",type="backchannel-logout",outcome="located"} 1';
  await expect.poll(processed, { timeout: 10_000, interval: 50 }).toContain(line);
  expect(await shown(offline)).toMatchObject({ status: 'active' });
  expect(await shown(other)).toMatchObject({ status: 'active' });
});
