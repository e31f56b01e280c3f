// Agent sessions of workloads on two replicas: a binding that is taken away ends them, also where it comes back at once.
import { expect, test } from 'vitest';
import type { Json, TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { startIssuer } from '../support/issuer.ts';
import { createReplicas } from '../support/replicas.ts';

test('a session of a workload does not come back with its binding, on no replica', async () => {
  const issuer = await startIssuer();
  const replicas = await createReplicas({}, { trusted_issuers: [{ issuer: issuer.url }] });
  const [first, second] = [await replicas.start(), await replicas.start()];
  try {
    expectOk(
      await first.ask('PUT', '/v1/integrations/acme', {
        provider: 'generic-oauth2',
        client_id: 'c',
        client_secret: 's',
        params: { authorization_url: `${issuer.url}/a`, token_url: `${issuer.url}/t` },
      }),
      201,
    );
    const grants = [{ actions: ['proxy', 'sessions'], integrations: ['acme'], owners: ['user_*'] }];
    const workloads = [
      { issuer: issuer.url, audience: 'valetkey', claims: { sub: 'system:serviceaccount:prod:agent' } },
    ];
    const bound = { name: 'agents', grants, workloads };
    const { id } = expectOk(await first.ask('POST', '/v1/callers', bound), 201);
    const token = await issuer.sign({ sub: 'system:serviceaccount:prod:agent' });
    const asked = { owner: 'user_1', integrations: ['acme'], actions: ['proxy'], purpose: 'a test' };
    const session = async (): Promise<Json> => expectOk(await first.ask('POST', '/v1/sessions', asked, token), 201);
    const whoami = (at: TestBroker, { token: key }: Json) => at.ask('GET', '/v1/whoami', undefined, String(key));
    const isEnded = async (at: TestBroker, one: Json) =>
      expectProblem(await whoami(at, one), 401, 'unauthenticated').reason;

    const one = await session();
    for (const at of [first, second]) expectOk(await whoami(at, one));
    const { key: _, ...unbound } = { ...bound, workloads: [], key: '' };
    expectOk(await first.ask('PUT', `/v1/callers/${id}`, unbound));
    expectOk(await first.ask('PUT', `/v1/callers/${id}`, bound));
    expect(expectOk(await first.ask('GET', `/v1/sessions/${one.id}`))).toMatchObject({ status: 'ended' });
    expect(await isEnded(first, one)).toBe('ended');
    expect(await isEnded(second, one)).toBe('ended');

    const other = await session();
    for (const at of [first, second]) expectOk(await whoami(at, other));
    const changes = [unbound, bound].map((body) => first.ask('PUT', `/v1/callers/${id}`, body));
    await Promise.all(changes);
    expectOk(await first.ask('PUT', `/v1/callers/${id}`, bound));
    expect(await isEnded(first, other)).toBe('ended');
    expect(await isEnded(second, other)).toBe('ended');
  } finally {
    await replicas.close();
    await issuer.close();
  }
});
