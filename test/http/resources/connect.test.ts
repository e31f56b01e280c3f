// Connecting a protected resource: its authorization server is found, a client is registered there, and tokens are for it alone.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk } from '../../support/contract.ts';
import { newOwner } from '../../support/owner-browser.ts';
import { connectResource, type ResourceServer, startResourceServer } from '../../support/resource-server.ts';

let broker: TestBroker;
let resource: ResourceServer;
const offset = 0;
const clock = { now: () => Date.now() + offset, monotonic: () => performance.now() + offset };

beforeAll(async () => {
  [broker, resource] = await Promise.all([
    startTestBroker({}, undefined, { clock, outboxEveryMs: 20, refreshAhead: false }),
    startResourceServer(),
  ]);
  await put('docs', { server_url: resource.url });
});
afterAll(async () => {
  await broker.stop();
  await resource.close();
});

const put = (id: string, params: object, more: object = {}) =>
  broker.ask('PUT', `/v1/integrations/${id}`, { provider: 'mcp', params, ...more });
const token = (id: string) => broker.ask('GET', `/v1/connections/${id}/token`);

describe('a resource', () => {
  it('is connected: challenge, metadata, registration, consent, code, token; then refreshed at the stored endpoint', async () => {
    const id = await connectResource(broker, 'docs', newOwner());
    const first = expectOk(await token(id));
    expect(first).toMatchObject({ token_type: 'Bearer', expires_in: expect.any(Number) });
    const requests = resource.as.server.received.length;
    const asked = resource.server.received.length;
    const second = expectOk(await broker.ask('POST', `/v1/connections/${id}/refresh`, {}));
    expect(second.access_token).not.toBe(first.access_token);
    // Nothing but the token endpoint.
    expect(resource.as.server.received.slice(requests).map(({ path }) => path)).toEqual(['/token']);
    expect(resource.server.received.length).toBe(asked);
    const sent = resource.as.tokenRequests.slice(-2);
    expect(sent.map((form) => [form.get('grant_type'), form.getAll('resource')])).toEqual([
      ['authorization_code', [resource.url]],
      ['refresh_token', [resource.url]],
    ]);
  });
});
