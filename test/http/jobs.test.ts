// Jobs over HTTP, on two replicas of one database: who may start, see and cancel them, and what they do.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';

let broker: TestBroker;

beforeAll(async () => {
  broker = await startTestBroker({}, undefined, { refreshAhead: false, outboxEveryMs: 1_000, jobsEveryMs: 20 });
  for (const id of ['acme', 'other']) {
    const urls = { authorization_url: 'https://p.example/authorize', token_url: 'https://p.example/token' };
    const body = { provider: 'generic-oauth2', client_id: 'us', client_secret: 'a secret', params: urls };
    expectOk(await broker.ask('PUT', `/v1/integrations/${id}`, body), 201);
  }
});
afterAll(() => broker?.stop());

const connect = async (integration: string, owner: string) => {
  const credentials = { access_token: randomBytes(8).toString('hex'), expires_in: 3_600 };
  return String(expectOk(await broker.ask('POST', '/v1/connections', { integration, owner, credentials }), 201).id);
};
const caller = async (name: string, grants: Json[]) =>
  expectOk(await broker.ask('POST', '/v1/callers', { name, grants }), 201) as Json & { id: string; key: string };
const start = (body: Json, key?: string) => broker.ask('POST', '/v1/jobs', body, key);
const ended = async (id: unknown) => {
  const job = async () => expectOk(await broker.ask('GET', `/v1/jobs/${id}`));
  await expect.poll(async () => (await job()).finished_at, { timeout: 30_000 }).not.toBeNull();
  return job();
};

test('a bulk revocation: needs what the operation needs, revokes all that match, and is recorded as of its caller', async () => {
  const ids = await Promise.all(Array.from({ length: 120 }, (_, n) => connect('acme', `user_${n}`)));
  const kept = await connect('other', 'user_1');
  const narrow = await caller('narrow', [
    { actions: ['connections:write'], integrations: ['acme'], owners: ['user_1'] },
  ]);
  const wide = await caller('wide', [{ actions: ['connections:write'], integrations: ['acme'], owners: ['*'] }]);
  const wanted = { kind: 'connections.revoke', integration: 'acme' };
  expectProblem(await start(wanted, narrow.key), 403, 'forbidden');
  expectProblem(await start({ kind: 'connections.revoke' }, wide.key), 400, 'invalid_request');
  expectProblem(await start({ kind: 'connections.revoke', owner: 'user_1' }, wide.key), 403, 'forbidden');

  const started = expectOk(await start(wanted, wide.key), 202);
  expect(started).toMatchObject({
    kind: 'connections.revoke',
    total: 120,
    input: { integration: 'acme', owner: null },
  });
  const at = `/v1/jobs/${started.id}`;
  for (const method of ['GET', 'DELETE'] as const)
    expectProblem(await broker.ask(method, at, undefined, narrow.key), 404, 'not_found');
  expect(expectOk(await broker.ask('GET', '/v1/jobs', undefined, narrow.key)).data).toEqual([]);
  const job = await ended(started.id);
  expect(job).toMatchObject({ status: 'completed', done: 120, counts: { pending: 0, unsupported: 120 }, attempts: 0 });
  expect(expectOk(await broker.ask('GET', at, undefined, wide.key))).toEqual(job);
  expect(expectOk(await broker.ask('GET', '/v1/jobs?status=completed', undefined, wide.key)).data).toEqual([job]);
  // One that has ended stays as it is.
  expect(expectOk(await broker.ask('DELETE', at, undefined, wide.key))).toEqual(job);

  expect(expectOk(await broker.ask('GET', `/v1/connections/${ids[77]}`))).toMatchObject({ status: 'revoked' });
  expect(expectOk(await broker.ask('GET', `/v1/connections/${kept}`))).toMatchObject({ status: 'active' });
  const entries = async (action: string) =>
    expectOk(await broker.ask('GET', `/v1/audit?action=${action}&limit=200`)).data as Json[];
  const [began] = await entries('job.started');
  expect(began).toMatchObject({ actor: wide.id, integration: 'acme', detail: `${job.id} connections.revoke` });
  const revoked = (await entries('connection.revoked')).filter(({ integration }) => integration === 'acme');
  expect(revoked).toHaveLength(120);
  expect(new Set(revoked.map((one) => `${one.actor} ${one.request_id}`))).toEqual(
    new Set([`${wide.id} ${began!.request_id}`]),
  );
  expect((await entries('job.completed'))[0]).toMatchObject({
    actor: 'system',
    detail: `${job.id} connections.revoke`,
  });
});

test('an agent session sees no job of its caller, which may be about any owner', async () => {
  const grant = { actions: ['connections:write', 'connections:read', 'sessions'], integrations: ['*'], owners: ['*'] };
  const app = await caller('app', [grant]);
  const job = await ended(
    expectOk(await start({ kind: 'connections.revoke', integration: 'acme', owner: 'bob' }, app.key), 202).id,
  );
  const session = { owner: 'alice', integrations: ['other'], actions: ['connections:read'], purpose: 'look around' };
  for (const key of [app.key, undefined]) {
    const { token } = expectOk(await broker.ask('POST', '/v1/sessions', session, key), 201);
    expect(expectOk(await broker.ask('GET', '/v1/jobs', undefined, String(token))).data).toEqual([]);
    for (const method of ['GET', 'DELETE'] as const)
      expectProblem(await broker.ask(method, `/v1/jobs/${job.id}`, undefined, String(token)), 404, 'not_found');
  }
  expect(expectOk(await broker.ask('GET', '/v1/jobs', undefined, app.key)).data).toEqual([job]);
});

test('a replay: of the caller’s own endpoint; and a key rotation: of admins', async () => {
  const owner = await caller('listener', [{ actions: ['events'], integrations: ['*'], owners: ['*'] }]);
  const other = await caller('other', [{ actions: ['events'], integrations: ['*'], owners: ['*'] }]);
  const url = 'https://listener.example/hook';
  const made = expectOk(await broker.ask('POST', '/v1/webhook-endpoints', { url }, owner.key), 201);
  const from = new Date(Date.now() - 60_000).toISOString();
  await connect('other', 'replayed');
  const wanted = { kind: 'deliveries.replay', endpoint: made.id, from };
  expectProblem(await start(wanted, other.key), 404, 'not_found');
  const replay = await ended(expectOk(await start({ ...wanted, status: 'delivered' }, owner.key), 202).id);
  expect(replay).toMatchObject({ status: 'completed', total: null, counts: { deliveries: 0 } });

  expectProblem(await start({ kind: 'keys.rotate' }, owner.key), 403, 'forbidden');
  const rotation = await ended(expectOk(await start({ kind: 'keys.rotate' }), 202).id);
  expect(rotation).toMatchObject({ status: 'completed', total: 0, counts: { remaining: 0, unopenable: 0 } });
  const text = await (await fetch(new URL('/metrics', broker.url))).text();
  for (const state of ['open', 'failing', 'failed']) expect(text).toContain(`valetkey_jobs{state="${state}"} 0`);
});
