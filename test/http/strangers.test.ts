// What a stranger can send: the work that it causes grows no faster than what was sent, and ends at a bound.
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Logger } from '../../src/ports/index.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';

let broker: TestBroker;
/** What was logged at `warn` and above, but for what strangers do, which is counted. */
const logged: unknown[] = [];
const note: Logger['warn'] = (fields, message) => {
  if (!('action' in fields && fields.action === 'authentication.failed')) logged.push([fields, message]);
};
const nothing = () => undefined;
const log: Logger = { debug: nothing, info: nothing, warn: note, error: note };
beforeAll(async () => {
  broker = await startTestBroker({ VALETKEY_TRUSTED_PROXIES: '127.0.0.1,10.0.0.0/8' }, undefined, undefined, log);
  logged.length = 0;
});
afterAll(() => broker.stop());

/** Sends bytes on a connection of its own; the whole answer. */
function exchange(bytes: string | Buffer): Promise<string> {
  const { hostname, port } = new URL(broker.url);
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    socket.setEncoding('latin1');
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}
const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
let clients = 0;
/** Another client with each request, so that what is measured is not refused for what was sent before. */
const as = () => `host: x\r\nconnection: close\r\nx-forwarded-for: 198.51.${++clients >> 8}.${clients & 255}\r\n`;
const get = (target: string, headers = '') => `GET ${target} HTTP/1.1\r\n${as()}${headers}\r\n`;
const post = (target: string, body: string, type = 'application/x-www-form-urlencoded', headers = '') =>
  `POST ${target} HTTP/1.1\r\n${as()}content-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;

/** Ms of processor time of this process, all threads; the least of some runs. */
async function cost(attack: () => string): Promise<number> {
  const costs: number[] = [];
  for (let run = 0; run < 4; run++) {
    const bytes = attack();
    const before = process.cpuUsage();
    await exchange(bytes);
    const { user, system } = process.cpuUsage(before);
    costs.push((user + system) / 1_000);
  }
  return Math.min(...costs);
}

/** Below this, an effect that were quadratic would be no attack either. */
const NEGLIGIBLE_MS = 25;

const times = (text: string, bytes: number) => text.repeat(Math.floor(bytes / text.length));
const numbered = (bytes: number) => {
  let text = '';
  for (let n = 0; text.length < bytes - 10; n++) text += `${n.toString(36)}=1&`;
  return text;
};
const parts = (bytes: number) =>
  `${times('--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n', bytes)}--b--\r\n`;

const HEADERS = 14_500;
const FORM = 130_000;
const attacks: Record<string, [number, (bytes: number) => string]> = {
  'a form of many names': [FORM, (n) => post('/oauth2/token', numbered(n))],
  'a form of one name': [FORM, (n) => post('/oauth2/introspect', times('token=1&', n))],
  'a form of separators': [FORM, (n) => post('/oauth2/token', times('&', n))],
  'a form of escapes': [FORM, (n) => post('/oauth2/token', `grant_type=${times('%41', n - 11)}`)],
  'a form of broken escapes': [FORM, (n) => post('/oauth2/token', `grant_type=${times('%', n - 11)}`)],
  'a form of a secret': [FORM, (n) => post('/oauth2/token', `client_secret=${times('a.', n - 20)}`)],
  'a form on a page': [16_000, (n) => post('/connect/x', numbered(n))],
  'a multipart form on a page': [16_000, (n) => post('/connect/x', parts(n), 'multipart/form-data; boundary=b')],
  'a query of many names': [HEADERS, (n) => get(`/oauth2/callback/x?${numbered(n)}`)],
  'a query of one name': [HEADERS, (n) => get(`/oauth2/callback/x?${times('state=1&', n)}`)],
  'a query of escapes': [HEADERS, (n) => get(`/v1/token?owner=${times('%41', n)}`)],
  'a path of segments': [HEADERS, (n) => get(times('/a', n))],
  'a path of dots': [HEADERS, (n) => get(times('/..', n))],
  'a path of escapes': [HEADERS, (n) => get(`/connect/${times('%41', n)}`)],
  'a path of broken escapes': [HEADERS, (n) => get(`/connect/${times('%f', n)}`)],
  'a path of percent signs': [HEADERS, (n) => get(`/${times('%25', n)}`)],
  'many cookies': [HEADERS, (n) => get('/oauth2/callback/x?state=1', `cookie: ${times('a=b; ', n)}\r\n`)],
  'cookies of one name': [HEADERS, (n) => get('/oauth2/callback/x?state=1', `cookie: ${times('valetkey=b;', n)}\r\n`)],
  'many headers': [HEADERS, (n) => get('/v1/token', times('a: b\r\n', n))],
  'spaces after Bearer': [HEADERS, (n) => get('/v1/token', `authorization: Bearer${times(' ', n)}x y\r\n`)],
  'a long key': [HEADERS, (n) => get('/v1/token', `authorization: Bearer vk_${times('a', n)}\r\n`)],
  'a token of dots': [HEADERS, (n) => get('/v1/token', `authorization: Bearer ${times('a.', n)}\r\n`)],
  'a token of one header': [
    HEADERS,
    (n) =>
      get('/v1/token', `authorization: Bearer ${Buffer.from(times('[', n * 0.7)).toString('base64url')}.e30.x\r\n`),
  ],
  'colons in Basic': [
    HEADERS,
    (n) =>
      post(
        '/oauth2/token',
        'a=b',
        undefined,
        `authorization: Basic ${Buffer.from(times(':%', n * 0.7)).toString('base64')}\r\n`,
      ),
  ],
  'hops in X-Forwarded-For': [HEADERS, (n) => get('/v1/token', `x-forwarded-for: ${times('10.0.0.1,', n - 100)}\r\n`)],
  'quotes in Forwarded': [HEADERS, (n) => get('/v1/token', `forwarded: ${times('for="\\\\";', n)}\r\n`)],
  'backslashes in Forwarded': [HEADERS, (n) => get('/v1/token', `forwarded: for="${times('\\', n)}"\r\n`)],
  'a request id': [HEADERS, (n) => get('/v1/token', `x-request-id: ${times('=', n)}\r\n`)],
  'a media type': [HEADERS, (n) => post('/oauth2/token', 'a=b', `application/${times('a-', n)}`)],
};

describe('the work is linear in what was sent', () => {
  test.each(Object.entries(attacks))('%s', async (_name, [most, attack]) => {
    expect(statusOf(await exchange(attack(most)))).toBeGreaterThanOrEqual(400);
    const [less, more] = [await cost(() => attack(most / 2)), await cost(() => attack(most))];
    expect(more < NEGLIGIBLE_MS || more / less < 3, `${less} ms, ${more} ms`).toBe(true);
  });
});

test('a form has at most 100 parameters, and says so', async () => {
  const answer = await exchange(post('/oauth2/token', numbered(1_000)));
  expect(statusOf(answer)).toBe(400);
  expect(answer).toContain('more than 100 parameters');
});

test('metrics: no route, method or path that a stranger makes up is a time series', async () => {
  for (const method of ['PROPFIND', 'MKCOL', 'M-SEARCH', 'TRACE'])
    for (let n = 0; n < 5; n++) await exchange(get(`/made-up/${n}`).replace('GET', method));
  const text = await (await fetch(new URL('/metrics', broker.url))).text();
  expect(text).not.toMatch(/made-up|PROPFIND|MKCOL|M-SEARCH|TRACE/);
  expect(text).toMatch(/valetkey_http_requests_total\{[^}]*method="other"[^}]*\} 20\b/);
});

test('a client that leaves in the middle of its body is no error of ours: not logged, and counted as 499', async () => {
  const begun = (target: string, end: string) =>
    `POST ${target} HTTP/1.1\r\n${as()}content-type: application/x-www-form-urlencoded\r\n${end}`;
  const halves = ['content-length: 100\r\n\r\na=b', 'transfer-encoding: chunked\r\n\r\n3\r\na=b\r\n'];
  const { hostname, port } = new URL(broker.url);
  for (const target of ['/oauth2/token', '/oauth2/introspect', '/connect/x'])
    for (const half of halves)
      await new Promise((closed) => {
        const socket = connect(Number(port), hostname, () => socket.end(begun(target, half)));
        socket
          .on('error', () => undefined)
          .on('close', closed)
          .resume();
      });
  // What breaks the form of HTTP in the middle.
  await exchange(begun('/oauth2/token', 'transfer-encoding: chunked\r\n\r\n3\r\na=b\r\nzz\r\n'));
  const gone = async () => {
    const text = await (await fetch(new URL('/metrics', broker.url))).text();
    const counts = text.matchAll(/valetkey_http_requests_total\{[^}]*status="(499|500)"[^}]*\} (\d+)/g);
    return [...counts].map(([, status, count]) => [status, Number(count)] as const);
  };
  await expect.poll(async () => (await gone()).reduce((sum, [, count]) => sum + count, 0)).toBeGreaterThanOrEqual(6);
  expect((await gone()).filter(([status]) => status === '500')).toEqual([]);
  expect(logged).toEqual([]);
});
