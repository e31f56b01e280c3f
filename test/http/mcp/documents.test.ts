// Documents that are no answer: too long, too slow, redirected, garbage, of private addresses. None of them is believed,
// followed or repeated, and none holds a request up.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DISCOVERY_DEADLINE_MS } from '../../../src/domain/time-limits.ts';
import { expectProblem } from '../../support/contract.ts';
import { type HostileMcp, startHostileMcp } from '../../support/hostile-mcp/index.ts';
import {
  drop,
  endless,
  gzipBomb,
  hang,
  huge,
  json,
  type Responder,
  raw,
  redirect,
  stall,
} from '../../support/hostile-mcp/site.ts';
import { type McpBroker, startMcpBroker } from '../../support/mcp-broker.ts';
import { sessionOf, visit } from '../../support/owner-browser.ts';

let it: McpBroker;
let hostile: HostileMcp;
let deadlineMs = DISCOVERY_DEADLINE_MS;
beforeAll(async () => {
  it = await startMcpBroker({}, { discoveryDeadlineMs: () => deadlineMs });
});
afterAll(() => it.stop());
beforeEach(async () => {
  hostile = await startHostileMcp();
});
afterEach(async () => {
  expect(hostile.ledger.leaks()).toEqual([]);
  expect(hostile.inside.received).toEqual([]);
  expect(hostile.elsewhere.received).toEqual([]);
  await hostile.close();
});

const MARK = 'BODY-OF-THE-DOCUMENT';

/** Where a client reads a document on its way, and what a right one is. */
const STEPS: [string, () => { answer: (responder: Responder) => void; right: object }][] = [
  [
    'the metadata of the resource',
    () => ({
      answer: (responder) => hostile.mcp.site.on(hostile.mcp.metadataPath, responder),
      right: { resource: hostile.mcp.url, authorization_servers: [hostile.as.issuer] },
    }),
  ],
  [
    'the metadata of the authorization server',
    () => ({
      answer: (responder) => hostile.as.site.on(hostile.as.metadataPath, responder),
      right: {
        issuer: hostile.as.issuer,
        authorization_endpoint: hostile.as.url('authorize'),
        token_endpoint: hostile.as.url('token'),
        registration_endpoint: hostile.as.url('register'),
        code_challenge_methods_supported: ['S256'],
      },
    }),
  ],
  [
    'a registration',
    () => ({
      answer: (responder) => hostile.as.site.on('/register', responder),
      right: { client_id: 'right', token_endpoint_auth_method: 'none' },
    }),
  ],
];

const BODIES: [string, (right: object) => Responder][] = [
  ['huge', huge],
  ['endless', () => endless],
  ['a gzip bomb', gzipBomb],
  ['garbage', () => raw(`${MARK}{`)],
  ['half of it', (right) => raw(JSON.stringify(right).slice(0, -5))],
  ['HTML', () => raw(`<!doctype html><title>${MARK}</title>`, 200, { 'content-type': 'text/html' })],
  ['empty', () => raw('')],
  ['no content', () => raw('', 204)],
  ['null', () => json(null)],
  ['a string', () => json(MARK)],
  ['a list', (right) => json([right])],
  ['deeply nested', () => raw('['.repeat(400_000))],
  ['no UTF-8', () => raw(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]))],
  ['a redirect to a thief', () => redirect(`${hostile.elsewhere.origin}/${MARK}`, 302)],
  ['a permanent redirect to a thief', () => redirect(`${hostile.elsewhere.origin}/${MARK}`, 308)],
  ['a redirect inside', () => redirect(`${hostile.inside.origin}/${MARK}`, 307)],
];

/** These pass by themselves. */
const OUTAGES: [string, () => Responder][] = [
  ['cut off', () => drop],
  ['an error', () => json({ error: 'server_error', error_description: MARK }, 500)],
  ['too many requests', () => json({ error: MARK }, 429)],
];

describe.each(STEPS)('%s', (_, step) => {
  test.each(OUTAGES)('that is %s is told as an outage', async (_name, body) => {
    step().answer(body());
    const answer = await it.session(await it.integrate(hostile.mcp));
    const { detail } = expectProblem(answer, 503, 'provider_unavailable');
    expect(detail).toMatch(/http:\/\/127\.0\.0\.1:\d+\//);
    expect(JSON.stringify(answer.body)).not.toContain(MARK);
    expect(hostile.as.authorizations).toEqual([]);
  });

  test.each(BODIES)('that is %s is refused', async (_name, body) => {
    const { answer, right } = step();
    answer(body(right));
    const refusal = await it.refused(await it.integrate(hostile.mcp), /./);
    expect(refusal.detail).toMatch(/http:\/\/127\.0\.0\.1:\d+\//);
    expect(JSON.stringify(refusal)).not.toContain(MARK);
    expect(hostile.as.authorizations).toEqual([]);
  });

  test('that does not hold is refused once, and is no reason to go on for ever', async () => {
    const { answer, right } = step();
    answer(json({ ...right, padding: 'a'.repeat(400_000) }));
    const session = await it.session(await it.integrate(hostile.mcp));
    // Some limit is below, some above: what counts is that it is answered.
    expect([201, 502]).toContain(session.status);
  });
});

describe('a document with members twice', () => {
  test.each(['first', 'last'])('is read in one way only: the right resource %s', async (right) => {
    const { mcp, elsewhere } = hostile;
    const members = [`"resource":"${mcp.url}"`, `"resource":"${elsewhere.origin}/mcp"`];
    if (right === 'last') members.reverse();
    mcp.site.on(mcp.metadataPath, raw(`{${members.join()},"authorization_servers":["${hostile.as.issuer}"]}`));
    const { status, body } = await it.session(await it.integrate(mcp));
    if (status === 201) {
      expect(right).toBe('last');
      return;
    }
    expect([status, body.reason]).toEqual([502, 'resource_mismatch']);
  });

  test.each(['first', 'last'])('is read in one way only: the right issuer %s', async (right) => {
    const { mcp, as } = hostile;
    const rest = JSON.stringify({
      authorization_endpoint: as.url('authorize'),
      token_endpoint: as.url('token'),
      registration_endpoint: as.url('register'),
      code_challenge_methods_supported: ['S256'],
    }).slice(1);
    const members = [`"issuer":"${as.issuer}"`, '"issuer":"https://id.example"'];
    if (right === 'last') members.reverse();
    as.site.on(as.metadataPath, raw(`{${members.join()},${rest}`));
    const { status, body } = await it.session(await it.integrate(mcp));
    if (status === 201) expect(right).toBe('last');
    else expect([status, body.reason]).toEqual([502, 'issuer_mismatch']);
  });

  test('named like those of every object changes nothing', async () => {
    const { mcp, as } = hostile;
    const polluted = { authorization_servers: [as.issuer], resource: mcp.url };
    mcp.site.on(mcp.metadataPath, raw(JSON.stringify(polluted).replace('{', '{"__proto__":{"polluted":true},')));
    await it.connect(await it.integrate(mcp));
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

describe('the MCP server itself', () => {
  test.each<[string, () => Responder]>([
    ['huge', () => huge({ jsonrpc: '2.0' })],
    ['endless', () => endless],
    ['a gzip bomb', () => gzipBomb({})],
    ['garbage', () => raw(MARK)],
    ['a redirect', () => redirect(`${hostile.elsewhere.origin}/mcp`, 307)],
    ['a redirect inside', () => redirect(`${hostile.inside.origin}/mcp`, 308)],
    ['cut off', () => drop],
    [
      'an endless stream of events',
      () => (_, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write(': one\n\n');
      },
    ],
  ])('that answers %s leads nowhere else', async (_, body) => {
    hostile.mcp.site.on('/mcp', body());
    const answer = await it.session(await it.integrate(hostile.mcp));
    expect([201, 502, 503], JSON.stringify(answer.body)).toContain(answer.status);
    expect(JSON.stringify(answer.body)).not.toContain(MARK);
  });
});

describe('what takes too long', () => {
  test('is given up at every step, within one bounded time', async () => {
    const slow = await Promise.all([startHostileMcp(), startHostileMcp(), startHostileMcp(), startHostileMcp()]);
    const [probe, resource, metadata, registration] = slow as [HostileMcp, HostileMcp, HostileMcp, HostileMcp];
    probe.mcp.site.on('/mcp', hang);
    resource.mcp.site.on(resource.mcp.metadataPath, stall);
    metadata.as.site.on(metadata.as.metadataPath, stall);
    registration.as.site.on('/register', hang);
    deadlineMs = 500;
    const answers = await Promise.all(slow.map(async ({ mcp }) => it.session(await it.integrate(mcp))));
    deadlineMs = DISCOVERY_DEADLINE_MS;
    // A server that does not answer a message may still publish its metadata.
    expect([201, 503]).toContain(answers[0]?.status);
    for (const answer of answers.slice(1)) expectProblem(answer, 503, 'provider_unavailable');
    await Promise.all(slow.map((one) => one.close()));
  });
});

describe('an address that the broker may not reach', () => {
  const DESTINATIONS: [string, () => string][] = [
    ['a private address', () => `${hostile.inside.origin}/x`],
    ['the metadata of a cloud', () => 'http://169.254.169.254/latest'],
    ['a private network', () => 'https://10.0.0.1/x'],
    ['IPv6 loopback', () => `http://[::1]:${new URL(hostile.inside.origin).port}/x`],
    ['a mapped address', () => `http://[::ffff:127.0.0.2]:${new URL(hostile.inside.origin).port}/x`],
    ['plain http', () => 'http://id.example/x'],
  ];
  const PLACES: [string, (url: string) => void][] = [
    ['the challenge', (url) => (hostile.mcp.challenge = () => `Bearer resource_metadata="${url}"`)],
    ['the authorization servers', (url) => (hostile.mcp.metadata = { authorization_servers: [url] })],
    ['the token endpoint', (url) => (hostile.as.metadata = { token_endpoint: url })],
    ['the registration endpoint', (url) => (hostile.as.metadata = { registration_endpoint: url })],
    ['the revocation endpoint', (url) => (hostile.as.metadata = { revocation_endpoint: url })],
  ];
  const ALL = PLACES.flatMap(([place, put]) =>
    DESTINATIONS.map(([name, url]) => [name, place, () => put(url())] as [string, string, () => void]),
  );
  test.each(ALL)('%s in %s is refused and not asked', async (_, __, put) => {
    put();
    await it.refused(await it.integrate(hostile.mcp), 'outbound_refused');
  });

  test('as server_url is refused by the PUT', async () => {
    for (const url of [`${hostile.inside.origin}/mcp`, 'http://mcp.example/mcp', 'file:///etc/passwd', 'mcp']) {
      const body = { provider: 'mcp', params: { server_url: url } };
      expectProblem(await it.broker.ask('PUT', '/v1/integrations/inside', body), 400, 'invalid_request');
    }
  });
});

describe('the token endpoint', () => {
  test.each<[string, () => Responder]>([
    ['redirects', () => redirect(`${hostile.elsewhere.origin}/token`, 307)],
    ['redirects for ever', () => redirect(hostile.as.url('token'), 308)],
    ['is huge', () => huge({ access_token: MARK, token_type: 'Bearer' })],
    ['is HTML', () => raw(`<title>${MARK}</title>`, 200, { 'content-type': 'text/html' })],
    ['has no access token', () => json({ token_type: 'Bearer', error_description: MARK })],
    ['answers an error', () => json({ error: 'server_error', error_description: MARK }, 500)],
  ])('that %s makes no connection', async (_, body) => {
    const { link, jar, callback, owner } = await it.start(await it.integrate(hostile.mcp));
    hostile.as.site.on('/token', body());
    const page = await visit(callback, jar);
    expect(page.status).toBeGreaterThanOrEqual(400);
    expect(page.text).not.toContain(MARK);
    expect(await sessionOf(it.broker, link)).toMatchObject({ status: 'failed' });
    const { body: list } = await it.broker.ask('GET', `/v1/connections?owner=${owner}`);
    expect(list.data).toEqual([]);
  });
});
