// The provider process of a chaos run: an OAuth 2.0 token endpoint with single-use refresh tokens, whose reuse revokes the
// token family, and with random faults from a seed.
//
// `POST /token/{tenant}` and `POST /revoke` are for brokers; `POST /control/…` is for the test. All state is in memory.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { createCertificate, pem } from '../../support/certificate.ts';
import { accountOf } from './connections.ts';
import type { Listening } from './processes.ts';
import { createSeededRandom, type SeededRandom } from './seeded-random.ts';
import { createTokenFamilies, type SpendOutcome, type TokenState } from './token-families.ts';

/** The fault of one request. `…After`: after the rotation, so the response is lost. */
export type Fault =
  | 'throttled'
  | 'unavailable'
  | 'broken'
  | 'garbageBefore'
  | 'garbageAfter'
  | 'hangBefore'
  | 'hangAfter'
  | 'cutBefore'
  | 'cutAfter'
  | 'gatewayAfter'
  | 'invalidClient'
  | 'invalidGrant';

export interface Rules {
  /** The reuse window: how long a spent refresh token returns the same successor again; 0: never. */
  windowMs: number;
  /** The lifetime of access tokens in seconds: minimum and maximum. */
  life: [number, number];
  /** Latency in milliseconds before the rotation, and again after it: minimum and maximum. */
  latency: [number, number];
  /** Seconds; null: no header. */
  retryAfter: number | null;
  /** The probability of each fault, 0 to 1. */
  faults: Partial<Record<Fault, number>>;
  /** The error of the Date header in milliseconds. */
  clockSkewMs: number;
  /** The share of answers after which the connection is closed, so that the next request makes a new one. */
  closes: number;
  /** Each response has a content coding of its own, asked for or not. */
  codings: boolean;
  /** The fault of every request at a tenant. */
  tenants: Record<string, Fault | undefined>;
  /** Revocations are refused with 503. */
  refusesRevocations: boolean;
}

export interface RefreshRecord {
  /** When the request arrived. */
  at: number;
  family: string | null;
  /** A digest: the log has no tokens. */
  token: string;
  /** The client's port, which distinguishes connections and so processes. */
  from: number;
  /** Undefined: the refresh token was not used. */
  spent?: SpendOutcome;
  spentAt?: number;
  fault?: Fault;
  /** When the whole response was handed to the operating system; undefined: never. */
  answeredAt?: number;
  /** The refresh token that it was exchanged for: a digest. */
  successor?: string;
  /** When a client first had the access token of the response from a broker. */
  servedAt?: number;
}

export interface Controls {
  seed: { ask: { names: string[] }; answer: { refreshTokens: string[] } };
  rules: { ask: Partial<Rules>; answer: Rules };
  /** `servedAt`: when a client had it from a broker. */
  alive: { ask: { token: string; servedAt?: number }; answer: TokenState };
  log: { ask: { from: number }; answer: { spends: RefreshRecord[] } };
}

const DEFAULT_RULES: Rules = {
  windowMs: 0,
  life: [3, 3],
  latency: [0, 0],
  retryAfter: 1,
  faults: {},
  clockSkewMs: 0,
  closes: 0,
  codings: false,
  tenants: {},
  refusesRevocations: false,
};

type Encode = (text: string) => string | Buffer;

/** What is said, and what is done, which may differ. */
const CODINGS: [[string | undefined, Encode], ...[string | undefined, Encode][]] = [
  ['gzip', gzipSync],
  ['X-GZip', gzipSync],
  ['deflate', deflateSync],
  ['deflate', deflateRawSync],
  ['br', (text) => brotliCompressSync(text)],
  ['zstd', zstdCompressSync],
  ['gzip, br', (text) => brotliCompressSync(gzipSync(text))],
  ['utf-8', (text) => text],
  ['gzip', (text) => text],
  ['', (text) => text],
  [undefined, gzipSync],
];

const digest = (text: string) => createHash('sha256').update(text).digest('base64url').slice(0, 12);

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function createProvider(random: SeededRandom) {
  const families = createTokenFamilies();
  const spends: RefreshRecord[] = [];
  /** By access token. */
  const issued = new Map<string, RefreshRecord>();
  let rules = DEFAULT_RULES;

  /** By refresh token, when its latest request has been processed. */
  const queues = new Map<string, Promise<unknown>>();
  /**
   * Waits before the rotation. Requests with one refresh token are processed in order of arrival: if the first were processed
   * later than the reuse window after the second, no client could keep the grant, since it cannot recall what it has sent.
   */
  async function waitInOrder(refreshToken: string): Promise<void> {
    const waited = Promise.all([queues.get(refreshToken), pause(random.between(...rules.latency))]);
    queues.set(refreshToken, waited);
    await waited;
    if (queues.get(refreshToken) === waited) queues.delete(refreshToken);
  }

  function chooseFault(): Fault | undefined {
    let remaining = random.next();
    for (const [fault, share] of Object.entries(rules.faults) as [Fault, number][]) {
      remaining -= share;
      if (remaining < 0) return fault;
    }
    return undefined;
  }

  function answer(response: ServerResponse, status: number, body: object | string, spend: RefreshRecord): void {
    const late = status === 429 || status === 503 ? rules.retryAfter : null;
    response.once('finish', () => {
      spend.answeredAt = Date.now();
    });
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const [coding, encode] = rules.codings ? random.pick(CODINGS) : [undefined, undefined];
    response
      .writeHead(status, {
        'content-type': typeof body === 'string' ? 'text/html' : 'application/json',
        'cache-control': 'no-store',
        date: new Date(Date.now() + rules.clockSkewMs).toUTCString(),
        ...(late !== null && { 'retry-after': String(late) }),
        ...(random.next() < rules.closes && { connection: 'close' }),
        ...(coding !== undefined && { 'content-encoding': coding }),
      })
      .end(encode === undefined ? text : encode(text));
  }

  /** Applies a fault before the rotation; true when the request is finished. */
  function failBeforeRotation(fault: Fault | undefined, response: ServerResponse, spend: RefreshRecord): boolean {
    if (fault === 'throttled') answer(response, 429, { error: 'slow_down' }, spend);
    else if (fault === 'unavailable') answer(response, 503, '<h1>Service Unavailable</h1>', spend);
    else if (fault === 'broken') answer(response, 500, '<h1>Internal Server Error</h1>', spend);
    else if (fault === 'garbageBefore') answer(response, 200, '<h1>Maintenance</h1>', spend);
    else if (fault === 'invalidClient') answer(response, 401, { error: 'invalid_client' }, spend);
    else if (fault === 'invalidGrant') answer(response, 400, { error: 'invalid_grant' }, spend);
    else if (fault === 'cutBefore') response.destroy();
    else return fault === 'hangBefore';
    return true;
  }

  async function token(tenant: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const given = new URLSearchParams(await bodyOf(request)).get('refresh_token') ?? '';
    const fault = rules.tenants[tenant] ?? chooseFault();
    const from = request.socket.remotePort ?? 0;
    const spend: RefreshRecord = { at: Date.now(), family: null, token: digest(given), from, ...(fault && { fault }) };
    spends.push(spend);
    await waitInOrder(given);
    if (failBeforeRotation(fault, response, spend)) return;

    const { spent, family, successor } = families.spend(given, rules.windowMs);
    Object.assign(spend, { spent, family, spentAt: Date.now() });
    await pause(random.between(...rules.latency));
    if (fault === 'cutAfter') return void response.destroy();
    if (fault === 'hangAfter') return;
    if (fault === 'garbageAfter') return answer(response, 200, '{"access_token":', spend);
    if (fault === 'gatewayAfter') return answer(response, 502, '<h1>Bad Gateway</h1>', spend);
    if (successor === null) return answer(response, 400, { error: 'invalid_grant' }, spend);
    const life = random.between(...rules.life);
    // Its lifetime begins when the response is sent, as the broker must assume.
    const accessToken = families.issue(successor, life * 1_000);
    issued.set(accessToken, spend);
    spend.successor = digest(successor);
    const tokens = { access_token: accessToken, refresh_token: successor, account: accountOf(family!) };
    answer(response, 200, { ...tokens, token_type: 'Bearer', expires_in: life }, spend);
  }

  /** RFC 7009. Ends everything of the token's account. */
  async function revoke(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const given = new URLSearchParams(await bodyOf(request)).get('token') ?? '';
    if (!rules.refusesRevocations) families.endAccount(given, accountOf);
    response.writeHead(rules.refusesRevocations ? 503 : 200).end();
  }

  const controls: { [C in keyof Controls]: (ask: Controls[C]['ask']) => Controls[C]['answer'] } = {
    seed: ({ names }) => ({ refreshTokens: names.map((name) => families.seed(name)) }),
    rules: (change) => {
      rules = { ...rules, ...change };
      return rules;
    },
    alive({ token: asked, servedAt }) {
      const spend = issued.get(asked);
      if (spend && servedAt !== undefined) spend.servedAt = Math.min(servedAt, spend.servedAt ?? servedAt);
      return families.alive(asked);
    },
    log: ({ from }) => ({ spends: spends.slice(from) }),
  };

  async function control(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const handle = controls[name as keyof Controls] as ((ask: unknown) => unknown) | undefined;
    if (!handle) return void response.writeHead(404).end();
    const answered = JSON.stringify(handle(JSON.parse(await bodyOf(request))));
    response.writeHead(200, { 'content-type': 'application/json' }).end(answered);
  }

  return (request: IncomingMessage, response: ServerResponse): void => {
    const [, first, name = ''] = request.url!.split('/');
    const answers = {
      control,
      token,
      revoke: (_: string, ...both: [IncomingMessage, ServerResponse]) => revoke(...both),
    };
    const handled = (answers[first as keyof typeof answers] ?? control)(name, request, response);
    // The client disconnected.
    handled.catch(() => response.destroy());
  };
}

if (import.meta.main) {
  const handler = createProvider(createSeededRandom(Number(process.argv[2] ?? 1)));
  const { pem: certificate, privateKey } = createCertificate('127.0.0.1');
  const servers = [createServer(handler), createTlsServer({ key: pem(privateKey), cert: certificate }, handler)];
  for (const server of servers) {
    // Longer than the brokers' own keep-alive, so that they never reuse a closed connection.
    server.keepAliveTimeout = 600_000;
    // Requests that came while the process was frozen are answered, rather than timed out.
    server.requestTimeout = 0;
    server.headersTimeout = 0;
    server.listen(0, '127.0.0.1');
  }
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const [port, tlsPort] = servers.map((server) => (server.address() as AddressInfo).port);
  const tls = { url: `https://127.0.0.1:${tlsPort}`, certificate };
  process.send?.({ url: `http://127.0.0.1:${port}`, tls } satisfies Listening);
  process.on('SIGTERM', () => {
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
  });
  // The parent process is gone.
  process.on('disconnect', () => process.exit());
}
