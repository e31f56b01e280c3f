// Connect sessions as callers use them: inviting an owner, and looking up the outcome.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SessionCreated, SessionView } from '../../src/api/index.ts';
import type { Answer, Json } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectIssues, expectOk, expectProblem, RFC3339_UTC } from '../support/contract.ts';
import { connect, newOwner, readDatabaseFiles } from '../support/owner-browser.ts';

let testSetup: TestSetup;
beforeAll(async () => {
  testSetup = await startTestSetup();
});
afterAll(() => testSetup.close());

const invite = (body: Json, key?: string): Promise<Answer> =>
  testSetup.broker.ask('POST', '/v1/connect-sessions', { integration: 'acme', owner: newOwner(), ...body }, key);
const session = (id: unknown, key?: string): Promise<Answer> =>
  testSetup.broker.ask('GET', `/v1/connect-sessions/${id}`, undefined, key);

test('connect session: pending, then completed with the connection; the secret of its URL is shown once and not stored', async () => {
  const owner = newOwner();
  const made = expectOk(await invite({ owner, label: 'work' }), 201);
  SessionCreated.strict().parse(made);
  expect(made).toEqual({
    id: expect.stringMatching(/^cs_/),
    url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/connect\/[\w-]{43}$/),
    status: 'pending',
    expires_at: expect.stringMatching(RFC3339_UTC),
  });
  const pending = expectOk(await session(made.id));
  SessionView.strict().parse(pending);
  expect(pending).toMatchObject({ id: made.id, status: 'pending', integration: 'acme', owner, label: 'work' });
  expect(pending).not.toHaveProperty('connection_id');
  await connect(testSetup.broker, String(made.url), { login: owner });
  const completed = expectOk(await session(made.id));
  SessionView.strict().parse(completed);
  expect(completed).toMatchObject({ status: 'completed', connection_id: expect.stringMatching(/^con_/) });
  const secret = String(made.url).split('/').at(-1) ?? '';
  for (const where of [JSON.stringify([pending, completed]), await readDatabaseFiles(testSetup.broker)])
    expect(where).not.toContain(secret);
});

test('connect session: failed with the error when the owner cancels', async () => {
  const made = expectOk(await invite({}), 201);
  await connect(testSetup.broker, String(made.url), { cancel: true });
  expect(expectOk(await session(made.id))).toMatchObject({ status: 'failed', error: 'access_denied' });
});

test('connect session: expires after ten minutes', async () => {
  const made = expectOk(await invite({}), 201);
  expect(Date.parse(String(made.expires_at)) - testSetup.now()).toBeLessThanOrEqual(600_000);
  testSetup.advance(599_000);
  expect(expectOk(await session(made.id))).toMatchObject({ status: 'pending' });
  testSetup.advance(1_000);
  expect(expectOk(await session(made.id))).toMatchObject({ status: 'expired' });
});

test('connect session: renews a connection under its id', async () => {
  const owner = newOwner();
  const id = await testSetup.importConnection(owner, {}, { label: 'work' });
  const made = expectOk(await invite({ owner, connection_id: id }), 201);
  await connect(testSetup.broker, String(made.url), { login: owner });
  expect(expectOk(await session(made.id))).toMatchObject({ status: 'completed', connection_id: id });
  const renewed = expectOk(await testSetup.broker.ask('GET', `/v1/connections/${id}`));
  expect(renewed).toMatchObject({ label: 'work', generation: 2, status: 'active' });
});

test('connect session: 400 that names each invalid field', async () => {
  const owner = newOwner();
  const id = await testSetup.importConnection(owner, { access_token: 'at' });
  expectIssues(await invite({ owner: '' }), 'owner', 'owner');
  expectIssues(await invite({ owner: 'a*' }), 'owner');
  expectIssues(await invite({ colour: 'red' }), 'colour');
  expectIssues(await invite({ params: { shop: 'x' } }), 'params.shop');
  expectIssues(await invite({ scopes: ['a b'] }), 'scopes.0');
  expectIssues(await invite({ metadata: { text: 'x'.repeat(9_000) } }), 'metadata');
  expectIssues(await invite({ return_url: 'nowhere' }), 'return_url');
  expectIssues(await invite({ return_url: 'https://evil.example/' }), 'return_url');
  expectIssues(await invite({ connection_id: id }), 'connection_id');
  expectIssues(await invite({ owner, connection_id: id, label: 'other' }), 'label');
  expectProblem(await invite({ integration: 'nothing' }), 404, 'not_found');
  expectProblem(await invite({ owner, connection_id: 'con_nothing' }), 404, 'not_found');
  expectOk(await testSetup.broker.ask('DELETE', `/v1/connections/${id}`));
  expectProblem(await invite({ owner, connection_id: id }), 410, 'connection_revoked');
  expectProblem(await session('cs_nothing'), 404, 'not_found');
});

test('connect session: 403 without connections:write on the integration and owner, also to read it', async () => {
  const owner = newOwner();
  const { id } = expectOk(await invite({ owner }), 201);
  const missing = { action: 'connections:write', integration: 'acme', owner };
  const key = await testSetup.broker.callerKey({ actions: ['connections:read', 'token', 'admin'] });
  for (const answer of [await invite({ owner }, key), await session(id, key)])
    expect(expectProblem(answer, 403, 'forbidden')).toMatchObject({ missing });
  const mine = await testSetup.broker.callerKey({ actions: ['connections:write'], owners: [owner] });
  expectOk(await session(id, mine));
  expectOk(await invite({ owner }, mine), 201);
});
