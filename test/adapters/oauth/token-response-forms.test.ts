// Token responses of every form that the catalogue can describe. No response makes the client throw, leak a secret, or
// return values that cannot be stored.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NO_SECRETS, type Target } from '../../../src/domain/target.ts';
import type { ProviderResult, TokenResponse } from '../../../src/ports/index.ts';
import {
  createTarget,
  expectFault,
  mintToken,
  REDIRECT_URI,
  refreshTokens,
  startAdapterWithServer,
  unwrap,
} from '../../support/oauth.ts';
import type { ScriptedResponse } from '../../support/scripted-server.ts';

const REFRESH_TOKEN = 'rt-canary-0123456789';
const SECRET = 'secret-canary/0123456789+"ü';

let next: ScriptedResponse;
const { server, adapter } = await startAdapterWithServer(() => next);

const target = (form: object = {}, more: object = {}, params: Record<string, string> = {}): Target => {
  const urls = { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token` };
  const entry = { mode: 'oauth2_code', ...urls, client_auth: ['client_secret_post'], token_answer: form, ...more };
  return createTarget({ auth: [entry] }, { params, clientSecret: SECRET });
};

function answered(body: unknown, form: object, headers: Record<string, string> = {}, at = target(form)) {
  next = { body: body as object, headers };
  return refreshTokens(adapter.client, at, { refreshToken: REFRESH_TOKEN });
}

/** The provider's clock, which differs a lot from ours. */
const THERE = Date.parse('2031-05-06T07:08:09Z');
const date = new Date(THERE).toUTCString();
const in600 = { seconds: THERE / 1_000 + 600, milliseconds: THERE + 600_000, text: '2031-05-06T07:18:09Z' };
const jwt = (claims: unknown) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sig`;

describe('error with status 200', () => {
  const form = {
    success: { path: 'ok', equals: true },
    error: ['error', 'reason.code'],
    error_description: ['reason.text'],
  };

  test('is detected by the catalogue’s success predicate', async () => {
    expect(unwrap(await answered({ ok: true, access_token: 'at' }, form)).accessToken).toBe('at');
    expect(expectFault(await answered({ ok: false, access_token: 'at', error: 'invalid_grant' }, form)).kind).toBe(
      'grant_dead',
    );
    expect(expectFault(await answered({ ok: 'true', access_token: 'at' }, form)).code).toBe('unknown_error');
    expect(expectFault(await answered({ access_token: 'at' }, form)).kind).toBe('misconfigured');
  });

  test('is classified by the code and description at the catalogue’s paths', async () => {
    const errors = { grant_dead: ['e17'], transient: ['busy', '4'], misconfigured: ['invalid_grant'] };
    const at = target(form, { errors });
    const said = async (body: object) => expectFault(await answered({ ok: false, ...body }, form, {}, at));
    expect(await said({ reason: { code: 'E17', text: 'gone' } })).toMatchObject({ kind: 'grant_dead', code: 'e17' });
    expect((await said({ reason: { code: 'E17', text: 'gone' } })).detail).toContain('gone');
    expect(await said({ error: 'busy' })).toMatchObject({ kind: 'transient', code: 'busy' });
    expect(await said({ error: 4 })).toMatchObject({ kind: 'transient', code: '4' });
    expect(await said({ error: 'invalid_grant' })).toMatchObject({ kind: 'misconfigured' });
  });

  test('may have a number or a string as its code', async () => {
    expect(
      unwrap(await answered({ code: 0, access_token: 'at' }, { success: { path: 'code', equals: 0 } })).accessToken,
    ).toBe('at');
    expect(
      expectFault(await answered({ code: 7, access_token: 'at' }, { success: { path: 'code', equals: 0 } })).code,
    ).toBe('unknown_error');
  });
});

describe('tokens are read', () => {
  test('from nested objects, lists, or a second path when the first is missing', async () => {
    const form = {
      access_token: ['authed_user.access_token', 'data[0].access_token', 'token'],
      refresh_token: ['authed_user.refresh_token', 'data[0].more.refresh'],
      capture: { ids: 'data[].id', main: 'data[main].id', none: 'data[9].id', first: 'data[0].id' },
    };
    const nested = unwrap(
      await answered({ authed_user: { access_token: 'user', refresh_token: 'ur' }, token: 'bot' }, form),
    );
    expect(nested).toMatchObject({ accessToken: 'user', refreshToken: 'ur', captured: {} });
    const data = [
      { id: 1, access_token: 'listed', more: { refresh: 'lr' } },
      { id: 2, main: true },
    ];
    expect(unwrap(await answered({ authed_user: null, data }, form))).toMatchObject({
      accessToken: 'listed',
      refreshToken: 'lr',
      captured: { ids: [1, 2], main: 2, first: 1 },
    });
    expect(unwrap(await answered({ token: 'bot' }, form))).toMatchObject({
      accessToken: 'bot',
      refreshToken: undefined,
    });
  });

  test('from a response that is a list', async () => {
    const form = { access_token: ['[0].token'], capture: { all: '[].name' } };
    const answer = unwrap(await answered([{ token: 'at', name: 'a' }, { name: 'b' }], form));
    expect(answer).toMatchObject({ accessToken: 'at', captured: { all: ['a', 'b'] } });
  });

  test('not from prototypes or values of another type', async () => {
    for (const body of [
      { access_token: 7 },
      { access_token: '' },
      { access_token: { token: 'x' } },
      { access_token: ['x'] },
    ])
      expect(expectFault(await answered(body, {}))).toMatchObject({ kind: 'transient', code: 'invalid_answer' });
    expect(expectFault(await answered({}, { access_token: ['constructor.name'] })).code).toBe('invalid_answer');
  });
});

describe('token expiry', () => {
  const at = { expires: { at: ['expires_at'] } };
  const own = { expires: { jwt: true } };
  const cases: [string, object, object, number | undefined][] = [
    ['in seconds from now', {}, { expires_in: 600 }, 600],
    ['in seconds from now, elsewhere', { expires: { in: ['ttl', 'data.ttl'] } }, { data: { ttl: '600' } }, 600],
    ['as RFC 3339', at, { expires_at: in600.text }, 600],
    ['as RFC 3339 with an offset', at, { expires_at: '2031-05-06T09:18:09.5+02:00' }, 600],
    ['in seconds since the epoch', at, { expires_at: in600.seconds }, 600],
    ['in seconds since the epoch, as text', at, { expires_at: String(in600.seconds) }, 600],
    ['in milliseconds since the epoch', at, { expires_at: in600.milliseconds }, 600],
    ['in milliseconds since the epoch, as text', at, { expires_at: `${in600.milliseconds}` }, 600],
    ['past: it is over at once', at, { expires_at: in600.seconds - 9_999 }, 1],
    ['from now, before the moment', at, { expires_in: 500, expires_at: in600.text }, 500],
    ['0 from now, and a moment', at, { expires_in: 0, expires_at: in600.text }, 600],
    ['as a word', { expires: { ...at.expires, otherwise: 77 } }, { expires_at: 'never' }, 77],
    ['in the token itself', own, { access_token: jwt({ exp: in600.seconds }) }, 600],
    ['in the token itself, past', own, { access_token: jwt({ exp: 5 }) }, 1],
    ['not in a token that has no end', { expires: { jwt: true, otherwise: 60 } }, { access_token: jwt({}) }, 60],
    ['not in a token that is no JWT', own, { access_token: 'a.b.c' }, undefined],
    ['not in a JWT of nothing', own, { access_token: jwt(null) }, undefined],
    ['nowhere', {}, {}, undefined],
    ['nowhere, and the catalogue knows', { expires: { otherwise: 60 } }, { expires_in: null }, 60],
    ['said, whatever the catalogue knows', { expires: { otherwise: 60 } }, { expires_in: 600 }, 600],
  ];
  test.each(cases)('%s, by the provider’s clock', async (_, form, body, expected) => {
    expect(unwrap(await answered({ access_token: 'at', ...body }, form, { date })).expiresIn).toBe(expected);
  });

  test('is measured by our clock when the response has no valid Date', async () => {
    const expires_at = new Date(adapter.now() + 600_000).toISOString();
    const { expiresIn } = unwrap(await answered({ access_token: 'at', expires_at }, at, { date: 'yesterday' }));
    expect(expiresIn).toBeGreaterThan(590);
    expect(expiresIn).toBeLessThanOrEqual(600);
  });

  test('comes from an integration parameter where the catalogue names one', async () => {
    const seconds = { title: 'seconds', pattern: '.*', optional: true };
    const form = { expires: { otherwise: '{seconds}' } };
    const life = async (params: Record<string, string>) =>
      unwrap(await answered({ access_token: 'at' }, form, {}, target(form, { params: { seconds } }, params))).expiresIn;
    expect(await life({ seconds: '7200' })).toBe(7_200);
    expect(await life({ seconds: 'soon' })).toBeUndefined();
    expect(await life({})).toBeUndefined();
  });

  test.each([1e30, 1e300, '9'.repeat(400), 2 ** 53 + 2])('far away is still a date: %s', async (far) => {
    for (const [form, body] of [
      [{}, { expires_in: far }],
      [at, { expires_at: far }],
      [own, { access_token: jwt({ exp: far }) }],
    ] as const) {
      const { expiresIn } = unwrap(await answered({ access_token: 'at', ...body }, form));
      expect(new Date(adapter.now() + (expiresIn ?? 0) * 1_000).getTime()).not.toBeNaN();
    }
  });
});

describe('refresh token expiry', () => {
  const form = {
    refresh_expires: { idle_in: ['r.idle_in'], idle_at: ['r.idle_at'], end_in: ['r.end_in'], end_at: ['r.end_at'] },
  };
  test.each([
    ['idle, from now', { idle_in: '600' }, { idleIn: 600, endsIn: undefined }],
    ['idle, as a moment', { idle_at: in600.milliseconds }, { idleIn: 600, endsIn: undefined }],
    ['for good, from now', { end_in: 600 }, { idleIn: undefined, endsIn: 600 }],
    ['for good, as a moment', { end_at: in600.text }, { idleIn: undefined, endsIn: 600 }],
    ['both', { idle_in: 60, end_at: in600.seconds }, { idleIn: 60, endsIn: 600 }],
    ['not said', { idle_in: 0, end_at: '' }, { idleIn: undefined, endsIn: undefined }],
  ])('%s', async (_, r, expected) => {
    expect(unwrap(await answered({ access_token: 'at', r }, form, { date }))).toMatchObject(expected);
  });
});

describe('scopes', () => {
  test.each([
    ['a list', ['a', 'b', 7, null], ' ', ['a', 'b']],
    ['a list elsewhere', undefined, ' ', ['x', 'y']],
    ['text between commas', 'a,b', ',', ['a', 'b']],
    ['text between commas and spaces', ' a, b ,,c ', ',', ['a', 'b', 'c']],
    ['text between spaces', 'a b', ' ', ['a', 'b']],
    ['nothing granted', '', ',', []],
  ])('%s', async (_, scope, scope_separator, expected) => {
    const form = { scope: ['scope', 'data[0].permissions'], scope_separator };
    const body = { access_token: 'at', data: [{ permissions: ['x', 'y'] }], ...(scope !== undefined && { scope }) };
    expect(unwrap(await answered(body, form)).scopes).toEqual(expected);
  });

  test.each([
    ['one that comes late', `${'a '.repeat(40_000)}late`],
    ['one that is cut', `${'a '.repeat(32_767)}ab cdef`],
  ])('of a long text only the beginning is read, without %s', async (_, scope) => {
    const form = { scope: ['scope'], scope_separator: ' ' };
    expect(unwrap(await answered({ access_token: 'at', scope }, form)).scopes).toEqual(['a']);
  });
});

test('a form with more fields than any server sends is no response', async () => {
  const { code, outcomeUnknown } = expectFault(await answered(`access_token=at&${'a=&'.repeat(10_000)}`, {}));
  expect({ code, outcomeUnknown }).toEqual({ code: 'invalid_answer', outcomeUnknown: true });
});

describe('any response', () => {
  const SECRETS = [REFRESH_TOKEN, SECRET];
  const word = fc.oneof(
    fc.constantFrom(
      ...SECRETS,
      ...SECRETS.map(encodeURIComponent),
      'invalid_grant',
      'true',
      '',
      '__proto__',
      in600.text,
      '1e999',
      '\u0000\u001b[31m\r\n',
    ),
    fc.string({ maxLength: 40 }),
    fc.string({ unit: 'binary', maxLength: 20 }),
  );
  const number = fc.oneof(fc.integer(), fc.double({ noNaN: true }), fc.constantFrom(0, -1, 1e300, 1e12));
  const leaf = fc.oneof(word, number, fc.boolean(), fc.constant(null), fc.constant(jwt({ exp: 1e300 })));
  const names = [
    'access_token',
    'refresh_token',
    'expires_in',
    'expires_at',
    'scope',
    'error',
    'error_description',
    'token_type',
    'id_token',
    'ok',
    'data',
  ];
  const value = fc.letrec((tie) => ({
    any: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('any'), { maxLength: 3 }), tie('object')),
    object: fc.dictionary(fc.oneof(fc.constantFrom(...names), word), tie('any'), { maxKeys: 8 }),
  }));
  const body = fc.oneof(
    fc
      .record(
        {
          access_token: fc.oneof({ weight: 3, arbitrary: fc.constant('at') }, leaf),
          expires_in: leaf,
          expires_at: leaf,
          scope: value.any,
          data: value.any,
          error: value.any,
        },
        { requiredKeys: [] },
      )
      .map((o) => JSON.stringify(o)),
    value.any.map((o) => JSON.stringify(o)),
    fc
      .record({ AccessKeyId: word, SecretAccessKey: word, SessionToken: word, Expiration: leaf }, { requiredKeys: [] })
      .map((Credentials) => JSON.stringify({ AssumeRoleResponse: { AssumeRoleResult: { Credentials } } })),
    fc.dictionary(fc.constantFrom(...names), word).map((o) => new URLSearchParams(o).toString()),
    word,
    fc.constantFrom(
      '{"access_token":"at","expires_in":1e999,"expires_at":1e999}',
      '{"access_token":"at","__proto__":{"x":1}}',
      '[[[[',
    ),
  );
  const header = fc.oneof(
    fc.stringMatching(/^[\x21-\x7e]{1,30}$/),
    fc.constantFrom('0', '1e9', date, 'Bearer error="invalid_token"', 'text/html', 'application/json'),
  );
  const headers = fc.dictionary(
    fc.constantFrom('retry-after', 'date', 'www-authenticate', 'content-type', 'dpop-nonce'),
    header,
  );
  const status = fc.oneof(
    { weight: 3, arbitrary: fc.constant(200) },
    fc.constantFrom(201, 202, 204, 205, 400, 401, 403, 404, 408, 418, 429, 499, 500, 502, 504, 599, 300, 302, 304),
  );
  const path = fc.constantFrom(
    ...names,
    'data[0].access_token',
    'data[].id',
    'data[ok].x',
    '[0]',
    'data.x.y',
    '__proto__.x',
    'constructor',
    '[]',
    '].[',
  );
  const paths = fc.array(path, { minLength: 1, maxLength: 3 });
  const form = fc.record(
    {
      success: fc.record({ path, equals: fc.constantFrom(true, 'true', 0) }),
      access_token: paths,
      refresh_token: paths,
      scope: paths,
      scope_separator: fc.constantFrom(' ', ','),
      error: paths,
      error_description: paths,
      expires: fc.record(
        { in: paths, at: paths, jwt: fc.boolean(), otherwise: fc.constantFrom(60, '{client_id}') },
        { requiredKeys: [] },
      ),
      refresh_expires: fc.record(
        { idle_in: paths, idle_at: paths, end_in: paths, end_at: paths },
        { requiredKeys: [] },
      ),
      capture: fc.dictionary(fc.constantFrom('one', 'two'), path),
    },
    { requiredKeys: [] },
  );

  const isLife = (seconds: number | undefined) =>
    seconds === undefined ||
    (Number.isInteger(seconds) && seconds > 0 && !Number.isNaN(new Date(Date.now() + seconds * 1_000).getTime()));

  function sane(result: ProviderResult<TokenResponse>, secrets: readonly string[]) {
    if (result.ok) {
      const { accessToken, refreshToken, scopes, expiresIn, idleIn, endsIn, captured } = result.value;
      expect(accessToken).toEqual(expect.stringMatching(/./s));
      expect(refreshToken === undefined || refreshToken !== '').toBe(true);
      expect((scopes ?? []).every((scope) => typeof scope === 'string')).toBe(true);
      expect([expiresIn, idleIn, endsIn].every(isLife)).toBe(true);
      expect(JSON.parse(JSON.stringify(captured))).toEqual(captured);
      return;
    }
    const { code, detail, retryAfter } = result.fault;
    expect(code).toMatch(/^[a-z0-9_]{1,64}$/);
    expect(detail).not.toMatch(/\p{Cc}/u);
    expect(detail.length).toBeLessThan(500);
    expect(retryAfter === undefined || (Number.isInteger(retryAfter) && retryAfter >= 0)).toBe(true);
    for (const secret of secrets) expect(`${code} ${detail}`).not.toContain(secret);
  }

  const kinds: [string, (form: object) => Promise<ProviderResult<TokenResponse>>, string[]][] = [
    ['to a refresh', (form) => refreshTokens(adapter.client, target(form), { refreshToken: REFRESH_TOKEN }), SECRETS],
    [
      'to a code, a long-lived exchange and a look-up',
      (form) => {
        const token_exchange = { url: `${server.url}/long`, params: { token: '{access_token}' } };
        const lookups = [{ url: `${server.url}/me`, capture: { me: 'data[0].id', all: '[]' } }];
        const expected = {
          state: 's',
          nonce: 'n',
          verifier: 'v'.repeat(43),
          redirectUri: REDIRECT_URI,
          scopes: ['a'],
          issuer: null,
        };
        const response = new URLSearchParams({ code: REFRESH_TOKEN, state: 's' });
        return adapter.client.exchange(target(form, { token_exchange, lookups }), response, expected);
      },
      SECRETS,
    ],
    [
      'to a client’s credentials',
      (form) => {
        const entry = {
          mode: 'oauth2_client_credentials',
          token_url: `${server.url}/token`,
          client_auth: ['client_secret_post'],
        };
        return minted({ auth: [{ ...entry, token_answer: form }] }, {});
      },
      [SECRET],
    ],
    [
      'to the assumption of a role',
      () =>
        minted(
          { auth: [{ mode: 'aws_sts_assume_role', token_url: `${server.url}/`, region: 'r', role_arn: 'x' }] },
          {},
        ),
      [SECRET],
    ],
  ];
  const minted = (entry: object, credentials: object) => {
    const at = { ...createTarget(entry), secrets: { ...NO_SECRETS, secret: SECRET } };
    return mintToken(adapter.client, at, JSON.stringify(credentials));
  };

  test.each(kinds)(
    '%s makes the client throw, or tell a secret, or say nonsense',
    async (_, ask, secrets) => {
      const property = fc.asyncProperty(form, status, headers, body, async (form, status, headers, body) => {
        next = { status, headers, body };
        sane(await ask(form), secrets);
      });
      await fc.assert(property, { numRuns: 200 });
    },
    60_000,
  );
});
