// The plans of SQLite for events and deliveries, without statistics, as every database begins: each is a part of one index.
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { SQLiteSyncDialect } from 'drizzle-orm/sqlite-core';
import { afterAll, expect, test } from 'vitest';
import { openDatabase } from '../../../src/stores/sqlite/database.ts';
import { dueDeliveries, dueEndpoints, firstOpen } from '../../../src/stores/sqlite/deliveries.ts';
import { COUNT_DELIVERIES, deliveryStep, OLDEST_DELIVERY } from '../../../src/stores/sqlite/delivery-lists.ts';
import { eventsBetween } from '../../../src/stores/sqlite/events.ts';
import { DELIVERIES } from '../../../src/stores/sqlite/misdated.ts';
import { endingConnections } from '../../../src/stores/sqlite/notices.ts';
import { DUE_INTEGRATIONS, dueWebhooks } from '../../../src/stores/sqlite/received-webhooks.ts';
import { NOW } from '../builders.ts';

const client = openDatabase('file::memory:');
afterAll(() => void client.close());
const orm = drizzle(client);

const planOf = (query: string, params: unknown[]) =>
  (client.prepare(`EXPLAIN QUERY PLAN ${query}`).all(...params) as { detail: string }[]).map(({ detail }) => detail);
const plan = (built: { toSQL(): { sql: string; params: unknown[] } }) => {
  const { sql, params } = built.toSQL();
  return planOf(sql, params);
};

test('due endpoints cost one step of an index for each endpoint', () => {
  const { sql, params } = new SQLiteSyncDialect().sqlToQuery(dueEndpoints(NOW));
  const steps = planOf(sql, params).filter((step) => step.includes('deliveries'));
  expect(steps.length).toBeGreaterThan(0);
  for (const step of steps)
    expect(step).toBe('SEARCH deliveries USING COVERING INDEX deliveries_due (endpoint_id=? AND next_at>?)');
});

test('due deliveries, and the first open one of a connection, are the head of a partial index', () => {
  expect(plan(dueDeliveries(orm, 'whe_1', NOW, 10))).toEqual([
    expect.stringMatching(/^SEARCH deliveries USING INDEX deliveries_due \(endpoint_id=\? AND next_at[<>]\?/),
  ]);
  expect(plan(firstOpen(orm, 'whe_1', 'con_1'))).toEqual([
    expect.stringMatching(
      /^SEARCH deliveries USING INDEX deliveries_open_of_connection \(endpoint_id=\? AND connection_id=\?\)$/,
    ),
  ]);
});

test('due webhooks cost a few steps of an index for each integration, and those that are claimed', () => {
  const steps = planOf(DUE_INTEGRATIONS, [NOW]).filter((step) => /received_webhooks| w /.test(step));
  expect(steps.length).toBeGreaterThan(2);
  for (const step of steps)
    expect(step).toMatch(/^SEARCH \w+ USING COVERING INDEX received_webhooks_open(?: \(integration[=>]\?.*\))?$/);
  expect(plan(dueWebhooks(orm, 'slack', NOW, 10))).toEqual([
    expect.stringMatching(
      /^SEARCH received_webhooks USING INDEX received_webhooks_open \(integration=\? AND next_at[<>]\?/,
    ),
  ]);
});

test.each([
  [{ endpoint: 'whe_1' }, 'deliveries_of_endpoint (endpoint_id=? AND id<?)'],
  [{ status: 'dead' }, 'deliveries_by_status (status=? AND id<?)'],
  [{}, 'sqlite_autoindex_deliveries_1 (id<?)'],
] as const)('deliveries in the range %j are a part of one index', (range, index) => {
  const built = deliveryStep(orm, range, { status: 'dead' }, ['whe_1'], 'dlv_1', 100, 10);
  for (const steps of Object.values(built).map(plan)) {
    const [first] = steps.filter((step) => step.includes(' deliveries'));
    expect(first).toContain(index);
    expect(steps.filter((step) => step.includes('B-TREE'))).toEqual([]);
  }
});

test('a page of the open deliveries is a part of one index', () => {
  const place = { now: NOW, status: 'failing', id: '', limit: 500 };
  expect(planOf(DELIVERIES, [place])).toEqual([
    'SEARCH deliveries USING INDEX deliveries_by_status ((status,id)>(?,?))',
  ]);
});

test('counts of deliveries only search a covering index', () => {
  expect(planOf(COUNT_DELIVERIES, ['pending', '']).join()).toContain('USING COVERING INDEX deliveries_by_status');
  expect(planOf(OLDEST_DELIVERY, ['pending'])).toEqual([
    'SEARCH deliveries USING INDEX deliveries_by_status (status=?)',
  ]);
});

test('the feed and the grants that end are ranges in the order of their index', () => {
  expect(plan(eventsBetween(orm, 1, 9, undefined, 10))).toEqual([
    'SEARCH events USING INDEX events_by_position (position>? AND position<?)',
  ]);
  expect(plan(eventsBetween(orm, 1, 9, 'test.ping', 10))).toEqual([
    'SEARCH events USING INDEX events_by_type (type=? AND position>? AND position<?)',
  ]);
  const after = { id: 'con_1', integration: 'i', owner: 'o', dueAt: NOW - 1, told: null };
  const [first] = plan(endingConnections(orm, NOW, after, 10));
  expect(first).toMatch(
    /^SEARCH leases USING COVERING INDEX leases_ending \(\(ends_at,connection_id\)>\(\?,\?\) AND ends_at<\?\)/,
  );
});
