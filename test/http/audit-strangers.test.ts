// The audit log under attack: who is not known is counted and bounded, what was changed is named, ids and names are not forged.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import type { Json } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectIssues, expectOk, expectProblem } from '../support/contract.ts';
import { newOwner } from '../support/owner-browser.ts';

let testSetup: TestSetup;
const lines: Json[] = [];
beforeAll(async () => {
  const silent = createLogger('silent');
  const warn = (line: object, text: string) => lines.push({ ...line, text });
  testSetup = await startTestSetup({}, Object.assign(Object.create(silent), { warn }));
});
afterAll(() => testSetup.close());

const audit = async (query: Record<string, string>, key?: string): Promise<Json[]> =>
  expectOk(
    await testSetup.broker.ask('GET', `/v1/audit?${new URLSearchParams({ limit: '500', ...query })}`, undefined, key),
  ).data as Json[];
const send = (path: string, headers: Record<string, string> = {}, init: RequestInit = {}) =>
  fetch(`${testSetup.broker.url}${path}`, { ...init, headers, redirect: 'manual' });
const b64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
const KEY = 'vk_Yh3kq0cVt8mPz5sXbN1wLr7dGf2uJe9aTi4oKyC6vQMaaaaaa';

describe('failed authentications', () => {
  test('are counted by reason, key or issuer and subject, and address', async () => {
    for (let n = 0; n < 3; n++) await send('/v1/whoami', { authorization: `Bearer ${KEY}` });
    const token = `${b64({ alg: 'ES256' })}.${b64({ iss: 'https://evil.example', sub: 'mallory' })}.c2ln`;
    await send('/v1/whoami', { authorization: `Bearer ${token}` });
    await send('/v1/whoami', { authorization: 'Bearer my-other-password-that-I-mistook' });
    const form = new URLSearchParams({ grant_type: 'x', client_id: 'clr_x', client_secret: KEY });
    await send('/oauth2/token', {}, { method: 'POST', body: form });
    const entries = await audit({ action: 'authentication.failed' });
    expect(entries.find(({ detail }) => detail === 'mistyped: key vk_Yh3kq…')).toMatchObject({
      actor: 'stranger',
      outcome: 'denied',
      count: 4,
      address: '127.0.0.1',
      request_id: expect.stringMatching(/-/),
    });
    const claimed = 'untrusted_issuer: token of issuer "https://evil.example", subject "mallory"';
    expect(entries.map(({ detail }) => detail)).toEqual(expect.arrayContaining([claimed, 'unknown']));
    const said = JSON.stringify([entries, lines]);
    for (const secret of [KEY, KEY.slice(0, 12), 'my-other', token]) expect(said).not.toContain(secret);
    expect(lines.filter(({ reason }) => reason === 'mistyped')).toHaveLength(1);
  });

  test('of ever new keys, tokens and reasons: a bounded number of entries and lines, and all are counted', async () => {
    testSetup.advance(120_000);
    const before = (await audit({ action: 'authentication.failed' })).length;
    lines.length = 0;
    for (let n = 0; n < 150; n++) {
      const token = `${b64({ alg: 'ES256' })}.${b64({ iss: `https://i${n}.example`, sub: 'x'.repeat(5_000) })}.c2ln`;
      await send('/v1/whoami', { authorization: `Bearer ${n % 2 ? token : KEY.replace('Yh3', String(100 + n))}` });
    }
    const entries = await audit({ action: 'authentication.failed' });
    const fresh = entries.slice(0, entries.length - before);
    expect(fresh.length).toBeLessThan(45);
    expect(fresh.reduce((sum, { count }) => sum + Number(count), 0)).toBe(150);
    expect(lines.length).toBeLessThan(15);
    expect(Math.max(...fresh.map((one) => JSON.stringify(one).length))).toBeLessThan(1_500);
  });

  test('text of a token cannot forge an entry or a line', async () => {
    testSetup.advance(120_000);
    const odd = { iss: 'a\n{"level":30}\u0000\ud800', sub: { deep: true } };
    const token = `${b64({ alg: 'ES256' })}.${b64(odd)}.c2ln`;
    expect((await send('/v1/whoami', { authorization: `Bearer ${token}` })).status).toBe(401);
    const [entry] = await audit({ action: 'authentication.failed', limit: '1' });
    expect(String(entry?.detail)).toMatch(/^\P{C}+$/u);
  });
});

test('refused callbacks are counted, and logged once for each reason', async () => {
  testSetup.advance(120_000);
  lines.length = 0;
  for (let n = 0; n < 3; n++)
    expect((await send(`/oauth2/callback/acme?state=forged-${n}&code=x`)).status).toBeGreaterThan(399);
  for (let n = 0; n < 3; n++) await send('/oauth2/callback/acme?code=x');
  const entries = await audit({ action: 'connection.callback_refused' });
  expect(entries.every(({ actor, integration }) => actor === 'stranger' && integration === 'acme')).toBe(true);
  expect(entries.reduce((sum, { count }) => sum + Number(count), 0)).toBe(6);
  expect(JSON.stringify(entries)).not.toContain('forged');
  expect(lines.filter(({ action }) => action === 'connection.callback_refused').length).toBe(entries.length);
});

test('errors of providers that belong to no flow: a bounded number of lines', async () => {
  testSetup.advance(120_000);
  lines.length = 0;
  for (let n = 0; n < 30; n++) await send(`/oauth2/callback/acme?error=e${n}${n % 2 ? `&state=s${n}` : ''}`);
  const told = lines.filter(({ text }) => String(text).includes('belongs to no flow'));
  expect(told.length).toBeGreaterThan(0);
  expect(told.length).toBeLessThan(15);
});

describe('changes', () => {
  test('of an integration name its members, and no value', async () => {
    const { integrationBody: body } = testSetup;
    const put = (more: object) => testSetup.broker.ask('PUT', '/v1/integrations/told', { ...body, ...more });
    expectOk(await put({}), 201);
    expectOk(
      await put({ client_secret: 'another-secret', return_origins: ['https://app.example'], scopes: ['openid'] }),
    );
    const [after, before] = await audit({ integration: 'told', action: 'integration.put' });
    expect(after?.changed).toEqual(expect.arrayContaining(['client_secret', 'return_origins', 'scopes']));
    expect(after?.changed).not.toContain('client_id');
    expect(before?.changed).toEqual(expect.arrayContaining(['provider', 'client_id', 'client_secret']));
    expect(JSON.stringify([after, before])).not.toContain('another-secret');
  });

  test('of a caller name its members', async () => {
    const { id } = expectOk(await testSetup.broker.ask('POST', '/v1/callers', { name: 'one', grants: [] }), 201);
    const grants = [{ actions: ['token'], integrations: ['*'], owners: ['*'] }];
    expectOk(await testSetup.broker.ask('PUT', `/v1/callers/${id}`, { name: 'two', grants }));
    expectOk(await testSetup.broker.ask('POST', '/v1/apply', { callers: [{ name: 'declared', grants }] }));
    const [declared, updated] = (await audit({ limit: '2' })) as [Json, Json];
    expect(updated).toMatchObject({ action: 'caller.updated', detail: id, changed: expect.arrayContaining(['name']) });
    expect((updated.changed as string[]).some((name) => name.startsWith('grants'))).toBe(true);
    expect(declared).toMatchObject({ action: 'caller.declared', changed: expect.arrayContaining(['name']) });
  });
});

describe('ids of requests', () => {
  test("are ours; the client's own, and its trace, stand beside them if they are plain", async () => {
    const owner = newOwner();
    const id = await testSetup.importConnection(owner, { access_token: 'at' });
    const trace = '0af7651916cd43dd8448eb211c80319c';
    const authorization = `Bearer ${testSetup.broker.adminKey}`;
    const read = (headers: Record<string, string>, path = `/v1/connections/${id}/token`) =>
      send(path, { authorization, ...headers });
    const answers = [
      await read({ 'x-request-id': 'order-1742', traceparent: `00-${trace}-b7ad6b7169203331-01` }),
      await read({ 'x-request-id': 'order-1743' }, `/v1/connections/${id}`),
    ];
    for (const { headers } of answers) expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    // Those of one millisecond are in no order.
    const entries = await audit({ connection_id: id, limit: '2' });
    const [token, get] = ['order-1742', 'order-1743'].map((own) =>
      entries.find((one) => one.client_request_id === own),
    );
    expect(token).toMatchObject({
      request_id: answers[0]?.headers.get('x-request-id'),
      client_request_id: 'order-1742',
      trace_id: trace,
    });
    expect(get).toMatchObject({ client_request_id: 'order-1743', trace_id: null });
  });

  test.each([
    ['too long', { 'x-request-id': 'x'.repeat(65) }],
    ['a key', { 'x-request-id': KEY }],
    ['signs', { 'x-request-id': 'a b;"{}' }],
    ['not a trace', { traceparent: '00-00000000000000000000000000000000-b7ad6b7169203331-01' }],
    ['upper case', { traceparent: '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01' }],
  ])('%s: not recorded', async (_, headers) => {
    const id = await testSetup.importConnection(newOwner(), { access_token: 'at' });
    await send(`/v1/connections/${id}`, {
      authorization: `Bearer ${testSetup.broker.adminKey}`,
      ...(headers as Record<string, string>),
    });
    expect(await audit({ connection_id: id, limit: '1' })).toMatchObject([{ client_request_id: null, trace_id: null }]);
  });
});

describe('names of callers', () => {
  test.each([
    'clr_admin',
    'CLR_ADMIN',
    ' clr_admin',
    'clr admin',
    'clr\u200b_admin',
    'сlr_аdmin',
    'clr_adm1n',
    'clr‐admin',
    'ｃｌｒ＿ａｄｍｉｎ',
    'admin key',
    'Admin-Key',
    'system',
    'Ѕystem',
    'browser',
    'stranger',
    'key_admin',
    'clr_01k9d3n0r4c6h8j2s5g7p1e3kd',
    'con_01k9d3n0r4c6h8j2s5g7p1e3kd',
  ])('%s: 400', async (name) => {
    expectIssues(await testSetup.broker.ask('POST', '/v1/callers', { name, grants: [] }), 'name');
    const applied = await testSetup.broker.ask('POST', '/v1/apply', { callers: [{ name, grants: [] }] });
    expectIssues(applied, 'callers.0.name');
  });

  test.each(['clr_admin', 'clr_adm1n', 'clr__admin', 'clr_system'])('the id %s: 400', async (id) => {
    const answer = await testSetup.broker.ask('POST', '/v1/apply', { callers: [{ id, name: 'me', grants: [] }] });
    if (id === 'clr_system') expectOk(answer);
    else expectIssues(answer, 'callers.0.id');
  });

  test('other names are taken', async () => {
    for (const name of ['billing', 'admin', 'browser-extension', 'система', 'key rotator', 'Clara'])
      expectOk(await testSetup.broker.ask('POST', '/v1/callers', { name, grants: [] }), 201);
  });
});

describe('audit:read', () => {
  test('shows the entries of its integrations and owners, and nothing to callers without it', async () => {
    const [mine, other] = [newOwner(), newOwner()];
    for (const owner of [mine, other]) await testSetup.importConnection(owner, { access_token: 'at' });
    const auditor = await testSetup.broker.callerKey({ actions: ['audit:read'] });
    expect((await audit({ owner: other }, auditor)).length).toBeGreaterThan(0);
    expectProblem(await testSetup.broker.ask('GET', '/v1/callers', undefined, auditor), 403, 'forbidden');
    const narrow = await testSetup.broker.callerKey({
      actions: ['audit:read'],
      integrations: ['acme'],
      owners: [mine],
    });
    const seen = await audit({}, narrow);
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.every(({ owner, integration }) => owner === mine && integration === 'acme')).toBe(true);
    expect(await audit({ owner: other }, narrow)).toEqual([]);
    const reader = await testSetup.broker.callerKey({ actions: ['connections:read', 'token', 'connections:write'] });
    const { missing } = expectProblem(
      await testSetup.broker.ask('GET', '/v1/audit', undefined, reader),
      403,
      'forbidden',
    );
    expect(missing).toMatchObject({ action: 'audit:read' });
  });
});

test('refusals of one caller: a bounded number of entries, and all are counted', async () => {
  const created = await testSetup.broker.ask('POST', '/v1/callers', { name: 'noisy', grants: [] });
  const { id, key } = expectOk(created, 201);
  for (let n = 0; n < 250; n++)
    await send(`/v1/token?integration=acme&owner=${'o'.repeat(200)}${n}`, { authorization: `Bearer ${key}` });
  const entries = await audit({ actor: String(id) });
  expect(entries.reduce((sum, { count }) => sum + Number(count), 0)).toBe(250);
  expect(entries.length).toBeLessThan(120);
});
