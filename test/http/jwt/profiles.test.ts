// Expectations of a JWT beyond issuer and audience, over HTTP: profile, claims, age.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Verdict } from '../../../src/api/index.ts';
import { JWT_VERDICT_TTL_MS } from '../../../src/domain/time-limits.ts';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectIssues, expectOk } from '../../support/contract.ts';
import { createSigningKey, jwt, startIssuers } from '../../support/issuers.ts';

const START = Date.parse('2026-03-01T12:00:00Z');
const LOGOUT = 'http://schemas.openid.net/event/backchannel-logout';
const key = createSigningKey('k1');

/** Milliseconds; reset before each test. */
let now = START;
let broker: TestBroker;
let issuers: Awaited<ReturnType<typeof startIssuers>>;
const keysOfIssuers = { main: [key.jwk] };
beforeAll(async () => {
  issuers = await startIssuers(keysOfIssuers);
  const trusted_issuers = [{ issuer: issuers.urlOf('main'), audiences: ['app', 'portal'] }];
  broker = await startTestBroker({}, { trusted_issuers }, { clock: { now: () => now, monotonic: () => now } });
});
afterAll(() => Promise.all([broker.stop(), issuers.close()]));
beforeEach(() => {
  now = START;
});

const seconds = () => now / 1_000;
function token(claims: Json = {}, header: Json = {}) {
  const times = { iat: seconds(), exp: seconds() + 3_600 };
  return jwt(
    { alg: 'ES256', kid: 'k1', ...header },
    { iss: issuers.urlOf('main'), aud: 'app', ...times, ...claims },
    key,
  );
}
const accessToken = (claims: Json = {}, header: Json = { typ: 'at+jwt' }) =>
  token({ sub: 'user_42', client_id: 'app', jti: '1', ...claims }, header);
const idToken = (claims: Json = {}, header: Json = {}) => token({ sub: 'user_42', ...claims }, header);
const logoutToken = (claims: Json = {}, header: Json = { typ: 'logout+jwt' }) =>
  token({ sub: 'user_42', jti: '1', events: { [LOGOUT]: {} }, ...claims }, header);

/** `active`, or the reason, with the claim concerned. */
async function outcome(jwtText: string, more: Json = {}): Promise<string> {
  const body = Verdict.parse(expectOk(await broker.ask('POST', '/v1/jwt/verify', { token: jwtText, ...more })));
  if (body.active) return 'active';
  return body.claim === undefined ? body.reason : `${body.reason} ${body.claim}`;
}
const without = (make: (claims: Json) => string) => (name: string) => make({ [name]: undefined });

describe('token without a profile', () => {
  test.each(['JWT', 'jwt', 'at+jwt', 'AT+JWT', 'application/at+jwt', 'Application/JWT', undefined])(
    'may be of the type %s',
    async (typ) => {
      expect(await outcome(token({}, { typ }))).toBe('active');
    },
  );

  test.each([
    ...[
      'logout+jwt',
      'secevent+jwt',
      'application/secevent+jwt',
      'dpop+jwt',
      'oauth-authz-req+jwt',
      'JOSE',
      'text/jwt',
    ],
    ...['', ' JWT', 'JWT ', 'at+jwt; charset=utf-8', 7, null, ['JWT'], { typ: 'JWT' }],
  ])('refused with typ %j', async (typ) => {
    expect(await outcome(token({}, { typ }))).toBe('type_mismatch');
  });

  test('refused when it is a logout token or another security event, with any typ', async () => {
    for (const typ of ['JWT', 'at+jwt', undefined])
      for (const event of [{}, null, 'x'])
        expect(await outcome(token({ events: { [LOGOUT]: event } }, { typ }))).toBe('type_mismatch');
    expect(await outcome(token({ events: { 'https://events.example/other': {} } }))).toBe('type_mismatch');
    expect(await outcome(token({ events: LOGOUT }))).toBe('active');
  });
});

describe('expected typ', () => {
  test('must match, ignoring case and prefix', async () => {
    for (const typ of ['at+jwt', 'application/at+jwt', 'AT+JWT'])
      expect(await outcome(accessToken(), { typ })).toBe('active');
    expect(await outcome(token({}, { typ: 'JWT' }), { typ: 'at+jwt' })).toBe('type_mismatch');
    expect(await outcome(token(), { typ: 'JWT' })).toBe('type_mismatch');
  });

  test('may be one that is refused by default', async () => {
    expect(await outcome(token({}, { typ: 'secevent+jwt' }), { typ: 'secevent+jwt' })).toBe('active');
    expect(await outcome(logoutToken(), { typ: 'logout+jwt' })).toBe('active');
    expect(await outcome(logoutToken({}, { typ: 'JWT' }), { typ: 'JWT' })).toBe('type_mismatch');
  });

  test('narrows a profile, never widens it', async () => {
    expect(await outcome(idToken({}, { typ: 'JWT' }), { profile: 'id_token', typ: 'JWT' })).toBe('active');
    expect(await outcome(idToken(), { profile: 'id_token', typ: 'JWT' })).toBe('type_mismatch');
    expect(await outcome(accessToken({}, { typ: 'JWT' }), { profile: 'access_token', typ: 'JWT' })).toBe(
      'type_mismatch',
    );
  });

  test('ignores the case of ASCII letters only', async () => {
    // The Kelvin sign becomes k in lower case.
    expect(await outcome(token({}, { typ: '\u212ab+jwt' }), { typ: 'kb+jwt' })).toBe('type_mismatch');
    expect(await outcome(token({}, { typ: 'KB+jwt' }), { typ: 'kb+jwt' })).toBe('active');
  });
});

describe('access token (RFC 9068 4)', () => {
  const profile = 'access_token';

  test('active with all its claims', async () => {
    expect(await outcome(accessToken(), { profile })).toBe('active');
    expect(await outcome(accessToken({}, { typ: 'application/AT+jwt' }), { profile })).toBe('active');
  });

  test.each(['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'])('must have %s', async (claim) => {
    expect(await outcome(without(accessToken)(claim), { profile })).toBe(`missing_claim ${claim}`);
  });

  test('not an ID token, a logout token or an untyped one', async () => {
    expect(await outcome(accessToken({}, { typ: 'JWT' }), { profile })).toBe('type_mismatch');
    expect(await outcome(accessToken({}, {}), { profile })).toBe('type_mismatch');
    expect(await outcome(logoutToken({ client_id: 'app' }), { profile })).toBe('type_mismatch');
    expect(await outcome(accessToken({ events: { [LOGOUT]: {} } }), { profile })).toBe('type_mismatch');
  });

  test('sub and client_id must be strings', async () => {
    for (const claims of [{ sub: 7 }, { sub: '' }, { client_id: ['app'] }, { jti: {} }])
      expect(await outcome(accessToken(claims), { profile })).toBe('malformed');
  });
});

describe('ID token (OpenID Connect Core 3.1.3.7)', () => {
  const profile = 'id_token';

  test('active without typ and with JWT', async () => {
    expect(await outcome(idToken(), { profile })).toBe('active');
    expect(await outcome(idToken({}, { typ: 'JWT' }), { profile })).toBe('active');
  });

  test.each(['iss', 'sub', 'aud', 'exp', 'iat'])('must have %s', async (claim) => {
    expect(await outcome(without(idToken)(claim), { profile })).toBe(`missing_claim ${claim}`);
  });

  test('not an access token or a logout token', async () => {
    expect(await outcome(accessToken(), { profile })).toBe('type_mismatch');
    expect(await outcome(logoutToken(), { profile })).toBe('type_mismatch');
    expect(await outcome(logoutToken({}, {}), { profile })).toBe('type_mismatch');
  });

  test('with several audiences: azp must be one of the expected', async () => {
    const aud = ['app', 'else'];
    expect(await outcome(idToken({ aud }), { profile })).toBe('missing_claim azp');
    expect(await outcome(idToken({ aud, azp: 'app' }), { profile })).toBe('active');
    expect(await outcome(idToken({ aud, azp: 'else' }), { profile })).toBe('claim_mismatch azp');
    expect(await outcome(idToken({ aud: ['app'] }), { profile })).toBe('active');
    expect(await outcome(idToken({ azp: 'else' }), { profile })).toBe('claim_mismatch azp');
    for (const azp of [['app'], null]) expect(await outcome(idToken({ azp }), { profile })).toBe('claim_mismatch azp');
    expect(await outcome(idToken({ azp: 'portal' }), { profile })).toBe('active');
    expect(await outcome(idToken({ azp: 'portal' }), { profile, audience: 'app' })).toBe('claim_mismatch azp');
  });

  test('must have the expected nonce', async () => {
    expect(await outcome(idToken({ nonce: 'n-1' }), { profile, nonce: 'n-1' })).toBe('active');
    expect(await outcome(idToken({ nonce: 'n-1' }), { profile, nonce: 'n-2' })).toBe('claim_mismatch nonce');
    expect(await outcome(idToken({ nonce: ['n-1'] }), { profile, nonce: 'n-1' })).toBe('claim_mismatch nonce');
    expect(await outcome(idToken(), { profile, nonce: 'n-1' })).toBe('missing_claim nonce');
    expect(await outcome(idToken({ nonce: 'n-1' }), { profile })).toBe('active');
  });

  test('its age counts from auth_time', async () => {
    const logged = (ago: number) => idToken({ auth_time: seconds() - ago });
    expect(await outcome(logged(3_000), { profile, max_age: 3_000 })).toBe('active');
    expect(await outcome(logged(3_030), { profile, max_age: 3_000 })).toBe('active');
    expect(await outcome(logged(3_031), { profile, max_age: 3_000 })).toBe('too_old');
    expect(await outcome(logged(0), { profile, max_age: 0 })).toBe('active');
    expect(await outcome(logged(-31), { profile, max_age: 60 })).toBe('not_yet_valid');
    expect(await outcome(idToken(), { profile, max_age: 60 })).toBe('missing_claim auth_time');
    expect(await outcome(idToken({ auth_time: String(seconds()) }), { profile, max_age: 60 })).toBe('malformed');
  });
});

describe('logout token (OpenID Connect Back-Channel Logout 2.4, 2.6)', () => {
  const profile = 'logout_token';

  test('active without typ, with JWT and logout+jwt, for a subject or a session', async () => {
    for (const header of [{}, { typ: 'JWT' }, { typ: 'logout+jwt' }])
      expect(await outcome(logoutToken({}, header), { profile })).toBe('active');
    expect(await outcome(logoutToken({ sub: undefined, sid: 's1' }), { profile })).toBe('active');
    expect(await outcome(logoutToken({ sid: 's1' }), { profile })).toBe('active');
  });

  test.each(['iss', 'aud', 'iat', 'exp', 'jti', 'events', 'sub'])('must have %s', async (claim) => {
    expect(await outcome(without(logoutToken)(claim), { profile })).toBe(`missing_claim ${claim}`);
  });

  test('must have the logout event', async () => {
    for (const events of [{}, { other: {} }, { [LOGOUT]: null }, { [LOGOUT]: 'x' }, { [LOGOUT]: [] }, [LOGOUT], LOGOUT])
      expect(await outcome(logoutToken({ events }), { profile })).toBe('claim_mismatch events');
  });

  test('not an ID token or an access token', async () => {
    expect(await outcome(logoutToken({ nonce: 'n-1' }), { profile })).toBe('claim_mismatch nonce');
    expect(await outcome(logoutToken({ nonce: null }), { profile })).toBe('claim_mismatch nonce');
    expect(await outcome(idToken({ jti: '1' }), { profile })).toBe('missing_claim events');
    expect(await outcome(accessToken(), { profile })).toBe('type_mismatch');
    expect(await outcome(logoutToken({}, { typ: 'secevent+jwt' }), { profile })).toBe('type_mismatch');
  });

  test('sub and sid must be strings', async () => {
    for (const claims of [{ sub: 7 }, { sid: 7 }, { sub: undefined, sid: '' }])
      expect(await outcome(logoutToken(claims), { profile })).toBe('malformed');
  });
});

describe('expected claims', () => {
  test('must be present and not null', async () => {
    const required_claims = ['sub', 'scope'];
    expect(await outcome(token({ sub: 'a', scope: '' }), { required_claims })).toBe('active');
    expect(await outcome(token({ scope: '' }), { required_claims })).toBe('missing_claim sub');
    expect(await outcome(token({ sub: 'a', scope: null }), { required_claims })).toBe('missing_claim scope');
  });

  test('are not found in inherited members', async () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty'])
      expect(await outcome(token(), { required_claims: [name] })).toBe(`missing_claim ${name}`);
    expect(await outcome(token(), { claims: { constructor: 'x' } })).toBe('missing_claim constructor');
  });

  test('must equal the value, or have it as a member', async () => {
    const claims = { tenant: 'acme', level: 3, admin: true };
    expect(await outcome(token(claims), { claims })).toBe('active');
    expect(await outcome(token({ ...claims, tenant: ['else', 'acme'], level: [3] }), { claims })).toBe('active');
    for (const [name, values] of Object.entries({
      tenant: ['acmes', 'ACME', 'acme ', 'acme\u0000', 'аcme', ['x'], { acme: true }, [['acme']]],
      level: ['3', 3.5, ['3']],
      admin: ['true', 1, false],
    }))
      for (const value of values)
        expect(await outcome(token({ ...claims, [name]: value }), { claims })).toBe(`claim_mismatch ${name}`);
    expect(await outcome(token({ ...claims, level: undefined }), { claims })).toBe('missing_claim level');
  });
});

test('expected audience: one of those in the request', async () => {
  expect(await outcome(token({ aud: 'b' }), { audience: ['a', 'b'] })).toBe('active');
  expect(await outcome(token({ aud: ['x', 'a'] }), { audience: ['a', 'b'] })).toBe('active');
  expect(await outcome(token({ aud: 'app' }), { audience: ['a', 'b'] })).toBe('audience_mismatch');
});

test('max_age: since iat, which is required', async () => {
  for (const profile of [undefined, 'access_token', 'logout_token']) {
    const make = profile === 'access_token' ? accessToken : profile === 'logout_token' ? logoutToken : token;
    const ask = (claims: Json) => outcome(make(claims), { max_age: 60, ...(profile && { profile }) });
    expect(await ask({ iat: seconds() - 90 })).toBe('active');
    expect(await ask({ iat: seconds() - 91 })).toBe('too_old');
    expect(await ask({ iat: undefined })).toBe('missing_claim iat');
    expect(await ask({ auth_time: seconds(), iat: seconds() - 91 })).toBe('too_old');
  }
});

describe('cached verdict', () => {
  test('not used for other expectations', async () => {
    const good = idToken({ nonce: 'n-1', auth_time: seconds() - 600, tenant: 'acme' });
    const before = { profile: 'id_token', nonce: 'n-1', max_age: 3_600, claims: { tenant: 'acme' } };
    expect(await outcome(good)).toBe('active');
    expect(await outcome(good, before)).toBe('active');
    for (const [more, reason] of [
      [{ profile: 'access_token', nonce: undefined }, 'type_mismatch'],
      [{ typ: 'JWT' }, 'type_mismatch'],
      [{ nonce: 'n-2' }, 'claim_mismatch nonce'],
      [{ max_age: 60 }, 'too_old'],
      [{ claims: { tenant: 'else' } }, 'claim_mismatch tenant'],
      [{ required_claims: ['sid'] }, 'missing_claim sid'],
      [{ audience: 'portal' }, 'audience_mismatch'],
      [{ audience: ['portal'] }, 'audience_mismatch'],
      [{ issuer: issuers.urlOf('else') }, 'untrusted_issuer'],
    ] as const)
      expect(await outcome(good, { ...before, ...more })).toBe(reason);
  });

  test('not used after the token has expired', async () => {
    const short = token({ exp: seconds() + 60 });
    expect(await outcome(short)).toBe('active');
    now += 91_000;
    expect(await outcome(short)).toBe('expired');
  });

  test('not used beyond max_age', async () => {
    const [plain, login] = [token(), idToken({ auth_time: seconds() - 30 })];
    const ask = async () => [
      await outcome(plain, { max_age: 60 }),
      await outcome(login, { profile: 'id_token', max_age: 90 }),
    ];
    expect(await ask()).toEqual(['active', 'active']);
    now += 91_000;
    expect(await ask()).toEqual(['too_old', 'too_old']);
    expect(await outcome(plain, { max_age: 300 })).toBe('active');
  });

  test('not used for longer than the keys of the issuer: a key that was withdrawn is trusted no longer', async () => {
    const good = token();
    expect(await outcome(good)).toBe('active');
    keysOfIssuers.main = [];
    now += JWT_VERDICT_TTL_MS - 1;
    expect(await outcome(good)).toBe('active');
    now += 1;
    expect(await outcome(good)).toBe('unknown_key');
    keysOfIssuers.main = [key.jwk];
  });
});

describe('verification request', () => {
  test.each<[Json, ...string[]]>([
    [{ nonce: 'n' }, 'nonce'],
    [{ nonce: 'n', profile: 'access_token' }, 'nonce'],
    [{ profile: 'refresh_token' }, 'profile'],
    [{ typ: '' }, 'typ'],
    [{ typ: 'J W T' }, 'typ'],
    [{ max_age: -1 }, 'max_age'],
    [{ max_age: 1.5 }, 'max_age'],
    [{ audience: [] }, 'audience'],
    [{ audience: [''] }, 'audience.0'],
    [{ required_claims: 'sub' }, 'required_claims'],
    [{ required_claims: [''] }, 'required_claims.0'],
    [{ claims: { a: { b: 1 } } }, 'claims.a'],
    [{ claims: { a: null } }, 'claims.a'],
    [{ algorithms: ['none'] }, 'algorithms'],
  ])('400 with %j', async (more, ...paths) => {
    expectIssues(await broker.ask('POST', '/v1/jwt/verify', { token: token(), ...more }), ...paths);
  });
});
