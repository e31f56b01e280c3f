// Applying a declarative plan while the broker runs: changes field by field, all of them or none.
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../support/contract.ts';

let broker: TestBroker;
const trusted_issuers = [{ issuer: 'https://id.example', audiences: ['a'] }] as const;
beforeEach(async () => {
  broker = await startTestBroker({}, { trusted_issuers });
});
afterEach(() => broker.stop());

const url = 'https://id.example/x';
const acme = {
  id: 'acme',
  provider: 'generic-oauth2',
  client_id: 'me',
  client_secret: 'the-first-secret',
  scopes: ['read'],
  params: { authorization_url: url, token_url: url },
};
const newKey = () => `vk_${randomBytes(32).toString('base64url')}`;
const grants = [{ actions: ['token'], integrations: ['acme'], owners: ['user_*'] }];
const apply = (body: Json) => broker.ask('POST', '/v1/apply', body);
const entries = async () =>
  (expectOk(await broker.ask('GET', '/v1/audit')).data as Json[]).map(({ action, actor }) => `${action} by ${actor}`);

test('apply: a dry run lists the changes and writes nothing; a second apply changes nothing', async () => {
  const key = newKey();
  const declared = { integrations: [acme], callers: [{ name: 'billing', grants, key }] };
  const dry = expectOk(await apply({ ...declared, dry_run: true }));
  expect(dry).toMatchObject({ applied: false, needs_restart: [] });
  expect(dry.changes).toEqual([
    {
      kind: 'integration',
      id: 'acme',
      name: null,
      action: 'create',
      fields: [
        { path: 'provider', before: null, after: 'generic-oauth2' },
        { path: 'client_id', before: null, after: 'me' },
        { path: 'scopes', before: null, after: ['read'] },
        { path: 'params.authorization_url', before: null, after: url },
        { path: 'params.token_url', before: null, after: url },
        { path: 'client_secret', secret: 'set' },
      ],
    },
    {
      kind: 'caller',
      id: expect.stringMatching(/^clr_/),
      name: 'billing',
      action: 'create',
      fields: [
        { path: 'name', before: null, after: 'billing' },
        { path: 'grants.0.actions', before: null, after: ['token'] },
        { path: 'grants.0.integrations', before: null, after: ['acme'] },
        { path: 'grants.0.owners', before: null, after: ['user_*'] },
        { path: `keys.${key.slice(0, 8)}`, secret: 'set' },
      ],
    },
  ]);
  expectProblem(await broker.ask('GET', '/v1/integrations/acme'), 404, 'not_found');
  expect(await entries()).toEqual([]);

  expect(expectOk(await apply(declared))).toEqual({ ...dry, applied: true });
  expect(expectOk(await broker.ask('GET', '/v1/integrations/acme'))).toMatchObject({ client_secret_set: true });
  // The key works at once.
  expectProblem(await broker.ask('GET', '/v1/token?integration=acme&owner=user_1', undefined, key), 404, 'not_found');
  const written = ['caller.declared by clr_admin', 'integration.declared by clr_admin'];
  expect(await entries()).toEqual(written);
  expect(expectOk(await apply(declared))).toEqual({ applied: true, changes: [], needs_restart: [] });
  expect(await entries()).toEqual(written);
});

test('apply: fields with the values before and after, secrets without values', async () => {
  const [first, second] = [newKey(), newKey()];
  const caller = { id: 'clr_billing', name: 'billing', grants };
  expectOk(await apply({ integrations: [acme], callers: [{ ...caller, key: first }] }));
  const more = { actions: ['connections:read'], integrations: ['*'], owners: ['*'] };
  const answer = await apply({
    integrations: [{ ...acme, client_secret: 'the-second-secret', scopes: ['read', 'write'] }],
    callers: [{ ...caller, grants: [...grants, more], keys: [second] }],
  });
  const changes = expectOk(answer).changes as Json[];
  expect(changes.map(({ action, fields }) => [action, fields])).toEqual([
    [
      'update',
      [
        { path: 'scopes', before: ['read'], after: ['read', 'write'] },
        { path: 'client_secret', secret: 'changed' },
      ],
    ],
    [
      'update',
      [
        { path: 'grants.1.actions', before: null, after: ['connections:read'] },
        { path: 'grants.1.integrations', before: null, after: ['*'] },
        { path: 'grants.1.owners', before: null, after: ['*'] },
        { path: `keys.${first.slice(0, 8)}`, secret: 'removed' },
        { path: `keys.${second.slice(0, 8)}`, secret: 'set' },
      ],
    ],
  ]);
  expect(JSON.stringify(changes)).not.toMatch(/the-\w+-secret/);
  for (const key of [first, second]) expect(JSON.stringify(changes)).not.toContain(key);
  expectProblem(await broker.ask('GET', '/v1/connections', undefined, first), 401, 'unauthenticated');
  expectOk(await broker.ask('GET', '/v1/connections', undefined, second));
});

test('apply: what the plan leaves out stays: secrets, keys, other callers', async () => {
  const key = newKey();
  const caller = { id: 'clr_billing', name: 'billing', grants };
  const neighbour = await broker.callerKey({ actions: ['connections:read'] });
  expectOk(await apply({ integrations: [acme], callers: [{ ...caller, key }] }));
  const { client_secret: _, ...bare } = acme;
  expect(expectOk(await apply({ integrations: [bare], callers: [caller] })).changes).toEqual([]);
  expect(expectOk(await apply({ callers: [{ ...caller, name: 'invoices' }] })).changes).toMatchObject([
    { fields: [{ path: 'name', before: 'billing', after: 'invoices' }] },
  ]);
  expectProblem(await broker.ask('GET', '/v1/audit', undefined, key), 403, 'forbidden');
  expectOk(await broker.ask('GET', '/v1/connections', undefined, neighbour));
  const removed = expectOk(await apply({ integrations: [{ ...acme, client_secret: null }] }));
  expect(removed.changes).toMatchObject([{ fields: [{ path: 'client_secret', secret: 'removed' }] }]);
});

test('apply: one invalid part refuses the whole plan, and each is listed by its path', async () => {
  const key = newKey();
  expectOk(await apply({ callers: [{ name: 'holder', grants, key }] }));
  const answer = await apply({
    integrations: [acme, { ...acme, id: 'b', provider: 'nobody' }, { ...acme, id: 'c', params: {} }],
    callers: [{ name: 'thief', grants, key }],
  });
  expectProblem(answer, 400, 'invalid_request');
  expect((answer.body.issues as Json[]).map(({ path }) => path)).toEqual([
    'integrations.1.provider',
    'integrations.2.params.authorization_url',
    'integrations.2.params.token_url',
    'callers.0.keys',
  ]);
  expect(JSON.stringify(answer.body)).not.toContain(key);
  expectProblem(await broker.ask('GET', '/v1/integrations/acme'), 404, 'not_found');
});

test('apply: a workload of a listed issuer; workloads are compared without their id', async () => {
  const [{ issuer }] = trusted_issuers;
  const workloads = [{ issuer, audience: 'valetkey', claims: { sub: 'job' } }];
  const job = { name: 'job', grants, workloads, rate_limit: { requests: 9, window: 60 } };
  const elsewhere = { ...job, workloads: [{ ...workloads[0], issuer: 'https://cluster.example' }] };
  expectIssues(await apply({ callers: [elsewhere] }), 'callers.0.workloads.0.issuer');
  const [made] = expectOk(await apply({ callers: [job] })).changes as Json[];
  expect(made?.fields).toEqual(
    expect.arrayContaining([
      { path: 'workloads.0.claims.sub', before: null, after: 'job' },
      { path: 'rate_limit.requests', before: null, after: 9 },
    ]),
  );
  expect(expectOk(await apply({ callers: [job] })).changes).toEqual([]);
  const other = { ...job, workloads: [{ ...workloads[0], claims: { sub: 'other' } }], rate_limit: null };
  const [changed] = expectOk(await apply({ callers: [other] })).changes as Json[];
  expect(changed?.fields).toEqual([
    { path: 'workloads.0.claims.sub', before: 'job', after: 'other' },
    { path: 'rate_limit.requests', before: 9, after: null },
    { path: 'rate_limit.window', before: 60, after: null },
  ]);
});

test('apply: settings of the start are compared, and listed under needs_restart', async () => {
  const told = async (body: Json) => expectOk(await apply(body)).needs_restart;
  expect(await told({ trusted_issuers })).toEqual([]);
  expect(await told({ trusted_issuers: [], return_origins: [] })).toEqual(['trusted_issuers']);
  expect(await told({ return_origins: ['https://app.example'] })).toEqual(['return_origins']);
});

test.each([
  ['trusted_issuers', [{ issuer: 'https://id.example' }], [{ issuer: 'https://other.example' }]],
  ['return_origins', ['https://app.example'], ['https://other.example']],
  ['console', { integration: 'idp', roles: { admin: { claim: 'groups', values: ['ops'] } } }, undefined],
  ['theme', { name: 'Acme', accent_light: '#0F5A47' }, { name: 'Umbrella' }],
])('apply: %s needs a restart when it is not as at the start', async (name, started, other) => {
  const told = async (value: unknown) => expectOk(await apply({ [name]: value, dry_run: true })).needs_restart;
  expect(await told(started)).toEqual([name]);
  await broker.stop();
  const idp = { ...acme, id: 'idp', provider: 'generic-oidc', params: { issuer: 'https://id.example' } };
  broker = await startTestBroker({}, { integrations: [idp], [name]: started });
  expect(await told(started)).toEqual([]);
  expect(await told(other)).toEqual(other === undefined ? [] : [name]);
});

test('apply: 403 without admin; a body larger than the general limit is accepted', async () => {
  const key = await broker.callerKey({ actions: ['connections:write'] });
  expectProblem(await broker.ask('POST', '/v1/apply', {}, key), 403, 'forbidden');
  const many = Array.from({ length: 900 }, (_, i) => ({ ...acme, id: `acme-${i}` }));
  expect(JSON.stringify(many).length).toBeGreaterThan(128 * 1_024);
  expect(expectOk(await apply({ integrations: many, dry_run: true })).changes).toHaveLength(900);
});

test('apply: how an integration receives webhooks and signals is declared with it, and is no difference the second time', async () => {
  const oidc = {
    id: 'idp',
    provider: 'generic-oidc',
    client_id: 'me',
    client_secret: 's',
    params: { issuer: 'https://id.example' },
    signals: { issuer: 'https://ssf.example', poll_url: 'https://ssf.example/poll', token: 'a-poll-token' },
  };
  const slack = { id: 'slack', provider: 'slack', client_id: 'me', webhook: { secrets: ['a signing secret'] } };
  const declared = { integrations: [oidc, slack] };
  const dry = expectOk(await apply({ ...declared, dry_run: true })).changes as { fields: Json[] }[];
  const named = (fields: Json[]) =>
    fields.map(({ path }) => String(path)).filter((path) => /^(signals|webhook)/.test(path));
  expect(dry.map(({ fields }) => named(fields))).toEqual([
    ['signals.issuer', 'signals.poll_url', 'signals.token'],
    ['webhook'],
  ]);
  expectOk(await apply(declared));
  const shown = async (id: string) => expectOk(await broker.ask('GET', `/v1/integrations/${id}`));
  expect((await shown('idp')).signals).toMatchObject({ issuer: 'https://ssf.example', token_set: true });
  expect((await shown('slack')).webhook).toMatchObject({ secret_count: 1 });
  expect((await entries()).sort()).toEqual([
    'integration.declared by clr_admin',
    'integration.declared by clr_admin',
    'integration.signals_set by clr_admin',
    'integration.webhook_set by clr_admin',
  ]);
  expect(expectOk(await apply(declared)).changes).toEqual([]);

  // Without the token, the stored one stays; a change of the signals alone is one.
  const { token: _, ...signals } = { ...oidc.signals, audience: 'https://valetkey.example' };
  const changes = expectOk(await apply({ integrations: [{ ...oidc, signals }] })).changes;
  expect(changes).toMatchObject([
    { id: 'idp', action: 'update', fields: [{ path: 'signals.audience', secret: 'changed' }] },
  ]);
  expect((await shown('idp')).signals).toMatchObject({ audience: 'https://valetkey.example', token_set: true });
  const wrong = await apply({ integrations: [{ ...oidc, signals: { poll_url: 'http://10.0.0.1/poll' } }] });
  expectIssues(wrong, 'integrations.0.signals.poll_url');
});

test('apply: deletes what is named in the same transaction, or nothing while an integration is needed', async () => {
  const [first, second] = [newKey(), newKey()];
  const used = { ...acme, id: 'used' };
  const old = { name: 'old', grants, key: first };
  const made = expectOk(
    await apply({ integrations: [acme, used], callers: [old, { name: 'other', grants, key: second }] }),
  );
  const [oldId, otherId] = (made.changes as Json[]).filter(({ kind }) => kind === 'caller').map(({ id }) => String(id));
  const owned = { integration: 'used', owner: 'user_1', credentials: { access_token: 'at' } };
  const connection = expectOk(await broker.ask('POST', '/v1/connections', owned), 201);
  const deleted = { integrations: ['used', 'absent', 'acme'], callers: [oldId, 'clr_absent'] };
  // The same key under another name: free as soon as the caller that has it is deleted.
  const renamed = { callers: [{ name: 'renamed', grants, key: first }], delete: deleted };

  const dry = expectOk(await apply({ ...renamed, dry_run: true }));
  expect((dry.changes as Json[]).map(({ action, kind, id }) => `${action} ${kind} ${id}`).slice(1)).toEqual([
    `delete caller ${oldId}`,
    'delete integration used',
    'delete integration acme',
  ]);
  const before = await entries();
  expect(expectProblem(await apply(renamed), 409, 'integration_in_use')).toMatchObject({
    detail: expect.stringContaining('"used"'),
    connections: 1,
  });
  expect(await entries()).toEqual(before);
  expectOk(await broker.ask('GET', '/v1/integrations/acme'));
  expectOk(await broker.ask('GET', '/v1/whoami', undefined, first));

  expectOk(await broker.ask('DELETE', `/v1/connections/${connection.id}`));
  expect(expectOk(await apply(renamed)).applied).toBe(true);
  expect(expectOk(await broker.ask('GET', '/v1/whoami', undefined, first)).name).toBe('renamed');
  expect((expectOk(await broker.ask('GET', '/v1/integrations')).data as Json[]).length).toBe(0);
  expect((await entries()).slice(0, 4).sort()).toEqual([
    'caller.declared by clr_admin',
    'caller.deleted by clr_admin',
    'integration.deleted by clr_admin',
    'integration.deleted by clr_admin',
  ]);

  const issues = await apply({ callers: [{ id: otherId, name: 'other', grants }], delete: { callers: [otherId] } });
  expectIssues(issues, 'delete.callers.0');
  const admin = await broker.callerKey();
  const { id } = expectOk(await broker.ask('GET', '/v1/whoami', undefined, admin));
  expectIssues(await broker.ask('POST', '/v1/apply', { delete: { callers: [id] } }, admin), 'delete.callers.0');
  expectOk(await broker.ask('GET', '/v1/whoami', undefined, admin));
});

test('apply: 400 where dry_run is in the query, and nothing is applied', async () => {
  expectIssues(await broker.ask('POST', '/v1/apply?dry_run=true', { integrations: [acme] }), 'dry_run');
  expect(expectOk(await broker.ask('GET', '/v1/integrations')).data).toEqual([]);
});
