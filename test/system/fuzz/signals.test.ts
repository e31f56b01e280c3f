// Fuzzing of `/signals/*` and `/logout/*`: no token that the transmitter has not signed for this receiver is taken, whatever it
// looks like, and none makes a 5xx. FUZZ_SEED and FUZZ_RUNS as in fuzz.test.ts.
import { createHmac, generateKeyPairSync, sign as signBytes } from 'node:crypto';
import { request } from 'node:http';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk } from '../../support/contract.ts';
import { pushEvent, startTransmitter, type Transmitter } from '../../support/transmitter.ts';

const SEED = Number(process.env.FUZZ_SEED ?? 20_260_302);
const RUNS = Number(process.env.FUZZ_RUNS ?? 60) * 5;
const DISABLED = 'https://schemas.openid.net/secevent/risc/event-type/account-disabled';
const LOGOUT = 'http://schemas.openid.net/event/backchannel-logout';

const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
let broker: TestBroker;
let op: Transmitter;
let connection: string;
/** Genuine ones, of other kinds and for others. */
let genuine: string[];

beforeAll(async () => {
  op = await startTransmitter();
  broker = await startTestBroker();
  const setup = { provider: 'generic-oidc', client_id: 'client', client_secret: 's', params: { issuer: op.url } };
  expectOk(await broker.ask('PUT', '/v1/integrations/idp', setup), 201);
  const iat = Math.floor(Date.now() / 1_000);
  const id_token = await op.sign({ iss: op.url, sub: 'ada', aud: 'client', iat, exp: iat + 600 });
  const credentials = { access_token: 'a', refresh_token: 'r', id_token, expires_in: 3_000 };
  const body = { integration: 'idp', owner: 'ada', credentials };
  connection = String(expectOk(await broker.ask('POST', '/v1/connections', body), 201).id);
  genuine = [
    id_token,
    await op.event(DISABLED, 'someone else', 'ada'),
    await op.event(DISABLED, 'client', 'ada', { iss: 'https://other.example' }),
  ];
});
afterAll(async () => {
  await broker?.stop();
  await op?.close();
});

interface Sent {
  method: string;
  path: string;
  type: string;
  body: string;
}

/** Over a socket: `fetch` would make some of it well-formed. */
const send = ({ method, path, type, body }: Sent): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(broker.url);
    const headers = { 'content-type': type, 'content-length': Buffer.byteLength(body) };
    const asked = request({ hostname, port, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode!, body: Buffer.concat(chunks).toString() }));
    });
    asked.on('error', reject);
    asked.end(body);
  });

const encoded = (value: unknown) => Buffer.from(JSON.stringify(value) ?? '').toString('base64url');
/** What a genuine token has, and what it must not have. */
const claims = fc.record(
  {
    iss: fc
      .constantFrom(
        () => op.url,
        () => `${op.url}/`,
        () => 'https://other.example',
        () => [op.url],
      )
      .map((of) => of),
    aud: fc.constantFrom('client', 'other', '', ['client'], null),
    sub: fc.constantFrom('ada', '', 1),
    sub_id: fc.constantFrom('iss_sub', 'complex', 'opaque'),
    iat: fc.constantFrom(Math.floor(Date.now() / 1_000), 0, -1, 1e300, 'now'),
    exp: fc.constantFrom(0, 9_999_999_999),
    jti: fc.constantFrom('one', '', 'j'.repeat(10_000), 7),
    nonce: fc.constant('n'),
    events: fc.oneof(
      fc.constantFrom({ [DISABLED]: {} }, { [LOGOUT]: {} }, {}, [], 'x', { [DISABLED]: null, [LOGOUT]: {} }),
      fc.jsonValue({ maxDepth: 3 }),
    ),
  },
  { requiredKeys: [] },
);
const header = fc.record(
  {
    alg: fc.constantFrom('RS256', 'none', 'HS256', 'ES256', 'PS256', 'NONE', '', 1),
    kid: fc.constantFrom('k1', 'k2', '', '../jwks'),
    typ: fc.constantFrom('secevent+jwt', 'logout+jwt', 'JWT', 'application/secevent+jwt', 7),
    jku: fc.constant('https://attacker.example/jwks'),
    jwk: fc.constant({ kty: 'oct', k: 'AAAA' }),
    crit: fc.constantFrom(['b64'], []),
    b64: fc.constant(false),
  },
  { requiredKeys: ['alg'] },
);
type Signer = (text: string) => string;
const signer: fc.Arbitrary<Signer> = fc.constantFrom<Signer>(
  () => '',
  () => 'AAAA',
  (text) => signBytes('sha256', Buffer.from(text), stranger).toString('base64url'),
  (text) => createHmac('sha256', 'client').update(text).digest('base64url'),
  () => genuine[0]!.split('.')[2]!,
);
const forged = fc.tuple(header, claims, signer).map(([head, { iss, sub_id, ...more }, sign]) => {
  const subject = { format: sub_id, iss: op.url, sub: 'ada', user: { format: 'iss_sub', iss: op.url, sub: 'ada' } };
  const body = { ...more, ...(iss && { iss: iss() }), ...(sub_id && { sub_id: subject }) };
  const text = `${encoded(head)}.${encoded(body)}`;
  return `${text}.${sign(text)}`;
});
const token = fc.oneof(
  forged,
  forged,
  fc.nat(2).map((i) => genuine[i]!),
  // One of another's, with one character changed.
  fc.tuple(fc.nat(2), fc.nat(200)).map(([i, at]) => {
    const text = genuine[i]!;
    return `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`;
  }),
  fc.constantFrom('', '.', '..', '...', 'a.b.c', 'é.é.é', '{}', `${'a.'.repeat(20_000)}`, `${'x'.repeat(70_000)}`),
  fc.string({ unit: 'grapheme', maxLength: 200 }),
);
const sent: fc.Arbitrary<Sent> = fc
  .record({
    at: fc.constantFrom('signals', 'signals', 'logout'),
    id: fc.oneof(fc.constantFrom('idp', 'idp', 'idp', 'nobody'), fc.webSegment()),
    type: fc.constantFrom('application/secevent+jwt', 'application/x-www-form-urlencoded', 'application/json', ''),
    isFitting: fc.boolean(),
    method: fc.constantFrom('POST', 'POST', 'POST', 'POST', 'GET', 'PUT', 'HEAD'),
    token,
  })
  .map(({ at, id, type, isFitting, method, token: text }) => ({
    method,
    path: `/${at}/${id}`,
    type: isFitting ? (at === 'signals' ? 'application/secevent+jwt' : 'application/x-www-form-urlencoded') : type,
    body: at === 'logout' ? `logout_token=${encodeURIComponent(text.toWellFormed())}` : text,
  }));

test('no signal or logout that was not signed for this receiver is taken', async () => {
  const statuses = new Set<number>();
  await fc.assert(
    fc.asyncProperty(sent, async (one) => {
      const answer = await send(one).catch((error: NodeJS.ErrnoException) => {
        // What Node itself does not send.
        if (error.code?.startsWith('ERR_') || error.code === 'ECONNRESET') return undefined;
        throw error;
      });
      if (!answer) return;
      statuses.add(answer.status);
      if (answer.status < 400 || answer.status >= 500) throw new Error(`${answer.status} ${answer.body}`);
    }),
    { seed: SEED, numRuns: RUNS },
  );
  expect([...statuses]).toEqual(expect.arrayContaining([400, 404, 413]));
  expect((await broker.ask('GET', '/v1/webhooks')).body.data).toEqual([]);
  expect((await broker.ask('GET', `/v1/connections/${connection}`)).body).toMatchObject({
    status: 'active',
    generation: 1,
  });
  // A genuine one is still taken.
  expect((await pushEvent(broker.url, 'idp', await op.event(DISABLED, 'client', 'ada'))).status).toBe(202);
}, 180_000);
