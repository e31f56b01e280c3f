// What no grant of a caller touches: answered like what does not exist, byte for byte, on every route and in every list.
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectOk, expectProblem, readPages } from '../support/contract.ts';

let testSetup: TestSetup;
/** Grants that concern (acme, own-*) alone, each with every action that could tell something. */
let stranger: string;
/** Verifies JWTs, which concerns no integration and no owner, although the grant has patterns for all. */
let verifier: string;
let hidden: { connection: string; session: string };

beforeAll(async () => {
  testSetup = await startTestSetup();
  for (const id of ['secret-1', 'secret-2', 'zoo', 'zoo-2'])
    expectOk(await testSetup.broker.ask('PUT', `/v1/integrations/${id}`, testSetup.integrationBody), 201);
  const actions = ['token', 'connections:read', 'connections:write', 'proxy', 'admin'];
  stranger = await testSetup.broker.callerKey({ actions, integrations: ['acme', 'zoo*'], owners: ['own-*'] });
  verifier = await testSetup.broker.callerKey({ actions: ['jwt:verify'] });
  const connection = await testSetup.importConnection('alice', { access_token: 'at' });
  const wanted = { integration: 'acme', owner: 'alice', label: 'x' };
  const session = expectOk(await testSetup.broker.ask('POST', '/v1/connect-sessions', wanted), 201);
  hidden = { connection, session: String(session.id) };
});
afterAll(() => testSetup.close());

const ask = (key: string, method: string, path: string, body?: unknown) =>
  testSetup.broker.ask(method, path, body, key);

/** Everything of an answer but what differs between any two requests: the id of the request, and the id that was asked for. */
function comparable({ status, headers, body }: Answer, id: string) {
  const { request_id: _, ...rest } = body;
  const shown = [...headers].filter(([name]) => !['x-request-id', 'date', 'content-length'].includes(name));
  return JSON.stringify({ status, shown, rest }).replaceAll(id, '<id>');
}

const ABSENT = { connection: 'con_01k9d3n0r4c6h8j2s5g7p1e3kd', session: 'cs_01k9d3n0r4c6h8j2s5g7p1e3kd' };

describe('by id', () => {
  test.each<[string, string, (id: string) => [path: string, body?: Json], 'connection' | 'session']>([
    ['a connection', 'GET', (id) => [`/v1/connections/${id}`], 'connection'],
    ['its token', 'GET', (id) => [`/v1/connections/${id}/token`], 'connection'],
    ['its token, with a min_ttl', 'GET', (id) => [`/v1/connections/${id}/token?min_ttl=9`], 'connection'],
    ['its refresh', 'POST', (id) => [`/v1/connections/${id}/refresh`, {}], 'connection'],
    [
      'its proof',
      'POST',
      (id) => [`/v1/connections/${id}/dpop-proof`, { method: 'GET', url: 'https://a.example' }],
      'connection',
    ],
    ['its retry', 'POST', (id) => [`/v1/connections/${id}/retry`], 'connection'],
    ['its revocation', 'DELETE', (id) => [`/v1/connections/${id}`], 'connection'],
    [
      'its renewal in the browser',
      'POST',
      (id) => ['/v1/connect-sessions', { integration: 'acme', owner: 'own-1', connection_id: id }],
      'connection',
    ],
    ['its renewal by id alone', 'POST', (id) => ['/v1/connect-sessions', { connection_id: id }], 'connection'],
    [
      'its renewal by an import',
      'POST',
      (id) => [
        '/v1/connections',
        { integration: 'acme', owner: 'own-1', connection_id: id, credentials: { access_token: 'x' } },
      ],
      'connection',
    ],
    ['a connect session', 'GET', (id) => [`/v1/connect-sessions/${id}`], 'session'],
  ])('%s is 404 like one that does not exist, in memory or not', async (_, method, request, kind) => {
    for (const key of [stranger, verifier]) {
      // A read by the admin brings the token into memory.
      expectOk(await testSetup.broker.ask('GET', `/v1/connections/${hidden.connection}/token`));
      const [path, body] = request(hidden[kind]);
      const [absentPath, absentBody] = request(ABSENT[kind]);
      const there = await ask(key, method, path, body);
      const absent = await ask(key, method, absentPath, absentBody);
      expect(there.status).toBe(404);
      expect(comparable(there, hidden[kind])).toBe(comparable(absent, ABSENT[kind]));
      expect(JSON.stringify(there.body)).not.toMatch(/alice/);
    }
  });

  test.each<[string, string, Json | undefined]>([
    ['reading', 'GET', undefined],
    ['replacing', 'PUT', { provider: 'nothing', client_id: 'x' }],
    ['deleting', 'DELETE', undefined],
  ])('%s an integration', async (_, method, body) => {
    for (const key of [stranger, verifier]) {
      const there = await ask(key, method, '/v1/integrations/secret-1', body);
      const absent = await ask(key, method, '/v1/integrations/absent', body);
      expectProblem(there, 404, 'not_found');
      expect(comparable(there, 'secret-1')).toBe(comparable(absent, 'absent'));
    }
    expectOk(await testSetup.broker.ask('GET', '/v1/integrations/secret-1'));
  });
});

describe('by integration and owner', () => {
  const requests: [string, (integration: string, owner: string) => Promise<Answer>][] = [
    ['token', (i, o) => ask(stranger, 'GET', `/v1/token?integration=${i}&owner=${o}`)],
    ['token by label', (i, o) => ask(stranger, 'GET', `/v1/token?integration=${i}&owner=${o}&label=x`)],
    ['connect session', (i, o) => ask(stranger, 'POST', '/v1/connect-sessions', { integration: i, owner: o })],
    [
      'import',
      (i, o) =>
        ask(stranger, 'POST', '/v1/connections', { integration: i, owner: o, credentials: { access_token: 'x' } }),
    ],
    ['bulk revocation', (i, o) => ask(stranger, 'POST', '/v1/connections/revoke', { integration: i, owner: o })],
  ];
  test.each(requests)('%s: 404, the same for an owner with and without a connection', async (_, request) => {
    const there = await request('acme', 'alice');
    expectProblem(there, 404, 'not_found');
    expect(comparable(there, 'alice')).toBe(comparable(await request('acme', 'nobody'), 'nobody'));
  });

  test.each(requests)('%s: 404, the same for an integration that exists and one that does not', async (_, request) => {
    const there = await request('secret-1', 'own-1');
    expect(expectProblem(there, 404, 'not_found').detail).toBe('There is no integration "secret-1".');
    expect(comparable(there, 'secret-1')).toBe(comparable(await request('absent-1', 'own-1'), 'absent-1'));
  });

  test('list: empty, as for an owner without connections', async () => {
    for (const owner of ['alice', 'nobody'])
      expect(expectOk(await ask(stranger, 'GET', `/v1/connections?integration=acme&owner=${owner}`)).data).toEqual([]);
  });

  test('403 where another grant touches it', async () => {
    const key = await testSetup.broker.callerKey({ actions: ['token'], owners: ['alice'] });
    const { missing } = expectProblem(await ask(key, 'GET', `/v1/connections/${hidden.connection}`), 403, 'forbidden');
    expect(missing).toMatchObject({ action: 'connections:read', owner: 'alice' });
  });

  test('the audit log has the refusals, with what was hidden', async () => {
    await ask(stranger, 'GET', `/v1/connections/${hidden.connection}`);
    const { data } = expectOk(
      await testSetup.broker.ask('GET', `/v1/audit?connection_id=${hidden.connection}&outcome=denied&limit=1`),
    );
    expect(data).toMatchObject([{ action: 'access.denied', owner: 'alice' }]);
  });
});

describe('an integration that does not exist', () => {
  test('is said to be what is missing, to a caller whose grants reach it', async () => {
    for (const [method, path, body] of [
      ['GET', '/v1/token?integration=zoom&owner=own-1'],
      ['POST', '/v1/connect-sessions', { integration: 'zoom', owner: 'own-1' }],
      ['POST', '/v1/connections', { integration: 'zoom', owner: 'own-1', credentials: { access_token: 'x' } }],
    ] as const)
      for (let i = 0; i < 2; i++)
        expect(expectProblem(await ask(stranger, method, path, body), 404, 'not_found').detail).toBe(
          'There is no integration "zoom".',
        );
    const { detail } = expectProblem(
      await ask(stranger, 'GET', '/v1/token?integration=zoo&owner=own-1'),
      404,
      'not_found',
    );
    expect(detail).toBe('There is no connection "own-1 at zoo".');
  });
});

describe('a session for a renewal', () => {
  test('needs the connection_id alone', async () => {
    const id = await testSetup.importConnection('own-2', { access_token: 'at' }, { label: 'work' });
    const { id: session } = expectOk(await ask(stranger, 'POST', '/v1/connect-sessions', { connection_id: id }), 201);
    expect(expectOk(await ask(stranger, 'GET', `/v1/connect-sessions/${session}`))).toMatchObject({
      connection_id: id,
      integration: 'acme',
      owner: 'own-2',
      label: 'work',
    });
    const wrong = { connection_id: id, owner: 'own-3' };
    expectProblem(await ask(stranger, 'POST', '/v1/connect-sessions', wrong), 400, 'invalid_request');
    const { issues } = expectProblem(await ask(stranger, 'POST', '/v1/connect-sessions', {}), 400, 'invalid_request');
    expect((issues as Json[]).map(({ path }) => path)).toEqual(['integration', 'owner']);
  });
});

describe('cursors', () => {
  test('pages are full, and neither their number nor their cursors tell of hidden rows', async () => {
    const pages = await readPages((path) => ask(stranger, 'GET', path), '/v1/integrations', 1);
    expect(pages.flat().map(({ id }) => id)).toEqual(['acme', 'zoo', 'zoo-2']);
    expect(pages.every((one) => one.length === 1)).toBe(true);
    const { next_cursor } = expectOk(await ask(stranger, 'GET', '/v1/integrations?limit=1'));
    for (const decoded of [Buffer.from(String(next_cursor), 'base64url').toString('latin1'), String(next_cursor)])
      expect(decoded).not.toMatch(/acme|secret|zoo/);
  });

  test('forged, altered, and of another list: 400', async () => {
    for (const owner of ['own-8', 'own-9']) await testSetup.importConnection(owner, { access_token: 'at' });
    const { next_cursor } = expectOk(await ask(stranger, 'GET', '/v1/integrations?limit=1'));
    const good = String(next_cursor);
    const forged = [
      Buffer.from('secret-0').toString('base64url'),
      `${good}A`,
      good.slice(0, -2),
      good.toUpperCase(),
      'x',
    ];
    for (const cursor of forged)
      expectProblem(await ask(stranger, 'GET', `/v1/integrations?cursor=${cursor}`), 400, 'invalid_request');
    for (const path of ['/v1/connections', '/v1/providers'])
      expectProblem(await ask(stranger, 'GET', `${path}?cursor=${good}`), 400, 'invalid_request');
    expectOk(await ask(stranger, 'GET', `/v1/integrations?cursor=${good}`));
    // A caller cannot cause the alert for rows that someone has changed.
    const { data } = expectOk(await testSetup.broker.ask('GET', '/v1/audit?action=row.refused'));
    expect(data).toEqual([]);
  });
});

describe.skipIf(process.env.VALETKEY_TEST_STORE === 'postgres')('of what there is more than a page examines', () => {
  test('an auditor of others is told as much as of what does not exist: no cursor leads on', async () => {
    const db = new Database(testSetup.broker.database, { timeout: 10_000 });
    db.exec(`insert into audit (id, at, action, outcome, actor, integration, owner, count)
      with recursive n(i) as (select 1 union all select i + 1 from n where i < 51000)
      select printf('evt_00%024d', i), i, 'connection.refreshed', 'ok', 'system', 'secret-1', 'bob', 1 from n`);
    db.close();
    const auditor = await testSetup.broker.callerKey({
      actions: ['audit:read', 'connections:read'],
      integrations: ['acme', 'secret-2'],
      owners: ['own-*'],
    });
    for (const list of ['/v1/audit', '/v1/connections', '/v1/webhooks', '/v1/connect-sessions'])
      for (const [there, absent] of [
        ['integration=secret-1', 'integration=absent'],
        ['owner=bob', 'owner=nobody'],
        ['integration=secret-1&owner=own-1', 'integration=absent&owner=own-1'],
      ] as const) {
        if (list === '/v1/webhooks' && there.includes('owner')) continue;
        const [one, other] = await Promise.all(
          [there, absent].map((query) => ask(auditor, 'GET', `${list}?${query}&limit=1`)),
        );
        expect(comparable(one!, 'secret-1').replaceAll('bob', '<id>')).toBe(
          comparable(other!, 'absent').replaceAll('nobody', '<id>'),
        );
        if (list === '/v1/audit') expect(one!.body).toEqual({ data: [], next_cursor: null });
      }
    const all = expectOk(await testSetup.broker.ask('GET', '/v1/audit?integration=secret-1&limit=1'));
    expect(all.next_cursor).not.toBeNull();
  });
});
