// A client id that is the audience of a workload binding at the same issuer: its tokens would be taken for ID tokens, and the
// workload locked out, by the admin of a single integration.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../support/contract.ts';
import { type Issuer, startIssuer } from '../support/issuer.ts';

let issuer: Issuer;
let broker: TestBroker;
let mallory: string;
beforeAll(async () => {
  issuer = await startIssuer();
  broker = await startTestBroker({}, { trusted_issuers: [{ issuer: issuer.url }] });
  mallory = await broker.callerKey({ actions: ['admin', 'token'], integrations: ['mallory'], owners: ['*'] });
  expectOk(await broker.ask('POST', '/v1/callers', bound('mailer', 'valetkey')), 201);
});
afterAll(() => Promise.all([broker.stop(), issuer.close()]));

const bound = (name: string, audience: string, sub = 'mailer'): Json => ({
  name,
  grants: [{ actions: ['token'], integrations: ['*'], owners: ['*'] }],
  workloads: [{ issuer: issuer.url, audience, claims: { sub } }],
});
const client = (clientId: string, more: Json = {}): Json => ({
  provider: 'generic-oidc',
  client_id: clientId,
  params: { issuer: issuer.url },
  ...more,
});
const put = (setup: Json, key?: string) => broker.ask('PUT', '/v1/integrations/mallory', setup, key);
const whoami = async (claims: Json) => broker.ask('GET', '/v1/whoami', undefined, await issuer.sign(claims));
const mailer = (aud: unknown = 'valetkey') => whoami({ sub: 'mailer', aud });

test('an admin of one integration sets no client id that workloads authenticate with, and locks none out', async () => {
  expectOk(await mailer());
  const refused = await put(client('valetkey'), mallory);
  expectIssues(refused, 'client_id');
  expect(JSON.stringify(refused.body)).toContain(
    `\\"valetkey\\" is the audience of a workload binding at ${issuer.url}`,
  );
  const entries = expectOk(await broker.ask('GET', '/v1/audit?action=access.denied')).data as Json[];
  expect(entries).toContainEqual(
    expect.objectContaining({ integration: 'mallory', detail: expect.stringContaining('client_id') }),
  );
  // Nor by a change of one that it has, its client or its issuer; what does not touch it is as before.
  expectOk(await put(client('other'), mallory), 201);
  expectIssues(await put(client('valetkey'), mallory), 'client_id');
  expectOk(await put(client('other', { scopes: ['openid'] }), mallory));
  expectOk(await mailer());
  expectOk(await broker.ask('DELETE', '/v1/integrations/mallory', undefined, mallory), 204);
  expectOk(await put({ ...client('valetkey'), params: { issuer: 'https://elsewhere.example' } }, mallory), 201);
  expectIssues(await put(client('valetkey'), mallory), 'client_id');
  expectOk(await mailer());
});

test('what a platform names beside the broker locks no one out, whatever integration has it as client id', async () => {
  expectOk(await broker.ask('DELETE', '/v1/integrations/mallory', undefined, mallory), 204);
  expectOk(await put(client('cluster'), mallory), 201);
  expectOk(await mailer(['cluster', 'valetkey']));
  // An ID token for both says to whom it was issued.
  const login = await whoami({ sub: 'mailer', aud: ['cluster', 'valetkey'], azp: 'cluster' });
  expect(expectProblem(login, 401, 'unauthenticated').reason).toBe('id_token');
});

test('an admin of everything may do it, and is told at the binding; one that has it stays changeable', async () => {
  expectOk(await broker.ask('DELETE', '/v1/integrations/mallory', undefined, mallory), 204);
  expectOk(await put(client('valetkey')), 201);
  const { data } = expectOk(await broker.ask('GET', '/v1/callers')) as { data: Json[] };
  expect(data.find(({ name }) => name === 'mailer')?.warnings).toMatchObject([{ path: 'workloads.0.audience' }]);
  expectOk(await put(client('valetkey', { scopes: ['openid'] }), mallory));
});

test('a new binding to the client id of an integration: refused by POST, PUT and apply, in one declaration too', async () => {
  const body = bound('late', 'valetkey', 'late');
  const refused = await broker.ask('POST', '/v1/callers', body);
  expectIssues(refused, 'workloads.0.audience');
  expect(JSON.stringify(refused.body)).toContain('is the client id of an OpenID integration');
  const { id } = expectOk(await broker.ask('POST', '/v1/callers', bound('late', 'broker', 'late')), 201);
  expectIssues(await broker.ask('PUT', `/v1/callers/${id}`, body), 'workloads.0.audience');
  expectIssues(await broker.ask('POST', '/v1/apply', { callers: [body] }), 'callers.0.workloads.0.audience');
  const both = { integrations: [{ id: 'sso', ...client('sso') }], callers: [bound('sso', 'sso')] };
  expectIssues(await broker.ask('POST', '/v1/apply', both), 'callers.0.workloads.0.audience');
});
