// The integration that people sign in to the console with says who they are: who sets it up gives all roles.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk, expectProblem } from '../../support/contract.ts';

const ROLES = { admin: { claim: 'groups', values: ['ops'] }, viewer: { claim: 'groups', values: ['all'] } };
const setup = (issuer: string, more: Json = {}): Json => ({
  provider: 'generic-oidc',
  client_id: 'valetkey',
  client_secret: 'a client secret',
  params: { issuer },
  ...more,
});
const [OURS, THEIRS] = ['http://127.0.0.1:1/ours', 'http://127.0.0.1:1/theirs'];

let broker: TestBroker;
/** May have all tokens of all integrations, and manage everything; but not all that an admin of the console may do. */
let mallory: string;
beforeAll(async () => {
  broker = await startTestBroker({}, { console: { integration: 'staff', roles: ROLES } });
  mallory = await broker.callerKey({ actions: ['admin', 'token', 'connections:write'] });
});
afterAll(() => broker.stop());

const put = (body: Json, key?: string, id = 'staff') => broker.ask('PUT', `/v1/integrations/${id}`, body, key);
const apply = (body: Json, key?: string) =>
  broker.ask('POST', '/v1/apply', { integrations: [{ id: 'staff', ...body }] }, key);

describe('an admin who may not do all that the console permits', () => {
  test.each([
    ['PUT', put],
    ['a declaration', apply],
  ])('does not say who signs in to it: %s', async (_, change) => {
    const refused = async (body: Json) => {
      const { missing } = expectProblem(await change(body, mallory), 403, 'forbidden');
      expect(missing).toMatchObject({ integration: '*', owner: '*' });
    };
    await put(setup(OURS));
    for (const other of [
      setup(THEIRS),
      setup(OURS, { client_id: 'theirs' }),
      setup(OURS, { overrides: { userinfo_url: 'http://127.0.0.1:2/me' } }),
      setup(OURS, { overrides: { token_url: 'http://127.0.0.1:2/token' } }),
    ])
      await refused(other);
    // Nor by setting it up again.
    expectOk(await broker.ask('DELETE', '/v1/integrations/staff', undefined, mallory), 204);
    for (const own of [setup(THEIRS), setup(OURS)]) await refused(own);
    expectProblem(await broker.ask('GET', '/v1/integrations/staff'), 404, 'not_found');
  });

  test('sets up other integrations, and changes of this one what says nothing of that', async () => {
    expectOk(await put(setup(THEIRS), mallory, 'other'), 201);
    await put(setup(OURS));
    expectOk(await put(setup(OURS, { client_secret: 'the next one', scopes: ['openid', 'groups'] }), mallory));
    expectOk(await put({ provider: 'generic-oauth2', client_id: 'x', params: OAUTH }, mallory, 'third'), 201);
  });
});

const OAUTH = { authorization_url: 'http://127.0.0.1:1/authorize', token_url: 'http://127.0.0.1:1/token' };

test('who may do all that its people may sets it up: here, all that viewers may', async () => {
  const viewed = await startTestBroker({}, { console: { integration: 'staff', roles: { viewer: ROLES.viewer } } });
  try {
    const [reader, other] = await Promise.all([
      viewed.callerKey({ actions: ['admin', 'connections:read', 'audit:read'] }),
      viewed.callerKey({ actions: ['admin', 'connections:read'] }),
    ]);
    expectProblem(await viewed.ask('PUT', '/v1/integrations/staff', setup(OURS), other), 403, 'forbidden');
    expectOk(await viewed.ask('PUT', '/v1/integrations/staff', setup(OURS), reader), 201);
  } finally {
    await viewed.stop();
  }
});
