// The event feed over HTTP, and what is told by the broker itself: grants that end, clients that are refused.
import { request } from 'node:http';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Store } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anEvent } from '../../stores/builders.ts';
import type { Json } from '../../support/broker.ts';
import { startTestSetup, type TestSetup } from '../../support/broker-setup.ts';

const DAY_MS = 86_400_000;
const SOON = { timeout: 30_000 };

let setup: TestSetup;
let broker: TestSetup['broker'];
let replica: Store;
let mine: string;
let ada: string;
let grace: string;
beforeAll(async () => {
  setup = await startTestSetup({}, undefined, undefined, { eventsEveryMs: 20 });
  broker = setup.broker;
  replica = await openSqlite(`file:${broker.database}`);
  mine = await broker.callerKey({ actions: ['events'], owners: ['ada', 'ida'] });
  ada = await setup.importConnection('ada', {}, { label: 'work' });
  grace = await setup.importConnection('grace');
});
afterAll(async () => {
  await replica.close();
  await setup.close();
});

const get = async (query: string, key?: string) => {
  const { status, body } = await broker.ask('GET', `/v1/events${query}`, undefined, key);
  expect(status, JSON.stringify(body)).toBe(200);
  return { data: body.data as Json[], cursor: String(body.next_cursor) };
};
const typesOf = (data: Json[]) => data.map(({ type }) => type);
const endOf = async (key?: string) => (await get('?after=now', key)).cursor;
const from = (cursor: string) => `?after=${encodeURIComponent(cursor)}`;
const dataOf = (event: Json | undefined) => event!.data as Json;

describe('the feed', () => {
  test('has what the grants of the caller cover, oldest first, and goes on after its cursor', async () => {
    const all = await get('');
    expect(typesOf(all.data)).toEqual(['connection.created', 'connection.created']);
    const [first, ...more] = (await get('', mine)).data;
    expect(more).toEqual([]);
    const id = String(first!.id);
    expect(first).toEqual({
      id: expect.stringMatching(/^msg_[0-9a-z]{26}$/),
      type: 'connection.created',
      timestamp: expect.stringMatching(/^20.*Z$/),
      data: {
        event_id: id,
        sequence: 1,
        connection: {
          id: ada,
          integration: 'acme',
          owner: 'ada',
          label: 'work',
          status: 'active',
          reason: null,
          account: null,
        },
      },
    });
    const page = await get('?limit=1');
    expect(page.data).toEqual([all.data[0]]);
    const rest = await get(from(page.cursor));
    expect(rest.data).toEqual([all.data[1]]);
    expect((await get(from(rest.cursor))).cursor).toBe(rest.cursor);
    expect((await get('?types=connection.revoked,test.ping')).data).toEqual([]);
    expect((await get('?types=connection.created,test.ping')).data).toHaveLength(2);
    expect((await get('?after=now')).data).toEqual([]);
  });

  test('an event is read by its id, if it is covered', async () => {
    const { data } = await get('');
    const [own, other] = data.map(({ id }) => `/v1/events/${id}`) as [string, string];
    expect((await broker.ask('GET', own, undefined, mine)).body).toEqual(data[0]);
    expect((await broker.ask('GET', other, undefined, mine)).status).toBe(404);
    expect((await broker.ask('GET', other)).body).toEqual(data[1]);
    expect((await broker.ask('GET', '/v1/events/msg_none')).status).toBe(404);
  });

  test('a session reads no event, the admin key of which it is either', async () => {
    const [own, other] = (await get('')).data.map(({ id }) => `/v1/events/${id}`) as [string, string];
    const { status, body } = await broker.ask('POST', '/v1/sessions', {
      ...{ owner: 'ada', integrations: ['acme'], purpose: 'read what happens' },
      actions: ['token', 'proxy', 'connections:read', 'sessions'],
    });
    expect(status).toBe(201);
    const session = String(body.token);
    for (const [path, refused] of [
      ['/v1/events', 403],
      [own, 404],
      [other, 404],
    ] as const)
      expect([path, (await broker.ask('GET', path, undefined, session)).status]).toEqual([path, refused]);
    expect((await broker.ask('GET', own)).status).toBe(200);
  });

  test('what is not asked rightly is refused', async () => {
    const others = await broker.callerKey({ actions: ['token', 'audit:read', 'webhooks'] });
    expect((await broker.ask('GET', '/v1/events', undefined, others)).status).toBe(403);
    const { body } = await broker.ask('GET', '/v1/connections?limit=1');
    const foreign = encodeURIComponent(String(body.next_cursor));
    for (const query of ['after=5', `after=${foreign}`, 'types=', 'types=connection.unknown', 'wait=26', 'limit=0'])
      expect([query, (await broker.ask('GET', `/v1/events?${query}`)).status]).toEqual([query, 400]);
  });

  test('a wait ends with what this process or another commits, and not with what is not covered', async () => {
    const waiting = get(`${from(await endOf(mine))}&wait=25`, mine);
    const revoked = await setup.importConnection('mallory');
    await broker.ask('DELETE', `/v1/connections/${revoked}`);
    const ida = await setup.importConnection('ida');
    expect((await waiting).data.map((event) => (dataOf(event).connection as Json).id)).toEqual([ida]);
    const next = get(`${from((await waiting).cursor)}&wait=25`, mine);
    const elsewhere = anEvent({
      at: setup.now(),
      integration: 'acme',
      owner: 'ida',
      connectionId: ida,
      body: null,
      data: { integration: 'acme', connection: null },
    });
    await replica.addEvents(
      [
        anEvent({ at: setup.now(), integration: 'acme', body: null, data: { integration: 'acme', connection: null } }),
        elsewhere,
      ],
      undefined,
    );
    const heard = await next;
    expect(heard.data.map(({ id }) => id)).toEqual([elsewhere.id]);
    expect(dataOf(heard.data[0])).toMatchObject({ event_id: elsewhere.id, sequence: 2 });
    const over = await get(`${from(heard.cursor)}&wait=1`, mine);
    expect(over.data).toEqual([]);
    expect((await get(from(over.cursor), mine)).data).toEqual([]);
  });

  test('a wait ends when the caller loses its key, and when the client hangs up', async () => {
    const { body } = await broker.ask('POST', '/v1/callers', {
      name: 'soon gone',
      grants: [{ actions: ['events'], integrations: ['*'], owners: ['*'] }],
    });
    const end = await endOf();
    const waiting = get(`${from(end)}&wait=25`, String(body.key));
    const gone = request(new URL(`/v1/events${from(end)}&wait=25`, broker.url), {
      headers: { authorization: `Bearer ${broker.adminKey}` },
    });
    gone.on('error', () => undefined);
    gone.end();
    await broker.ask('DELETE', `/v1/callers/${body.id}`);
    gone.destroy();
    await setup.importConnection('after');
    expect((await waiting).data).toEqual([]);
  });
});

describe('what the broker tells by itself', () => {
  const setEnd = (id: string, ms: number | null) => {
    const inside = new Database(broker.database);
    inside.prepare('update connections set reauth_due_at = ? where id = ?').run(ms, id);
    inside.close();
  };

  test('connection.reauth_due: a week and a day before a grant ends, once each, and not as it moves with refreshes', async () => {
    const cursor = await endOf();
    const due = async () => (await get(`${from(cursor)}&types=connection.reauth_due`)).data;
    const ends = setup.now() + 6 * DAY_MS;
    setEnd(grace, ends);
    await expect.poll(due, SOON).toHaveLength(1);
    expect(dataOf((await due())[0])).toMatchObject({
      connection: { id: grace, owner: 'grace', status: 'active' },
      reauth_due_at: new Date(ends).toISOString(),
      sequence: 2,
    });
    // It moves as a refresh would move it: several times, and each time the broker looks.
    for (const days of [6.1, 6.3, 6.5, 6.9]) {
      setEnd(grace, ends + days * 60_000);
      setEnd(ada, setup.now() + 12 * 3_600_000 + days);
      await expect
        .poll(async () => (await due()).some((e) => (dataOf(e).connection as Json).id === ada), SOON)
        .toBe(true);
    }
    expect(await due()).toHaveLength(2);
    setEnd(grace, setup.now() + 3_600_000);
    await expect.poll(due, SOON).toHaveLength(3);
    await setup.importConnection('grace');
    setEnd(grace, setup.now() + 5 * DAY_MS);
    await expect.poll(due, SOON).toHaveLength(4);
    setEnd(grace, null);
    setEnd(ada, null);
  });

  test('integration.misconfigured and .recovered: once each, to those who cover all owners', async () => {
    const cursor = await endOf();
    const faults = async (key?: string) =>
      typesOf((await get(`${from(cursor)}&types=integration.misconfigured,integration.recovered`, key)).data);
    const refresh = () => broker.ask('POST', `/v1/connections/${ada}/refresh`, {});
    await broker.ask('PUT', '/v1/integrations/acme', { ...setup.integrationBody, client_secret: 'wrong' });
    expect((await refresh()).status).toBe(502);
    await refresh();
    await expect.poll(() => faults(), SOON).toEqual(['integration.misconfigured']);
    await broker.ask('PUT', '/v1/integrations/acme', setup.integrationBody);
    setup.advance(120_000);
    await expect.poll(async () => (await refresh()).status, SOON).toBe(200);
    await refresh();
    await expect.poll(() => faults(), SOON).toEqual(['integration.misconfigured', 'integration.recovered']);
    expect(await faults(mine)).toEqual([]);
    const everyone = await broker.callerKey({ actions: ['events'], integrations: ['ac*'] });
    expect(await faults(everyone)).toHaveLength(2);
  });

  test('events are counted by type, and deleted after their time', async () => {
    const metrics = await (await fetch(new URL('/metrics', broker.url))).text();
    expect(metrics).toMatch(/valetkey_events_total\{type="connection.reauth_due"\} [1-9]/);
    expect((await get('?limit=500')).data.length).toBeGreaterThan(10);
    setup.advance(31 * DAY_MS);
    await expect.poll(async () => (await get('?limit=500')).data.length, SOON).toBe(1);
  });

  test('a wait is answered at once when the broker stops', async () => {
    const waiting = get(`${from(await endOf())}&wait=25`);

    // By then, the broker has the other request.
    for (let n = 0; n < 3; n++) await broker.ask('GET', '/v1/whoami');
    const started = performance.now();
    await Promise.all([waiting, setup.broker.stop()]);
    expect((await waiting).data).toEqual([]);
    expect(performance.now() - started).toBeLessThan(24_000);
  });
});
