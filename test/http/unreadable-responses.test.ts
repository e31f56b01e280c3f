// What a token endpoint answers with a 2xx, and no token is found in, is kept encrypted, and shown on the command line alone.
// Providers that make libraries throw: the session ends.

import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { createCookieJar } from '../../demo/browser.ts';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import type { UnreadableResponseHead } from '../../src/ports/index.ts';
import { parseConfig } from '../../src/runtime/config.ts';
import { listUnreadable, readUnreadable } from '../../src/runtime/unreadable-responses.ts';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import {
  callbackWithConsent,
  connectionOf,
  createConnectSession,
  newOwner,
  openLink,
  putIntegration,
  queryDatabase,
  readDatabaseFiles,
  sessionOf,
  visit,
} from '../support/owner-browser.ts';
import { type RawServer, startRawServer } from '../support/raw-server.ts';
import { createTerminal } from '../support/terminal.ts';

const usesPostgres = process.env.VALETKEY_TEST_STORE === 'postgres';
const KEYS = `k_1:${randomBytes(32).toString('base64url')}`;
const CANARY = 'rt-canary-0123456789';
const ODD = `<html>{"wrapped": {"refresh": "${CANARY}"}}</html>`;

let broker: TestBroker;
let provider: RawServer;
beforeAll(async () => {
  provider = await startRawServer();
  broker = await startTestBroker({ VALETKEY_KEYS: KEYS });
  await putIntegration(broker, 'acme', {
    provider: 'generic-oauth2',
    client_id: 'client',
    client_secret: 'client-secret',
    params: { authorization_url: `${provider.url}/authorize`, token_url: `${provider.url}/token` },
  });
});
afterAll(async () => {
  await broker.stop();
  await provider.close();
});

const log = createLogger('silent');
function config() {
  const env = {
    VALETKEY_DATABASE_URL: `file:${broker.database}`,
    VALETKEY_KEYS: KEYS,
    VALETKEY_ADMIN_KEY: 'x'.repeat(43),
  };
  const parsed = parseConfig(env, () => '');
  if (!parsed.ok) throw new Error(parsed.issues.join());
  return parsed.config;
}

/** The commands are configured by the environment of their process. */
async function expectOnCommandLine({ id, connectionId }: UnreadableResponseHead): Promise<void> {
  vi.stubEnv('VALETKEY_DATABASE_URL', `file:${broker.database}`);
  vi.stubEnv('VALETKEY_KEYS', KEYS);
  vi.stubEnv('VALETKEY_LOG_LEVEL', 'silent');
  onTestFinished(() => void vi.unstubAllEnvs());
  const valetkey = createTerminal({});
  const list = await valetkey(['unreadable-responses', 'list', '--integration', 'acme']);
  expect(list).toMatchObject({ code: 0, err: '' });
  expect(list.out).toContain(`${id}\tacme\t${connectionId}\t`);
  expect(list.out).not.toContain(CANARY);
  expect((await valetkey(['unreadable-responses', 'list', '--integration', 'other'])).out).toBe('');
  expect(await valetkey(['unreadable-responses', 'read', id])).toEqual({ code: 0, out: `${ODD}\n`, err: '' });
  const json = await valetkey(['unreadable-responses', 'read', id, '--json']);
  expect(JSON.parse(json.out)).toMatchObject({ id, connection_id: connectionId, body: ODD });
  const absent = await valetkey(['unreadable-responses', 'read', 'unr_none']);
  expect(absent).toMatchObject({ code: 1, out: '', err: expect.stringContaining('no unreadable response unr_none') });
}

async function connectedWith(body: string | Buffer) {
  const jar = createCookieJar();
  const invited = await createConnectSession(broker, { owner: newOwner() });
  const { location } = await openLink(invited.url, jar);
  provider.answer = (res) => res.end(body);
  return { invited, page: await visit(callbackWithConsent(location), jar) };
}

test.skipIf(usesPostgres)(
  'unreadable responses: kept encrypted, listed and read by an operator, deleted with the connection',
  async () => {
    const failed = await connectedWith(ODD);
    expect(failed.page.status).toBe(502);
    expect(await sessionOf(broker, failed.invited)).toMatchObject({ status: 'failed', error: 'invalid_answer' });

    const good = await connectedWith(JSON.stringify({ access_token: 'at', refresh_token: 'rt', expires_in: 3_600 }));
    const { id } = await connectionOf(broker, good.invited);
    provider.answer = (res) => res.writeHead(200, { 'content-type': 'text/html' }).end(ODD);
    await broker.ask('POST', `/v1/connections/${id}/refresh`, {});

    const rows: UnreadableResponseHead[] = [];
    for await (const row of listUnreadable(config(), log, 'acme')) rows.push(row);
    expect(JSON.stringify(rows)).not.toContain(CANARY);
    const ofSession = rows.filter((row) => row.sessionId === failed.invited.id);
    const ofConnection = rows.filter((row) => row.connectionId === id);
    expect(ofSession).toMatchObject([{ integration: 'acme', status: 200, extent: 'whole' }]);
    expect(ofConnection[0]).toMatchObject({ contentType: 'text/html' });
    for (const row of [ofSession[0]!, ofConnection[0]!]) {
      const read = await readUnreadable(config(), log, row.id);
      expect(read).toEqual({ ...row, text: ODD });
    }
    const { body } = await broker.ask('GET', '/v1/audit?action=connection.unreadable_response_read');
    expect((body.data as Json[]).map(({ detail }) => detail)).toEqual([ofConnection[0]!.id, ofSession[0]!.id]);
    expect(await readUnreadable(config(), log, 'unr_none')).toBeUndefined();
    expect(await readDatabaseFiles(broker)).not.toContain(CANARY);
    await expectOnCommandLine(ofConnection[0]!);

    provider.answer = (res) => res.writeHead(200).end();
    await broker.ask('DELETE', `/v1/connections/${id}`);
    const left = queryDatabase<Json>(
      broker,
      'select connection_id from unreadable_responses where connection_id = ?',
      id,
    );
    expect(left).toEqual([]);
  },
);

test('very deep response: the tokens are read, nothing stays pending', async () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  const { invited, page } = await connectedWith(`{"access_token":"at","deep":${deep},"scope":${deep}}`);
  expect(page.status, page.text).toBe(200);
  expect(await connectionOf(broker, invited)).toMatchObject({ status: 'active' });
});

/** Metadata that name everything rightly, with changes. */
const metadata = (change: Json) => ({
  issuer: provider.url,
  authorization_endpoint: `${provider.url}/authorize`,
  token_endpoint: `${provider.url}/token`,
  jwks_uri: `${provider.url}/keys`,
  response_types_supported: ['code'],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: ['RS256'],
  ...change,
});

let issuers = 0;
test.each<[string, Json, Json]>([
  ['an issuer that is no URL', { issuer: 'not a URL' }, {}],
  ['an issuer that is a number', { issuer: 7 }, {}],
  ['an authorization endpoint that is no URL', { authorization_endpoint: 'nowhere' }, {}],
  ['an authorization endpoint that is an object', { authorization_endpoint: {} }, {}],
  ['a token endpoint that is no URL', { token_endpoint: ':::' }, {}],
  ['a token endpoint that is a list', { token_endpoint: ['x'] }, {}],
  ['client authentication that is no list', { token_endpoint_auth_methods_supported: 'client_secret_basic' }, {}],
  ['scopes that are no list', { scopes_supported: 7 }, {}],
  ['keys that are no URL', { jwks_uri: 'nowhere' }, { id_token: 'a.b.c' }],
  ['an ID token that is no text', {}, { id_token: { a: 1 } }],
  ['an ID token of nothing', {}, { id_token: '..' }],
  ['an ID token of null', {}, { id_token: `${Buffer.from('null').toString('base64url')}.bnVsbA.x` }],
])('provider with %s: the session ends, with an error', async (_, change, tokens) => {
  const id = `odd-${++issuers}`;
  provider.answer = (res, path) => {
    const body = path.includes('.well-known')
      ? metadata(change)
      : { access_token: 'at', token_type: 'Bearer', ...tokens };
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  // Another broker has discovered nothing yet.
  const other = await startTestBroker();
  try {
    const params = { issuer: provider.url };
    await putIntegration(other, id, { provider: 'generic-oidc', client_id: 'c', client_secret: 'sécret', params });
    const jar = createCookieJar();
    const invited = await createConnectSession(other, { integration: id, owner: newOwner(), scopes: ['openid'] });
    const begun = await openLink(invited.url, jar);
    const page = begun.location === null ? begun : await visit(callbackWithConsent(begun.location), jar);
    expect(page.status, page.text).toBe(502);
    expect(await sessionOf(other, invited)).toMatchObject({ status: 'failed', error: expect.any(String) });
  } finally {
    await other.stop();
  }
});
