// Values that cannot be stored as they are, or that other parts cannot follow: 400 that names them, and never a 500.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json } from '../support/broker.ts';
import { readResponse } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectIssues, expectOk, expectProblem } from '../support/contract.ts';

let testSetup: TestSetup;
let connection: string;
beforeAll(async () => {
  testSetup = await startTestSetup();
  connection = await testSetup.importConnection('user_1', { access_token: 'at' });
});
afterAll(() => testSetup.close());

/** Sends a body as it is written here. */
async function send(
  method: string,
  path: string,
  body?: string | Uint8Array,
  type = 'application/json',
): Promise<Answer> {
  const { url, adminKey } = testSetup.broker;
  const headers = { authorization: `Bearer ${adminKey}`, ...(body !== undefined && { 'content-type': type }) };
  return readResponse(
    method,
    path,
    await fetch(`${url}${path}`, { method, headers, ...(body !== undefined && { body }) }),
  );
}
const session = (more: string) => `{"integration":"acme","owner":"user_1",${more}}`;
const imported = (more: string, credentials = '{"access_token":"at"}') =>
  `{"integration":"acme","owner":"user_2","credentials":${credentials},${more}}`;
const nested = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`;

describe('text', () => {
  test.each<[string, string, string, string, string]>([
    ['an owner', 'POST', '/v1/connect-sessions', '{"integration":"acme","owner":"a\\ud800"}', 'owner'],
    ['a low surrogate alone', 'POST', '/v1/connect-sessions', '{"integration":"acme","owner":"\\udc00b"}', 'owner'],
    [
      'surrogates in the wrong order',
      'POST',
      '/v1/connect-sessions',
      '{"integration":"acme","owner":"\\udc00\\ud800"}',
      'owner',
    ],
    ['a label', 'POST', '/v1/connect-sessions', session('"label":"\\ud800"'), 'label'],
    ['metadata', 'POST', '/v1/connect-sessions', session('"metadata":{"a":{"b":["x","\\udbff"]}}'), 'metadata.a.b.1'],
    ['a name in metadata', 'POST', '/v1/connect-sessions', session('"metadata":{"\\ud800":1}'), 'metadata'],
    ['a param', 'POST', '/v1/connect-sessions', session('"params":{"a":"\\ud800"}'), 'params.a'],
    [
      'a credential',
      'POST',
      '/v1/connections',
      imported('"label":"x"', '{"access_token":"\\ud800"}'),
      'credentials.access_token',
    ],
    ['an account', 'POST', '/v1/connections', imported('"account":{"id":"\\ud800"}'), 'account.id'],
    ['a caller', 'POST', '/v1/callers', '{"name":"\\ud800","grants":[]}', 'name'],
    [
      'an owner pattern',
      'POST',
      '/v1/callers',
      '{"name":"x","grants":[{"actions":["token"],"integrations":["*"],"owners":["\\ud800*"]}]}',
      'grants.0.owners.0',
    ],
    ['a client id', 'PUT', '/v1/integrations/odd', '{"provider":"generic-oidc","client_id":"\\ud800"}', 'client_id'],
    ['a rejected token', 'POST', '/v1/connections/con_x/refresh', '{"rejected_token":"\\ud800"}', 'rejected_token'],
    ['a JWT to verify', 'POST', '/v1/jwt/verify', '{"token":"\\ud800"}', 'token'],
    ['a bulk revocation', 'POST', '/v1/connections/revoke', '{"owner":"\\ud800"}', 'owner'],
    ['a declared caller', 'POST', '/v1/apply', '{"callers":[{"name":"\\ud800","grants":[]}]}', 'callers.0.name'],
    [
      'NUL in a client id',
      'PUT',
      '/v1/integrations/odd',
      '{"provider":"generic-oidc","client_id":"a\\u0000"}',
      'client_id',
    ],
    ['NUL in metadata', 'POST', '/v1/connect-sessions', session('"metadata":{"a":"\\u0000"}'), 'metadata.a'],
    [
      'NUL in a credential',
      'POST',
      '/v1/connections',
      imported('"label":"x"', '{"access_token":"a\\u0000"}'),
      'credentials.access_token',
    ],
  ])('%s: 400 that names it', async (_, method, path, body, at) => {
    expectIssues(await send(method, path, body), at);
  });

  test('a body that is not UTF-8: 400', async () => {
    // Half of a surrogate pair as if it were a character, and a byte that begins none.
    for (const bytes of [[0xed, 0xa0, 0x80], [0xff]]) {
      const body = Buffer.concat([
        Buffer.from('{"integration":"acme","owner":"'),
        Buffer.from(bytes),
        Buffer.from('"}'),
      ]);
      expectProblem(await send('POST', '/v1/connect-sessions', body), 400, 'invalid_request');
    }
  });

  test.each(['%ED%A0%80', '%FF', '%00', '%C0%80', '%', '%zz'])('%s in a query: 400; in a path: 404', async (odd) => {
    for (const path of [
      `/v1/token?integration=acme&owner=${odd}`,
      `/v1/token?integration=acme&owner=user_1&label=${odd}`,
      `/v1/connections?owner=${odd}`,
      `/v1/audit?owner=${odd}`,
      `/v1/audit?actor=${odd}`,
    ])
      expect([path, (await send('GET', path)).status]).toEqual([path, 400]);
    for (const path of ['connections', 'callers', 'connect-sessions', 'integrations', 'providers'])
      expect([path, (await send('GET', `/v1/${path}/${odd}`)).status]).toEqual([path, 404]);
  });

  test('where nothing is served: 404', async () => {
    for (const [method, path] of [
      ['PUT', '/v1/integrations/'],
      ['POST', '/v1/nothing'],
      ['POST', '/v1/whoami'],
      ['POST', '/v1/nothing?owner=%00'],
    ] as const)
      expectProblem(await send(method, path, '{"owner":"\\ud800"}'), 404, 'not_found');
  });

  test.each(['%ED%A0%80', '%FF', '%00'])('%s in a form: 400', async (odd) => {
    const type = 'application/x-www-form-urlencoded';
    for (const form of [`grant_type=x&audience=${odd}`, `token=${odd}`, `${odd}=x`])
      for (const path of ['/oauth2/token', '/oauth2/introspect'])
        expect((await send('POST', path, form, type)).body.error).toBe('invalid_request');
  });

  test('whole pairs are taken, in owners and everywhere else', async () => {
    const body =
      '{"integration":"acme","owner":"\\ud83d\\ude00","label":"\\ud83d\\ude00","metadata":{"\\ud83d\\ude00":"\\ud83d\\ude00"}}';
    const { id } = expectOk(await send('POST', '/v1/connect-sessions', body), 201);
    expect(expectOk(await send('GET', `/v1/connect-sessions/${id}`)).owner).toBe('😀');
  });
});

describe('numbers and nesting', () => {
  test.each<[string, string, string]>([
    ['an infinite number', session('"metadata":{"n":1e999}'), 'metadata.n'],
    ['its opposite', session('"metadata":{"a":[-1e400]}'), 'metadata.a.0'],
    ['metadata that nests too deep', session(`"metadata":{"d":${nested(40)}}`), `metadata.d${'.0'.repeat(30)}`],
    [
      'metadata that no serializer could follow',
      session(`"metadata":{"d":${nested(20_000)}}`),
      `metadata.d${'.0'.repeat(30)}`,
    ],
  ])('%s: 400 that names it', async (_, body, at) => {
    expectIssues(await send('POST', '/v1/connect-sessions', body), at);
  });

  test('metadata of usual depth, -0 and large numbers come back', async () => {
    const metadata = `{"d":${nested(20)},"zero":-0,"large":1e300,"digits":12345678901234567890}`;
    const body = imported(`"metadata":${metadata}`);
    const added = expectOk(await send('POST', '/v1/connections', body), 201);
    expect(added.metadata).toMatchObject({ zero: 0, large: 1e300 });
  });
});

describe('times', () => {
  const importedUntil = (credentials: string) => send('POST', '/v1/connections', imported('"label":"t"', credentials));
  test.each<[string, string]>([
    ['"expires_at":"9999-12-31T23:59:59-23:59"', 'credentials.expires_at'],
    ['"expires_at":"0000-01-01T00:00:00+23:59"', 'credentials.expires_at'],
    ['"expires_at":999999999999999', 'credentials.expires_at'],
    ['"expires_in":1e15', 'credentials.expires_in'],
    ['"expires_in":1e300', 'credentials.expires_in'],
    ['"expires_in":"1e300"', 'credentials.expires_in'],
    ['"expires_in":"Infinity"', 'credentials.expires_in'],
  ])('an import with %s: 400 that names it', async (member, path) => {
    expectIssues(await importedUntil(`{"access_token":"at",${member}}`), path);
  });

  test.each(['"expires_in":-0', '"expires_at":"9999-12-31T23:59:59Z"', '"expires_at":253402300799'])(
    'an import with %s is taken, and can be read',
    async (member) => {
      const { id } = expectOk(await importedUntil(`{"access_token":"at","refresh_token":"rt",${member}}`), 201);
      expectOk(await send('GET', `/v1/connections/${id}`));
    },
  );

  test('keys and filters of the audit log: 400 beyond the years 0 to 9999', async () => {
    for (const at of ['9999-12-31T23:59:59-23:59', '0000-01-01T00:00:00+23:59']) {
      expectIssues(
        await send('POST', '/v1/callers', `{"name":"x","grants":[],"key_expires_at":"${at}"}`),
        'key_expires_at',
      );
      expectIssues(await send('GET', `/v1/audit?from=${encodeURIComponent(at)}`), 'from');
      expectIssues(await send('GET', `/v1/audit?to=${encodeURIComponent(at)}`), 'to');
    }
  });

  test('min_ttl, limits and windows beyond their range: 400', async () => {
    const query = `/v1/connections/${connection}/token?min_ttl=`;
    for (const odd of ['1e9', '9999999', '-0', '-1', '٣']) expect((await send('GET', query + odd)).status).toBe(400);
    const limit = (requests: string) => `{"name":"x","grants":[],"rate_limit":{"requests":${requests},"window":1}}`;
    for (const odd of ['1e999', '1e300', '-0', '0.5'])
      expect((await send('POST', '/v1/callers', limit(odd))).status).toBe(400);
    expect((expectOk(await send('GET', '/v1/callers')).data as Json[]).every(({ name }) => name !== 'x')).toBe(true);
  });
});

describe('more members than any request needs', () => {
  const list = (members: number) => JSON.stringify(Array.from({ length: members }, (_, i) => `a${i}`));
  const object = (members: number) =>
    JSON.stringify(Object.fromEntries(Array.from({ length: members }, (_, i) => [`a${i}`, 1])));
  const caller = (owners: number) =>
    `{"name":"x","grants":[{"actions":["token"],"integrations":["*"],"owners":${list(owners)}}]}`;

  test.each<[string, string, string, string]>([
    ['types', '/v1/webhook-endpoints', `{"url":"https://a.example/","types":${list(1_001)}}`, 'types'],
    [
      'owners of an endpoint',
      '/v1/webhook-endpoints',
      `{"url":"https://a.example/","owners":${list(1_001)}}`,
      'owners',
    ],
    ['scopes', '/v1/connect-sessions', session(`"scopes":${list(1_001)}`), 'scopes'],
    ['a list in metadata', '/v1/connect-sessions', session(`"metadata":{"a":[${'1,'.repeat(1_000)}1]}`), 'metadata.a'],
    ['headers', '/v1/webhook-endpoints', `{"url":"https://a.example/","headers":${object(1_001)}}`, 'headers'],
    ['owners of a grant', '/v1/callers', caller(10_001), 'grants.0.owners'],
    ['declared integrations', '/v1/apply', `{"integrations":${list(10_001)}}`, 'integrations'],
  ])('%s: one fault, and nothing of the members is checked', async (_, path, body, at) => {
    const { issues } = expectProblem(await send('POST', path, body), 400, 'invalid_request');
    expect(issues).toEqual([{ path: at, message: expect.stringMatching(/^must not have more than 10{3,4} members$/) }]);
  });

  test('a grant may name thousands of owners', async () => {
    expect((await send('POST', '/v1/callers', caller(5_000))).status).toBe(201);
  });

  test('of very many faults, the first hundred are told', async () => {
    const members = object(900).slice(1, -1);
    const { issues } = expectProblem(
      await send('POST', '/v1/connect-sessions', session(members)),
      400,
      'invalid_request',
    );
    expect(issues).toHaveLength(100);
  });
});
