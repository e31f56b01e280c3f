// Answers of token endpoints from public bug reports (cases/token-answers.json), and siblings of them, through the whole
// broker: what becomes of the connection.
import { readFileSync } from 'node:fs';
import { brotliCompressSync, deflateRawSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../demo/browser.ts';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import {
  callbackWithConsent,
  connectionOf,
  createConnectSession,
  newOwner,
  openLink,
  putIntegration,
  visit,
} from '../support/owner-browser.ts';
import { type RawServer, startRawServer } from '../support/raw-server.ts';

interface Answer {
  status: number;
  headers?: Record<string, string>;
  json?: unknown;
  text?: string;
  encode?: keyof typeof ENCODERS | undefined;
}

interface Active {
  expires_in: number | null;
  scopes?: string[];
  refresh?: 'new' | 'kept' | 'none';
  /** Seconds. */
  refreshed_within?: number;
  reauth_due_in?: number | null;
}

interface Case {
  id: string;
  at: 'code' | 'refresh';
  before?: { lifetime?: number; connected?: 'same account'; refresh_token?: string };
  answer: Answer;
  expect: {
    active?: Active;
    retry?: { within?: number };
    /** The reason. */
    dead?: string;
    /** The error code of the client. */
    client?: string;
  };
}

const ENCODERS = {
  gzip: gzipSync,
  'deflate-raw': deflateRawSync,
  br: (text: string) => brotliCompressSync(text),
  zstd: zstdCompressSync,
};

const { cases } = JSON.parse(readFileSync(new URL('cases/token-answers.json', import.meta.url), 'utf8')) as {
  cases: Case[];
};

/** When everything was issued: 2026-11-28T00:00:00Z. */
const ISSUED_S = 1_795_824_000;
const jwt = (claims: object) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sig`;

/** A success at a code exchange with these members, and what becomes of it. */
const atCode = (id: string, json: object, active: Active): Case => ({
  id,
  at: 'code',
  answer: { status: 200, json: { access_token: 'a1', token_type: 'Bearer', ...json } },
  expect: { active },
});
const atRefresh = (id: string, json: object, active: Active, lifetime = 3_600): Case => ({
  id,
  at: 'refresh',
  before: { lifetime },
  answer: { status: 200, json: { access_token: 'a2', token_type: 'Bearer', ...json } },
  expect: { active },
});
const encoded = (encode: Answer['encode'], coding: string): Case => ({
  ...atRefresh(`coding ${coding}`, { expires_in: 3_600, refresh_token: 'r2' }, { expires_in: 3_600, refresh: 'new' }),
  answer: {
    status: 200,
    headers: { 'content-encoding': coding },
    json: { access_token: 'a2', expires_in: 3_600, refresh_token: 'r2' },
    encode,
  },
});

const SIBLINGS: Case[] = [
  encoded('br', 'BR'),
  encoded('zstd', 'zstd'),
  encoded('deflate-raw', 'deflate'),
  encoded('gzip', 'x-gzip'),
  encoded(undefined, ''),
  encoded(undefined, 'gzip'),
  atCode('float as text', { expires_in: '3600.5' }, { expires_in: 3_600 }),
  atCode('epoch in milliseconds', { expires_in: 1_795_827_600_000 }, { expires_in: 3_600 }),
  atCode('epoch as text', { expires_in: '1795827600' }, { expires_in: 3_600 }),
  atCode('date as expires_in', { expires_in: '2026-11-28T01:00:00Z' }, { expires_in: 3_600 }),
  atCode('expires_at in seconds', { expires_at: 1_795_827_600 }, { expires_in: 3_600 }),
  atCode('expires_at in milliseconds', { expires_at: 1_795_827_600_000 }, { expires_in: 3_600 }),
  atCode('expires_at as a date', { expires_at: '2026-11-28T01:00:00Z' }, { expires_in: 3_600 }),
  atCode('expires_at as a date without a zone', { expires_at: '2026-11-28 01:00:00' }, { expires_in: 3_600 }),
  atCode('expires_at that is a duration', { expires_at: 3_600 }, { expires_in: 3_600 }),
  atCode('expires_on as a date', { expires_on: '11/28/2026 01:00:00 +00:00' }, { expires_in: 3_600 }),
  atCode('expires_in before expires_at', { expires_in: 600, expires_at: 1_795_827_600 }, { expires_in: 600 }),
  atCode(
    'zero, and the token knows',
    { expires_in: 0, access_token: jwt({ exp: ISSUED_S + 900 }) },
    { expires_in: 900 },
  ),
  atCode('no word but the token’s', { access_token: jwt({ exp: ISSUED_S + 900 }) }, { expires_in: 900 }),
  atCode('a list and true', { expires_in: [3_600], expires_at: true }, { expires_in: null }),
  atCode('nothing', {}, { expires_in: null }),
  atRefresh('negative on refresh', { expires_in: -1 }, { expires_in: 3_600, refresh: 'kept' }),
  atRefresh('null on refresh', { expires_in: null }, { expires_in: 3_600 }),
  atRefresh('a moment in the past on refresh', { expires_at: ISSUED_S - 60 }, { expires_in: 7_200 }, 7_200),
  atRefresh(
    'the token’s word before the last lifetime',
    { access_token: jwt({ exp: ISSUED_S + 900 }) },
    { expires_in: 900 },
  ),
  atRefresh('an empty refresh token', { refresh_token: '', expires_in: 600 }, { expires_in: 600, refresh: 'kept' }),
  atCode(
    'refresh_token_expires_in',
    { expires_in: 3_600, refresh_token: 'r1', refresh_token_expires_in: '1800' },
    { expires_in: 3_600, refresh: 'new', refreshed_within: 1_800, reauth_due_in: 1_800 },
  ),
  atCode(
    'x_refresh_token_expires_in, and a token without an end',
    { refresh_token: 'r1', x_refresh_token_expires_in: 86_400 },
    { expires_in: null, refreshed_within: 86_400, reauth_due_in: 86_400 },
  ),
  atCode(
    'refresh_token_expires_at',
    { expires_in: 7_200, refresh_token: 'r1', refresh_token_expires_at: '2026-11-28T01:00:00Z' },
    { expires_in: 7_200, refreshed_within: 3_600, reauth_due_in: 3_600 },
  ),
  atCode(
    'refresh_expires_in that is 0',
    { expires_in: 60, refresh_token: 'r1', refresh_expires_in: 0 },
    { expires_in: 60, reauth_due_in: null },
  ),
  atCode('scopes between commas', { scope: 'read,write' }, { expires_in: null, scopes: ['read', 'write'] }),
  atCode(
    'scopes in a list of lists',
    { scope: ['a, b', 'c d', 'a', 7, null] },
    { expires_in: null, scopes: ['a', 'b', 'c', 'd'] },
  ),
  atCode('scope null: as requested', { scope: null }, { expires_in: null, scopes: ['asked'] }),
  atCode('scope that is an object: as requested', { scope: { read: true } }, { expires_in: null, scopes: ['asked'] }),
];

const CONNECT_ANSWER = { access_token: 'a1', token_type: 'Bearer', refresh_token: 'r1' };

let broker: TestBroker;
let provider: RawServer;
/** By the broker's clocks, which do not move. */
const now = ISSUED_S * 1_000;
beforeAll(async () => {
  provider = await startRawServer();
  const clock = { now: () => now, monotonic: () => 0 };
  broker = await startTestBroker({}, undefined, { clock, refreshAhead: false });
});
afterAll(async () => {
  await broker.stop();
  await provider.close();
});

function answerWith({ status, headers = {}, json, text = JSON.stringify(json), encode }: Answer): void {
  const body = encode === undefined ? text : ENCODERS[encode](text);
  const type = json === undefined ? {} : { 'content-type': 'application/json' };
  provider.answer = (res) => {
    res.writeHead(status, { date: new Date(now).toUTCString(), ...type, ...headers }).end(body);
  };
}

/** Through the browser, at the integration of this connection. */
async function throughBrowser(integration: string, wanted: Json, answer: Answer): Promise<Json> {
  const jar = createCookieJar();
  const invited = await createConnectSession(broker, { integration, ...wanted });
  const { location } = await openLink(invited.url, jar);
  answerWith(answer);
  const page = await visit(callbackWithConsent(location), jar);
  expect(page.status, page.text).toBe(200);
  return connectionOf(broker, invited);
}

const reconnected = ({ id, integration, owner }: Json, answer: Answer): Promise<Json> =>
  throughBrowser(String(integration), { owner, connection_id: id }, answer);

let integrations = 0;
async function connected(answer: Answer): Promise<Json> {
  const integration = `acme-${++integrations}`;
  const urls = { authorization_url: `${provider.url}/authorize`, token_url: `${provider.url}/token` };
  await putIntegration(broker, integration, {
    provider: 'generic-oauth2',
    client_id: 'client',
    client_secret: 'client-secret',
    params: urls,
    scopes: ['asked'],
  });
  return throughBrowser(integration, { owner: newOwner() }, answer);
}

const refresh = (id: unknown) => broker.ask('POST', `/v1/connections/${id}/refresh`, {});
const connection = async (id: unknown): Promise<Json> => (await broker.ask('GET', `/v1/connections/${id}`)).body;
const secondsTo = (time: unknown) => Date.parse(String(time)) / 1_000 - ISSUED_S;

/** The refresh token that the next refresh spends; null: it cannot be refreshed. */
async function spentNext(id: unknown): Promise<string | null> {
  let spent: string | null = null;
  provider.onRequest = (form) => {
    spent = form.get('refresh_token');
  };
  answerWith({ status: 200, json: { access_token: 'a9', expires_in: 60 } });
  await refresh(id);
  provider.onRequest = undefined;
  return spent;
}

describe.each([
  ['reported', cases],
  ['sibling', SIBLINGS],
] as const)('%s answer', (_, all) => {
  for (const { id, at, before, answer, expect: expected } of all)
    test(`${id}, at a ${at}`, async () => {
      const { lifetime = 3_600, refresh_token = CONNECT_ANSWER.refresh_token } = before ?? {};
      const first = { status: 200, json: { ...CONNECT_ANSWER, expires_in: lifetime, refresh_token } };
      const made = await connected(at === 'code' && !before?.connected ? answer : first);
      if (before?.connected) await reconnected(made, answer);
      answerWith(answer);
      const refreshed = at === 'code' ? undefined : await refresh(made.id);
      const found = await connection(made.id);
      if (expected.dead !== undefined) {
        expect(found).toMatchObject({ status: 'needs_reauth', reason: expected.dead });
        return;
      }
      expect(found).toMatchObject({ status: 'active', reason: null });
      if (expected.client !== undefined) {
        expect(found.last_refresh_error).toMatchObject({ code: expect.stringContaining(expected.client) });
        return;
      }

      if (expected.retry) {
        expect(refreshed?.status).toBe(503);
        const wait = secondsTo(found.next_refresh_at);
        expect(wait).toBeGreaterThanOrEqual(0);
        expect(wait).toBeLessThanOrEqual(expected.retry.within ?? 3_600);
        return;
      }
      const active = expected.active!;
      const { body: served } = await broker.ask('GET', `/v1/connections/${made.id}/token?min_ttl=0`);
      const { access_token: issued } = answer.json as Json;
      expect(served.access_token).toBe(issued);
      if (active.expires_in === null) expect(served).toMatchObject({ expires_at: null, expires_in: null });
      else expect(secondsTo(served.expires_at)).toBe(active.expires_in);
      if (active.scopes) expect(found.scopes).toEqual(active.scopes);
      if (active.refreshed_within) {
        expect(secondsTo(found.next_refresh_at)).toBeLessThan(active.refreshed_within);
        expect(secondsTo(found.next_refresh_at)).toBeGreaterThan(0);
      }
      if (active.reauth_due_in === null) expect(found.reauth_due_at).toBeNull();
      else if (active.reauth_due_in) expect(secondsTo(found.reauth_due_at)).toBe(active.reauth_due_in);
      const { refresh_token: rotated = null } = answer.json as Json;
      const next = { new: rotated, kept: refresh_token, none: null };
      if (active.refresh) expect(await spentNext(made.id)).toBe(next[active.refresh]);
    });
});
