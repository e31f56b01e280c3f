// Many connect sessions of one integration, made at the same time through two replicas: one registration serves all of them. A
// hundred here, of which each fifth becomes a connection; a thousand in the long form, each of them.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createCookieJar } from '../../../demo/browser.ts';
import { generateKey } from '../../../src/adapters/keyring/keyring.ts';
import { databaseIn } from '../../support/broker.ts';
import { expectOk } from '../../support/contract.ts';
import { type HostileMcp, startHostileMcp } from '../../support/hostile-mcp/index.ts';
import { isLong } from '../../support/long.ts';
import { type McpBroker, startMcpBroker } from '../../support/mcp-broker.ts';
import { visit } from '../../support/owner-browser.ts';

const SESSIONS = isLong ? 1_000 : 100;
/** The registration is made for the session: what follows takes most of the time, and none of the risk. */
const CONNECTED_EACH = isLong ? 1 : 5;
const CONNECTIONS = SESSIONS / CONNECTED_EACH;
const AT_A_TIME = 32;
const LONGEST_MS = isLong ? 600_000 : 60_000;
const APP = 'https://app.example';

let folder: string;
let hostile: HostileMcp;
let here: McpBroker;
let there: McpBroker;
beforeAll(async () => {
  // A connection for each request: one that is kept alive may be closed while this process is busy.
  const plain = fetch;
  vi.stubGlobal('fetch', (url: string | URL, init: RequestInit = {}) => {
    const headers = new Headers(init.headers);
    headers.set('connection', 'close');
    return plain(url, { ...init, headers });
  });
  folder = await mkdtemp(join(tmpdir(), 'valetkey-many-'));
  const env = {
    ...(await databaseIn(folder)),
    VALETKEY_KEYS: generateKey(),
    VALETKEY_ADMIN_KEY: randomBytes(32).toString('hex'),
  };
  hostile = await startHostileMcp();
  here = await startMcpBroker(env);
  // Links and callbacks of both lead to the first, as through a load balancer.
  there = await startMcpBroker({ ...env, VALETKEY_PUBLIC_URL: here.broker.url });
});
afterAll(async () => {
  vi.unstubAllGlobals();
  await Promise.all([here?.stop(), there?.stop()]);
  await hostile?.close();
  await rm(folder, { recursive: true });
});

/** From the link to a connection, in the requests that a browser makes: a session with `finish` has no page. */
async function connect(integration: string, index: number): Promise<string> {
  const owner = `owner-of-many-${index}`;
  const broker = (index / CONNECTED_EACH) % 2 === 0 ? here : there;
  const wanted = { owner, finish: true, return_url: `${APP}/done` };
  const { id, url } = expectOk(await broker.session(integration, wanted), 201);
  const jar = createCookieJar();
  const authorize = await visit(String(url), jar);
  const consented = await fetch(String(authorize.location), { redirect: 'manual' });
  const done = await visit(String(consented.headers.get('location')), jar);
  const finish_code = new URL(String(done.location)).searchParams.get('finish_code');
  const finished = await broker.broker.ask('POST', `/v1/connect-sessions/${id}/finish`, { finish_code, owner });
  return String(expectOk(finished).connection_id);
}

/** Without the checks of each answer, which take longer than it does. */
async function createSession({ broker }: McpBroker, integration: string, index: number): Promise<number> {
  const response = await fetch(`${broker.url}/v1/connect-sessions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${broker.adminKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ integration, owner: `owner-of-many-${index}` }),
  });
  await response.body?.cancel();
  return response.status;
}

test(
  `${SESSIONS} sessions and ${CONNECTIONS} connections through two replicas make one registration`,
  async () => {
    const { mcp, as } = hostile;
    const integration = await here.integrate(mcp, { return_origins: [APP] });
    const ids = new Set<string>();
    let next = 0;
    const lane = async () => {
      while (next < SESSIONS) {
        const index = next++;
        if (index % CONNECTED_EACH === 0) ids.add(await connect(integration, index));
        else expect(await createSession(index % 2 === 1 ? there : here, integration, index)).toBe(201);
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, lane));
    expect(ids.size).toBe(CONNECTIONS);
    expect(as.registrations).toHaveLength(1);
    expect(new Set(as.authorizations.map((query) => query.get('client_id'))).size).toBe(1);
    expect(as.spent('authorization_code')).toHaveLength(CONNECTIONS);
    expect(as.refused).toEqual([]);
    expect(hostile.ledger.leaks()).toEqual([]);

    // A registration that the server has purged is made again once, by any number that find out.
    as.bindsRefreshTokens = false;
    as.clients.clear();
    const some = [...ids];
    const refresh = (id: string, index: number) =>
      (index % 2 === 0 ? here : there).broker.ask('POST', `/v1/connections/${id}/refresh`, {});
    await Promise.all(some.map(refresh));
    for (const broker of [here, there]) broker.advance(10 * 60_000);
    const answers = await Promise.all(some.map(refresh));
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(as.registrations).toHaveLength(2);
  },
  LONGEST_MS,
);
