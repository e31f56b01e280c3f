// A database that takes no more rows, as on a full disk: sessions, keys that sign and registered clients are made as a whole or
// not at all, and what is in memory works.
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Json } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { type HostileMcp, startHostileMcp } from '../support/hostile-mcp/index.ts';
import { type McpBroker, startMcpBroker } from '../support/mcp-broker.ts';

/** SQLite rolls the transaction back by itself then. */
const FULL = ['agent_sessions', 'signing_keys', 'client_registrations'].flatMap((table) =>
  ['insert', 'update'].map((change) => ({ table, change, name: `full_${table}_${change}` })),
);

let it: McpBroker;
let hostile: HostileMcp;
let inside: Database.Database | undefined;
beforeAll(async () => {
  [it, hostile] = await Promise.all([startMcpBroker(), startHostileMcp()]);
  if (process.env.VALETKEY_TEST_STORE !== 'postgres') inside = new Database(it.broker.database, { timeout: 5_000 });
});
afterAll(async () => {
  inside?.close();
  await it?.stop();
  await hostile?.close();
});

function fill(only: (change: string, table: string) => boolean): void {
  for (const { table, change, name } of FULL.filter((one) => only(one.change, one.table)))
    inside!.exec(
      `create trigger ${name} before ${change} on ${table} begin select raise(rollback, 'database or disk is full'); end`,
    );
}
const free = () => {
  for (const { name } of FULL) inside!.exec(`drop trigger if exists ${name}`);
};

test.skipIf(process.env.VALETKEY_TEST_STORE === 'postgres')(
  'a full database: nothing is made or ended by halves, and all of it works once there is room',
  async () => {
    const { ask, url } = it.broker;
    const { mcp, as } = hostile;
    const integration = await it.integrate(mcp);
    const wanted = { owner: 'user_42', integrations: [integration], actions: ['proxy'], purpose: 'full' };
    const create = (more: Json = {}) => ask('POST', '/v1/sessions', { ...wanted, ...more });
    const signed = { format: 'jwt', audience: url };
    const session = expectOk(await create(), 201);
    const jwt = expectOk(await create(signed), 201);
    const works = async () =>
      Promise.all(
        [session, jwt].map(async ({ token }) => (await ask('GET', '/v1/whoami', undefined, String(token))).status),
      );
    const keys = async () => (await ask('GET', '/oauth2/jwks')).body.keys;
    const entries = async (action: string) => (await ask('GET', `/v1/audit?action=${action}`)).body.data as Json[];
    expect(await works()).toEqual([200, 200]);
    const before = await keys();

    fill(() => true);
    const end = () => ask('DELETE', `/v1/sessions/${session.id}`);
    const refused = [
      await create(),
      await create(signed),
      await end(),
      await ask('POST', '/v1/signing-keys/rotate', {}),
    ];
    for (const answer of refused) expectProblem(answer, 503, 'store_unavailable');
    expect(await works()).toEqual([200, 200]);
    expect(await keys()).toEqual(before);
    expect([await entries('session.created'), await entries('session.ended')].map((all) => all.length)).toEqual([2, 0]);
    // Nothing is registered that could not be claimed.
    expectProblem(await it.session(integration), 503, 'store_unavailable');
    expect(as.registrations).toEqual([]);
    free();

    // Registered there, and then there was no room for it.
    fill((change, table) => table === 'client_registrations' && change === 'update');
    expectProblem(await it.session(integration), 503, 'store_unavailable');
    expect(as.registrations).toHaveLength(1);
    expect(await entries('integration.client_registered')).toEqual([]);
    free();
    const many = await Promise.all(Array.from({ length: 5 }, () => it.session(integration)));
    expect(many.map(({ status }) => status)).toEqual([201, 201, 201, 201, 201]);
    expect(as.registrations).toHaveLength(2);
    expect(await entries('integration.client_registered')).toHaveLength(1);

    expectOk(await end());
    expect(await works()).toEqual([401, 200]);
    expectOk(await ask('POST', '/v1/signing-keys/rotate', {}));
    expect(await keys()).toHaveLength(2);
  },
);
