// What happens to a connection when its resource wants more scopes, or has another authorization server; and its revocation.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../../support/contract.ts';
import { createMovingClock } from '../../support/moving-clock.ts';
import { newOwner } from '../../support/owner-browser.ts';
import {
  type AuthorizationServer,
  connectResource,
  type ResourceServer,
  startAuthorizationServer,
  startResourceServer,
  walk,
} from '../../support/resource-server.ts';

let broker: TestBroker;
let resource: ResourceServer;
let other: AuthorizationServer;
let before: Pick<ResourceServer, 'challenge' | 'documents'>;
const clock = createMovingClock();

beforeAll(async () => {
  [broker, resource, other] = await Promise.all([
    startTestBroker({}, undefined, { clock, outboxEveryMs: 20, refreshAhead: false }),
    startResourceServer(),
    startAuthorizationServer('/tenant'),
  ]);
  before = { challenge: resource.challenge, documents: resource.documents };
  const body = { provider: 'mcp', params: { server_url: resource.url } };
  expectOk(await broker.ask('PUT', '/v1/integrations/docs', body), 201);
});
afterAll(async () => {
  await broker.stop();
  await Promise.all([resource.close(), other.server.close()]);
});
afterEach(() => {
  Object.assign(resource, before, { intercept: () => undefined });
  // What is known of the resource is out of date.
  clock.advance(60_001);
});

const PRM = '/.well-known/oauth-protected-resource/mcp';
const moveTo = (issuer: string) => {
  resource.documents = { [PRM]: { body: { resource: resource.url, authorization_servers: [issuer] } } };
};
const challenge = (scope?: string) => ({
  status: 403,
  www_authenticate: `${before.challenge}, error="insufficient_scope"${scope === undefined ? '' : `, scope="${scope}"`}`,
});
const session = (body: object) => broker.ask('POST', '/v1/connect-sessions', body);
const connection = async (id: string) => expectOk(await broker.ask('GET', `/v1/connections/${id}`));
const refresh = (id: string, body: object = {}) => broker.ask('POST', `/v1/connections/${id}/refresh`, body);

describe('a step-up', () => {
  it('asks for what was asked before and what the challenge names, keeps the connection, and is possible three times an hour', async () => {
    resource.challenge = `${before.challenge}, scope="files:read"`;
    const id = await connectResource(broker, 'docs', newOwner());
    const asked = async (scope: string) => {
      const link = expectOk(await session({ connection_id: id, challenge: challenge(scope) }), 201);
      await walk(String(link.url));
      expect(expectOk(await broker.ask('GET', `/v1/connect-sessions/${link.id}`)).connection_id).toBe(id);
      return resource.as.lastAuthorization.get('scope')?.split(' ').sort();
    };
    expect(await asked('files:write')).toEqual(['files:read', 'files:write']);
    expect(await asked('admin')).toEqual(['admin', 'files:read', 'files:write']);
    // It was connected within the hour, too: three authorizations in all.
    const fourth = await session({ connection_id: id, challenge: challenge('more') });
    expectProblem(fourth, 409, 'step_up_exhausted');
    expect(fourth.headers.get('retry-after')).toMatch(/^\d+$/);
    // A renewal without a challenge is none.
    expectOk(await session({ connection_id: id }), 201);
    clock.advance(3_600_001);
    expect(await asked('more')).toContain('more');
  });

  it('needs a connection and a Bearer challenge', async () => {
    const id = await connectResource(broker, 'docs', newOwner());
    expectIssues(await session({ integration: 'docs', owner: newOwner(), challenge: challenge() }), 'connection_id');
    const basic = { status: 401, www_authenticate: 'Basic realm="x"' };
    expectIssues(await session({ connection_id: id, challenge: basic }), 'challenge.www_authenticate');
    expectIssues(await session({ connection_id: id, challenge: { ...basic, status: 500 } }), 'challenge.status');
  });

  it('needs a permission for the scopes that are asked for', async () => {
    const owner = newOwner();
    const id = await connectResource(broker, 'docs', owner);
    const grants = [
      { actions: ['connections:write'], integrations: ['docs'], owners: [owner], scopes: ['files:read'] },
    ];
    const { body } = await broker.ask('POST', '/v1/callers', { name: 'narrow', grants });
    const ask = (scope: string) =>
      broker.ask('POST', '/v1/connect-sessions', { connection_id: id, challenge: challenge(scope) }, String(body.key));
    expectOk(await ask('files:read'), 201);
    expectProblem(await ask('admin'), 403, 'forbidden');
  });
});

describe('another authorization server', () => {
  it.each(['connect session', 'refresh'])(
    'that a challenge in a %s leads to: the connection needs its owner, who connects again there; the old refresh token never goes there',
    async (by) => {
      const id = await connectResource(broker, 'docs', newOwner());
      const refreshToken = resource.as.tokenRequests.length;
      moveTo(other.issuer);
      const refused =
        by === 'refresh'
          ? await refresh(id, { rejected_token: 'rejected', challenge: challenge() }).then(async (answer) =>
              // The rejected token is another one than is stored: that one is served.
              answer.status === 200
                ? refresh(id, { rejected_token: String(answer.body.access_token), challenge: challenge() })
                : answer,
            )
          : await session({ connection_id: id, challenge: challenge('files:write') });
      expect(expectProblem(refused, 409, 'reauthorization_required').reason).toBe('authorization_server_changed');
      expect(await connection(id)).toMatchObject({
        status: 'needs_reauth',
        reason: 'authorization_server_changed',
        explanation: { fixable_by: 'owner' },
      });
      expect(resource.as.tokenRequests.length).toBe(refreshToken);
      expect(other.tokenRequests.some((form) => form.get('grant_type') === 'refresh_token')).toBe(false);

      // The new server gives no refresh token: the one of the old server is not kept for it.
      other.intercept = ({ path }) =>
        path === '/token' ? { body: { access_token: 'at-new', token_type: 'Bearer', expires_in: 3_600 } } : undefined;
      const link = expectOk(await session({ connection_id: id }), 201);
      await walk(String(link.url));
      other.intercept = () => undefined;
      expect(await connection(id)).toMatchObject({ id, status: 'active', reason: null });
      const again = await refresh(id);
      expectProblem(again, 409, 'reauthorization_required');
      expect(other.tokenRequests.some((form) => form.get('grant_type') === 'refresh_token')).toBe(false);
      // What was replaced is revoked where it came from.
      await expect.poll(() => resource.as.server.received.at(-1)?.path).toBe('/revoke');
    },
  );

  it('that only the challenge names is not believed: the resource is asked itself', async () => {
    const id = await connectResource(broker, 'docs', newOwner());
    const asked = other.server.received.length;
    const elsewhere = { status: 401, www_authenticate: `Bearer resource_metadata="${other.server.url}/evil"` };
    const { access_token } = expectOk(await broker.ask('GET', `/v1/connections/${id}/token`));
    expectOk(await refresh(id, { rejected_token: access_token, challenge: elsewhere }));
    expect(other.server.received.length).toBe(asked);
    expect(await connection(id)).toMatchObject({ status: 'active' });
  });

  it('a resource that describes itself wrongly is refused with its reason, and nothing is spent', async () => {
    const id = await connectResource(broker, 'docs', newOwner());
    const spent = resource.as.tokenRequests.length;
    resource.documents = {
      [PRM]: { body: { resource: 'https://other.example', authorization_servers: [other.issuer] } },
    };
    const refused = expectProblem(await refresh(id, { challenge: challenge() }), 502, 'integration_misconfigured');
    expect(refused.reason).toBe('resource_mismatch');
    expect(resource.as.tokenRequests.length).toBe(spent);
    expect(await connection(id)).toMatchObject({ status: 'active' });
  });
});

describe('revocation', () => {
  it('is asked of the server that granted the connection, as its client, whatever the resource says by now', async () => {
    const id = await connectResource(broker, 'docs', newOwner());
    moveTo(other.issuer);
    const revoked = expectOk(await broker.ask('DELETE', `/v1/connections/${id}`));
    expect(revoked.upstream_revocation).toBe('done');
    const { path, headers, form } = resource.as.server.received.findLast((one) => one.path === '/revoke')!;
    expect([path, form.has('token'), headers.authorization?.startsWith('Basic ')]).toEqual(['/revoke', true, true]);
  });
});
