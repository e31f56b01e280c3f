// Reading tokens: what callers do all day, in good days and bad ones.
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { TokenView } from '../../src/api/index.ts';
import type { Answer, Json } from '../support/broker.ts';
import { startWorld, type World } from '../support/broker-setup.ts';
import { expectIssues, expectOk, expectProblem, RFC3339_UTC } from '../support/contract.ts';
import { newOwner } from '../support/owner-browser.ts';
import { type Scripted, type ScriptedServer, startScriptedServer } from '../support/scripted-server.ts';

const HOUR = 3_600_000;

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());
afterEach(() => world.front.rule('pass'));

const read = (id: string, query = '', key?: string): Promise<Answer> =>
  world.broker.ask('GET', `/v1/connections/${id}/token${query}`, undefined, key);
const find = (query: Record<string, string>, key?: string): Promise<Answer> =>
  world.broker.ask('GET', `/v1/token?${new URLSearchParams(query)}`, undefined, key);
const tokenOf = async (id: string, query?: string) => String(expectOk(await read(id, query)).access_token);
const connection = async (id: string): Promise<Json> =>
  expectOk(await world.broker.ask('GET', `/v1/connections/${id}`));
/** How many refreshes the provider saw meanwhile. */
async function refreshesOf(work: () => Promise<unknown>): Promise<number> {
  const before = world.refreshes();
  await work();
  return world.refreshes() - before;
}

describe('the answer', () => {
  test('by id and by owner is the same, and what the contract says', async () => {
    const owner = newOwner();
    const id = await world.adopt(owner);
    const body = expectOk(await read(id));
    TokenView.strict().parse(body);
    expect(body).toEqual({
      connection_id: id,
      integration: 'acme',
      owner,
      access_token: expect.stringMatching(/./),
      token_type: 'Bearer',
      scopes: ['openid'],
      expires_at: expect.stringMatching(RFC3339_UTC),
      expires_in: expect.any(Number),
    });
    expect(body.expires_in).toBeGreaterThan(3_500);
    expect(body.expires_in).toBeLessThanOrEqual(3_600);
    const { expires_in: _, ...same } = body;
    expect(expectOk(await find({ integration: 'acme', owner }))).toMatchObject(same);
  });

  test('the token is one that the provider honours', async () => {
    const token = await tokenOf(await world.adopt('ada'));
    const userinfo = await fetch(`${world.provider.issuer}/me`, { headers: { authorization: `Bearer ${token}` } });
    expect(await userinfo.json()).toMatchObject({ sub: 'ada' });
  });

  test('has nulls where a token does not expire', async () => {
    const credentials = { access_token: 'eternal' };
    const body = { integration: 'acme', owner: newOwner(), credentials };
    const { id } = expectOk(await world.broker.ask('POST', '/v1/connections', body), 201);
    expect(expectOk(await read(String(id), '?min_ttl=999999'))).toMatchObject({
      access_token: 'eternal',
      expires_at: null,
      expires_in: null,
    });
  });
});

describe('which connection', () => {
  test('by label, never by a guess; an empty label is the one without', async () => {
    const owner = newOwner();
    const ids: Record<string, string> = {};
    for (const label of ['', 'work', 'home']) ids[label] = await world.adopt(owner, { access_token: 'at' }, { label });
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

  test('the one that is left when the others were revoked; a new one when it comes', async () => {
    const owner = newOwner();
    const first = await world.adopt(owner, { access_token: 'a' }, { label: 'a' });
    const second = await world.adopt(owner, { access_token: 'b' }, { label: 'b' });
    expectProblem(await find({ integration: 'acme', owner }), 409, 'ambiguous_connection');
    expectOk(await world.broker.ask('DELETE', `/v1/connections/${first}`));
    expect(expectOk(await find({ integration: 'acme', owner }))).toMatchObject({ connection_id: second });
    expectProblem(await find({ integration: 'acme', owner, label: 'a' }), 410, 'connection_revoked');
    const third = await world.adopt(owner, { access_token: 'c' }, { label: 'a' });
    expect(expectOk(await find({ integration: 'acme', owner, label: 'a' }))).toMatchObject({ connection_id: third });
  });

  test('any of an owner with very many', async () => {
    const owner = newOwner();
    const ids = await Promise.all(
      Array.from({ length: 22 }, (_, i) => world.adopt(owner, { access_token: `at-${i}` }, { label: `l${i}` })),
    );
    for (const [i, id] of ids.entries())
      expect(expectOk(await find({ integration: 'acme', owner, label: `l${i}` }))).toMatchObject({ connection_id: id });
  });

  test('owners are opaque: characters of URLs and patterns mean nothing', async () => {
    for (const owner of ['org:acme/team a&b=c#d', 'ä%_€ 😀', "o'; --"]) {
      const id = await world.adopt(owner, { access_token: 'at' });
      expect(expectOk(await find({ integration: 'acme', owner }))).toMatchObject({ connection_id: id, owner });
    }
  });
});

describe('refusals', () => {
  test('404 for what is not there, 403 beyond the grants, 410 when revoked, 400 for what is no question', async () => {
    const owner = newOwner();
    const id = await world.adopt(owner, { access_token: 'at' });
    expectProblem(await read('con_nothing'), 404, 'not_found');
    expectProblem(await find({ integration: 'acme', owner: 'nobody' }), 404, 'not_found');
    expectProblem(await find({ integration: 'nothing', owner }), 404, 'not_found');
    const key = await world.broker.callerKey({ actions: ['token'], owners: ['somebody'] });
    const missing = { action: 'token', integration: 'acme', owner };
    expect(expectProblem(await read(id, '', key), 403, 'forbidden')).toMatchObject({ missing });
    expect(expectProblem(await find({ integration: 'acme', owner }, key), 403, 'forbidden')).toMatchObject({ missing });
    const reader = await world.broker.callerKey({ actions: ['connections:read', 'connections:write', 'admin'] });
    expectProblem(await read(id, '', reader), 403, 'forbidden');
    expectIssues(await find({ owner }), 'integration');
    expectIssues(await find({ integration: 'acme' }), 'owner');
    expectIssues(await find({ integration: 'acme', owner: 'user_*' }), 'owner');
    expectOk(await world.broker.ask('DELETE', `/v1/connections/${id}`));
    expect(expectProblem(await read(id), 410, 'connection_revoked')).toMatchObject({ connection_id: id });
    expectProblem(await find({ integration: 'acme', owner }), 410, 'connection_revoked');
  });

  test('409 with the reason once consent was withdrawn at the provider, and no more calls to it', async () => {
    const id = await world.adopt(newOwner());
    const other = await world.adopt(newOwner());
    await tokenOf(id);
    world.provider.withdrawGrants();
    world.advance(HOUR + 1_000);
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
    world.adopt(newOwner(), { access_token: randomBytes(8).toString('hex'), expires_at: world.inSeconds(seconds) });

  test('a minute by default: with less left, the token is refreshed', async () => {
    const id = await adoptFor(600);
    world.advance(530_000);
    expect(await refreshesOf(() => tokenOf(id))).toBe(0);
    world.advance(15_000);
    expect(await refreshesOf(() => tokenOf(id))).toBe(1);
  });

  test('of a short life only half by default, so that not every read refreshes', async () => {
    const id = await adoptFor(5);
    expect(
      await refreshesOf(async () => {
        for (let i = 0; i < 5; i++) await tokenOf(id);
      }),
    ).toBe(0);
    world.advance(3_000);
    expect(await refreshesOf(() => tokenOf(id))).toBe(1);
  });

  test('as asked, up to what the provider issues; beyond that it is capped', async () => {
    const id = await adoptFor(600);
    expect(await refreshesOf(() => tokenOf(id, '?min_ttl=500'))).toBe(0);
    world.advance(200_000);
    expect(await refreshesOf(() => tokenOf(id, '?min_ttl=300'))).toBe(0);
    expect(await refreshesOf(() => tokenOf(id, '?min_ttl=500'))).toBe(1);
    expect(
      await refreshesOf(async () => {
        for (let i = 0; i < 3; i++) await tokenOf(id, '?min_ttl=86400');
      }),
    ).toBe(0);
  });

  test('0 takes the token until it expires', async () => {
    const id = await adoptFor(600);
    world.advance(599_000);
    expect(await refreshesOf(() => tokenOf(id, '?min_ttl=0'))).toBe(0);
    world.advance(1_000);
    expect(await refreshesOf(() => tokenOf(id, '?min_ttl=0'))).toBe(1);
  });

  test('must be whole seconds', async () => {
    const owner = newOwner();
    const id = await world.adopt(owner, { access_token: 'at' });
    for (const value of ['soon', '-1', '1.5', '', '1e3', '0x10', '9999999']) {
      expectIssues(await read(id, `?min_ttl=${value}`), 'min_ttl');
      expectIssues(await find({ integration: 'acme', owner, min_ttl: value }), 'min_ttl');
    }
  });
});

describe('one refresh at a time', () => {
  test('fifty who ask for an expired token at once cause one, and get the same token', async () => {
    const id = await world.adopt(newOwner(), { access_token: 'old', expires_at: world.inSeconds(1) });
    world.advance(2_000);
    const tokens: string[] = [];
    const count = await refreshesOf(async () => {
      tokens.push(...(await Promise.all(Array.from({ length: 50 }, () => tokenOf(id)))));
    });
    expect(count).toBe(1);
    expect(new Set(tokens).size).toBe(1);
    expect(tokens).not.toContain('old');
    expect(await connection(id)).toMatchObject({ generation: 2 });
  });

  test('goes on when everybody who asked has hung up, and its answer is kept', async () => {
    const id = await world.adopt(newOwner());
    world.front.rule('withhold');
    const hangUp = new AbortController();
    const asked = Array.from({ length: 3 }, () =>
      fetch(new URL(`/v1/connections/${id}/token`, world.broker.url), {
        headers: { authorization: `Bearer ${world.broker.adminKey}` },
        signal: hangUp.signal,
      }).catch((error: Error) => error.name),
    );
    await world.front.waiting(1);
    const before = world.refreshes();
    hangUp.abort();
    expect(await Promise.all(asked)).toEqual(['AbortError', 'AbortError', 'AbortError']);
    world.front.release();
    world.front.rule('pass');
    await expect.poll(async () => (await connection(id)).generation, { interval: 20, timeout: 5_000 }).toBe(2);
    expect(await tokenOf(id)).toBe(world.front.spent('refresh_token').at(-1)?.answer.access_token);
    expect(world.refreshes()).toBe(before);
  });

  test('what the provider rotates is kept: the next refresh works, under reuse detection', async () => {
    const id = await world.adopt(newOwner());
    const tokens = new Set<string>();
    for (let i = 0; i < 3; i++) {
      tokens.add(await tokenOf(id));
      world.advance(HOUR);
    }
    expect(tokens.size).toBe(3);
    const spent = world.front.spent('refresh_token').slice(-3);
    expect(new Set(spent.map(({ form }) => form.get('refresh_token'))).size).toBe(3);
    expect(await connection(id)).toMatchObject({
      status: 'active',
      generation: 4,
      last_refreshed_at: expect.stringMatching(RFC3339_UTC),
      last_refresh_error: null,
    });
  });
});

describe('when the provider fails', () => {
  test('a token that is valid is served until it expires; then 503 with Retry-After, until the provider is back', async () => {
    const id = await world.adopt(newOwner(), { access_token: 'still good', expires_at: world.inSeconds(600) });
    world.front.rule('cut');
    world.advance(590_000);
    const body = expectOk(await read(id));
    expect(body).toMatchObject({ access_token: 'still good' });
    expect(body.expires_in).toBeLessThanOrEqual(10);
    expect(await connection(id)).toMatchObject({ status: 'active', last_refresh_error: { code: 'network_error' } });
    world.advance(10_000);
    const down = await read(id);
    expect(expectProblem(down, 503, 'provider_unavailable')).toMatchObject({ integration: 'acme' });
    const wait = Number(down.headers.get('retry-after'));
    expect(wait).toBeGreaterThanOrEqual(1);
    world.front.rule('pass');
    world.advance(wait * 1_000);
    expect(await tokenOf(id)).not.toBe('still good');
    expect(await connection(id)).toMatchObject({ status: 'active', last_refresh_error: null });
  });

  test('a failure is not asked for again before its time, however many ask', async () => {
    const id = await world.adopt(newOwner());
    world.front.rule('cut');
    const seen = world.front.passed.length;
    for (let i = 0; i < 5; i++) expectProblem(await read(id), 503, 'provider_unavailable');
    expect(world.front.passed.length - seen).toBe(1);
  });
});

describe('when the client is misconfigured', () => {
  test('502 that names the integration; the right secret mends it at once, and no connection is lost', async () => {
    const id = await world.adopt(newOwner());
    const served = await world.adopt(newOwner(), { access_token: 'good', expires_at: world.inSeconds(50) });
    expectOk(await world.broker.ask('PUT', '/v1/integrations/acme', { ...world.setup, client_secret: 'wrong' }));
    const body = expectProblem(await read(id), 502, 'integration_misconfigured');
    expect(body).toMatchObject({ integration: 'acme' });
    world.advance(40_000);
    expect(await tokenOf(served)).toBe('good');
    for (const one of [id, served]) expect(await connection(one)).toMatchObject({ status: 'active', reason: null });
    expectOk(await world.broker.ask('PUT', '/v1/integrations/acme', world.setup));
    await tokenOf(id);
    expect(await tokenOf(served)).not.toBe('good');
  });
});

describe('when answers are lost or garbage', () => {
  let server: ScriptedServer;
  /** By path: what the token endpoint says the first time, the second time, … */
  const scripts = new Map<string, Scripted[]>();
  beforeAll(async () => {
    server = await startScriptedServer(({ path }) => scripts.get(path)?.shift() ?? { status: 500 });
  });
  afterAll(() => server.close());

  async function scripted(name: string, ...answers: Scripted[]): Promise<string> {
    scripts.set(`/${name}`, answers);
    const params = { authorization_url: `${server.url}/auth`, token_url: `${server.url}/${name}` };
    const setup = { provider: 'generic-oauth2', client_id: 'me', client_secret: 'secret', params };
    expectOk(await world.broker.ask('PUT', `/v1/integrations/${name}`, setup), 201);
    const body = { integration: name, owner: 'ada', credentials: { refresh_token: `rt-of-${name}` } };
    return String(expectOk(await world.broker.ask('POST', '/v1/connections', body), 201).id);
  }
  const good = { body: { access_token: 'fresh', token_type: 'Bearer', expires_in: 3600, refresh_token: 'next' } };

  test.each([
    ['lost', 'drop'],
    ['garbage', { body: '<html>all is well</html>' }],
    ['empty', { body: {} }],
    ['half', { headers: { 'content-type': 'application/json' }, body: '{"access_token": "x' }],
    ['busy', { status: 503 }],
    ['limited', { status: 429, headers: { 'retry-after': '7' }, body: { error: 'slow_down' } }],
  ] as [string, Scripted][])(
    '%s: 503, then the same refresh token is tried again and it recovers',
    async (name, bad) => {
      const id = await scripted(name, bad, good);
      const failed = await read(id);
      expectProblem(failed, 503, 'provider_unavailable');
      const wait = Number(failed.headers.get('retry-after'));
      if (name === 'limited') expect(wait).toBe(7);
      expect(await connection(id)).toMatchObject({ status: 'active', last_refresh_error: expect.any(Object) });
      world.advance(wait * 1_000);
      expect(await tokenOf(id)).toBe('fresh');
      const sent = server.received.filter(({ path }) => path === `/${name}`);
      expect(sent.map(({ form }) => form.get('refresh_token'))).toEqual([`rt-of-${name}`, `rt-of-${name}`]);
      expect(await connection(id)).toMatchObject({ status: 'active', generation: 2, last_refresh_error: null });
    },
  );

  test('a refusal after a lost answer says that nobody knows what became of the grant', async () => {
    const id = await scripted('unknown', 'drop', { status: 400, body: { error: 'invalid_grant' } });
    const wait = Number((await read(id)).headers.get('retry-after'));
    world.advance(wait * 1_000);
    const reason = 'refresh_outcome_unknown';
    expect(expectProblem(await read(id), 409, 'reauthorization_required')).toMatchObject({ reason });
    expect(await connection(id)).toMatchObject({ status: 'needs_reauth', reason });
  });

  test('an answer without a refresh token or scopes keeps the ones from before', async () => {
    const short = { body: { access_token: 'first', token_type: 'bearer', expires_in: 60 } };
    const id = await scripted('frugal', short, short);
    await tokenOf(id);
    world.advance(60_000);
    await tokenOf(id);
    const sent = server.received.filter(({ path }) => path === '/frugal');
    expect(sent.map(({ form }) => form.get('refresh_token'))).toEqual(['rt-of-frugal', 'rt-of-frugal']);
  });
});
