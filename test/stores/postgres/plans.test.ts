// The plans of PostgreSQL for lists and counts, on tables with statistics: none reads a table from end to end.
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { PgDialect } from 'drizzle-orm/pg-core';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { auditStep, batchesOf } from '../../../src/stores/postgres/audit.ts';
import { READ } from '../../../src/stores/postgres/change-rows.ts';
import { SERVED_ROWS } from '../../../src/stores/postgres/cold-read.ts';
import { connectionStep, termRows } from '../../../src/stores/postgres/connection-lists.ts';
import { searchRows } from '../../../src/stores/postgres/connection-search.ts';
import { dueDeliveries, dueEndpoints, firstOpen } from '../../../src/stores/postgres/deliveries.ts';
import { deliveryStep } from '../../../src/stores/postgres/delivery-lists.ts';
import { DUE_CONNECTIONS, DUE_INTEGRATIONS, lookFrom } from '../../../src/stores/postgres/due-connections.ts';
import { eventsBetween } from '../../../src/stores/postgres/events.ts';
import { isAlive, isKnown } from '../../../src/stores/postgres/liveness.ts';
import { DELIVERIES } from '../../../src/stores/postgres/misdated.ts';
import { endingConnections } from '../../../src/stores/postgres/notices.ts';
import { dueWebhooks } from '../../../src/stores/postgres/received-webhooks.ts';
import { lastRefreshAt, recentlyDead, unresolved } from '../../../src/stores/postgres/refreshes.ts';
import { tombstonesAfter } from '../../../src/stores/postgres/revocations.ts';
import { openPostgres } from '../../../src/stores/postgres/store.ts';
import { searchTerms } from '../../../src/stores/shared/connection-search.ts';
import { FEW } from '../../../src/stores/shared/narrow-scopes.ts';
import { aDatabase, hasPostgres } from '../../support/postgres.ts';
import { anEndpoint, anEntry, anEvent, aReceivedWebhook, connected, NOW } from '../builders.ts';

vi.setConfig({ hookTimeout: 180_000 });

let client: Client;
beforeAll(async () => {
  if (!hasPostgres()) return;
  const url = await aDatabase();
  const store = await openPostgres(url);
  const { connection } = await connected(store);
  await store.appendAudit([anEntry({ id: 'evt_template' })]);
  await store.addWebhookEndpoint(anEndpoint({ id: 'whe_5' }), anEntry());
  await store.receive(aReceivedWebhook(), { 0: 'key' }, 10);
  await store.addEvents([anEvent({ connectionId: null })], undefined);
  await store.close();
  client = new Client(url);
  await client.connect();
  const copies = async (table: string, rows: number, changed: Record<string, string>) => {
    const { rows: columns } = await client.query(
      'select column_name as name from information_schema.columns where table_name = $1',
      [table],
    );
    const names = columns.map(({ name }) => name);
    const values = names.map((name) => changed[name] ?? `t.${name}`);
    await client.query(
      `insert into ${table} (${names}) select ${values} from ${table} t, generate_series(1, ${rows}) n`,
    );
  };
  await client.query("delete from audit where id <> 'evt_template'");
  const padded = "lpad(n::text, 8, '0')";
  await copies('connections', 20_000, {
    id: `'con_n' || ${padded}`,
    integration: "'i' || n % 10",
    owner: "'user:' || n",
    reauth_due_at: `${NOW} + n * 1000`,
    next_refresh_at: `${NOW} + n`,
    label: "case n % 100 when 0 then 'l' || n else '' end",
    account: `json_build_object('issuer', 'i', 'id', 'a' || n, 'name', 'Name ' || n)`,
    status: "case n % 2000 when 0 then 'needs_reauth' when 1 then 'revoked' else 'active' end",
  });
  // Of sets of refreshes, and of transactions with a few changes each.
  const nth = 'substr(connection_id, 6)::integer';
  await client.query(
    `update leases set refreshed_generation = 2, refreshed_xid = (${nth} / 32)::text::xid8 where connection_id like 'con_n%'`,
  );
  await client.query(
    `insert into changes (kind, id, xid) select 'integration', n, (n / 3)::text::xid8 from generate_series(1, 20000) n`,
  );
  await copies('audit', 30_000, {
    id: `'evt_' || ${padded}`,
    owner: "'user:' || n",
    actor: "'clr_' || n % 100",
    action: "case n % 10000 when 0 then 'caller.created' else 'token.read' end",
    integration: "'i' || n % 100",
    connection_id: "'con_' || n",
    outcome: "case n % 10000 when 1 then 'denied' else 'ok' end",
  });
  await copies('events', 20_000, { id: `'msg_n' || ${padded}`, position: '1000 + n', at: `${NOW} + n` });
  // A flood of one integration, beside others that have a few.
  await copies('received_webhooks', 20_000, {
    id: `'whr_n' || ${padded}`,
    integration: "case n % 100 when 0 then 'i' || n % 7 else 'flood' end",
    next_at: `case n % 4 when 0 then ${NOW} + n end`,
  });
  await copies('deliveries', 50_000, {
    id: `'dlv_' || ${padded}`,
    event_id: `'msg_n' || ${padded}`,
    endpoint_id: "'whe_' || n % 10",
    connection_id: "'con_' || n % 100",
    position: '1000 + n',
    next_at: `${NOW} + n`,
    status: "case n % 1000 when 0 then 'dead' when 1 then 'failing' else 'delivered' end",
  });
  await client.query(
    `insert into audit_reads select n % 3, 'user:' || n % 1000, 'evt_' || ${padded} from generate_series(1, 30000) n`,
  );
  await client.query(
    'vacuum analyze connections, grants, leases, changes, audit, audit_reads, events, deliveries, webhook_endpoints, received_webhooks',
  );
  expect([connection.id, NOW]).toBeDefined();
});
afterAll(() => client?.end());

async function plansOf(
  build: (orm: NodePgDatabase) => { toSQL(): { sql: string; params: unknown[] } }[],
): Promise<string[]> {
  const plans: string[] = [];
  for (const query of build(drizzle(client) as never)) {
    const { sql, params } = query.toSQL();
    const { rows } = await client.query(`explain ${sql}`, params);
    plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'));
  }
  return plans;
}
const expectNoScan = (plans: string[]) => {
  for (const plan of plans) {
    expect(plan).not.toMatch(/Seq Scan/);
    expect(plan).toMatch(/Index (Only )?Scan|Bitmap Index Scan/);
  }
};

test.each([
  { integration: 'i3', status: 'active' as const },
  { integration: 'i3', status: 'revoked' as const },
  { status: 'needs_reauth' as const },
  { failing: true as const },
  { owner: 'user:77' },
  { owner: 'user:77', integration: 'i7' },
  {},
])('connections in the range %j', async (range) => {
  if (!hasPostgres()) return;
  const filter = { ...range, within: [{ integrations: ['*'], owners: ['user:7*'] }] };
  expectNoScan(await plansOf((orm) => Object.values(connectionStep(orm, range, filter, 'con_n00000100', 1_000, 101))));
});

test.each([
  { integrations: undefined, owners: ['user:5', 'user:6'] },
  { integrations: ['i3'], owners: ['user:3'] },
  { integrations: undefined, from: 'user:77', to: 'user:78' },
  { integrations: ['i3'], from: 'user:77', to: 'user:78' },
  { integrations: undefined, from: 'user:', to: 'user;' },
])('connections of the owners %j', async (term) => {
  if (!hasPostgres()) return;
  expectNoScan(await plansOf((orm) => [termRows(orm, term, FEW + 1)]));
});

test.each([
  { text: 'user:77' },
  { text: 'user:' },
  { refreshDueBefore: NOW + 3_000, integration: 'i3' },
  { grantEndsBefore: NOW + 3_000_000 },
])('a search for %j, each by its index', async (filter) => {
  if (!hasPostgres()) return;
  const terms = searchTerms(filter, [])!;
  const plans = await plansOf((orm) => terms.map((term) => searchRows(orm, term, FEW + 1)));
  expectNoScan(plans);
  const used = {
    owner: 'connections_of_owner',
    label: 'connections_of_label',
    accountName: 'connections_of_account_name',
  };
  terms.forEach(({ by }, n) => {
    if (by in used) expect(plans[n]).toContain(used[by as keyof typeof used]);
  });
});

test('what has happened to a connection, without its reads', async () => {
  if (!hasPostgres()) return;
  const filter = { connectionId: 'con_10000', changes: true as const };
  const plans = await plansOf((orm) =>
    Object.values(auditStep(orm, 'connectionId', filter, 'evt_00020000', 1_000, 51)),
  );
  expectNoScan(plans);
  for (const plan of plans) expect(plan).toContain('audit_changes_of_connection');
});

test.each([
  ['owner', { owner: 'user:5' }],
  ['actor', { actor: 'clr_5' }],
  ['connectionId', { connectionId: 'con_5' }],
  ['action', { action: 'caller.created' }],
  ['integration', { integration: 'i5' }],
  ['outcome', { outcome: 'denied' as const }],
  [undefined, { fromId: 'evt_00001000', beforeId: 'evt_00002000' }],
] as const)('audit entries by %s', async (range, filter) => {
  if (!hasPostgres()) return;
  expectNoScan(await plansOf((orm) => Object.values(auditStep(orm, range, filter, 'evt_00020000', 1_000, 101))));
});

test('batches of reads of an owner, by each week', async () => {
  if (!hasPostgres()) return;
  const filter = { fromId: 'evt_00000100', beforeId: 'evt_00020000' };
  const [plan] = await plansOf((orm) => [
    { toSQL: () => batchesOf(orm as never, 'user:5', filter, 'evt_00010000', 32).getQuery() },
  ]);
  expect(plan).not.toContain('Seq Scan');
  expect(plan).toMatch(/Index Cond: \(\(week = .*owner = .*entry </);
});

test('the rows that are served, many at once', async () => {
  if (!hasPostgres()) return;
  const ids = Array.from({ length: 32 }, (_, n) => `con_n${String(n).padStart(8, '0')}`);
  const [plan] = await plansOf(() => [{ toSQL: () => ({ sql: SERVED_ROWS, params: [ids] }) }]);
  // `grants` has one row here.
  expect(plan).not.toContain('Seq Scan on connections');
  expect(plan).toContain('connections_pkey');
});

test('what has changed since a snapshot, which is planned once', async () => {
  if (!hasPostgres()) return;
  const [{ next }] = (await client.query('select pg_snapshot_xmax(pg_current_snapshot())::text as next')).rows as [
    { next: string },
  ];
  const values = [next, [], '0', '0', '', 7, 'con_n00000007'];
  expectNoScan(await plansOf(() => [{ toSQL: () => ({ sql: READ, params: values }) }]));
  for (let n = 0; n < 8; n++) await client.query({ name: 'read_changes', text: READ, values });
  const { rows } = await client.query("select generic_plans from pg_prepared_statements where name = 'read_changes'");
  expect(Number(rows[0].generic_plans)).toBeGreaterThan(0);
});

test('whether a replica of the release before is there, where scans are switched off', async () => {
  if (!hasPostgres()) return;
  await client.query('set enable_seqscan = off');
  const { rows } = await client.query(
    `explain select exists (select from replicas where not reads_refreshes and seen_at > clock_timestamp() - interval '1 hour')`,
  );
  await client.query('reset enable_seqscan');
  const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
  expect(plan).toContain('replicas_earlier');
  expect(plan).not.toMatch(/Disabled|Seq Scan/);
});

test.each([{ endpoint: 'whe_5' }, { status: 'dead' as const }, {}])('deliveries in the range %j', async (range) => {
  if (!hasPostgres()) return;
  const filter = { status: 'dead' as const };
  expectNoScan(
    await plansOf((orm) => Object.values(deliveryStep(orm, range, filter, ['whe_5'], 'dlv_00040000', 1_000, 101))),
  );
});

test('what is due of an endpoint, the first open one of a connection, the feed and the grants that end', async () => {
  if (!hasPostgres()) return;
  const after = { id: 'con_1', integration: 'i', owner: 'o', dueAt: NOW + 5_000, told: null };
  expectNoScan(
    await plansOf((orm) => [
      dueDeliveries(orm, 'whe_5', NOW + 40_000, 10),
      firstOpen(orm, 'whe_5', 'con_5'),
      eventsBetween(orm, 2_000, 20_000, undefined, 100),
      eventsBetween(orm, 2_000, 20_000, 'webhook.received', 100),
      endingConnections(orm, NOW + 1_000_000, after, 100),
    ]),
  );
});

test('tombstones from one id on, by the index of connections that are not active', async () => {
  if (!hasPostgres()) return;
  const [plan] = await plansOf((orm) => [tombstonesAfter(orm, 'con_n00000100', 500)]);
  expect(plan).toContain('connections_not_active');
  expect(plan).not.toMatch(/Seq Scan|Sort/);
});

test('a page of the open deliveries, by the index of their status', async () => {
  if (!hasPostgres()) return;
  const [plan] = await plansOf(() => [{ toSQL: () => ({ sql: DELIVERIES, params: ['failing', '', 500] }) }]);
  expect(plan).toMatch(/Index (?:Only )?Scan using deliveries_by_status/);
  expect(plan).not.toMatch(/Seq Scan|Sort/);
});

test('due endpoints, by an index step for each endpoint', async () => {
  if (!hasPostgres()) return;
  const { sql, params } = new PgDialect().sqlToQuery(dueEndpoints(NOW));
  const { rows } = await client.query(`explain ${sql}`, params);
  const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
  expect(plan).toMatch(/Index Only Scan using deliveries_due/);
  expect(plan).not.toMatch(/Seq Scan on deliveries/);
});

test('due webhooks, by index steps for each integration', async () => {
  if (!hasPostgres()) return;
  const { sql, params } = new PgDialect().sqlToQuery(dueWebhooks(NOW + 1_000_000, 32));
  const { rows } = await client.query(`explain ${sql}`, params);
  const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
  expect(plan).toMatch(/LockRows.*\n.*Index Scan using received_webhooks_open/);
  expect(plan).not.toMatch(/Seq Scan|Bitmap/);
});

const con = (n: number) => `con_n${String(n).padStart(8, '0')}`;
const connectionsTo = (count: number) => Array.from({ length: count }, (_, n) => con(n));

/** Of a statement that is executed eight times: how often the plan for any values was used. */
async function generalPlans(name: string, execute: (n: number) => Promise<unknown>): Promise<number> {
  for (let n = 1; n <= 8; n++) await execute(n);
  const counts = 'select generic_plans::int as general from pg_prepared_statements where name = $1';
  const { rows } = await client.query(counts, [name]);
  await client.query(`deallocate ${name}`);
  return rows[0].general;
}

test('what is due: planned once, whatever the limit and however many are under way', async () => {
  if (!hasPostgres()) return;
  const name = 'due_connections';
  const look = (limit: number) =>
    client.query({ name, text: DUE_CONNECTIONS, values: ['i3', NOW, limit, connectionsTo(2 ** limit), 'none', 0, ''] });
  // The first five are planned for their values, to compare.
  expect(await generalPlans(name, look)).toBe(3);
});

test('which integrations have something due: planned once, however many have been looked at', async () => {
  if (!hasPostgres()) return;
  const name = 'due_integrations';
  const places = Array.from({ length: 8 }, (_, n) => [`i${n}`, { dueAt: NOW + n, id: con(n) }] as const);
  const look = (n: number) =>
    client.query({ name, text: DUE_INTEGRATIONS, values: lookFrom(NOW + n * 1_000, new Map(places.slice(0, n))) });
  expect(await generalPlans(name, look)).toBe(3);
});

test.each([
  ['alive', isAlive, ['infinity']],
  ['known', isKnown, []],
])(
  'unresolved refreshes of holders that are not %s: planned once, however many are in doubt, by their index',
  async (name, isHeld, more) => {
    if (!hasPostgres()) return;
    const statement = unresolved(drizzle(client) as never, isHeld).prepare(name);
    const look = (n: number) =>
      statement.execute({
        holder: 'a',
        inDoubt: connectionsTo(n === 1 ? 0 : 2 ** n),
        clockLimit: `2026-11-30T00:00:0${n}Z`,
      });
    expect(await generalPlans(name, look)).toBe(3);
    const { sql } = unresolved(drizzle(client) as never, isHeld).toSQL();
    const { rows } = await client.query(`explain ${sql}`, ['a', connectionsTo(9), 'a', ...more]);
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).toMatch(/Index Scan using leases_unresolved/);
    expect(plan).not.toMatch(/Seq Scan on leases/);
  },
);

test('what is due, grants that have died and the last refresh, by the indexes beside the leases', async () => {
  if (!hasPostgres()) return;
  expectNoScan(await plansOf((orm) => [recentlyDead(orm as never, 'i0', NOW, 100), lastRefreshAt(orm as never, 'i3')]));
  // All that there are, of one integration.
  await client.query(`begin; update leases set integration = 'i3'; analyze leases`);
  const due = ['i3', NOW + 40_000, 64, [], 'none', 0, ''];
  await client.query(`prepare due as ${DUE_CONNECTIONS}`);
  for (const mode of ['force_custom_plan', 'force_generic_plan']) {
    await client.query(`set plan_cache_mode = ${mode}`);
    const values = due.map((value) =>
      Array.isArray(value) ? "'{}'" : typeof value === 'string' ? `'${value}'` : value,
    );
    const { rows } = await client.query(`explain execute due(${values})`);
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    expect(plan.match(/(using|on) leases_due/g)).toHaveLength(2);
    expect(plan).not.toMatch(/Seq Scan on (leases|connections)/);
    expect(plan).toMatch(/Index Scan using connections_pkey/);
  }
  await client.query('rollback; set plan_cache_mode = auto');
  const from = lookFrom(NOW + 9_000, new Map([['i3', { dueAt: NOW, id: '' }]]));
  const looked = await client.query(`explain ${DUE_INTEGRATIONS}`, from);
  const steps = looked.rows.map((row) => row['QUERY PLAN']).join('\n');
  expect(steps).toMatch(/Index Only Scan using leases_due/);
  expect(steps).not.toMatch(/Seq Scan on (leases|connections)/);
});
