// Successes of a token endpoint in odd clothes: the tokens are read wherever they are whole, and what cannot be read is
// handed on, not thrown away.
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createTarget,
  expectFault,
  mintToken,
  refreshTokens,
  startAuthorization,
  startTestAdapter,
  type TestAdapter,
  unwrap,
} from '../../support/oauth.ts';
import { type RawServer, startRawServer } from '../../support/raw-server.ts';

const TOKENS = { access_token: 'at', refresh_token: 'r2', expires_in: 3_600 };
const JSON_TOKENS = JSON.stringify(TOKENS);
const FORM_TOKENS = new URLSearchParams({ access_token: 'at', refresh_token: 'r2', expires_in: '3600' }).toString();

let server: RawServer;
let adapter: TestAdapter;
/** For responses that never end: their beginning comes in time. */
let hasty: TestAdapter;
beforeAll(async () => {
  server = await startRawServer();
  adapter = startTestAdapter({ timeoutMs: 60_000 });
  hasty = startTestAdapter({ timeoutMs: 500 });
});
afterAll(async () => {
  await Promise.all([adapter.close(), hasty.close()]);
  await server.close();
});

const target = (more: object = {}) =>
  createTarget({
    auth: [{ mode: 'oauth2_code', authorization_url: `${server.url}/a`, token_url: `${server.url}/token`, ...more }],
  });

/** Refreshes against a response with this body. */
function refreshed(body: string | Uint8Array, headers: Record<string, string> = {}, status = 200, at = target()) {
  server.answer = (res) => res.writeHead(status, headers).end(body);
  return refreshTokens(adapter.client, at, { refreshToken: 'r1' });
}

/** A response that begins so, and whose connection then ends, or never does. */
function cut(body: string | Uint8Array, how: 'reset' | 'hang', headers: Record<string, string> = {}) {
  server.answer = (res) => {
    res.writeHead(200, headers);
    res.write(body, () => how === 'reset' && res.destroy());
  };
  return refreshTokens((how === 'hang' ? hasty : adapter).client, target(), { refreshToken: 'r1' });
}

/** The seconds that a busy machine takes to read it are deducted. */
const READ = { accessToken: 'at', refreshToken: 'r2', expiresIn: expect.closeTo(3_600, -2) };

describe('the tokens of a success are read', () => {
  test.each([200, 201, 202, 203, 206, 226])('with the status %i', async (status) => {
    expect(unwrap(await refreshed(JSON_TOKENS, {}, status))).toMatchObject(READ);
  });

  test.each([
    ['application/json; charset=utf-8'],
    ['text/html'],
    ['text/plain'],
    ['application/x-www-form-urlencoded'],
    ['application/octet-stream'],
    ['nonsense'],
    [''],
  ])('whatever the content type says: %j', async (type) => {
    for (const body of [JSON_TOKENS, FORM_TOKENS])
      expect(unwrap(await refreshed(body, { 'content-type': type }))).toMatchObject(READ);
  });

  test.each([
    ['after a byte order mark', Buffer.from(`\ufeff${JSON_TOKENS}`)],
    ['in UTF-16', Buffer.from(`\ufeff${JSON_TOKENS}`, 'utf16le')],
    ['between white space', ` \r\n\t${JSON_TOKENS}\n\n`],
    ['encoded twice', JSON.stringify(JSON_TOKENS)],
    ['after the same members with other values', `{"access_token":"old","refresh_token":"old",${JSON_TOKENS.slice(1)}`],
    ['compressed, and said so', gzipSync(JSON_TOKENS)],
    ['twice', JSON_TOKENS + JSON_TOKENS],
    ['before a page', `${JSON_TOKENS}\n<html>{"access_token":"other"}</html>`],
    ['before half of them', JSON_TOKENS + JSON_TOKENS.slice(0, -5)],
    ['before a page, with text that looks like JSON', `{"note":"}]{[\\"}\\\\",${JSON_TOKENS.slice(1)}<html>"`],
    ['in a list', `[${JSON_TOKENS}]`],
    ['in a list, encoded twice', JSON.stringify(`[${JSON_TOKENS}]`)],
    ['in a list, before a page', `[${JSON_TOKENS}]<html>`],
    ['in a member', `{"code":0,"message":"success","error_code":"0","errors":[],"data":${JSON_TOKENS}}`],
    ['in a member of what is in a list', `[{"result":${JSON_TOKENS}}]`],
  ])('%s', async (_, body) => {
    expect(unwrap(await refreshed(body))).toMatchObject(READ);
  });

  test('in a member, with what is captured beside and in it', async () => {
    const at = target({ token_answer: { capture: { team: 'team.id', site: 'site', also: 'data.site' } } });
    const data = { ...TOKENS, site: 's', token_type: 'bearer', expires_in: undefined };
    const body = JSON.stringify({ team: { id: 't' }, data });
    expect(unwrap(await refreshed(body, {}, 200, at))).toMatchObject({
      accessToken: 'at',
      refreshToken: 'r2',
      captured: { team: 't', site: 's', also: 's' },
    });
  });

  test('beside a refresh token that is a number', async () => {
    expect(unwrap(await refreshed('{"access_token":"at","refresh_token":1234567}')).refreshToken).toBe('1234567');
  });

  const levels = 100_000;
  const lists = `${'['.repeat(levels)}${']'.repeat(levels)}`;
  const objects = `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
  test.each([
    ['lists', lists],
    ['objects', objects],
  ])('beside very deep %s, captured or not', async (_, deep) => {
    for (const member of ['other', 'id', 'scope', 'token_type', 'id_token', 'expires_at', 'error']) {
      const capturing = target({ token_answer: { capture: { id: 'id', all: 'list[].x' } } });
      const body = `{${JSON_TOKENS.slice(1, -1)},"${member}":${deep}}`;
      expect(unwrap(await refreshed(body, {}, 200, capturing))).toMatchObject({ ...READ, captured: {} });
    }
  });

  test.each<'reset' | 'hang'>(['reset', 'hang'])('though the connection ends early: %s', async (how) => {
    expect(unwrap(await cut(JSON_TOKENS, how, { 'content-length': '5000' }))).toMatchObject(READ);
    expect(unwrap(await cut(gzipSync(JSON_TOKENS), how, { 'content-encoding': 'gzip' }))).toMatchObject(READ);
  });

  test('though the checksum of the coding is missing', async () => {
    const body = gzipSync(JSON_TOKENS).subarray(0, -5);
    expect(unwrap(await refreshed(body, { 'content-encoding': 'gzip' }))).toMatchObject(READ);
  });
});

describe('what cannot be read is handed on', () => {
  const html = '<html>maintenance, your token is sekret-token-0123456789</html>';

  test('with a refresh', async () => {
    const fault = expectFault(await refreshed(html, { 'content-type': 'text/html; charset=utf-8' }));
    expect(fault).toMatchObject({ kind: 'transient', code: 'invalid_answer', outcomeUnknown: true });
    expect(fault.unreadable).toMatchObject({ status: 200, contentType: 'text/html; charset=utf-8', isPartial: false });
    expect(await fault.unreadable!.read()).toBe(html);
    expect(JSON.stringify(fault)).not.toContain('sekret');
  });

  test('with a code exchange', async () => {
    const at = target();
    const { expected } = await startAuthorization(adapter.client, at, ['read']);
    server.answer = (res) => res.end(html);
    const response = new URLSearchParams({ code: 'code', state: expected.state });
    const fault = expectFault(await adapter.client.exchange(at, response, expected));
    expect(fault).toMatchObject({ kind: 'invalid', code: 'invalid_answer' });
    expect(await fault.unreadable!.read()).toBe(html);
  });

  test('with client credentials', async () => {
    const at = createTarget({ auth: [{ mode: 'oauth2_client_credentials', token_url: `${server.url}/token` }] });
    server.answer = (res) => res.end(html);
    expect(await expectFault(await mintToken(adapter.client, at)).unreadable!.read()).toBe(html);
  });

  test('its first part, when it is too large', async () => {
    const fault = expectFault(await refreshed(`${JSON_TOKENS.slice(0, -1)},"x":"${'x'.repeat(1_000_000)}"}`));
    expect(fault).toMatchObject({ kind: 'transient', code: 'answer_too_large', outcomeUnknown: true });
    expect(fault.unreadable!.isPartial).toBe(true);
    expect(await fault.unreadable!.read()).toContain(JSON_TOKENS.slice(0, -1));
  });

  test('its first part, when the connection ends early', async () => {
    const fault = expectFault(await cut(JSON_TOKENS.slice(0, -5), 'reset', { 'content-length': '5000' }));
    expect(fault).toMatchObject({ kind: 'transient', code: 'network_error', outcomeUnknown: true });
    expect(await fault.unreadable!.read()).toBe(JSON_TOKENS.slice(0, -5));
  });

  test('a form whose last value may have been cut', async () => {
    const fault = expectFault(await cut(FORM_TOKENS.slice(0, 18), 'reset', { 'content-length': '5000' }));
    expect(fault).toMatchObject({ kind: 'transient', code: 'network_error' });
    expect(await fault.unreadable!.read()).toBe(FORM_TOKENS.slice(0, 18));
  });

  describe.each([
    ['before other JSON', '{"status":"ok"}{"access_token":"at","expires_in":3600}'],
    ['in a page', `<html>${JSON_TOKENS}</html>`],
    ['in one of several elements', `[${JSON_TOKENS},{}]`],
    ['two levels down', `{"data":{"token":${JSON_TOKENS}}}`],
    ['in two members', `{"user":${JSON_TOKENS},"bot":${JSON_TOKENS}}`],
    ['beside errors', `{"errors":["expired"],"data":${JSON_TOKENS}}`],
    ['beside a code of an error', `[{"errorCode":"INVALID_SESSION","data":${JSON_TOKENS}}]`],
    ['beside an error in the same member', `{"data":{"error_code":17,${JSON_TOKENS.slice(1)}}`],
    ['that are messages', '{"fields":{"access_token":"is required","token_type":"Bearer","expires_in":3600}}'],
    ['that are words', '{"fields":{"access_token":"invalid","token_type":"unsupported","expires_in":["invalid"]}}'],
    ['that are of the request', '{"request":{"access_token":"at","refresh_token":"r1"}}'],
  ])('tokens %s', (_, body) => {
    test('are none', async () => {
      const fault = expectFault(await refreshed(body));
      expect(fault).toMatchObject({ kind: 'transient', code: 'invalid_answer', outcomeUnknown: true });
      expect(await fault.unreadable!.read()).toBe(body);
    });
  });

  test.each([
    ['with tokens in it', `{"error":"invalid_grant","data":${JSON_TOKENS}}`],
    ['with tokens after it', `{"error":"invalid_grant"}${JSON_TOKENS}`],
    ['with a page after it', '{"error":"invalid_grant"}<html>'],
  ])('not a refusal %s', async (_, body) => {
    const fault = expectFault(await refreshed(body));
    expect(fault.kind).toBe('grant_dead');
    expect(fault.unreadable).toBeUndefined();
  });

  test('not with a refusal', async () => {
    expect(expectFault(await refreshed('{"error":"invalid_grant"}', {}, 400)).unreadable).toBeUndefined();
    expect(expectFault(await refreshed('{"error":"invalid_grant"}')).unreadable).toBeUndefined();
    expect(expectFault(await refreshed(html, {}, 503)).unreadable).toBeUndefined();
  });
});
