// Revoking works whatever is broken: the token is refused here at once, and what cannot be delivered is retried or failed.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Answer, Json } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { newOwner, queryDatabase } from '../support/owner-browser.ts';
import { type ScriptedResponse, type ScriptedServer, startScriptedServer } from '../support/scripted-server.ts';

const DAY = 24 * 3_600_000;
const SOON = { interval: 20, timeout: 30_000 };

let testSetup: TestSetup;
let server: ScriptedServer;
/** What the revocation endpoint at this path answers. */
let answers: Record<string, ScriptedResponse>;
beforeAll(async () => {
  [testSetup, server] = await Promise.all([startTestSetup(), startScriptedServer(({ path }) => answers[path] ?? {})]);
});
beforeEach(() => {
  answers = {};
});
afterAll(() => Promise.all([testSetup.close(), server.close()]));

const ask = (method: string, path: string, body?: Json): Promise<Answer> => testSetup.broker.ask(method, path, body);
const revoke = (id: string): Promise<Answer> => ask('DELETE', `/v1/connections/${id}`);
const outcomeOf = async (id: string) => expectOk(await ask('GET', `/v1/connections/${id}`)).upstream_revocation;
const read = (id: string): Promise<Answer> => ask('GET', `/v1/connections/${id}/token`);
const sql = (statement: string, ...values: unknown[]) => queryDatabase(testSetup.broker, statement, ...values);
/** The tokens that this revocation endpoint was sent. */
const receivedAt = (path: string) =>
  server.received.filter((one) => one.path === path).map(({ form }) => form.get('token'));

let integrations = 0;
/** An integration with a revocation endpoint of its own; its id is the path. */
async function anIntegration(): Promise<string> {
  const id = `i${++integrations}`;
  const params = Object.fromEntries(
    ['authorization', 'token', 'revocation'].map((name) => [`${name}_url`, `${server.url}/${id}`]),
  );
  const setup = { provider: 'generic-oauth2', client_id: 'me', client_secret: 'my-secret', params };
  expectOk(await ask('PUT', `/v1/integrations/${id}`, setup), 201);
  return id;
}

async function aConnection(integration: string, owner = newOwner()): Promise<string> {
  const credentials = { access_token: `at-${owner}`, refresh_token: `rt-${owner}` };
  const id = String(expectOk(await ask('POST', '/v1/connections', { integration, owner, credentials }), 201).id);
  expectOk(await read(id));
  return id;
}

describe('revoking with something broken: refused here at once', () => {
  const broken: [what: string, change: (integration: string) => unknown][] = [
    [
      'a client secret that cannot be decrypted',
      (id) => sql(`update integrations set client_secret = 'v1.k1.AAAA.BBBB' where id = ?`, id),
    ],
    ['a provider that the catalogue lacks', (id) => sql(`update integrations set provider = 'gone' where id = ?`, id)],
    ['a mode that the provider lacks', (id) => sql(`update integrations set params = '{"mode":"x"}' where id = ?`, id)],
    [
      'parameters that the catalogue does not accept any more',
      (id) => sql(`update integrations set version = 2, params = '{"token_url":"ftp://x"}' where id = ?`, id),
    ],
    [
      'a URL that is none',
      (id) => sql(`update integrations set version = 2, overrides = '{"revocation_url":"x y"}' where id = ?`, id),
    ],
    ['an integration that cannot be read', (id) => sql(`update integrations set overrides = '{' where id = ?`, id)],
    ['no integration', (id) => sql('delete from integrations where id = ?', id)],
  ];

  test.each(broken)('%s', async (what, breakIt) => {
    const integration = await anIntegration();
    const id = await aConnection(integration);
    const row = queryDatabase<Json>(testSetup.broker, 'select * from integrations where id = ?', integration)[0]!;
    breakIt(integration);
    const { upstream_revocation: upstream } = expectOk(await revoke(id));
    expectProblem(await read(id), 410, 'connection_revoked');
    expect(upstream).toBe('pending');
    expectOk(await revoke(id));

    if (what !== 'no integration') sql('delete from integrations where id = ?', integration);
    const names = Object.keys(row);
    sql(`insert into integrations (${names}) values (${names.map(() => '?')})`, ...Object.values(row));
    testSetup.advance(60_000);
    await expect.poll(() => outcomeOf(id), SOON).toBe('done');
    expect(receivedAt(`/${integration}`)).toHaveLength(2);
  });

  test('what stays broken is given up after a week', async () => {
    const integration = await anIntegration();
    const id = await aConnection(integration);
    sql(`update integrations set client_secret = 'v1.k1.AAAA.BBBB' where id = ?`, integration);
    expect(expectOk(await revoke(id))).toMatchObject({ upstream_revocation: 'pending' });
    testSetup.advance(7 * DAY + 60_000);
    await expect.poll(() => outcomeOf(id), SOON).toBe('failed');
  });

  test('tokens that cannot be decrypted: failed; one of two: the other is revoked', async () => {
    const integration = await anIntegration();
    const [lost, half, none] = [
      await aConnection(integration),
      await aConnection(integration),
      await aConnection(integration),
    ];
    const refreshTokens = `update grants set refresh_token = 'v1.gone.AAAA.BBBB' where connection_id = ?`;
    const accessTokens = `update grants set access_token = 'v1.gone.AAAA.BBBB' where connection_id = ?`;
    sql(refreshTokens, lost);
    sql(accessTokens, lost);
    sql(accessTokens, half);
    sql('delete from grants where connection_id = ?', none);
    expect(expectOk(await revoke(lost))).toMatchObject({ upstream_revocation: 'failed' });
    expect(expectOk(await revoke(half))).toMatchObject({ upstream_revocation: 'done' });
    expect(receivedAt(`/${integration}`)).toHaveLength(1);
    expectOk(await revoke(none));
    for (const id of [lost, half, none]) expectProblem(await read(id), 410, 'connection_revoked');
  });

  test('in bulk: one that is broken does not keep the others', async () => {
    const owner = newOwner();
    const all = [await anIntegration(), await anIntegration(), await anIntegration()];
    const ids = [];
    for (const integration of all) ids.push(await aConnection(integration, owner));
    sql(`update integrations set client_secret = 'v1.k1.AAAA.BBBB' where id = ?`, all[1]);
    expect(expectOk(await ask('POST', '/v1/connections/revoke', { owner }))).toMatchObject({ revoked: 3 });
    for (const id of ids) expectProblem(await read(id), 410, 'connection_revoked');
    for (const id of [ids[0]!, ids[2]!]) await expect.poll(() => outcomeOf(id), SOON).toBe('done');
    expect(await outcomeOf(ids[1]!)).toBe('pending');
  });
});

describe('the outbox', () => {
  test('a provider that hangs does not keep the others waiting', async () => {
    const [hanging, healthy] = [await anIntegration(), await anIntegration()];
    answers[`/${hanging}`] = 'hang';
    const [stuck, free] = [newOwner(), newOwner()];
    await Promise.all(
      Array.from({ length: 30 }, (_, i) =>
        ask('POST', '/v1/connections', {
          integration: hanging,
          owner: stuck,
          label: `l${i}`,
          credentials: { refresh_token: `rt${i}` },
        }),
      ),
    );
    const id = await aConnection(healthy, free);
    expect(expectOk(await ask('POST', '/v1/connections/revoke', { owner: stuck }))).toMatchObject({ revoked: 30 });
    await expect.poll(() => receivedAt(`/${hanging}`).length, SOON).toBe(8);
    expectOk(await ask('POST', '/v1/connections/revoke', { owner: free }));
    await expect.poll(() => outcomeOf(id), SOON).toBe('done');
    // Not more than its lanes, of 30 that are due.
    expect(receivedAt(`/${hanging}`)).toHaveLength(8);
  });

  test('a provider that fails is asked by one request at a time, until it is back', async () => {
    const failing = await anIntegration();
    const owner = newOwner();
    answers[`/${failing}`] = { status: 503 };
    const ids = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const credentials = { refresh_token: `rt${i}` };
        const body = { integration: failing, owner, label: `l${i}`, credentials };
        return String(expectOk(await ask('POST', '/v1/connections', body), 201).id);
      }),
    );
    expectOk(await ask('POST', '/v1/connections/revoke', { owner }));
    await expect.poll(() => receivedAt(`/${failing}`).length, SOON).toBeGreaterThanOrEqual(5);
    expect(expectOk(await revoke(ids[0]!))).toMatchObject({ upstream_revocation: 'pending' });
    expect(receivedAt(`/${failing}`).length).toBeLessThanOrEqual(16);

    delete answers[`/${failing}`];
    testSetup.advance(2 * 3_600_000);
    await expect
      .poll(async () => (await Promise.all(ids.map(outcomeOf))).every((outcome) => outcome === 'done'), SOON)
      .toBe(true);
  });
});
