// Two-phase connect: who clicks a link need not be who made it. Nothing is connected before the app says who is signed in.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../../demo/browser.ts';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../../support/contract.ts';
import {
  connectionsOf,
  createConnectSession,
  expectErrorPage,
  newOwner,
  type Page,
  queryDatabase,
  readDatabaseFiles,
  sessionOf,
  visit,
} from '../../support/owner-browser.ts';
import { confirmed, createPkce, RETURN_URL, startTwoPhase, type TwoPhase } from '../../support/two-phase.ts';

const SOON = { interval: 20, timeout: 30_000 };
const FORGED = 'A'.repeat(43);

let it: TwoPhase;
beforeAll(async () => {
  it = await startTwoPhase();
});
afterAll(() => it.close());
beforeEach(() => {
  it.login = 'ada';
  it.onCode = undefined;
  it.provider.received.length = 0;
});

const audited = async (action: string, owner: string): Promise<Json[]> =>
  (await it.broker.ask('GET', `/v1/audit?action=${action}&owner=${owner}`)).body.data as Json[];
const candidates = (id: string) => queryDatabase(it.broker, 'select * from candidates where session_id = ?', id);
const cancel = (id: string) => it.broker.ask('DELETE', `/v1/connect-sessions/${id}`);

/** The app hears that the session is cancelled. */
function expectCancelled({ location, text }: Page, id: string): void {
  expect(location, text).toMatch(RETURN_URL);
  const { searchParams } = new URL(location!);
  expect(Object.fromEntries(searchParams)).toEqual({
    tab: '2',
    status: 'error',
    connect_session_id: id,
    error: 'invitation_cancelled',
  });
}

/** Nothing is served or listed, and what the provider granted is revoked there and destroyed here. */
async function expectGivenUp(owner: string, id: string, login: string): Promise<void> {
  expect(await it.served(owner)).toBeUndefined();
  expect(await connectionsOf(it.broker, owner)).toEqual([]);
  await expect.poll(it.revoked, SOON).toContainEqual(expect.stringMatching(`^rt-${login}-`));
  if (process.env.VALETKEY_TEST_STORE !== 'postgres') expect(candidates(id)).toEqual([]);
}

describe('a two-phase session', () => {
  test('is finished by the app: until then nothing is served, listed, or in plain text', async () => {
    const { owner, link, finishCode, url } = await it.confirm({ display_owner: 'Ada Lovelace' });
    expect(Object.fromEntries(url.searchParams)).toEqual({
      tab: '2',
      status: 'confirm',
      connect_session_id: link.id,
      finish_code: finishCode,
    });
    expect(await sessionOf(it.broker, link)).toMatchObject({
      status: 'awaiting_finish',
      finish: true,
      display_owner: 'Ada Lovelace',
      account: null,
    });
    expect(await it.served(owner)).toBeUndefined();
    expect(await connectionsOf(it.broker, owner)).toEqual([]);
    if (process.env.VALETKEY_TEST_STORE !== 'postgres') {
      const files = await readDatabaseFiles(it.broker);
      for (const secret of [finishCode, 'at-ada-', 'rt-ada-']) expect(files).not.toContain(secret);
    }

    const finished = expectOk(await it.finish(link.id, { finish_code: finishCode, owner }));
    const account = { issuer: `${it.provider.url}/me`, id: 'ada', name: null };
    expect(finished).toEqual({ status: 'completed', connection_id: expect.stringMatching(/^con_/), account });
    expect(await it.served(owner)).toMatch(/^at-ada-/);
    const { connection_id } = finished;
    expect(await sessionOf(it.broker, link)).toMatchObject({ status: 'completed', connection_id, account });
    expect(await connectionsOf(it.broker, owner)).toMatchObject([{ id: connection_id, account }]);
    expect(await audited('connect_session.awaiting_finish', owner)).toMatchObject([{ actor: 'browser' }]);
    expect(await audited('connection.created', owner)).toMatchObject([{ actor: 'clr_admin', detail: link.id }]);
    expect(it.revoked()).toEqual([]);
  });

  test('answers the same again for the same code, and refuses another one', async () => {
    const { owner, link, finishCode } = await it.confirm();
    const first = expectOk(await it.finish(link.id, { finish_code: finishCode, owner }));
    expect(expectOk(await it.finish(link.id, { finish_code: finishCode, owner }))).toEqual(first);
    expectProblem(await it.finish(link.id, { finish_code: FORGED, owner }), 400, 'invalid_finish_code');
    const refused = await it.finish(link.id, { finish_code: finishCode, owner: 'bob' });
    expect(expectProblem(refused, 403, 'owner_mismatch').detail).toContain('their connection stays as it is');
    expect(expectOk(await it.finish(link.id, { finish_code: finishCode, owner }))).toEqual(first);
    expect(await it.served(owner)).toMatch(/^at-ada-/);
  });

  test('is finished once by five requests at once', async () => {
    const { owner, link, finishCode } = await it.confirm();
    const body = { finish_code: finishCode, owner };
    const answers = await Promise.all(Array.from({ length: 5 }, () => it.finish(link.id, body)));
    const ids = new Set(answers.map((answer) => expectOk(answer).connection_id));
    expect(ids.size).toBe(1);
    expect(await connectionsOf(it.broker, owner)).toHaveLength(1);
    expect(await audited('connection.created', owner)).toHaveLength(1);
  });

  test('gives its browser the same code again, and no other one', async () => {
    const { owner, link, jar, finishCode } = await it.confirm();
    const again = confirmed(await visit(link.url, jar)).searchParams;
    expect([again.get('finish_code'), again.get('connect_session_id')]).toEqual([finishCode, link.id]);
    expect((await visit(link.url)).location ?? '').not.toContain('finish_code');
    expectOk(await it.finish(link.id, { finish_code: finishCode, owner }));
    expect((await visit(link.url, jar)).location ?? '').not.toContain('finish_code');
  });

  test('is not ready before the consent', async () => {
    const owner = newOwner();
    const link = await createConnectSession(it.broker, { finish: true, return_url: RETURN_URL, owner });
    expectProblem(await it.finish(link.id, { finish_code: FORGED, owner }), 409, 'not_ready');
  });

  test('needs a return_url; without finish, there is nothing to finish', async () => {
    const owner = newOwner();
    const create = (more: Json) =>
      it.broker.ask('POST', '/v1/connect-sessions', { integration: 'acme', owner, ...more });
    expectIssues(await create({ finish: true }), 'return_url');
    expectIssues(await create({ code_challenge: FORGED }), 'code_challenge');
    expect((await create({ finish: true, return_url: RETURN_URL, code_challenge_method: 'plain' })).status).toBe(400);
    const link = await createConnectSession(it.broker, { owner, return_url: RETURN_URL });
    expectProblem(await it.finish(link.id, { finish_code: FORGED, owner }), 400, 'invalid_request');
    expectProblem(await it.finish('cs_none', { finish_code: FORGED, owner }), 404, 'not_found');
  });

  test('is required by an integration that says so', async () => {
    const wanted = { integration: 'strict', owner: newOwner(), return_url: RETURN_URL };
    expectIssues(await it.broker.ask('POST', '/v1/connect-sessions', wanted), 'finish');
    expectIssues(await it.broker.ask('POST', '/v1/connect-sessions', { ...wanted, finish: false }), 'finish');
    const { owner, link, finishCode } = await it.confirm(wanted);
    expectOk(await it.finish(link.id, { finish_code: finishCode, owner }));
    const { require_finish, ...setup } = expectOk(await it.broker.ask('GET', '/v1/integrations/strict'));
    expect(require_finish).toBe(true);
    // Links without it that are open already end with the change.
    const { provider, client_id, params, return_origins } = setup;
    const later = { provider, client_id, client_secret: 's', params, return_origins };
    const put = (required: boolean) =>
      it.broker.ask('PUT', '/v1/integrations/later', { ...later, require_finish: required });
    expectOk(await put(false), 201);
    const links = await Promise.all([0, 1].map(() => createConnectSession(it.broker, { integration: 'later' })));
    const jar = createCookieJar();
    const callback = await it.open(links[0]!, jar);
    expectOk(await put(true));
    expectErrorPage(await visit(links[1]!.url), 410, 'invitation_cancelled', links[1]!.url);
    expectErrorPage(await visit(callback, jar), 410, 'invitation_cancelled', callback);
  });
});

describe('an attack on the finish', () => {
  test("Mallory's link, opened by Bob: the app refuses Bob, and Bob's grant is given up", async () => {
    it.login = 'bob';
    const { owner: mallory, link, finishCode } = await it.confirm();
    const bob = newOwner();
    const body = expectProblem(
      await it.finish(link.id, { finish_code: finishCode, owner: bob }),
      403,
      'owner_mismatch',
    );
    expect(body.detail).toContain('Nothing was connected');
    expect(JSON.stringify(body)).not.toContain(mallory);
    await expectGivenUp(mallory, link.id, 'bob');
    expect(await sessionOf(it.broker, link)).toMatchObject({
      status: 'failed',
      error: 'owner_mismatch',
      account: null,
    });
    // Nor does it work afterwards, whoever asks.
    for (const owner of [mallory, bob])
      expectProblem(await it.finish(link.id, { finish_code: finishCode, owner }), 410, 'session_expired');
    expect(await audited('connect_session.finish_refused', mallory)).toMatchObject([
      { detail: `${link.id} owner_mismatch` },
    ]);
    expect(await audited('connect_session.candidate_destroyed', mallory)).toHaveLength(1);
  });

  test('a forged code three times: refused, and the grant is given up', async () => {
    const { owner, link, finishCode } = await it.confirm();
    for (const left of [2, 1, 0]) {
      const answer = await it.finish(link.id, { finish_code: FORGED, owner });
      expect(expectProblem(answer, 400, 'invalid_finish_code').attempts_left).toBe(left);
    }
    expectProblem(await it.finish(link.id, { finish_code: finishCode, owner }), 410, 'session_expired');
    await expectGivenUp(owner, link.id, 'ada');
    expect(await audited('connect_session.finish_refused', owner)).toHaveLength(3);
  });

  test('forged codes at once get no more than three attempts', async () => {
    const { owner, link, finishCode } = await it.confirm();
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => it.finish(link.id, { finish_code: FORGED, owner })),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([400, 410].slice(0, answers.length)));
    expectProblem(await it.finish(link.id, { finish_code: finishCode, owner }), 410, 'session_expired');
  });

  test('the code of another session is refused', async () => {
    const [one, other] = [await it.confirm(), await it.confirm()];
    const stolen = { finish_code: other.finishCode, owner: one.owner };
    expectProblem(await it.finish(one.link.id, stolen), 400, 'invalid_finish_code');
    expectOk(await it.finish(one.link.id, { finish_code: one.finishCode, owner: one.owner }));
  });

  test('a verifier that is missing, wrong, or that nothing asked for is refused; the third one ends it', async () => {
    const { verifier, challenge } = createPkce();
    const pkce = { code_challenge: challenge, code_challenge_method: 'S256' };
    const good = await it.confirm(pkce);
    const body = { finish_code: good.finishCode, owner: good.owner };
    expectProblem(await it.finish(good.link.id, body), 400, 'invalid_code_verifier');
    const challengeAsVerifier = { ...body, code_verifier: challenge };
    expectProblem(await it.finish(good.link.id, challengeAsVerifier), 400, 'invalid_code_verifier');
    expectOk(await it.finish(good.link.id, { ...body, code_verifier: verifier }));

    const bad = await it.confirm(pkce);
    for (const code_verifier of [undefined, 'x', createPkce().verifier]) {
      const answer = await it.finish(bad.link.id, { finish_code: bad.finishCode, owner: bad.owner, code_verifier });
      expectProblem(answer, 400, 'invalid_code_verifier');
    }
    await expectGivenUp(bad.owner, bad.link.id, 'ada');

    const bare = await it.confirm();
    const unasked = { finish_code: bare.finishCode, owner: bare.owner, code_verifier: verifier };
    expectProblem(await it.finish(bare.link.id, unasked), 400, 'invalid_code_verifier');
  });

  test('a caller without the right for it cannot finish, read, list or cancel it', async () => {
    const { owner, link, finishCode } = await it.confirm();
    const keys = await Promise.all([
      it.broker.callerKey({ actions: ['connections:write'], owners: ['someone-else'] }),
      it.broker.callerKey({ actions: ['connections:write'], integrations: ['whole'] }),
      it.broker.callerKey({ actions: ['connections:read', 'token'] }),
    ]);
    for (const key of keys) {
      const answers = [
        await it.finish(link.id, { finish_code: finishCode, owner }, key),
        await it.broker.ask('GET', `/v1/connect-sessions/${link.id}`, undefined, key),
        await it.broker.ask('DELETE', `/v1/connect-sessions/${link.id}`, undefined, key),
      ];
      for (const { status } of answers) expect([403, 404]).toContain(status);
      const list = await it.broker.ask('GET', '/v1/connect-sessions?limit=500', undefined, key);
      expect(JSON.stringify(list.body)).not.toContain(link.id);
    }
    const other = await it.broker.callerKey({ actions: ['connections:write'], integrations: ['acme'] });
    expectOk(await it.finish(link.id, { finish_code: finishCode, owner }, other));
  });

  test('a session row that was changed in the database is not finished', async () => {
    if (process.env.VALETKEY_TEST_STORE === 'postgres') return;
    const { link, finishCode } = await it.confirm();
    const mallory = newOwner();
    queryDatabase(it.broker, 'update connect_sessions set owner = ? where id = ?', mallory, link.id);
    const answer = await it.finish(link.id, { finish_code: finishCode, owner: mallory });
    expectProblem(answer, 404, 'not_found');
    expect(await it.served(mallory)).toBeUndefined();
    const other = await it.confirm();
    const digest = createHash('sha256').update(FORGED).digest('hex');
    queryDatabase(it.broker, 'update connect_sessions set finish_digest = ? where id = ?', digest, other.link.id);
    const forged = await it.finish(other.link.id, { finish_code: FORGED, owner: other.owner });
    expectProblem(forged, 410, 'session_expired');
    expect(await it.served(other.owner)).toBeUndefined();
  });

  test('a second consent for the same link brings nothing', async () => {
    const owner = newOwner();
    const link = await createConnectSession(it.broker, { finish: true, return_url: RETURN_URL, owner });
    const jar = createCookieJar();
    const [one, other] = [await it.open(link, jar), await it.open(link, jar)];
    const finishCode = confirmed(await visit(one, jar)).searchParams.get('finish_code')!;
    it.login = 'eve';
    // The browser is shown how the session ended; the code of the second consent is not spent.
    expect(confirmed(await visit(other, jar)).searchParams.get('finish_code')).toBe(finishCode);
    expectOk(await it.finish(link.id, { finish_code: finishCode, owner }));
    expect(await it.served(owner)).toMatch(/^at-ada-/);
    expect(it.provider.received.filter(({ form }) => form.get('grant_type') === 'authorization_code')).toHaveLength(1);
  });
});

describe('a renewal that waits for its finish', () => {
  /** What other tests gave up may still be on its way to the provider. */
  const revokedOf = (login: string) => it.revoked().filter((token) => token.includes(`-${login}-`));

  async function connected(login = 'ada', wanted: Json = {}) {
    it.login = login;
    const { owner, link, finishCode } = await it.confirm(wanted);
    const { connection_id } = expectOk(await it.finish(link.id, { finish_code: finishCode, owner }));
    return { owner, id: String(connection_id) };
  }

  test('keeps serving the old grant, and renews the connection under its id', async () => {
    const { owner, id } = await connected();
    const before = await it.served(owner);
    const { link, finishCode } = await it.confirm({ owner, connection_id: id });
    expect(await it.served(owner)).toBe(before);
    const body = expectOk(await it.finish(link.id, { finish_code: finishCode, owner }));
    expect(body.connection_id).toBe(id);
    expect(await it.served(owner)).not.toBe(before);
  });

  test('of another account is a mismatch at the callback, and given up', async () => {
    const { owner, id } = await connected();
    const before = await it.served(owner);
    it.login = 'eve';
    const link = await createConnectSession(it.broker, { finish: true, return_url: RETURN_URL, owner });
    const jar = createCookieJar();
    const { location } = await visit(await it.open(link, jar), jar);
    const { searchParams } = new URL(location!);
    expect(searchParams.get('error')).toBe('identity_mismatch');
    expect(searchParams.get('connect_session_id')).toBe(link.id);
    await expect.poll(it.revoked, SOON).toContainEqual(expect.stringMatching(/^rt-eve-/));
    expect(await it.served(owner)).toBe(before);
    expect(await connectionsOf(it.broker, owner)).toMatchObject([{ id, status: 'active' }]);
  });

  test('is judged again when it is finished: the place was taken by another account meanwhile', async () => {
    it.login = 'eve';
    const { owner, link, finishCode } = await it.confirm();
    const { id } = await connected('ada', { owner });
    const before = await it.served(owner);
    const answer = await it.finish(link.id, { finish_code: finishCode, owner });
    expect(expectProblem(answer, 409, 'identity_mismatch').connection_id).toBe(id);
    await expect.poll(it.revoked, SOON).toContainEqual(expect.stringMatching(/^rt-eve-/));
    expect(await it.served(owner)).toBe(before);
    expect(await sessionOf(it.broker, link)).toMatchObject({ status: 'failed', error: 'identity_mismatch' });
  });

  test('is cancelled when the connection is revoked, and brings nothing back', async () => {
    const { owner, id } = await connected();
    const waiting = [await it.confirm({ owner, connection_id: id }), await it.confirm({ owner })];
    expectOk(await it.broker.ask('DELETE', `/v1/connections/${id}`));
    for (const { link, finishCode } of waiting)
      expectProblem(await it.finish(link.id, { finish_code: finishCode, owner }), 410, 'session_expired');
    expect(await it.served(owner)).toBeUndefined();
  });

  test('that is burnt does not end the grant of a live connection of the same account', async () => {
    const { owner } = await connected('joe', { integration: 'whole' });
    it.login = 'joe';
    const { link, owner: mallory, finishCode } = await it.confirm({ integration: 'whole' });
    const answer = await it.finish(link.id, { finish_code: finishCode, owner });
    expectProblem(answer, 403, 'owner_mismatch');
    const upstream = () => audited('connection.revoked_upstream', mallory);
    await expect.poll(upstream, SOON).toMatchObject([{ detail: 'kept_for_other_connection' }]);
    expect(revokedOf('joe')).toEqual([]);
    expect(await it.served(owner, 'whole')).toMatch(/^at-joe-/);
  });

  test('keeps a revocation of the same account waiting that would end its grant', async () => {
    const { id } = await connected('kim', { integration: 'whole' });
    it.login = 'kim';
    const { owner, link, finishCode } = await it.confirm({ integration: 'whole' });
    const { upstream_revocation } = expectOk(await it.broker.ask('DELETE', `/v1/connections/${id}`));
    expect(upstream_revocation).toBe('pending');
    expectOk(await it.finish(link.id, { finish_code: finishCode, owner }));
    expect(revokedOf('kim')).toEqual([]);
    expect(await it.served(owner, 'whole')).toMatch(/^at-kim-/);
  });
});

describe('a session that is cancelled', () => {
  test('sends its browser back or shows it a page, at the link and at the callback, whose grant is revoked', async () => {
    for (const finish of [true, false]) {
      const owner = newOwner();
      it.login = `late-${finish}`;
      const link = await createConnectSession(it.broker, { owner, ...(finish && { finish, return_url: RETURN_URL }) });
      const jar = createCookieJar();
      const callback = await it.open(link, jar);
      // The cancel arrives while the code is being exchanged.
      it.onCode = async () => {
        it.onCode = undefined;
        expect(expectOk(await cancel(link.id))).toMatchObject({ status: 'cancelled' });
        return { body: { access_token: `at-${it.login}-9`, refresh_token: `rt-${it.login}-9`, token_type: 'Bearer' } };
      };
      for (const url of [callback, link.url])
        if (finish) expectCancelled(await visit(url, jar), link.id);
        else expectErrorPage(await visit(url, jar), 410, 'invitation_cancelled', url);
      await expectGivenUp(owner, link.id, it.login);
      expect(await sessionOf(it.broker, link)).toMatchObject({ status: 'cancelled' });
      expect(expectOk(await cancel(link.id))).toMatchObject({ status: 'cancelled' });
      expect(await audited('connect_session.cancelled', owner)).toHaveLength(1);
    }
  });

  test('while it waits for its finish, is given up; one that is finished stays so', async () => {
    const { owner, link, finishCode } = await it.confirm();
    expectOk(await cancel(link.id));
    expectProblem(await it.finish(link.id, { finish_code: finishCode, owner }), 410, 'session_expired');
    await expectGivenUp(owner, link.id, 'ada');
    const other = await it.confirm();
    expectOk(await it.finish(other.link.id, { finish_code: other.finishCode, owner: other.owner }));
    expect(expectOk(await cancel(other.link.id))).toMatchObject({ status: 'completed' });
    expect(await it.served(other.owner)).toMatch(/^at-/);
  });

  test('and finished at once is either the one or the other', async () => {
    for (let n = 0; n < 6; n++) {
      const { owner, link, finishCode } = await it.confirm();
      const finish = () => it.finish(link.id, { finish_code: finishCode, owner });
      const [finished, cancelled] =
        n % 2 === 0
          ? await Promise.all([finish(), cancel(link.id)])
          : (await Promise.all([cancel(link.id), finish()])).reverse();
      const { status } = await sessionOf(it.broker, link);
      expect([finished!.status, cancelled!.status, status]).toEqual(
        finished!.status === 200 ? [200, 200, 'completed'] : [410, 200, 'cancelled'],
      );
      expect(await connectionsOf(it.broker, owner)).toHaveLength(status === 'completed' ? 1 : 0);
    }
  });

  test('by a bulk revocation of its owner or its integration', async () => {
    const owner = newOwner();
    const waiting = await it.confirm({ owner, integration: 'whole' });
    const invited = await createConnectSession(it.broker, { owner });
    const others = await it.confirm();
    expectOk(await it.broker.ask('POST', '/v1/connections/revoke', { owner }));
    expect(await sessionOf(it.broker, waiting.link)).toMatchObject({ status: 'cancelled' });
    expectErrorPage(await visit(invited.url), 410, 'invitation_cancelled', invited.url);
    expectProblem(await it.finish(waiting.link.id, { finish_code: waiting.finishCode, owner }), 410, 'session_expired');
    expect(await sessionOf(it.broker, others.link)).toMatchObject({ status: 'awaiting_finish' });
    expectOk(await it.broker.ask('POST', '/v1/connections/revoke', { integration: 'acme' }));
    expect(await sessionOf(it.broker, others.link)).toMatchObject({ status: 'cancelled' });
  });

  test.each(['caller', 'key', 'key of the file'])('by the deletion of the %s that created it', async (what) => {
    const grants = [{ actions: ['*'], integrations: ['*'], owners: ['*'] }];
    const declared = { id: `clr_app_${what.length}`, name: `app ${what.length}`, grants };
    const key = what.endsWith('file') ? `declared-key-${'x'.repeat(32)}` : undefined;
    const apply = (keys: string[]) => it.broker.ask('POST', '/v1/apply', { callers: [{ ...declared, keys }] });
    const made = key ? undefined : expectOk(await it.broker.ask('POST', '/v1/callers', { name: 'app', grants }), 201);
    if (key) expectOk(await apply([key]));
    const asCaller = (body: Json) => it.broker.ask('POST', '/v1/connect-sessions', body, String(made?.key ?? key));
    const owner = newOwner();
    const body = { integration: 'acme', owner, finish: true, return_url: RETURN_URL };
    const [opened, consented] = [expectOk(await asCaller(body), 201), expectOk(await asCaller(body), 201)];
    const jar = createCookieJar();
    const link = { id: String(consented.id), url: String(consented.url) };
    it.login = `of-${what.length}`;
    const finishCode = confirmed(await visit(await it.open(link, jar), jar)).searchParams.get('finish_code')!;
    const half = await it.open({ id: String(opened.id), url: String(opened.url) }, jar);
    if (key) expectOk(await apply([`another-key-${'y'.repeat(32)}`]));
    else if (what === 'caller')
      expect((await it.broker.ask('DELETE', `/v1/callers/${made?.id}`)).status).toBeLessThan(300);
    else {
      const { body: caller } = await it.broker.ask('GET', `/v1/callers/${made?.id}`);
      const [{ id }] = caller.keys as [Json];
      expect((await it.broker.ask('DELETE', `/v1/callers/${made?.id}/keys/${id}`)).status).toBeLessThan(300);
    }
    for (const url of [String(opened.url), half]) expectCancelled(await visit(url, jar), String(opened.id));
    expectProblem(await it.finish(link.id, { finish_code: finishCode, owner }), 410, 'session_expired');
    await expect.poll(it.revoked, SOON).toContainEqual(expect.stringMatching(`^rt-${it.login}-`));
  });
});

test('a caller that is deleted while it sends its request creates no session', async () => {
  const grants = [{ actions: ['*'], integrations: ['*'], owners: ['*'] }];
  const made = expectOk(await it.broker.ask('POST', '/v1/callers', { name: 'slow', grants }), 201);
  const owner = newOwner();
  const body = JSON.stringify({ integration: 'acme', owner });
  const answer = Promise.withResolvers<number | undefined>();
  const sending = request(new URL('/v1/connect-sessions', it.broker.url), {
    method: 'POST',
    headers: {
      authorization: `Bearer ${made.key}`,
      'content-type': 'application/json',
      'content-length': body.length,
      expect: '100-continue',
    },
  });
  sending.on('response', (response) => answer.resolve(response.resume().statusCode)).on('error', answer.reject);
  sending.flushHeaders();
  await once(sending, 'continue');
  sending.write(body.slice(0, 5));
  expect((await it.broker.ask('DELETE', `/v1/callers/${made.id}`)).status).toBe(204);
  sending.end(body.slice(5));
  expect(await answer.promise).toBe(401);
  const list = expectOk(await it.broker.ask('GET', `/v1/connect-sessions?owner=${owner}`));
  expect(list.data).toEqual([]);
});

describe('the list of sessions', () => {
  test('is narrowed, filtered and paged, and shows no link and no code', async () => {
    const owner = newOwner();
    const made = [await it.confirm({ owner }), await it.confirm({ owner, label: 'work' })];
    const invited = await createConnectSession(it.broker, { owner, label: 'home' });
    const ids = [...made.map(({ link }) => link.id), invited.id];
    const list = async (query: string, key?: string) =>
      expectOk(await it.broker.ask('GET', `/v1/connect-sessions?${query}`, undefined, key));
    const idsOf = (body: Json) => (body.data as Json[]).map(({ id }) => id);
    const all = await list(`owner=${owner}`);
    expect(idsOf(all)).toEqual(ids);
    expect(JSON.stringify(all)).not.toContain(made[0]!.finishCode);
    expect(JSON.stringify(all)).not.toContain('/connect/');
    expect(idsOf(await list(`owner=${owner}&status=pending`))).toEqual([invited.id]);
    expect(idsOf(await list(`owner=${owner}&status=awaiting_finish&integration=acme`))).toEqual(ids.slice(0, 2));
    expect(idsOf(await list(`owner=${owner}&integration=whole`))).toEqual([]);
    const first = await list(`owner=${owner}&limit=2`);
    expect(idsOf(first)).toEqual(ids.slice(0, 2));
    expect(idsOf(await list(`owner=${owner}&limit=2&cursor=${first.next_cursor}`))).toEqual([invited.id]);
    const key = await it.broker.callerKey({ actions: ['connections:write'], owners: [owner] });
    expect(idsOf(await list('', key))).toEqual(ids);
  });
});

describe('the return_url', () => {
  test('is always called with the session', async () => {
    const jar = createCookieJar();
    const link = await createConnectSession(it.broker, { return_url: RETURN_URL, owner: newOwner() });
    const success = new URL((await visit(await it.open(link, jar), jar)).location!).searchParams;
    expect([success.get('status'), success.get('connect_session_id')]).toEqual(['success', link.id]);
    const refused = await createConnectSession(it.broker, { return_url: RETURN_URL, owner: newOwner(), finish: true });
    const callback = new URL(await it.open(refused, jar));
    callback.searchParams.delete('code');
    callback.searchParams.set('error', 'access_denied');
    const error = new URL((await visit(callback, jar)).location!).searchParams;
    expect([error.get('status'), error.get('error'), error.get('connect_session_id')]).toEqual([
      'error',
      'access_denied',
      refused.id,
    ]);
  });
});

describe.skipIf(process.env.VALETKEY_TEST_STORE === 'postgres')('with two replicas', () => {
  let other: TestBroker;
  beforeAll(async () => {
    const { database, adminKey } = it.broker;
    other = await startTestBroker({ VALETKEY_DATABASE_URL: `file:${database}`, VALETKEY_ADMIN_KEY: adminKey });
  });
  afterAll(() => other.stop());

  test('finishes at both at once are one', async () => {
    const { owner, link, finishCode } = await it.confirm();
    const path = `/v1/connect-sessions/${link.id}/finish`;
    const body = { finish_code: finishCode, owner };
    const brokers = [it.broker, other, it.broker, other];
    const answers = await Promise.all(brokers.map((broker) => broker.ask('POST', path, body, it.broker.adminKey)));
    expect(new Set(answers.map((answer) => expectOk(answer).connection_id)).size).toBe(1);
    expect(await connectionsOf(it.broker, owner)).toHaveLength(1);
  });

  test('what one cancels, the other neither opens nor finishes', async () => {
    const { owner, link, finishCode } = await it.confirm();
    const invited = await createConnectSession(it.broker, { owner });
    expectOk(await it.broker.ask('POST', '/v1/connections/revoke', { owner }));
    const body = { finish_code: finishCode, owner };
    const answer = await other.ask('POST', `/v1/connect-sessions/${link.id}/finish`, body, it.broker.adminKey);
    expectProblem(answer, 410, 'session_expired');
    const there = invited.url.replace(it.broker.url, other.url);
    expectErrorPage(await visit(there), 410, 'invitation_cancelled', there);
  });
});

describe('a finish code', () => {
  test('that is too old is refused, and its grant given up by the broker itself', async () => {
    it.login = 'slow';
    const done = await it.confirm({ integration: 'whole' });
    expectOk(await it.finish(done.link.id, { finish_code: done.finishCode, owner: done.owner }));
    const { owner, link, finishCode } = await it.confirm();
    it.advance(10 * 60_000 + 1_000);
    expectProblem(await it.finish(link.id, { finish_code: finishCode, owner }), 410, 'session_expired');
    await expectGivenUp(owner, link.id, 'slow');
    expect(await sessionOf(it.broker, link)).toMatchObject({ status: 'expired' });
    const late = { finish_code: done.finishCode, owner: done.owner };
    expectProblem(await it.finish(done.link.id, late), 410, 'session_expired');
  });
});
