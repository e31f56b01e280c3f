// Fuzzing of `/webhooks/*`: whatever strangers send is refused, without a body and never with a 5xx, and nothing that was not
// signed is taken. FUZZ_SEED and FUZZ_RUNS as in fuzz.test.ts.
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { signature, startTeamSetup, type TeamSetup } from '../../support/webhook-sender.ts';

const SEED = Number(process.env.FUZZ_SEED ?? 20_260_302);
const RUNS = Number(process.env.FUZZ_RUNS ?? 60) * 5;

let team: TeamSetup;
beforeAll(async () => {
  team = await startTeamSetup();
  for (const [id, webhook] of Object.entries({
    generic: { secrets: [`whsec_${randomBytes(32).toString('base64')}`], hook: true },
    plain: { secrets: ['a token'], scheme: 'shared_token' },
    mac: { secrets: ['a secret'], scheme: 'hmac', header: 'X-Signature' },
  })) {
    const params = { authorization_url: 'https://id.example/a', token_url: 'https://id.example/t' };
    const put = { provider: 'generic-oauth2', client_id: 'c', params, webhook };
    expect((await team.broker.ask('PUT', `/v1/integrations/${id}`, put)).status).toBe(201);
  }
});
afterAll(() => team.close());

interface Sent {
  method: string;
  path: string;
  headers: Record<string, string | string[]>;
  body: Buffer;
}

/** Over a socket: `fetch` would make some of it well-formed. */
const send = ({ method, path, headers, body }: Sent): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(team.broker.url);
    const asked = request({ hostname, port, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode!, body: Buffer.concat(chunks).toString() }));
    });
    asked.on('error', reject);
    asked.end(body);
  });

const now = () => String(Math.floor(team.now() / 1_000));
const visible = fc.string({ unit: fc.constantFrom(...'abz019=,.;:"/+-_ v{}[]é'), maxLength: 80 });
const headerValue = visible.map((text) => Buffer.from(text).toString('latin1'));
const someSignature = fc.oneof(
  headerValue,
  fc.constantFrom('v0=', 'v0=00', 'v1,', 'v1,====', 'v1a,x v1,y', 'v0=null', ' ', 'v1,\u00ff'),
  fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => `v0=${Buffer.from(bytes).toString('hex')}`),
  fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => `v1,${Buffer.from(bytes).toString('base64')}`),
  // Signed, with another secret.
  visible.map((text) => signature(text, Number(now()), 'of someone else')),
);
const time = fc.oneof(
  headerValue,
  fc.integer({ min: -5, max: 5 }).map((by) => String(Number(now()) + by)),
  fc.constantFrom('', '0', '-1', '1e99', 'NaN', '9'.repeat(40)),
);
const headers = fc.record(
  {
    'content-type': fc.oneof(
      fc.constantFrom('application/json', 'application/x-www-form-urlencoded', 'text/xml', 'multipart/form-data'),
      headerValue,
    ),
    'x-team-signature': fc.oneof(someSignature, fc.array(someSignature, { minLength: 2, maxLength: 3 })),
    'x-team-time': time,
    'x-team-kind': fc.constantFrom('plain', 'bringing', ''),
    'x-team-key': headerValue,
    'webhook-id': headerValue,
    'webhook-timestamp': time,
    'webhook-signature': someSignature,
    'x-signature': someSignature,
    'x-webhook-token': headerValue,
    authorization: headerValue,
    'content-encoding': fc.constantFrom('gzip', 'identity'),
  },
  { requiredKeys: [] },
);
const json = fc
  .jsonValue({ maxDepth: 4 })
  .map((value) => JSON.stringify({ id: 'Ev1', type: 'uninstalled', team: 'T1', challenge: value, events: value }));
const body = fc.oneof(
  json.map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
  fc
    .constantFrom('', '{', '[]', 'null', '"x"', '{"__proto__":{"id":1}}', `${'['.repeat(5_000)}`, 'a=b&a=c%')
    .map((text) => Buffer.from(text)),
);
const path = fc.oneof(
  fc.constantFrom('team', 'generic', 'plain', 'mac', 'nobody').map((id) => `/webhooks/${id}`),
  fc
    .constantFrom('team', 'generic')
    .chain((id) =>
      fc
        .oneof(
          fc.constantFrom(
            '%00',
            '..',
            '%2e%2e',
            'x',
            'x/y',
            '%ff',
            `${'h'.repeat(43)}`,
            `${'h'.repeat(4_000)}`,
            '?a=1&a=2',
          ),
          fc.webSegment(),
        )
        .map((hook) => `/webhooks/${id}/${hook}`),
    ),
  fc.webSegment().map((id) => `/webhooks/${id}`),
);
const sent: fc.Arbitrary<Sent> = fc.record({
  method: fc.constantFrom('POST', 'POST', 'POST', 'GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD'),
  path,
  headers: headers as fc.Arbitrary<Sent['headers']>,
  body,
});

test('whatever strangers send is refused, and nothing of it is taken', async () => {
  await team.connect('ada', 'T1');
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
  expect([...statuses]).toEqual(expect.arrayContaining([401, 404]));
  for (const status of ['received', 'located', 'unmatched', 'dead'])
    expect((await team.broker.ask('GET', `/v1/webhooks?status=${status}`)).body.data).toEqual([]);
  const { body: connections } = await team.broker.ask('GET', '/v1/connections?status=active');
  expect(connections.data).toHaveLength(1);
  // A genuine one is still taken.
  expect((await team.send({ id: 'Genuine', type: 'message', team: 'T1' })).status).toBe(200);
}, 180_000);
