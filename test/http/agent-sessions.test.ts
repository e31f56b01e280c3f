// Agent sessions over HTTP: made within the grants of a caller, used for tokens and through the proxy, and ended.
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { UPSTREAM_IDLE_TIMEOUT_MS } from '../../src/domain/time-limits.ts';
import type { Answer, Json } from '../support/broker.ts';
import { answer } from '../support/byte-upstream.ts';
import { expectIssues, expectOk, expectProblem, readPages } from '../support/contract.ts';
import { createMovingClock, type MovingClock } from '../support/moving-clock.ts';
import { type ProxySetup, startProxySetup } from '../support/proxy-setup.ts';

const AT = ['bearer', 'header'];

describe('agent sessions:', () => {
  let setup: ProxySetup;
  let clock: MovingClock;
  /** Connections of `user_1` and `user_2` at `bearer`, and of `user_1` at `header`. */
  const at: Record<string, string> = {};
  beforeAll(async () => {
    clock = createMovingClock();
    setup = await startProxySetup({}, { clock });
    at.one = await setup.connect('bearer', 'user_1');
    at.two = await setup.connect('bearer', 'user_2');
    at.header = await setup.connect('header', 'user_1');
  });
  afterAll(() => setup?.close());
  beforeEach(() => setup.upstream.reset());

  const ask = (method: string, path: string, body?: unknown, key?: unknown) =>
    setup.broker.ask(method, path, body, key === undefined ? undefined : String(key));
  async function caller(grants: Json[], more: Json = {}): Promise<{ id: string; key: string; keyId: string }> {
    const made = expectOk(await ask('POST', '/v1/callers', { name: 'an app', grants, ...more }), 201);
    return { id: String(made.id), key: String(made.key), keyId: String(made.key_id) };
  }
  const grant = (more: Json = {}): Json => ({
    actions: ['token', 'proxy', 'sessions'],
    integrations: AT,
    owners: ['user_*'],
    ...more,
  });
  const asked = (more: Json = {}): Json => ({
    owner: 'user_1',
    integrations: ['bearer'],
    actions: ['proxy'],
    purpose: 'summarise the week',
    ...more,
  });
  const create = (key: unknown, more: Json = {}) => ask('POST', '/v1/sessions', asked(more), key);
  const made = async (key: unknown, more: Json = {}) => expectOk(await create(key, more), 201);
  const end = (key: unknown, { id }: Json) => ask('DELETE', `/v1/sessions/${id}`, undefined, key);
  const tokenOf = (key: unknown, id: string | undefined) => ask('GET', `/v1/connections/${id}/token`, undefined, key);
  const statusOf = async (key: unknown, id: string | undefined, method = 'GET', target = '/items') => {
    const { status } = await setup.call(String(id), method, target, { key: String(key) });
    return status;
  };

  test('a session calls an API for its owner alone, at its integrations, with its methods and paths', async () => {
    const { key, id } = await caller([grant()]);
    const session = await made(key, { methods: ['GET'], paths: ['/items*'], ttl: 60 });
    expect(session).toMatchObject({
      id: expect.stringMatching(/^ses_/),
      token: expect.stringMatching(/^vs_[0-9A-Za-z]{49}$/),
      status: 'active',
      caller_id: id,
      parent_id: null,
    });
    expect(Date.parse(String(session.expires_at)) - Date.parse(String(session.created_at))).toBe(60_000);
    const { token } = session;
    expect(await statusOf(token, at.one)).toBe(200);
    expect(setup.upstream.requests.at(-1)?.header('authorization')).toBe('Bearer secret-of-user_1');
    expect(await statusOf(token, at.one, 'HEAD')).toBe(200);
    for (const [method, target] of [
      ['POST', '/items'],
      ['GET', '/other'],
      ['GET', '/items/../other'],
    ] as const)
      expect([400, 403]).toContain(await statusOf(token, at.one, method, target));
    // Another owner's, another integration's and the token itself.
    expect(await statusOf(token, at.two)).toBe(404);
    expect(await statusOf(token, at.header)).toBe(404);
    expect(expectProblem(await tokenOf(token, at.one), 403, 'forbidden').missing).toMatchObject({ action: 'token' });
    for (const [method, path] of [
      ['GET', '/v1/callers'],
      ['GET', '/v1/audit'],
      ['GET', '/v1/integrations'],
      ['DELETE', `/v1/connections/${at.one}`],
    ] as const)
      expect((await ask(method, path, undefined, token)).body.data ?? [], path).toEqual([]);
    expect(expectOk(await tokenOf(key, at.one)).access_token, 'is still there').toBe('secret-of-user_1');
    const who = expectOk(await ask('GET', '/v1/whoami', undefined, token));
    expect(who).toMatchObject({
      id,
      grants: [
        { actions: ['proxy'], integrations: ['bearer'], owners: ['user_1'], methods: expect.arrayContaining(['GET']) },
      ],
      authenticated_by: {
        kind: 'session',
        id: session.id,
        owner: 'user_1',
        purpose: 'summarise the week',
        actor: null,
      },
    });
  });

  test('a session with the action token is given the token, by id and by owner, and no other', async () => {
    const { key } = await caller([grant()]);
    const { token } = await made(key, { actions: ['token'] });
    for (let i = 0; i < 3; i++) expect(expectOk(await tokenOf(token, at.one)).access_token).toBe('secret-of-user_1');
    const byOwner = (owner: string) => ask('GET', `/v1/token?integration=bearer&owner=${owner}`, undefined, token);
    expect(expectOk(await byOwner('user_1')).owner).toBe('user_1');
    expectProblem(await byOwner('user_2'), 404, 'not_found');
    expectProblem(await tokenOf(token, at.header), 404, 'not_found');
    expect(await statusOf(token, at.one)).toBe(403);
  });

  test('no session is made that is wider than the grants of its caller, and what is missing is told', async () => {
    const own = grant({
      owners: ['user_1'],
      integrations: ['bearer'],
      scopes: ['read:*'],
      methods: ['GET'],
      paths: ['/items*'],
    });
    const { key } = await caller([own, { actions: ['connections:read'], integrations: ['*'], owners: ['*'] }]);
    const refused = async (more: Json) => expectProblem(await create(key, more), 403, 'forbidden').missing;
    expect(await refused({ owner: 'user_2' })).toEqual({ action: 'sessions', integration: 'bearer', owner: 'user_2' });
    expect(await refused({ integrations: ['bearer', 'header'] })).toMatchObject({ integration: 'header' });
    expect(await refused({ scopes: ['read:all', 'write'] })).toMatchObject({ action: 'proxy', scopes: ['write'] });
    expect(await refused({ methods: ['GET', 'POST'] })).toMatchObject({ method: 'POST' });
    expect(await refused({ paths: ['/items', '/other'] })).toMatchObject({ path: '/other' });
    expect(await refused({ methods: ['*'] })).toMatchObject({ method: '*' });
    const calling = await caller([grant({ methods: ['GET'], paths: ['/items*'] })]);
    const { token } = await made(calling.key);
    expect(await statusOf(token, at.one)).toBe(200);
    expect(await statusOf(token, at.one, 'POST')).toBe(403);
    expect(await statusOf(token, at.one, 'GET', '/other')).toBe(403);
    const without = await caller([{ actions: ['proxy'], integrations: ['*'], owners: ['*'] }]);
    expect(expectProblem(await create(without.key), 403, 'forbidden').missing).toMatchObject({ action: 'sessions' });
    expectProblem(await create(undefined, { integrations: ['none'] }), 404, 'not_found');
  });

  test('when the grants of the caller shrink, so do its sessions; when they grow, they do not', async () => {
    const { id, key } = await caller([grant()]);
    const { token } = await made(key);
    expect(await statusOf(token, at.one)).toBe(200);
    const put = (grants: Json[]) => ask('PUT', `/v1/callers/${id}`, { name: 'an app', grants });
    expectOk(await put([grant({ paths: ['/other'] })]));
    expect(await statusOf(token, at.one)).toBe(403);
    expect(await statusOf(token, at.one, 'GET', '/other')).toBe(200);
    expectOk(await put([grant({ actions: ['token'] })]));
    expect(await statusOf(token, at.one)).toBe(404);
    expectOk(await put([{ actions: ['*'], integrations: ['*'], owners: ['*'] }]));
    expect(await statusOf(token, at.one)).toBe(200);
    expect(await statusOf(token, at.two)).toBe(404);
    expectProblem(await tokenOf(token, at.one), 403, 'forbidden');
  });

  test('a session with the action sessions makes narrower ones, three levels down, and ends them with itself', async () => {
    const { key } = await caller([grant()]);
    const first = await made(key, {
      actions: ['proxy', 'sessions'],
      paths: ['/items*'],
      ttl: 120,
      actor: { id: 'a1' },
    });
    expect(expectProblem(await create(first.token, { actions: ['token'] }), 403, 'forbidden').missing).toMatchObject({
      action: 'token',
    });
    expectProblem(await create(first.token, { owner: 'user_2' }), 403, 'forbidden');
    expectProblem(await create(first.token, { paths: ['/other'] }), 403, 'forbidden');
    const second = await made(first.token, { actions: ['proxy', 'sessions'], paths: ['/items/1*'], ttl: 3_600 });
    expect(second).toMatchObject({
      parent_id: first.id,
      expires_at: first.expires_at,
      actor: { id: 'a1', name: null },
    });
    const third = await made(second.token, { actions: ['proxy', 'sessions'] });
    expect(third).toMatchObject({ paths: ['/items/1*'] });
    expectIssues(await create(third.token), 'actions');
    expect(await statusOf(third.token, at.one, 'GET', '/items/12')).toBe(200);
    expect(await statusOf(third.token, at.one, 'GET', '/items/2')).toBe(403);
    const alone = await made(first.token);
    expectProblem(await create(alone.token), 403, 'forbidden');
    const seen = expectOk(await ask('GET', '/v1/sessions', undefined, second.token)).data as Json[];
    expect(seen.map(({ id }) => id)).toEqual([third.id, second.id]);
    expectProblem(await end(second.token, first), 404, 'not_found');

    expect(expectOk(await end(key, first))).toMatchObject({ status: 'ended', end_reason: 'revoked' });
    for (const one of [first, second, third, alone]) {
      expectProblem(await ask('GET', '/v1/whoami', undefined, one.token), 401, 'unauthenticated');
      expect(await statusOf(one.token, at.one)).toBe(401);
    }
    expect(expectOk(await ask('GET', `/v1/sessions/${third.id}`, undefined, key))).toMatchObject({
      end_reason: 'parent_ended',
    });
  });

  test('a session ends with its caller, with its key, and with its time; and says so', async () => {
    const { id, key, keyId } = await caller([grant()]);
    const second = expectOk(await ask('POST', `/v1/callers/${id}/keys`), 201);
    const [a, b] = [await made(key), await made(second.key)];
    for (const { token } of [a, b]) expect(await statusOf(token, at.one)).toBe(200);
    expect((await ask('DELETE', `/v1/callers/${id}/keys/${keyId}`)).status).toBe(204);
    expect(await statusOf(a.token, at.one)).toBe(401);
    expect(await statusOf(b.token, at.one)).toBe(200);
    const whyNot = async (token: unknown) =>
      expectProblem(await ask('GET', '/v1/whoami', undefined, token), 401, 'unauthenticated').reason;
    expect(await whyNot(a.token)).toBe('ended');
    expect((await ask('DELETE', `/v1/callers/${id}`)).status).toBe(204);
    expect(await whyNot(b.token)).toBe('ended');
    const of = async ({ id }: Json) => expectOk(await ask('GET', `/v1/sessions/${id}`)).end_reason;
    expect([await of(a), await of(b)]).toEqual(['key_deleted', 'caller_deleted']);

    const other = await caller([grant()]);
    const short = await made(other.key, { ttl: 10 });
    expect(await statusOf(short.token, at.one)).toBe(200);
    clock.advance(10_000);
    expect(await whyNot(short.token)).toBe('expired');
    // A clock that is set back brings nothing back.
    clock.advance(-10_000);
    expect(expectOk(await ask('GET', `/v1/sessions/${short.id}`)).status).toBe('active');
    const mistyped = `${String(short.token).slice(0, -1)}${String(short.token).endsWith('a') ? 'b' : 'a'}`;
    expect(await whyNot(mistyped)).toBe('mistyped');
    expect(await whyNot(String(short.token).slice(0, 20))).toBe('mistyped');
  });

  test('a call that runs when its session ends is broken off', async () => {
    const { key } = await caller([grant()]);
    const session = await made(key);
    const arrived = Promise.withResolvers<void>();
    setup.upstream.onHead = (request) => {
      request.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun');
      arrived.resolve();
    };
    const running = setup.open(String(at.one), 'GET', '/slow', { key: String(session.token) });
    await arrived.promise;
    const closed = setup.upstream.requests[0]?.closed;
    expectOk(await end(key, session));
    await closed;
    running.socket.destroy();
    setup.upstream.onHead = (request) => void request.socket.write(answer());
  });

  test('a stream of a session lasts no longer than the session', async () => {
    const { key } = await caller([grant()]);
    const session = await made(key, { ttl: 3 });
    const arrived = Promise.withResolvers<void>();
    setup.upstream.onHead = (request) => {
      request.socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n');
      arrived.resolve();
    };
    const running = setup.open(String(at.one), 'GET', '/stream', { key: String(session.token) });
    await arrived.promise;
    const begun = performance.now();
    await setup.upstream.requests[0]?.closed;
    // An idle stream is closed as well, after a minute.
    expect(performance.now() - begun).toBeLessThan(UPSTREAM_IDLE_TIMEOUT_MS / 2);
    running.socket.destroy();
    setup.upstream.onHead = (request) => void request.socket.write(answer());
  });

  test('max_uses is exact, however many requests come at once, and counts those of sessions below it', async () => {
    const { key } = await caller([grant()]);
    const session = await made(key, { actions: ['token', 'proxy', 'sessions'], max_uses: 6 });
    const below = await made(session.token, { actions: ['token'] });
    const all = await Promise.all([
      ...Array.from({ length: 4 }, () => tokenOf(session.token, at.one).then(({ status }) => status)),
      ...Array.from({ length: 4 }, () => tokenOf(below.token, at.one).then(({ status }) => status)),
      ...Array.from({ length: 2 }, () => statusOf(session.token, at.one)),
    ]);
    // The first was spent on making the one below.
    expect(all.filter((status) => status === 200)).toHaveLength(5);
    expect(all.filter((status) => status === 401)).toHaveLength(5);
    const { reason } = expectProblem(await tokenOf(session.token, at.one), 401, 'unauthenticated');
    expect(reason).toBe('used_up');
    expect(expectOk(await ask('GET', `/v1/sessions/${session.id}`, undefined, key))).toMatchObject({
      status: 'used_up',
      uses: 6,
    });
  });

  test('of sessions of any form, none reaches what its caller cannot', async () => {
    const { key } = await caller([
      grant({ actions: ['proxy', 'sessions'], methods: ['GET'], paths: ['/items*'] }),
      grant({ actions: ['proxy', 'sessions'], integrations: ['header'], owners: ['user_2'] }),
      grant({ actions: ['token'], integrations: ['bearer'], owners: ['user_2'] }),
    ]);
    const some = <T>(...of: T[]) => fc.uniqueArray(fc.constantFrom(...of), { minLength: 1, maxLength: 2 });
    const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined, freq: 2 });
    const wanted = fc.record({
      owner: fc.constantFrom('user_1', 'user_2'),
      integrations: some('bearer', 'header'),
      actions: some('proxy', 'token', 'sessions'),
      methods: maybe(some('GET', 'POST', '*')),
      paths: maybe(some('/items*', '/other', '*')),
    });
    const samples = fc.sample(wanted, { numRuns: 30, seed: 18 });
    const reach = async (by: unknown) => {
      const calls = [at.one, at.two, at.header].flatMap((id) => [
        statusOf(by, id, 'GET', '/items'),
        statusOf(by, id, 'POST', '/items'),
        statusOf(by, id, 'GET', '/other'),
        tokenOf(by, id).then(({ status }) => status),
      ]);
      return (await Promise.all(calls)).map((status) => status === 200);
    };
    const own = await reach(key);
    const created = (await Promise.all(samples.map((one) => create(key, one)))).filter(({ status }) => status === 201);
    expect(created.length).toBeGreaterThan(3);
    let reached = 0;
    for (const { body } of created)
      for (const [i, may] of (await reach(body.token)).entries()) {
        reached += Number(may);
        if (may) expect(own[i], JSON.stringify(body)).toBe(true);
      }
    expect(reached).toBeGreaterThan(3);
  });

  test('tools leave only calls whose tool the broker knows, and go with no token', async () => {
    const { key } = await caller([grant()]);
    expectIssues(await create(key, { actions: ['proxy', 'token'], tools: ['read_*'] }), 'tools');
    expectIssues(await create(key, { actions: ['token'], methods: ['GET'], paths: ['/a'] }), 'methods', 'paths');
    const { token } = await made(key, { tools: ['read_*'] });
    const { status, body } = await setup.call(String(at.one), 'POST', '/', { key: String(token) });
    expect([status, JSON.parse(body.toString()).missing]).toEqual([403, expect.objectContaining({ tool: '*' })]);
  });

  test('the time of a session is bounded by its caller, and its purpose has to be told', async () => {
    const { id, key } = await caller([grant()], { max_session_ttl: 300 });
    expect(expectOk(await ask('GET', `/v1/callers/${id}`)).max_session_ttl).toBe(300);
    expectIssues(await create(key, { ttl: 301 }), 'ttl');
    const lifeOf = ({ expires_at, created_at }: Json) =>
      (Date.parse(String(expires_at)) - Date.parse(String(created_at))) / 1_000;
    expect(lifeOf(await made(key))).toBe(300);
    expect(lifeOf(await made(undefined))).toBe(900);
    expectIssues(await create(key, { ttl: 3_601 }), 'ttl');
    for (const purpose of [undefined, '', ' ', 'a\nb', 'x'.repeat(501)])
      expectIssues(await create(key, { purpose }), 'purpose');
    expectIssues(await create(key, { actions: ['admin'] }), 'actions.0');
    const key_expires_at = new Date(clock.now() + 60_000).toISOString();
    const soon = await caller([grant()], { key_expires_at });
    expect((await made(soon.key)).expires_at).toBe(key_expires_at);
  });

  test('sessions are listed and ended by who made them, by who may make them, and by admins', async () => {
    const [mine, wide, narrow] = [
      await caller([grant()]),
      await caller([grant({ integrations: ['*'] })]),
      await caller([grant({ owners: ['user_2'] })]),
    ];
    const owner = 'user_listed';
    const sessions = [
      await made(mine.key, { owner }),
      await made(mine.key, { owner }),
      await made(wide.key, { owner, integrations: ['query'] }),
    ];
    const ids = sessions.map(({ id }) => id).reverse();
    const listed = async (key: unknown, limit = 1) => {
      const pages = await readPages((path) => ask('GET', path, undefined, key), `/v1/sessions?owner=${owner}`, limit);
      return pages.flat().map(({ id }) => id);
    };
    expect(await listed(mine.key)).toEqual(ids.slice(1));
    expect(await listed(wide.key, 2)).toEqual(ids);
    expect(await listed(narrow.key)).toEqual([]);
    expect(await listed(undefined)).toEqual(ids);
    const reader = await caller([{ actions: ['admin:read'], integrations: ['*'], owners: ['*'] }]);
    expect(await listed(reader.key)).toEqual(ids);
    expect(JSON.stringify(expectOk(await ask('GET', `/v1/sessions?owner=${owner}`)))).not.toContain('vs_');
    expectProblem(await end(narrow.key, sessions[0]!), 404, 'not_found');
    expectProblem(await end(reader.key, sessions[0]!), 403, 'forbidden');
    expectProblem(await end(undefined, { id: 'ses_none' }), 404, 'not_found');
    expectOk(await end(sessions[0]!.token, sessions[0]!));
    expect(expectOk(await end(mine.key, sessions[0]!)).status, 'a second time').toBe('ended');
    const ended = (key: unknown) => ask('DELETE', `/v1/sessions?owner=${owner}`, undefined, key);
    expectProblem(await ended(narrow.key), 403, 'forbidden');
    expect(expectOk(await ended(mine.key)).ended).toBe(1);
    expect(expectOk(await ended(undefined)).ended).toBe(1);
    expect((await listed(undefined)).length).toBe(3);
    expect(expectOk(await ask('GET', `/v1/sessions?owner=${owner}&status=active`)).data).toEqual([]);
  });

  test('neither pages nor cursors of a list tell of sessions that a caller or a session does not see', async () => {
    const mine = await caller([grant()]);
    const other = await caller([grant({ owners: ['user_2'] })]);
    const sessions = [];
    for (let n = 0; n < 3; n++) sessions.push(await made(mine.key, { actions: ['proxy', 'sessions'] }));
    const list = async (key: unknown, query: string) =>
      expectOk(await ask('GET', `/v1/sessions?limit=1&${query}`, undefined, String(key)));
    const nothing = { data: [], next_cursor: null };
    expect(await list(other.key, 'owner=user_1')).toEqual(nothing);
    expect(await list(other.key, `caller_id=${mine.id}`)).toEqual(nothing);
    const [first, second] = sessions as [Json, Json, Json];
    expect(await list(first.token, '')).toMatchObject({ data: [{ id: first.id }], next_cursor: null });
    const child = await made(second.token);
    expect(await list(second.token, '')).toMatchObject({ data: [{ id: child.id }], next_cursor: expect.any(String) });
    expect(await list(child.token, '')).toMatchObject({ data: [{ id: child.id }], next_cursor: null });
  });

  test('the audit log says which agent did what, for whom and why', async () => {
    const { id, key } = await caller([grant()]);
    const actor = { id: 'spiffe://acme.example/agents/summary', name: 'Summary agent' };
    const session = await made(key, { actor, purpose: 'summarise ticket 42' });
    expect(await statusOf(session.token, at.one)).toBe(200);
    expect(await statusOf(session.token, at.header)).toBe(404);
    expectOk(await end(key, session));
    const entries = async () => expectOk(await ask('GET', `/v1/audit?session=${session.id}`)).data as Json[];
    await expect.poll(async () => (await entries()).length, { timeout: 30_000 }).toBe(4);
    const all = await entries();
    for (const one of all)
      expect(one).toMatchObject({
        actor: id,
        session: session.id,
        agent: actor,
        purpose: 'summarise ticket 42',
        owner: 'user_1',
      });
    expect(all.map(({ action, key_id }) => [action, key_id]).sort()).toEqual(
      [
        ['session.created', expect.stringMatching(/^key_/)],
        ['session.ended', expect.stringMatching(/^key_/)],
        ['proxy.called', session.id],
        ['access.denied', session.id],
      ].sort(),
    );
    const secret: Answer = await ask('GET', `/v1/audit?limit=500`);
    expect(JSON.stringify(secret.body)).not.toContain(String(session.token).slice(0, 20));
  });
});
