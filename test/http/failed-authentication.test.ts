// Failed authentications: whom they lock out, and whom not.
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createFailureLimits } from '../../src/http/middleware/failure-limits.ts';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk } from '../support/contract.ts';
import { type Issuer, startIssuer } from '../support/issuer.ts';
import { createMovingClock } from '../support/moving-clock.ts';
import { exchangeToken } from '../support/oauth-requests.ts';

const grants = [{ actions: ['*'], integrations: ['*'], owners: ['*'] }];
const INTROSPECT = { token: 'x' };
/** Of an issuer where no one listens. */
const AWAY = 'http://127.0.0.1:9';
const clock = createMovingClock();
let issuer: Issuer;
let broker: TestBroker;
/** Another replica of the same database, which believes no proxy. */
let replica: TestBroker;
beforeAll(async () => {
  issuer = await startIssuer(clock.now);
  const trusted = { trusted_issuers: [{ issuer: issuer.url }, { issuer: AWAY, exchange: true }] };
  broker = await startTestBroker({ VALETKEY_TRUSTED_PROXIES: '127.0.0.1,10.0.0.0/8' }, trusted, { clock });
  replica = await startTestBroker({ VALETKEY_DATABASE_URL: `file:${broker.database}` }, trusted, { clock });
});
afterAll(async () => {
  await replica.stop();
  await broker.stop();
  await issuer.close();
});

type Headers = Record<string, string | string[]>;

/** As a proxy on loopback sends it. A header may have several lines. */
function send(headers: Headers, { url, path = '/v1/whoami', form }: { url?: string; path?: string; form?: Json } = {}) {
  const body = form && new URLSearchParams(form as Record<string, string>).toString();
  const type = body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' };
  return new Promise<number>((resolve, reject) => {
    const sent = request(
      new URL(path, url ?? broker.url),
      { method: body === undefined ? 'GET' : 'POST', headers: { ...type, ...headers }, agent: false },
      (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0));
      },
    );
    sent.on('error', reject).end(body);
  });
}
const bearer = (key: string): Headers => ({ authorization: `Bearer ${key}` });
const basic = (id: string, key: string): Headers => ({
  authorization: `Basic ${Buffer.from(`${id}:${key}`).toString('base64')}`,
});
/** Sends wrong ones until the network is limited; returns how many it took. */
async function untilLimited(fail: (n: number) => Promise<number>): Promise<number> {
  for (let n = 0; n <= 31; n++) if ((await fail(n)) === 429) return n;
  return Number.POSITIVE_INFINITY;
}
let clients = 0;
/** An address that no other test uses. */
const anAddress = () => `203.0.113.${++clients}`;
const from = (address: string): Headers => ({ 'x-forwarded-for': address });

test('issuer_unavailable: the audit log says why, of workloads and of token exchanges; who asks is not told', async () => {
  const workloads = [{ issuer: AWAY, audience: 'valetkey', claims: { sub: 'service' } }];
  const bound = { name: 'of an issuer that is away', grants: [], workloads };
  expectOk(await replica.ask('POST', '/v1/callers', bound), 201);
  const b64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const token = `${b64({ alg: 'ES256', kid: 'k1' })}.${b64({ iss: AWAY, sub: 'service', aud: 'valetkey' })}.c2ln`;
  const refused = await replica.ask('GET', '/v1/whoami', undefined, token);
  expect(refused).toMatchObject({ status: 401, body: { reason: 'issuer_unavailable' } });
  const exchanged = await exchangeToken(replica, replica.adminKey, { subject_token: token, audience: 'acme' });
  expect(exchanged.status).toBe(503);
  const why = /issuer_unavailable.*ECONNREFUSED|issuer_unavailable.*connect/;
  for (const action of ['authentication.failed', 'token.exchange']) {
    const { data } = expectOk(await replica.ask('GET', `/v1/audit?action=${action}`)) as { data: Json[] };
    expect(data.map(({ detail }) => detail)).toContainEqual(expect.stringMatching(why));
  }
  for (const { body } of [refused, exchanged]) expect(JSON.stringify(body)).not.toMatch(/ECONNREFUSED|127\.0\.0\.1:9/);
});

describe('behind a trusted proxy', () => {
  test.each<[string, (address: string) => Headers]>([
    ['X-Forwarded-For', from],
    ['X-Forwarded-For in several lines', (address) => ({ 'x-forwarded-for': ['127.0.0.1', address, '10.1.1.1'] })],
    ['Forwarded', (address) => ({ forwarded: `for="${address}:4711";proto=https` })],
    ['Forwarded in several lines', (address) => ({ forwarded: ['for="open', `for=${address}`] })],
  ])('%s: the client is limited and audited by its own address, and no one else is limited', async (_, headersFor) => {
    const [mallory, honest] = [anAddress(), anAddress()];
    expect(await untilLimited((n) => send({ ...headersFor(mallory), ...bearer(`guess-${n}`) }))).toBe(30);
    expect(await send({ ...headersFor(honest), ...bearer('guess') })).toBe(401);
    expect(await send({ ...headersFor(mallory), ...bearer(broker.adminKey) })).toBe(200);
    expect(await send({ ...headersFor(honest), ...bearer(broker.adminKey) }, { path: '/v1/audit' })).toBe(200);
    const name = `by ${honest}`;
    const created = await fetch(new URL('/v1/callers', broker.url), {
      method: 'POST',
      headers: { ...bearer(broker.adminKey), ...from(honest), 'content-type': 'application/json' } as Record<
        string,
        string
      >,
      body: JSON.stringify({ name, grants }),
    });
    expect(created.status).toBe(201);
    const { data } = expectOk(await broker.ask('GET', '/v1/audit?action=caller.created&limit=1'));
    expect(data).toMatchObject([{ address: honest }]);
  });

  test('the fast path sees the same address', async () => {
    const [address, key] = [anAddress(), await broker.callerKey({ owners: ['somebody'] })];
    const path = '/v1/token?integration=nothing&owner=nobody';
    await send({ ...from(`198.51.100.9, ${address}`), ...bearer(key) }, { path });
    await expect
      .poll(async () => (await broker.ask('GET', '/v1/audit?limit=20')).body.data)
      .toContainEqual(expect.objectContaining({ address }));
  });

  test('another forged address with each guess helps nothing', async () => {
    const mallory = anAddress();
    const forged = (n: number) => send({ ...from(`198.51.100.${n}, ${mallory}`), ...bearer(`guess-${n}`) });
    expect(await untilLimited(forged)).toBe(30);
  });

  test('another address of the same IPv6 /64 helps nothing; the next /64 is another client', async () => {
    const guess = (address: string, n: number) => send({ ...from(address), ...bearer(`guess-${n}`) });
    expect(await untilLimited((n) => guess(`2001:db8:1:2::${n}`, n))).toBe(30);
    expect(await guess('2001:db8:1:3::1', 0)).toBe(401);
  });
});

test('of anyone else, the headers are ignored', async () => {
  const guess = (n: number) => {
    const address = `198.51.100.${n}`;
    return send({ ...from(address), forwarded: `for=${address}`, ...bearer(`guess-${n}`) }, { url: replica.url });
  };
  expect(await untilLimited(guess)).toBe(30);
  clock.advance(60_000);
});

describe('after too many failures of one kind, from the same address', () => {
  const address = '192.0.2.1';
  let caller: Json;
  let sub: string;
  beforeAll(async () => {
    sub = 'system:serviceaccount:prod:mailer';
    const workloads = [{ issuer: issuer.url, audience: 'valetkey', claims: { sub } }];
    const { id } = expectOk(await broker.ask('POST', '/v1/callers', { name: 'mailer', grants, workloads }), 201);
    const { key } = expectOk(await broker.ask('POST', `/v1/callers/${id}/keys`), 201);
    caller = { id, key };
  });
  const assertion = (token: string) => ({
    ...INTROSPECT,
    client_assertion: token,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
  });
  const wrong: Record<string, (n: number) => Promise<number>> = {
    'no credential': () => send(from(address)),
    'another scheme': (n) => send({ ...from(address), authorization: `DPoP guess-${n}` }),
    keys: (n) => send({ ...from(address), ...bearer(`guess-${n}`) }),
    'tokens of workloads': async (n) => send({ ...from(address), ...bearer(await issuer.sign({ sub: `${n}` })) }),
    client_secret_basic: (n) =>
      send({ ...from(address), ...basic('clr_x', `${n}`) }, { path: '/oauth2/introspect', form: INTROSPECT }),
    client_secret_post: (n) =>
      send(from(address), { path: '/oauth2/introspect', form: { ...INTROSPECT, client_secret: `guess-${n}` } }),
    client_assertion: async (n) =>
      send(from(address), { path: '/oauth2/introspect', form: assertion(await issuer.sign({ sub: `${n}` })) }),
  };

  test('each kind is counted on its own', async () => {
    for (const fail of Object.values(wrong)) expect(await untilLimited(fail)).toBe(30);
  });

  test('what is right gets in, in every way', async () => {
    for (const fail of Object.values(wrong)) expect(await fail(99)).toBe(429);
    const { id, key } = caller as { id: string; key: string };
    const [path, form] = ['/oauth2/introspect', INTROSPECT];
    expect(await send({ ...from(address), ...bearer(key) })).toBe(200);
    expect(await send({ ...from(address), ...basic(id, key) }, { path, form })).toBe(200);
    expect(await send(from(address), { path, form: { ...form, client_secret: key } })).toBe(200);
    expect(await send(from(address), { path, form: assertion(await issuer.sign({ sub, jti: '1' })) })).toBe(200);
    expect(await send({ ...from(address), ...bearer(await issuer.sign({ sub, jti: '2' })) })).toBe(200);
  });

  test('a key that another replica has made a moment ago gets in', async () => {
    const key = await replica.callerKey();
    expect(await send({ ...from(address), ...bearer(key) })).toBe(200);
  });

  test('forged tokens fetch no keys beyond the limit of their issuer, and are refused unverified', async () => {
    const before = issuer.requestCount();
    for (let n = 0; n < 20; n++)
      expect(await send({ ...from(address), ...bearer(await issuer.sign({ sub }, { kid: `k-${n}` })) })).toBe(429);
    expect(issuer.requestCount() - before).toBeLessThanOrEqual(2);
    expect(await send({ ...from(address), ...bearer(await issuer.sign({ sub, jti: '3' })) })).toBe(200);
  });

  test('a body of a stranger is refused unread', async () => {
    const form = { token: 'x'.repeat(50_000) };
    expect(await send({ ...from(address), ...bearer('guess') }, { path: '/oauth2/token', form })).toBe(429);
    expect(await send(from(address), { path: '/oauth2/token', form })).toBe(413);
    expect(await send(from(anAddress()), { path: '/oauth2/token', form })).toBe(401);
  });

  test('the next minute begins with nothing', async () => {
    clock.advance(60_000);
    for (const fail of Object.values(wrong)) expect(await fail(99)).toBe(401);
  });
});

test('failures are counted in bounded memory, and the counts end', () => {
  let at = 0;
  const limits = createFailureLimits({ monotonic: () => at });
  for (let n = 0; n < 50_000; n++) limits.count('key', `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`);
  expect(limits.size()).toBeLessThanOrEqual(20_000);
  at = 60_000;
  limits.count('key', '192.0.2.1');
  expect(limits.size()).toBe(1);
});
