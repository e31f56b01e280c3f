// The audit log: who did what to which connection, when, from where, with what outcome.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import { AuditView } from '../../src/api/index.ts';
import { createAuditBuffer } from '../../src/broker/audit/log/audit-buffer.ts';
import { StoreError } from '../../src/ports/index.ts';
import { openSqlite } from '../../src/stores/sqlite/store.ts';
import { anEntry } from '../stores/builders.ts';
import type { Answer, Json } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectIssues, expectOk, RFC3339_UTC, readPages } from '../support/contract.ts';
import { newOwner } from '../support/owner-browser.ts';

let testSetup: TestSetup;
beforeAll(async () => {
  testSetup = await startTestSetup();
});
afterAll(() => testSetup.close());

const get = (path: string, key?: string): Promise<Answer> => testSetup.broker.ask('GET', path, undefined, key);
const audit = async (query: Record<string, string>): Promise<Json[]> => {
  const { data } = expectOk(await get(`/v1/audit?${new URLSearchParams({ limit: '500', ...query })}`));
  for (const entry of data as Json[]) AuditView.strict().parse(entry);
  return data as Json[];
};

test('audit log: the life of a connection, newest first', async () => {
  const owner = newOwner();
  const id = await testSetup.importConnection(owner);
  const reading = await get(`/v1/connections/${id}/token`);
  const { access_token } = expectOk(reading);
  const revoking = await testSetup.broker.ask('DELETE', `/v1/connections/${id}`);
  expectOk(revoking);
  const entries = await audit({ connection_id: id });
  expect(entries.map(({ action, outcome, actor }) => [action, outcome, actor])).toEqual([
    ['connection.revoked_upstream', 'ok', 'system'],
    ['connection.revoked', 'ok', 'clr_admin'],
    ['connection.refreshed', 'ok', 'system'],
    ['token.read', 'ok', 'clr_admin'],
    ['connection.imported', 'ok', 'clr_admin'],
  ]);
  const times = entries.map(({ at }) => String(at));
  expect(times).toEqual([...times].sort().reverse());
  expect(entries[3]).toEqual({
    id: expect.stringMatching(/^evt_/),
    at: expect.stringMatching(RFC3339_UTC),
    action: 'token.read',
    outcome: 'ok',
    actor: 'clr_admin',
    key_id: 'key_admin',
    subject: null,
    integration: 'acme',
    owner,
    connection_id: id,
    address: '127.0.0.1',
    request_id: reading.headers.get('x-request-id'),
    client_request_id: null,
    trace_id: null,
    changed: null,
    detail: null,
    session: null,
    agent: null,
    purpose: null,
    count: 1,
  });
  expect(entries[1]?.request_id).toBe(revoking.headers.get('x-request-id'));
  const all = JSON.stringify(await audit({}));
  for (const { form, answer } of testSetup.proxy.requests)
    for (const secret of [form.get('token'), form.get('refresh_token'), answer.access_token, access_token])
      if (secret) expect(all).not.toContain(secret);
});

test('audit log: equal reads within a second are one entry with their count', async () => {
  const owner = newOwner();
  const id = await testSetup.importConnection(owner, { access_token: 'at' });
  const other = await testSetup.broker.callerKey();
  await audit({});
  for (let i = 0; i < 7; i++) expectOk(await get(`/v1/connections/${id}/token`));
  for (let i = 0; i < 2; i++) expectOk(await get(`/v1/connections/${id}/token`, other));
  const entries = await audit({ connection_id: id, action: 'token.read' });
  const counts = new Map<unknown, number>();
  for (const { actor, count } of entries) counts.set(actor, (counts.get(actor) ?? 0) + Number(count));
  expect([...counts.values()].sort()).toEqual([2, 7]);
  expect(entries.length).toBeLessThan(9);
});

test('audit log: a failed refresh and its consequence, with the code', async () => {
  const owner = newOwner();
  const id = await testSetup.importConnection(owner);
  testSetup.provider.withdrawGrants();
  expect((await get(`/v1/connections/${id}/token`)).status).toBe(409);
  expect(await audit({ connection_id: id, outcome: 'failed' })).toMatchObject([
    { action: 'connection.needs_reauth', actor: 'system', integration: 'acme', owner, detail: 'grant_revoked' },
  ]);
});

test('audit log: changes by admins, with the id of what they changed', async () => {
  const { id } = expectOk(await testSetup.broker.ask('POST', '/v1/callers', { name: 'x', grants: [] }), 201);
  expectOk(await testSetup.broker.ask('POST', `/v1/callers/${id}/keys`), 201);
  expectOk(await testSetup.broker.ask('PUT', '/v1/integrations/told', testSetup.integrationBody), 201);
  expect((await testSetup.broker.ask('DELETE', `/v1/callers/${id}`)).status).toBe(204);
  expect((await testSetup.broker.ask('DELETE', '/v1/integrations/told')).status).toBe(204);
  const recent = (await audit({ limit: '5' })).map(({ action, detail, integration }) => [action, detail, integration]);
  expect(recent).toEqual([
    ['integration.deleted', null, 'told'],
    ['caller.deleted', id, null],
    ['integration.put', 'generic-oidc', 'told'],
    ['caller.key_added', expect.stringContaining(String(id)), null],
    ['caller.created', id, null],
  ]);
});

describe('audit log filters', () => {
  test('match integration, owner, connection, actor, action, outcome and time', async () => {
    const owner = newOwner();
    const from = new Date(testSetup.now()).toISOString();
    const id = await testSetup.importConnection(owner, { access_token: 'at' });
    const denied = await testSetup.broker.callerKey({ actions: ['token'], owners: ['nobody'] });
    expect((await get(`/v1/connections/${id}/token`, denied)).status).toBe(404);
    testSetup.advance(1_000);
    const to = new Date(testSetup.now()).toISOString();
    testSetup.advance(1_000);
    expectOk(await get(`/v1/connections/${id}`));

    const actions = async (query: Record<string, string>) => (await audit(query)).map(({ action }) => action);
    const mine = ['connection.read', 'access.denied', 'connection.imported'];
    expect(await actions({ owner })).toEqual(mine);
    expect(await actions({ connection_id: id })).toEqual(mine);
    expect(await actions({ owner, integration: 'acme' })).toEqual(mine);
    expect(await actions({ owner, integration: 'other' })).toEqual([]);
    expect(await actions({ owner, action: 'connection.read' })).toEqual(['connection.read']);
    expect(await actions({ owner, outcome: 'denied' })).toEqual(['access.denied']);
    expect(await actions({ owner, actor: 'clr_admin' })).toEqual(['connection.read', 'connection.imported']);
    expect(await actions({ owner, from, to })).toEqual(['access.denied', 'connection.imported']);
    expect(await actions({ owner, from: to })).toEqual(['connection.read']);
    expect(await actions({ owner, to: from })).toEqual([]);
  });

  test('400 that names each invalid filter', async () => {
    expectIssues(await get('/v1/audit?outcome=fine'), 'outcome');
    expectIssues(await get('/v1/audit?from=yesterday'), 'from');
    expectIssues(await get('/v1/audit?to=2026-01-01'), 'to');
  });
});

test('audit log: pages by cursor, newest first, each entry once', async () => {
  const owner = newOwner();
  for (const label of 'abcde') await testSetup.importConnection(owner, { access_token: 'at' }, { label });
  const found = await readPages(get, `/v1/audit?owner=${owner}`, 2);
  expect(found.map((page) => page.length)).toEqual([2, 2, 1]);
  const ids = found.flat().map(({ id }) => String(id));
  expect(ids).toEqual([...new Set(ids)].sort().reverse());
});

test('audit buffer: writes each entry once, also when another write fails', async () => {
  const store = await openSqlite('file::memory:');
  let failures = 1;
  const auditBuffer = createAuditBuffer({
    store: {
      appendAudit: store.appendAudit,
      touchKeys: (uses) => (failures-- > 0 ? Promise.reject(new StoreError('locked')) : store.touchKeys(uses)),
    },
    log: createLogger('silent'),
  });
  const note = (id: string) => auditBuffer.note(id, () => anEntry({ id }));
  auditBuffer.used('key_1', 1);
  note('evt_1');
  await auditBuffer.flush();
  note('evt_2');
  await auditBuffer.flush();
  await auditBuffer.flush();
  const { data } = await store.audit({}, { limit: 10, after: undefined });
  expect(data.map(({ id, count }) => [id, count])).toEqual([
    ['evt_2', 1],
    ['evt_1', 1],
  ]);
  expect(failures).toBeLessThan(0);
  await store.close();
});

test('audit buffer: a flush waits for everything noted before it', async () => {
  const store = await openSqlite('file::memory:');
  let [underWay, most] = [0, 0];
  const auditBuffer = createAuditBuffer({
    store: {
      async appendAudit(entries) {
        most = Math.max(most, ++underWay);
        await store.appendAudit(entries);
        underWay--;
      },
      touchKeys: store.touchKeys,
    },
    log: createLogger('silent'),
  });
  // More than trigger a flush.
  const ids = Array.from({ length: 5_000 }, (_, n) => `evt_${n}`);
  const noteAll = (some: string[]) => some.forEach((id) => void auditBuffer.note(id, () => anEntry({ id })));
  noteAll(ids.slice(0, 2_500));
  const first = auditBuffer.flush();
  await Promise.resolve();
  noteAll(ids.slice(2_500));
  await auditBuffer.flush();
  await store.close();
  await first;
  // A few writes at once, of one flush at a time.
  expect(underWay).toBe(0);
  expect(most).toBeLessThanOrEqual(4);
});

test('audit buffer: counts the entries that wait for the store, and those it dropped', async () => {
  const away = () => Promise.reject(new StoreError('disk full'));
  const store = await openSqlite('file::memory:');
  let appendAudit: typeof store.appendAudit = away;
  const auditBuffer = createAuditBuffer({
    store: { appendAudit: (entries) => appendAudit(entries), touchKeys: store.touchKeys },
    log: createLogger('silent'),
  });
  for (let n = 0; n < 50_003; n++) auditBuffer.note(`evt_${n}`, () => anEntry({ id: `evt_${n}` }));
  expect(auditBuffer.state()).toEqual({ waiting: 50_003, lost: 0 });
  await auditBuffer.flush();
  expect(auditBuffer.state()).toEqual({ waiting: 50_000, lost: 3 });
  appendAudit = async () => undefined;
  await auditBuffer.flush();
  expect(auditBuffer.state()).toEqual({ waiting: 0, lost: 3 });
  await store.close();
});
