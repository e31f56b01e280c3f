// A refused refresh: whether the answer speaks of this refresh token, of the client, or of nothing that lasts. Cases from
// public bug reports, and other words for the same.
import { describe, expect, test } from 'vitest';
import { parseRetryAfter } from '../../../src/adapters/oauth/retry-after.ts';
import type { ProviderFault } from '../../../src/ports/index.ts';
import { createTarget, expectFault, refreshTokens, startAdapterWithServer } from '../../support/oauth.ts';
import type { ScriptedResponse } from '../../support/scripted-server.ts';

let answer: ScriptedResponse = {};
const { server, adapter } = await startAdapterWithServer(() => answer);

/** `more`: parameters of the generic provider. */
async function refusal(scripted: ScriptedResponse, more: Record<string, string> = {}): Promise<ProviderFault> {
  answer = scripted;
  const params = { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token`, ...more };
  const target = createTarget('generic-oauth2', { params });
  return expectFault(await refreshTokens(adapter.client, target, { refreshToken: 'the-refresh-token' }));
}
const refused = (status: number, error: string, error_description?: string): ScriptedResponse => ({
  status,
  body: { error, ...(error_description !== undefined && { error_description }) },
});

describe('refused refresh, dead grant', () => {
  test.each<[string, ScriptedResponse]>([
    ['Atlassian', refused(403, 'unauthorized_client', 'refresh_token is invalid')],
    ['Bitbucket', refused(400, 'invalid_request', 'Invalid refresh_token')],
    ['generic: invalid_token', refused(401, 'invalid_token')],
    ['generic: invalid_token, 400', refused(400, 'invalid_token', 'The token is no longer active')],
    ['generic: expired_token', refused(400, 'expired_token')],
    ['generic: access_denied', refused(403, 'access_denied')],
    ['generic: access_denied, 400', refused(400, 'access_denied', 'The user may not use this application')],
    ['access_denied with 401 that names the token', refused(401, 'access_denied', 'The refresh token was revoked')],
    ['generic: invalid_request', refused(400, 'invalid_request', 'Refresh token expired')],
    ['camel case in the code', refused(401, 'InvalidRefreshToken')],
    ['two words', refused(401, 'unauthorized', 'The refresh token has been revoked.')],
    ['a hyphen', refused(422, 'unprocessable', 'unknown refresh-token')],
    ['invalid_client', refused(401, 'invalid_client', 'Refresh token not found')],
    [
      'the words of RFC 6749',
      refused(
        400,
        'invalid_request',
        'The provided authorization grant or refresh token is invalid, expired or revoked.',
      ),
    ],
    ['missing or invalid', refused(400, 'invalid_request', 'The refresh token is missing or invalid')],
    ['a nested error', { status: 400, body: { error: { code: 'bad', message: 'Invalid refresh token' } } }],
    ['a message only', { status: 400, body: { message: 'Invalid refresh token.' } }],
    ['a list of errors', { status: 401, body: { errors: [{ message: 'Refresh token expired' }] } }],
    ['plain text', { status: 400, headers: { 'content-type': 'text/plain' }, body: 'invalid refresh_token' }],
  ])('%s', async (_, scripted) => {
    expect(await refusal(scripted)).toMatchObject({ kind: 'grant_dead', outcomeUnknown: false });
  });
});

describe('refused refresh, client fault', () => {
  test.each<[string, ScriptedResponse]>([
    ['invalid_client', refused(401, 'invalid_client', 'Client authentication failed')],
    ['access_denied with 401, as Auth0 answers a wrong secret', refused(401, 'access_denied', 'Unauthorized')],
    ['unauthorized_client', refused(400, 'unauthorized_client')],
    ['no code', { status: 401 }],
    [
      'the grant type is not supported',
      refused(400, 'unsupported_grant_type', 'unsupported grant type: refresh_token'),
    ],
    ['the grant type is not allowed', refused(400, 'unauthorized_client', 'grant_type refresh_token is not allowed')],
    [
      'refresh tokens are not enabled',
      refused(403, 'unauthorized_client', 'Refresh tokens are not enabled for this app'),
    ],
    ['the parameter is missing', refused(400, 'invalid_request', 'Missing required parameter: refresh_token')],
    ['a scope', refused(400, 'invalid_scope', 'not granted with this refresh token')],
  ])('%s', async (_, scripted) => {
    expect(await refusal(scripted)).toMatchObject({ kind: 'misconfigured' });
  });
});

describe('refused refresh, what is said at length', () => {
  test('only its beginning counts', async () => {
    const long = `${'word '.repeat(1_000)}the refresh token has expired`;
    expect((await refusal(refused(400, 'invalid_request', long))).kind).toBe('misconfigured');
  });

  test('a message in a long body is not looked for', async () => {
    const { detail } = await refusal({ status: 400, body: { message: 'said', more: 'x'.repeat(70_000) } });
    expect(detail).not.toContain('said');
  });

  test('a secret that the end of the beginning cuts is not shown', async () => {
    const said = `${'[\n'.repeat(30)}${'a'.repeat(4_096 - 60 - 8)}the-refresh-token`;
    const { detail } = await refusal(refused(400, 'invalid_request', said));
    expect(detail).toContain('…');
    expect(detail).not.toContain('the-');
  });
});

describe('refused refresh, transient', () => {
  test.each<[string, ScriptedResponse]>([
    ['429 that names the token', refused(429, 'too_many_requests', 'too many uses of this refresh token')],
    ['503 that names the token', refused(503, 'invalid_token', 'refresh token service is down')],
    ['403 with Retry-After', { status: 403, headers: { 'retry-after': '9' }, body: { error: 'access_denied' } }],
  ])('%s', async (_, scripted) => {
    expect(await refusal(scripted)).toMatchObject({ kind: 'transient' });
  });

  test('Retry-After for decades: a day', async () => {
    const scripted = { status: 429, headers: { 'retry-after': '999999999' }, body: { error: 'rate_limited' } };
    expect(await refusal(scripted)).toMatchObject({ kind: 'transient', retryAfter: 86_400 });
  });
});

describe('refused refresh, the catalogue’s own codes', () => {
  test.each<[ProviderFault['kind'], string, ScriptedResponse]>([
    ['transient', 'access_denied', refused(400, 'access_denied', 'You have made too many requests')],
    ['misconfigured', 'invalid_token', refused(403, 'invalid_token', 'The refresh token is invalid')],
    ['grant_dead', 'access_denied', refused(401, 'access_denied')],
  ])('%s: %s', async (kind, code, scripted) => {
    expect(await refusal(scripted, { errors: `${kind}=${code}` })).toMatchObject({ kind });
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-11-28T12:00:00Z');
  test.each([
    ['7', 7],
    [' 120 ', 120],
    ['0', 0],
    ['1.5', 2],
    ['999999999', 86_400],
    ['99999999999999999999999999', 86_400],
    ['120, 30', 120],
    ['Sat, 28 Nov 2026 12:00:30 GMT', 30],
    ['Saturday, 28-Nov-26 12:00:30 GMT', 30],
    ['Sat Nov 28 12:00:30 2026', 30],
    ['Wed, 21 Oct 2015 07:28:00 GMT', 0],
    ['Fri, 31 Dec 9999 23:59:59 GMT', 86_400],
    ['-5', undefined],
    ['1e9', undefined],
    ['0x10', undefined],
    ['Infinity', undefined],
    ['soon', undefined],
    ['2026', 2_026],
    ['', undefined],
    [null, undefined],
  ])('%s: %s seconds', (value, seconds) => {
    expect(parseRetryAfter(value, now)).toBe(seconds);
  });
});
