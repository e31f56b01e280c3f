// Trying a dead grant once more, over HTTP and on the command line.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ConnectionView } from '../../src/api/index.ts';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { createMovingClock, type MovingClock } from '../support/moving-clock.ts';
import { type ScriptedResponse, type ScriptedServer, startScriptedServer } from '../support/scripted-server.ts';
import { createTerminal } from '../support/terminal.ts';

let clock: MovingClock;
let broker: TestBroker;
let server: ScriptedServer;
let answer: (refreshToken: string) => ScriptedResponse;

beforeEach(async () => {
  clock = createMovingClock();
  server = await startScriptedServer(({ form }) => answer(form.get('refresh_token') ?? ''));
  broker = await startTestBroker({}, undefined, { clock, refreshAhead: false });
  const params = { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token` };
  const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
  for (const id of ['acme', 'other']) expectOk(await broker.ask('PUT', `/v1/integrations/${id}`, setup), 201);
});
afterEach(async () => {
  await server.close();
  await broker.stop();
});

const dead: ScriptedResponse = { status: 400, body: { error: 'invalid_grant' } };
const good: ScriptedResponse = { body: { access_token: 'at', token_type: 'Bearer', expires_in: 3_600 } };

async function connect(refresh_token: string, integration = 'acme'): Promise<string> {
  const body = { integration, owner: refresh_token, credentials: { refresh_token } };
  return String(expectOk(await broker.ask('POST', '/v1/connections', body), 201).id);
}
const read = (id: string) => broker.ask('GET', `/v1/connections/${id}/token`);
const retry = (id: string, key?: string) => broker.ask('POST', `/v1/connections/${id}/retry`, undefined, key);
const connection = async (id: string): Promise<Json> => expectOk(await broker.ask('GET', `/v1/connections/${id}`));
async function deadOne(refreshToken = 'rt', integration?: string): Promise<string> {
  answer = () => dead;
  const id = await connect(refreshToken, integration);
  expectProblem(await read(id), 409, 'reauthorization_required');
  return id;
}

describe('retry of a dead grant', () => {
  test('that lives after all: the connection, active, and its token is served', async () => {
    const id = await deadOne();
    answer = () => good;
    const body = expectOk(await retry(id));
    ConnectionView.strict().parse(body);
    expect(body).toMatchObject({ id, status: 'active', reason: null, generation: 2, last_refresh_error: null });
    expect(expectOk(await read(id)).access_token).toBe('at');
    const { data } = expectOk(await broker.ask('GET', '/v1/audit?action=connection.retried'));
    expect(data).toEqual([expect.objectContaining({ connection_id: id, detail: 'grant_revoked', outcome: 'ok' })]);
  });

  test('that is still dead: 409, one request each time, and dead since when it was', async () => {
    const id = await deadOne();
    const before = await connection(id);
    for (let i = 0; i < 2; i++) {
      clock.advance(60_000);
      const requests = server.received.length;
      const refused = expectProblem(await retry(id), 409, 'reauthorization_required');
      expect(refused).toMatchObject({ connection_id: id, reason: 'grant_revoked' });
      expect(server.received).toHaveLength(requests + 1);
    }
    const { last_refresh_error: _, ...after } = await connection(id);
    expect(before).toMatchObject(after);
  });

  test('whose outcome was unknown: tried, and still unknown if it is refused', async () => {
    const answers: ScriptedResponse[] = ['drop', dead, dead];
    answer = () => answers.shift() ?? good;
    const id = await connect('rt');
    const wait = Number((await read(id)).headers.get('retry-after'));
    clock.advance(wait * 1_000);
    const reason = 'refresh_outcome_unknown';
    expect(expectProblem(await read(id), 409, 'reauthorization_required')).toMatchObject({ reason });
    expect(expectProblem(await retry(id), 409, 'reauthorization_required')).toMatchObject({ reason });
    expect(await connection(id)).toMatchObject({ status: 'needs_reauth', reason });
    expectOk(await retry(id));
  });

  test('while the provider is down: 503, and it is active and tried again', async () => {
    const id = await deadOne();
    answer = () => ({ status: 503 });
    expectProblem(await retry(id), 503, 'provider_unavailable');
    expect(await connection(id)).toMatchObject({ status: 'active' });
    answer = () => good;
    clock.advance(60_000);
    expectOk(await read(id));
  });

  test('without a refresh token: 409 without a request', async () => {
    const credentials = { access_token: 'at', expires_at: new Date(Date.now() + 60_000).toISOString() };
    const body = { integration: 'acme', owner: 'ada', credentials };
    const { id } = expectOk(await broker.ask('POST', '/v1/connections', body), 201);
    clock.advance(61_000);
    expectProblem(await read(String(id)), 409, 'reauthorization_required');
    expect(expectProblem(await retry(String(id)), 409, 'reauthorization_required')).toMatchObject({
      reason: 'grant_expired',
    });
    expect(server.received).toEqual([]);
  });

  test('many at once that are still dead are no fault of the provider', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 10; i++) {
      ids.push(await deadOne(`rt-${i}`));
      clock.advance(61_000);
    }
    for (const id of ids) expectProblem(await retry(id), 409, 'reauthorization_required');
    const next = await connect('rt-next');
    expectProblem(await read(next), 409, 'reauthorization_required');
  });
});

test('retry of an active connection: as it is, without a request; revoked 410, unknown 404, without the grant 403', async () => {
  answer = () => good;
  const id = await connect('rt');
  expect(expectOk(await retry(id))).toMatchObject({ id, status: 'active', generation: 1 });
  expect(server.received).toEqual([]);
  const key = await broker.callerKey({ actions: ['token', 'connections:read'] });
  expectProblem(await retry(id, key), 403, 'forbidden');
  expectOk(await broker.ask('DELETE', `/v1/connections/${id}`));
  expectProblem(await retry(id), 410, 'connection_revoked');
  expectProblem(await retry('con_nothing'), 404, 'not_found');
});

describe('valetkey connections retry', () => {
  const run = (...args: string[]) => {
    const env = { VALETKEY_URL: broker.url, VALETKEY_KEY: broker.adminKey };
    return createTerminal(env)(['connections', 'retry', ...args], { now: clock.now });
  };

  test('--integration and --since: those that died since then', async () => {
    const old = await deadOne('rt-old');
    clock.advance(7_200_000);
    const lately = [await deadOne('rt-lives'), await deadOne('rt-dead')];
    const other = await deadOne('rt-other', 'other');
    answer = (token) => (token === 'rt-dead' ? dead : good);
    const { code, out, err } = await run('--integration', 'acme', '--since', '1h', '--json');
    expect({ code, err, out: JSON.parse(out) }).toEqual({
      code: 0,
      err: '',
      out: { tried: 2, active: 1, still_dead: 1, failed: 0 },
    });
    const status = async (id: string) => (await connection(id)).status;
    expect(await Promise.all([old, ...lately, other].map(status))).toEqual([
      'needs_reauth',
      'active',
      'needs_reauth',
      'needs_reauth',
    ]);
    const all = await run('--integration', 'acme', '--since', new Date(Date.now() - 60_000).toISOString());
    expect(all).toMatchObject({
      code: 0,
      out: '2 tried: 1 active again, 1 still need their owner, 0 failed\n',
    });
  });

  test('ids: exit code 1 when the provider cannot be asked', async () => {
    const id = await deadOne();
    answer = () => ({ status: 503 });
    const failed = await run(id);
    expect(failed.code).toBe(1);
    expect(failed.out).toBe('1 tried: 0 active again, 0 still need their owner, 1 failed\n');
    expect(failed.err).toContain(id);
  });

  test.each([[[]], [['con_1', '--integration', 'acme']], [['con_1', '--since', '1h']], [['--since', '1h']]])(
    'misused: %j',
    async (args) => {
      expect((await run(...args)).code).toBe(64);
    },
  );
});
