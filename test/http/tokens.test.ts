// Token reads: which connection, refusals, min_ttl, and what happens while the provider fails.
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { TokenView } from '../../src/api/index.ts';
import type { Answer, Json } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectIssues, expectOk, expectProblem, RFC3339_UTC } from '../support/contract.ts';
import { newOwner } from '../support/owner-browser.ts';
import { type ScriptedResponse, type ScriptedServer, startScriptedServer } from '../support/scripted-server.ts';

const HOUR = 3_600_000;

let testSetup: TestSetup;
beforeAll(async () => {
  testSetup = await startTestSetup();
});
afterAll(() => testSetup.close());
afterEach(() => testSetup.proxy.setRule('pass'));

const read = (id: string, query = '', key?: string): Promise<Answer> =>
  testSetup.broker.ask('GET', `/v1/connections/${id}/token${query}`, undefined, key);
const find = (query: Record<string, string>, key?: string): Promise<Answer> =>
  testSetup.broker.ask('GET', `/v1/token?${new URLSearchParams(query)}`, undefined, key);
const tokenOf = async (id: string, query?: string) => String(expectOk(await read(id, query)).access_token);
const connection = async (id: string): Promise<Json> =>
  expectOk(await testSetup.broker.ask('GET', `/v1/connections/${id}`));
/** How many refreshes reached the provider during the work. */
async function refreshesOf(work: () => Promise<unknown>): Promise<number> {
  const before = testSetup.refreshCount();
  await work();
  return testSetup.refreshCount() - before;
}

describe('token read', () => {
  test('by id and by owner: the same answer, as the contract has it', async () => {
    const owner = newOwner();
    const id = await testSetup.importConnection(owner);
    const body = expectOk(await read(id));
    TokenView.strict().parse(body);
    expect(body).toEqual({
      connection_id: id,
      integration: 'acme',
      owner,
      access_token: expect.stringMatching(/./),
      token_type: 'Bearer',
      scopes: ['openid'],
      missing_scopes: [],
      expires_at: expect.stringMatching(RFC3339_UTC),
      expires_in: expect.any(Number),
    });
    expect(body.expires_in).toBeGreaterThan(3_500);
    expect(body.expires_in).toBeLessThanOrEqual(3_600);
    const { expires_in: _, ...same } = body;
    expect(expectOk(await find({ integration: 'acme', owner }))).toMatchObject(same);
  });

  test('scopes that are missing, by what the integration asks for now', async () => {
    const { broker } = testSetup;
    const params = { authorization_url: `${broker.url}/a`, token_url: `${broker.url}/t` };
    const put = (scopes: string[]) =>
      broker.ask('PUT', '/v1/integrations/scoped', {
        provider: 'generic-oauth2',
        client_id: 'c',
        client_secret: 's',
        params,
        scopes,
      });
    expectOk(await put(['read', 'write']), 201);
    const credentials = { access_token: 'a-token', expires_in: 3_000, scopes: ['read', 'more'] };
    const imported = await broker.ask('POST', '/v1/connections', {
      integration: 'scoped',
      owner: newOwner(),
      credentials,
    });
    const { id, missing_scopes } = expectOk(imported, 201);
    expect(missing_scopes).toEqual(['write']);
    const missing = async () => {
      const reads = [await read(String(id)), await read(String(id)), await read(String(id), '?min_ttl=5')];
      const seen = [...reads.map((answer) => expectOk(answer)), await connection(String(id))];
      return new Set(seen.map((one) => JSON.stringify(one.missing_scopes)));
    };
    expect(await missing()).toEqual(new Set(['["write"]']));
    expectOk(await put(['read', 'write', 'admin', 'offline_access']));
    expect(await missing()).toEqual(new Set(['["write","admin"]']));
    expectOk(await put(['read']));
    expect(await missing()).toEqual(new Set(['[]']));
  });

  test('the provider accepts the token', async () => {
    const token = await tokenOf(await testSetup.importConnection('ada'));
    const userinfo = await fetch(`${testSetup.provider.issuer}/me`, { headers: { authorization: `Bearer ${token}` } });
    expect(await userinfo.json()).toMatchObject({ sub: 'ada' });
  });

  test('nulls for a token that does not expire', async () => {
    const credentials = { access_token: 'eternal' };
    const body = { integration: 'acme', owner: newOwner(), credentials };
    const { id } = expectOk(await testSetup.broker.ask('POST', '/v1/connections', body), 201);
    expect(expectOk(await read(String(id), '?min_ttl=999999'))).toMatchObject({
      access_token: 'eternal',
      expires_at: null,
      expires_in: null,
    });
  });
});

describe('token read by owner', () => {
  test('409 when several match; an empty label selects the connection without one', async () => {
    const owner = newOwner();
    const ids: Record<string, string> = {};
    for (const label of ['', 'work', 'home'])
      ids[label] = await testSetup.importConnection(owner, { access_token: 'at' }, { label });
    const { candidates } = expectProblem(await find({ integration: 'acme', owner }), 409, 'ambiguous_connection');
    expect(candidates).toHaveLength(3);
    expect(candidates).toEqual(
      expect.arrayContaining([
        { connection_id: ids[''], label: null },
        { connection_id: ids.work, label: 'work' },
        { connection_id: ids.home, label: 'home' },
      ]),
    );
    for (const [label, id] of Object.entries(ids))
      expect(expectOk(await find({ integration: 'acme', owner, label }))).toMatchObject({ connection_id: id });
    expectProblem(await find({ integration: 'acme', owner, label: 'wor' }), 404, 'not_found');
  });

  test('the only live one after the others were revoked; a new one once it exists', async () => {
    const owner = newOwner();
    const first = await testSetup.importConnection(owner, { access_token: 'a' }, { label: 'a' });
    const second = await testSetup.importConnection(owner, { access_token: 'b' }, { label: 'b' });
    expectProblem(await find({ integration: 'acme', owner }), 409, 'ambiguous_connection');
    expectOk(await testSetup.broker.ask('DELETE', `/v1/connections/${first}`));
    expect(expectOk(await find({ integration: 'acme', owner }))).toMatchObject({ connection_id: second });
    expectProblem(await find({ integration: 'acme', owner, label: 'a' }), 410, 'connection_revoked');
    const third = await testSetup.importConnection(owner, { access_token: 'c' }, { label: 'a' });
    expect(expectOk(await find({ integration: 'acme', owner, label: 'a' }))).toMatchObject({ connection_id: third });
  });

  test("any of an owner's 22 connections, by label", async () => {
    const owner = newOwner();
    const ids = await Promise.all(
      Array.from({ length: 22 }, (_, i) =>
        testSetup.importConnection(owner, { access_token: `at-${i}` }, { label: `l${i}` }),
      ),
    );
    for (const [i, id] of ids.entries())
      expect(expectOk(await find({ integration: 'acme', owner, label: `l${i}` }))).toMatchObject({ connection_id: id });
  });

  test('owners are opaque: characters of URLs and patterns have no meaning', async () => {
    for (const owner of ['org:acme/team a&b=c#d', 'ä%_€ 😀', "o'; --"]) {
      const id = await testSetup.importConnection(owner, { access_token: 'at' });
      expect(expectOk(await find({ integration: 'acme', owner }))).toMatchObject({ connection_id: id, owner });
    }
  });
});

describe('token read', () => {
  test('404 unknown, 403 beyond the grants, 410 revoked, 400 invalid', async () => {
    const owner = newOwner();
    const id = await testSetup.importConnection(owner, { access_token: 'at' });
    expectProblem(await read('con_nothing'), 404, 'not_found');
    expectProblem(await find({ integration: 'acme', owner: 'nobody' }), 404, 'not_found');
    expectProblem(await find({ integration: 'nothing', owner }), 404, 'not_found');
    const key = await testSetup.broker.callerKey({ actions: ['connections:read'], owners: [owner] });
    const missing = { action: 'token', integration: 'acme', owner };
    expect(expectProblem(await read(id, '', key), 403, 'forbidden')).toMatchObject({ missing });
    expect(expectProblem(await find({ integration: 'acme', owner }, key), 403, 'forbidden')).toMatchObject({ missing });
    const reader = await testSetup.broker.callerKey({ actions: ['connections:read', 'connections:write', 'admin'] });
    expectProblem(await read(id, '', reader), 403, 'forbidden');
    expectIssues(await find({ owner }), 'integration');
    expectIssues(await find({ integration: 'acme' }), 'owner');
    expectIssues(await find({ integration: 'acme', owner: 'user_*' }), 'owner');
    expectOk(await testSetup.broker.ask('DELETE', `/v1/connections/${id}`));
    expect(expectProblem(await read(id), 410, 'connection_revoked')).toMatchObject({ connection_id: id });
    expectProblem(await find({ integration: 'acme', owner }), 410, 'connection_revoked');
  });

  test('409 with the reason once consent was withdrawn, and no more calls to the provider', async () => {
    const id = await testSetup.importConnection(newOwner());
    const other = await testSetup.importConnection(newOwner());
    await tokenOf(id);
    testSetup.provider.withdrawGrants();
    testSetup.advance(HOUR + 1_000);
    const gone = { connection_id: id, reason: 'grant_revoked' };
    expect(expectProblem(await read(id), 409, 'reauthorization_required')).toMatchObject(gone);
    expect(await refreshesOf(() => read(id))).toBe(0);
    expect(expectProblem(await read(id), 409, 'reauthorization_required')).toMatchObject(gone);
    expect(await connection(id)).toMatchObject({
      status: 'needs_reauth',
      reason: 'grant_revoked',
      next_refresh_at: null,
      last_refresh_error: { code: 'invalid_grant', detail: expect.any(String), at: expect.stringMatching(RFC3339_UTC) },
    });
    expect(await connection(other)).toMatchObject({ status: 'active', reason: null });
  });
});

describe('min_ttl', () => {
  const adoptFor = (seconds: number) =>
    testSetup.importConnection(newOwner(), {
      access_token: randomBytes(8).toString('hex'),
      expires_at: testSetup.inSeconds(seconds),
    });

  test('a minute by default: refreshes when less is left', async () => {
    const id = await adoptFor(600);
    testSetup.advance(530_000);
    expect(await refreshesOf(() => tokenOf(id))).toBe(0);
    testSetup.advance(15_000);
    expect(await refreshesOf(() => tokenOf(id))).toBe(1);
  });

  test('half of a short life by default, so that not every read refreshes', async () => {
    const id = await adoptFor(5);
    expect(
      await refreshesOf(async () => {
        for (let i = 0; i < 5; i++) await tokenOf(id);
      }),
    ).toBe(0);
    testSetup.advance(3_000);
    expect(await refreshesOf(() => tokenOf(id))).toBe(1);
  });

  test('as requested, capped by what the provider issues', async () => {
    const id = await adoptFor(600);
    expect(await refreshesOf(() => tokenOf(id, '?min_ttl=500'))).toBe(0);
    testSetup.advance(200_000);
    expect(await refreshesOf(() => tokenOf(id, '?min_ttl=300'))).toBe(0);
    expect(await refreshesOf(() => tokenOf(id, '?min_ttl=500'))).toBe(1);
    expect(
      await refreshesOf(async () => {
        for (let i = 0; i < 3; i++) await tokenOf(id, '?min_ttl=86400');
      }),
    ).toBe(0);
  });

  test('0 serves the token until it expires', async () => {
    const id = await adoptFor(600);
    testSetup.advance(599_000);
    expect(await refreshesOf(() => tokenOf(id, '?min_ttl=0'))).toBe(0);
    testSetup.advance(1_000);
    expect(await refreshesOf(() => tokenOf(id, '?min_ttl=0'))).toBe(1);
  });

  test('400 unless whole seconds', async () => {
    const owner = newOwner();
    const id = await testSetup.importConnection(owner, { access_token: 'at' });
    for (const value of ['soon', '-1', '1.5', '', '1e3', '0x10', '9999999']) {
      expectIssues(await read(id, `?min_ttl=${value}`), 'min_ttl');
      expectIssues(await find({ integration: 'acme', owner, min_ttl: value }), 'min_ttl');
    }
  });
});

describe('concurrent token reads', () => {
  test('fifty of an expired token: one refresh, the same token', async () => {
    const id = await testSetup.importConnection(newOwner(), {
      access_token: 'old',
      expires_at: testSetup.inSeconds(1),
    });
    testSetup.advance(2_000);
    const tokens: string[] = [];
    const count = await refreshesOf(async () => {
      tokens.push(...(await Promise.all(Array.from({ length: 50 }, () => tokenOf(id)))));
    });
    expect(count).toBe(1);
    expect(new Set(tokens).size).toBe(1);
    expect(tokens).not.toContain('old');
    expect(await connection(id)).toMatchObject({ generation: 2 });
  });

  test('the refresh continues after all clients hung up, and its result is stored', async () => {
    const id = await testSetup.importConnection(newOwner());
    testSetup.proxy.setRule('withhold');
    const hangUp = new AbortController();
    const asked = Array.from({ length: 3 }, () =>
      fetch(new URL(`/v1/connections/${id}/token`, testSetup.broker.url), {
        headers: { authorization: `Bearer ${testSetup.broker.adminKey}` },
        signal: hangUp.signal,
      }).catch((error: Error) => error.name),
    );
    await testSetup.proxy.untilHeld(1);
    const before = testSetup.refreshCount();
    hangUp.abort();
    expect(await Promise.all(asked)).toEqual(['AbortError', 'AbortError', 'AbortError']);
    testSetup.proxy.release();
    testSetup.proxy.setRule('pass');
    await expect.poll(async () => (await connection(id)).generation, { interval: 20, timeout: 30_000 }).toBe(2);
    expect(await tokenOf(id)).toBe(testSetup.proxy.forwarded('refresh_token').at(-1)?.answer.access_token);
    expect(testSetup.refreshCount()).toBe(before);
  });

  test('a rotated refresh token is stored: the next refresh passes reuse detection', async () => {
    const id = await testSetup.importConnection(newOwner());
    const tokens = new Set<string>();
    for (let i = 0; i < 3; i++) {
      tokens.add(await tokenOf(id));
      testSetup.advance(HOUR);
    }
    expect(tokens.size).toBe(3);
    const spent = testSetup.proxy.forwarded('refresh_token').slice(-3);
    expect(new Set(spent.map(({ form }) => form.get('refresh_token'))).size).toBe(3);
    expect(await connection(id)).toMatchObject({
      status: 'active',
      generation: 4,
      last_refreshed_at: expect.stringMatching(RFC3339_UTC),
      last_refresh_error: null,
    });
  });
});

describe('token read while the provider fails', () => {
  test('the token until it expires; then 503 with Retry-After until the provider is back', async () => {
    const id = await testSetup.importConnection(newOwner(), {
      access_token: 'still good',
      expires_at: testSetup.inSeconds(600),
    });
    testSetup.proxy.setRule('cut');
    testSetup.advance(590_000);
    const body = expectOk(await read(id));
    expect(body).toMatchObject({ access_token: 'still good' });
    expect(body.expires_in).toBeLessThanOrEqual(10);
    expect(await connection(id)).toMatchObject({ status: 'active', last_refresh_error: { code: 'network_error' } });
    testSetup.advance(10_000);
    const down = await read(id);
    expect(expectProblem(down, 503, 'provider_unavailable')).toMatchObject({ integration: 'acme' });
    const wait = Number(down.headers.get('retry-after'));
    expect(wait).toBeGreaterThanOrEqual(1);
    testSetup.proxy.setRule('pass');
    testSetup.advance(wait * 1_000);
    expect(await tokenOf(id)).not.toBe('still good');
    expect(await connection(id)).toMatchObject({ status: 'active', last_refresh_error: null });
  });

  test('no new attempt before the backoff is over, for any number of reads', async () => {
    const id = await testSetup.importConnection(newOwner());
    testSetup.proxy.setRule('cut');
    const seen = testSetup.proxy.requests.length;
    for (let i = 0; i < 5; i++) expectProblem(await read(id), 503, 'provider_unavailable');
    expect(testSetup.proxy.requests.length - seen).toBe(1);
  });
});

describe('token read with a wrong client secret', () => {
  test('502 that names the integration; the right secret fixes it at once, and connections stay active', async () => {
    const id = await testSetup.importConnection(newOwner());
    const served = await testSetup.importConnection(newOwner(), {
      access_token: 'good',
      expires_at: testSetup.inSeconds(50),
    });
    expectOk(
      await testSetup.broker.ask('PUT', '/v1/integrations/acme', {
        ...testSetup.integrationBody,
        client_secret: 'wrong',
      }),
    );
    const body = expectProblem(await read(id), 502, 'integration_misconfigured');
    expect(body).toMatchObject({ integration: 'acme' });
    testSetup.advance(40_000);
    expect(await tokenOf(served)).toBe('good');
    for (const one of [id, served]) expect(await connection(one)).toMatchObject({ status: 'active', reason: null });
    expectOk(await testSetup.broker.ask('PUT', '/v1/integrations/acme', testSetup.integrationBody));
    await tokenOf(id);
    expect(await tokenOf(served)).not.toBe('good');
  });
});

describe('token read after a lost or invalid response', () => {
  let server: ScriptedServer;
  /** By path: the responses of the token endpoint, in order. */
  const scripts = new Map<string, ScriptedResponse[]>();
  beforeAll(async () => {
    server = await startScriptedServer(({ path }) => scripts.get(path)?.shift() ?? { status: 500 });
  });
  afterAll(() => server.close());

  async function scripted(name: string, ...answers: ScriptedResponse[]): Promise<string> {
    scripts.set(`/${name}`, answers);
    const params = { authorization_url: `${server.url}/auth`, token_url: `${server.url}/${name}` };
    const setup = { provider: 'generic-oauth2', client_id: 'me', client_secret: 'secret', params };
    expectOk(await testSetup.broker.ask('PUT', `/v1/integrations/${name}`, setup), 201);
    const body = { integration: name, owner: 'ada', credentials: { refresh_token: `rt-of-${name}` } };
    return String(expectOk(await testSetup.broker.ask('POST', '/v1/connections', body), 201).id);
  }
  const good = { body: { access_token: 'fresh', token_type: 'Bearer', expires_in: 3600, refresh_token: 'next' } };

  test.each([
    ['lost', 'drop'],
    ['garbage', { body: '<html>all is well</html>' }],
    ['empty', { body: {} }],
    ['half', { headers: { 'content-type': 'application/json' }, body: '{"access_token": "x' }],
    ['busy', { status: 503 }],
    ['limited', { status: 429, headers: { 'retry-after': '7' }, body: { error: 'slow_down' } }],
  ] as [string, ScriptedResponse][])(
    '%s: 503, then the same refresh token is tried again and it recovers',
    async (name, bad) => {
      const id = await scripted(name, bad, good);
      const failed = await read(id);
      expectProblem(failed, 503, 'provider_unavailable');
      const wait = Number(failed.headers.get('retry-after'));
      if (name === 'limited') expect(wait).toBe(7);
      expect(await connection(id)).toMatchObject({ status: 'active', last_refresh_error: expect.any(Object) });
      testSetup.advance(wait * 1_000);
      expect(await tokenOf(id)).toBe('fresh');
      const sent = server.received.filter(({ path }) => path === `/${name}`);
      expect(sent.map(({ form }) => form.get('refresh_token'))).toEqual([`rt-of-${name}`, `rt-of-${name}`]);
      expect(await connection(id)).toMatchObject({ status: 'active', generation: 2, last_refresh_error: null });
    },
  );

  test('refusal after a lost response: refresh_outcome_unknown', async () => {
    const id = await scripted('unknown', 'drop', { status: 400, body: { error: 'invalid_grant' } });
    const wait = Number((await read(id)).headers.get('retry-after'));
    testSetup.advance(wait * 1_000);
    const reason = 'refresh_outcome_unknown';
    expect(expectProblem(await read(id), 409, 'reauthorization_required')).toMatchObject({ reason });
    expect(await connection(id)).toMatchObject({ status: 'needs_reauth', reason });
  });

  test('a response without a refresh token or scopes: the old ones stay', async () => {
    const short = { body: { access_token: 'first', token_type: 'bearer', expires_in: 60 } };
    const id = await scripted('frugal', short, short);
    await tokenOf(id);
    testSetup.advance(60_000);
    await tokenOf(id);
    const sent = server.received.filter(({ path }) => path === '/frugal');
    expect(sent.map(({ form }) => form.get('refresh_token'))).toEqual(['rt-of-frugal', 'rt-of-frugal']);
  });
});
