// Readings of limits: what an answer of an API says, in each unit and form, and what a hostile one cannot do.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ProviderRateLimits } from '../../src/domain/api-dialect.ts';
import { type LimitReading, readLimit } from '../../src/domain/limit-reading.ts';

/** 2027-01-15T08:00:00Z. */
const NOW = Date.UTC(2027, 0, 15, 8);
const S = NOW / 1_000;
const HOUR = 3_600_000;

type Given = Partial<Parameters<typeof ProviderRateLimits.parse>[0] & object>;
const dialect = (given: Given = {}) => ProviderRateLimits.parse({ scope: 'connection', ...given });
const flat = (headers: Record<string, string | string[]>) =>
  Object.entries(headers).flatMap(([name, value]) => [value].flat().flatMap((one) => [name, one]));
const read = (
  given: Given | undefined,
  status: number,
  headers: Record<string, string | string[]> = {},
  body?: unknown,
): LimitReading =>
  readLimit(given && dialect(given), {
    status,
    headers: flat(headers),
    body: typeof body === 'string' || body === undefined ? body : JSON.stringify(body),
    now: NOW,
  });
const wait = (...given: Parameters<typeof read>) => {
  const { isLimited, waitMs, source } = read(...given);
  return [isLimited, waitMs, source];
};

describe('a clock that is wrong', () => {
  const EPOCH: Given = { headers: { remaining: ['X-Left'], reset: { name: 'X-Reset', unit: 'epoch_s' } } };
  /** By the clock of the API. */
  const answer = (aheadS: number, more: Record<string, string> = {}) => ({
    date: new Date(NOW + aheadS * 1_000).toUTCString(),
    'x-left': '0',
    'x-reset': String(S + aheadS + 60),
    ...more,
  });

  test.each<[string, number, number]>([
    ['an hour ahead of ours', 3_600, 60_000],
    ['a day behind ours', -86_400, 60_000],
    ['as good as ours: the difference is the time of the answer', 20, 80_000],
  ])('that of the API is %s', (_, ahead, ms) => {
    expect(wait(EPOCH, 429, answer(ahead))).toEqual([true, ms, 'reset']);
    expect(read(EPOCH, 200, answer(ahead, { 'x-left': '1' })).window?.resetMs).toBe(ms);
    const retryAfter = new Date(NOW + (ahead + 60) * 1_000).toUTCString();
    expect(wait({}, 429, { date: answer(ahead).date, 'retry-after': retryAfter })).toEqual([true, ms, 'retry_after']);
  });

  test.each<[string, Record<string, string>]>([
    ['is that of a cached answer', { age: '3600' }],
    ['cannot be read', { date: 'an hour ago' }],
    ['is a number', { date: '3600' }],
  ])('a date that %s says nothing', (_, more) => {
    expect(wait(EPOCH, 429, { ...answer(-3_600, more), 'x-reset': String(S + 60) })).toEqual([true, 60_000, 'reset']);
  });
});

describe('Retry-After', () => {
  test.each([
    ['seconds', '17', 17_000],
    ['a fraction', '1.25', 1_250],
    ['a fraction below the shortest wait', '0.3', 1_000],
    ['zero', '0', 1_000],
    ['several, the longest', '3, 9', 9_000],
    ['an HTTP date', 'Fri, 15 Jan 2027 08:00:40 GMT', 40_000],
    ['an HTTP date of RFC 850', 'Friday, 15-Jan-27 08:00:40 GMT', 40_000],
    ['an HTTP date without a zone', 'Fri Jan 15 08:00:40 2027', 40_000],
    ['a date that has just passed', 'Fri, 15 Jan 2027 07:59:59 GMT', 1_000],
    ['an ISO time', '2027-01-15T08:10:00Z', 600_000],
    ['an ISO time of a zone', '2027-01-15T10:10:00+02:00', 600_000],
    ['an ISO time without a zone, in UTC', '2027-01-15T08:10:00', 600_000],
    ['more than an hour', '86400', HOUR],
  ])('%s', (_, value, ms) => {
    for (const given of [undefined, {}, { headers: { retry_after: { unit: 'iso8601' as const } } }])
      expect(wait(given, 429, { 'retry-after': value })).toEqual([true, ms, 'retry_after']);
  });

  test('two header lines: the longest', () => {
    expect(wait({}, 429, { 'Retry-After': ['5', '7'] })).toEqual([true, 7_000, 'retry_after']);
  });

  test('by another name, where the catalogue says so', () => {
    const given: Given = { headers: { retry_after: { name: 'X-Wait' } } };
    expect(wait(given, 429, { 'x-wait': '8', 'retry-after': '99' })).toEqual([true, 8_000, 'retry_after']);
  });

  test('goes before a reset, which goes before the body, which goes before the default', () => {
    const given: Given = {
      headers: { remaining: ['x-left'], reset: { name: 'x-reset', unit: 'seconds' } },
      body_wait: { path: 'wait', unit: 'seconds' },
      default_wait: 60,
    };
    const reset = { 'x-left': '0', 'x-reset': '30' };
    const body = { wait: 45 };
    expect(wait(given, 429, { ...reset, 'retry-after': '20' }, body)).toEqual([true, 20_000, 'retry_after']);
    expect(wait(given, 429, reset, body)).toEqual([true, 30_000, 'reset']);
    expect(wait(given, 429, {}, body)).toEqual([true, 45_000, 'body']);
    expect(wait(given, 429, {}, 'no JSON')).toEqual([true, 60_000, 'default']);
    expect(wait({}, 429)).toEqual([true, 1_000, 'default']);
  });
});

describe('remaining and reset', () => {
  const by = (unit: 'epoch_s' | 'epoch_ms' | 'iso8601' | 'seconds' | 'ms'): Given => ({
    headers: { limit: ['x-limit'], remaining: ['x-left'], reset: { name: 'x-reset', unit } },
  });

  test.each([
    ['epoch_s', String(S + 90), 90_000],
    ['epoch_s', `${S + 90}.5`, 90_500],
    ['epoch_ms', String(NOW + 90_000), 90_000],
    ['iso8601', '2027-01-15T08:01:30Z', 90_000],
    ['seconds', '90', 90_000],
    ['seconds', '1.5', 1_500],
    ['ms', '90000', 90_000],
  ] as const)('in %s: %s', (unit, reset, ms) => {
    const headers = { 'x-limit': '100', 'x-left': '0', 'x-reset': reset };
    expect(wait(by(unit), 429, headers)).toEqual([true, ms, 'reset']);
    expect(wait(by(unit), 200, headers)).toEqual([false, ms, 'reset']);
    const left = read(by(unit), 200, { ...headers, 'x-left': '7' });
    expect(left).toMatchObject({ isLimited: false, waitMs: 0, window: { limit: 100, remaining: 7, resetMs: ms } });
  });

  test.each([
    ['milliseconds where seconds are said', 'epoch_s', String(NOW + 90_000)],
    ['a time where a duration is said', 'seconds', String(S + 90)],
    ['seconds where milliseconds are said', 'epoch_ms', String(S + 90)],
    ['below zero', 'seconds', '-5'],
    ['no number', 'seconds', 'NaN'],
    ['infinity', 'seconds', 'Infinity'],
    ['an exponent', 'seconds', '1e9'],
    ['hexadecimal', 'seconds', '0x10'],
    ['a number of a hundred digits', 'seconds', '9'.repeat(100)],
    ['nothing', 'seconds', ''],
    ['a date where ISO 8601 is said', 'iso8601', 'tomorrow'],
  ] as const)('%s: ignored', (_, unit, reset) => {
    const headers = { 'x-limit': '100', 'x-left': '0', 'x-reset': reset };
    expect(wait(by(unit), 200, headers)).toEqual([false, 0, undefined]);
    expect(wait(by(unit), 429, headers)).toEqual([true, 1_000, 'default']);
  });

  test('a refusal while something remains does not wait for the reset: it was another limit', () => {
    expect(wait(by('seconds'), 429, { 'x-left': '9', 'x-reset': '600' })).toEqual([true, 1_000, 'default']);
  });

  test('a refusal that tells a reset and not what remains waits for it', () => {
    expect(wait(by('seconds'), 429, { 'x-reset': '600' })).toEqual([true, 600_000, 'reset']);
    expect(wait(by('seconds'), 200, { 'x-reset': '600' })).toEqual([false, 0, undefined]);
  });

  test('several windows in one header: the one that is used up counts, with its own reset', () => {
    const headers = { 'x-limit': '100,1000', 'x-left': '0, 400', 'x-reset': '10, 5000' };
    expect(wait(by('seconds'), 429, headers)).toEqual([true, 10_000, 'reset']);
    const left = read(by('seconds'), 200, { ...headers, 'x-left': '30, 4' });
    expect(left.window).toEqual({ limit: 1_000, remaining: 4, resetMs: HOUR });
  });

  test('duplicate headers are several windows: the lowest counts', () => {
    const left = read(by('seconds'), 200, { 'x-limit': '100', 'x-left': ['50', '3'], 'x-reset': '10' });
    expect(left.window).toMatchObject({ remaining: 3, resetMs: 10_000 });
  });

  test('of several headers, the lowest counts', () => {
    const given: Given = {
      headers: { remaining: ['x-minute', 'x-day'], window: { name: 'x-window', unit: 'ms' } },
    };
    const left = read(given, 200, { 'x-minute': '12', 'x-day': '4', 'x-window': '10000' });
    expect(left.window).toMatchObject({ remaining: 4, resetMs: 10_000 });
  });

  test('a limit of 0 is that of something else, and blocks nothing', () => {
    const headers = { 'x-limit': '0', 'x-left': '0', 'x-reset': '600' };
    expect(wait(by('seconds'), 200, headers)).toEqual([false, 0, undefined]);
    expect(wait(by('seconds'), 429, headers)).toEqual([true, 1_000, 'default']);
  });
});

describe('standard fields', () => {
  test.each([
    ['RateLimit: "default";r=0;t=30', { ratelimit: '"default";r=0;t=30' }],
    ['several policies', { ratelimit: '"minute";r=10;t=5, "day";r=0;t=30' }],
    ['the form of earlier drafts', { ratelimit: 'limit=100, remaining=0, reset=30' }],
    ['RateLimit-Remaining and -Reset', { 'ratelimit-remaining': '0', 'ratelimit-reset': '30' }],
  ])('%s', (_, headers) => {
    for (const given of [undefined, {}]) {
      expect(wait(given, 200, headers)).toEqual([false, 30_000, 'reset']);
      expect(wait(given, 429, headers)).toEqual([true, 30_000, 'reset']);
    }
  });

  test('the quota of a policy', () => {
    const headers = { ratelimit: '"burst";r=20;t=30', 'ratelimit-policy': '"burst";q=100;w=60, "day";q=9' };
    expect(read(undefined, 200, headers).window).toEqual({ limit: 100, remaining: 20, resetMs: 30_000 });
  });

  test.each([
    ['not parsable', { ratelimit: '"default;r=0;t=' }],
    ['of another kind', { ratelimit: '(1 2);r=?1, :YWJj:;r="0";t=x' }],
    ['too long', { ratelimit: `"default";r=0;t=30${', "x";r=0;t=30'.repeat(200)}` }],
    ['a time instead of seconds', { 'ratelimit-remaining': '0', 'ratelimit-reset': String(S + 30) }],
  ])('%s: ignored', (_, headers) => {
    expect(wait(undefined, 200, headers)).toEqual([false, 0, undefined]);
  });

  test('the catalogue has its own reading of RateLimit-Reset', () => {
    const given: Given = {
      headers: { remaining: ['RateLimit-Remaining'], reset: { name: 'RateLimit-Reset', unit: 'epoch_s' } },
    };
    const headers = { 'ratelimit-remaining': '0', 'ratelimit-reset': String(S + 30) };
    expect(wait(given, 200, headers)).toEqual([false, 30_000, 'reset']);
  });
});

describe('what is used', () => {
  test('lists of windows that begin at fixed times', () => {
    const given: Given = {
      usage: [{ format: 'lists', header: 'x-used', limits: 'x-limits', windows: [900, 86_400] }],
    };
    const at = (used: string, limits = '200,2000') => readAt(given, { 'x-used': used, 'x-limits': limits });
    const now = NOW + 5 * 60_000;
    const readAt = (entry: Given, headers: Record<string, string>) =>
      readLimit(dialect(entry), { status: 200, headers: flat(headers), now });
    expect(at('150,300').window).toEqual({ limit: 200, remaining: 50, resetMs: 600_000 });
    expect(at('201,300')).toMatchObject({ isLimited: false, waitMs: 600_000 });
    expect(at('10,2000')).toMatchObject({ waitMs: HOUR });
    for (const odd of ['', 'x', '1', '1,2,3']) expect(at(odd)).toMatchObject({ waitMs: 0, window: undefined });
  });

  test('used of max: it says nothing of when', () => {
    const given: Given = { usage: [{ format: 'used_of_max', header: 'x-info', prefix: 'api-usage=' }] };
    const headers = { 'x-info': 'per-app=7/9; api-usage=5000/5000' };
    expect(wait(given, 200, headers)).toEqual([false, 0, undefined]);
    const signal: Given = { ...given, signals: [{ status: [403], exhausted: true }] };
    expect(wait(signal, 403, headers)).toEqual([true, 1_000, 'default']);
    expect(read(signal, 403, { 'x-info': 'per-app=7/7; api-usage=1/5000' }).isLimited).toBe(false);
  });

  test('percentages in JSON, at any depth', () => {
    const given: Given = {
      usage: [
        {
          format: 'percent_json',
          header: 'x-usage',
          members: ['call_count', 'total_time'],
          wait: { member: 'regain', unit: 'minutes' },
        },
      ],
    };
    const usage = (value: unknown) => ({ 'x-usage': JSON.stringify(value) });
    expect(wait(given, 200, usage({ 1: [{ call_count: 28, total_time: 100, regain: 3 }] }))).toEqual([
      false,
      180_000,
      'reset',
    ]);
    expect(wait(given, 200, usage({ call_count: 99, regain: 3 }))).toEqual([false, 0, undefined]);
    expect(wait(given, 400, usage({ call_count: 100 }))).toEqual([false, 0, undefined]);
    for (const odd of ['{', 'null', '[[[', '7']) expect(read(given, 200, { 'x-usage': odd }).waitMs).toBe(0);
  });
});

describe('whether it is a limit', () => {
  const codes: Given = {
    signals: [
      { status: [403], code: { body: ['error.errors[0].reason', 'error.status'], in: ['rateLimitExceeded', 17] } },
      { status: [403], contains: ['secondary rate limit'] },
      { status: [400], code: { header: 'x-errortype', xml: 'Code', body: ['__type'], in: ['Throttling'] } },
      { status: [200], code: { body: ['messages[0].status'], in: ['1'] } },
      { status: [402, 409], retry_after: true },
      { status: [410], exhausted: true },
    ],
  };
  test.each([
    ['a 403 with a reason', 403, {}, { error: { errors: [{ reason: 'rateLimitExceeded' }] } }, true],
    ['a 403 with a reason that is a number', 403, {}, { error: { status: 17 } }, true],
    ['a 403 with another reason', 403, {}, { error: { errors: [{ reason: 'insufficientPermissions' }] } }, false],
    ['a 403 that says it in words', 403, {}, 'You have exceeded a Secondary Rate Limit.', true],
    ['a 403 without a body', 403, {}, undefined, false],
    ['a code in a header', 400, { 'x-errortype': 'com.vendor#Throttling:https://x' }, undefined, true],
    ['a code in JSON', 400, {}, { __type: 'Throttling' }, true],
    ['a code in XML', 400, {}, '<Error><Code>Throttling</Code></Error>', true],
    ['another code in XML', 400, {}, '<Error><Code>NotThrottling</Code>Throttling</Error>', false],
    ['told with status 200', 200, {}, { messages: [{ status: '1' }] }, true],
    ['a 200 that is none', 200, {}, { messages: [{ status: '0' }] }, false],
    ['a 402 that asks to wait', 402, { 'retry-after': '5' }, undefined, true],
    ['a 402 that does not', 402, {}, undefined, false],
    ['a 410 with nothing left', 410, { 'ratelimit-remaining': '0' }, undefined, true],
    ['a 410 with something left', 410, { 'ratelimit-remaining': '1' }, undefined, false],
    ['a 503 is none', 503, { 'retry-after': '5' }, undefined, false],
  ])('%s', (_, status, headers, body, isLimited) => {
    expect(read(codes, status, headers, body).isLimited).toBe(isLimited);
  });

  test('statuses of the catalogue, and 429 everywhere', () => {
    expect(read({ status: [529] }, 529).isLimited).toBe(true);
    for (const given of [undefined, {}, { status: [529] }]) expect(read(given, 429).isLimited).toBe(true);
  });

  test('a header says which limit it was, and what that one counts', () => {
    const given: Given = { reason: { header: 'x-reason', scopes: { app: 'integration' } } };
    expect(read(given, 429, { 'x-reason': 'app' }).scope).toBe('integration');
    expect(read(given, 429, { 'x-reason': '__proto__' }).scope).toBeUndefined();
    expect(read(given, 200, { 'x-reason': 'app' }).scope).toBeUndefined();
  });
});

describe('waits of the body', () => {
  test.each([
    [{ path: 'retry_after', unit: 'seconds' }, { retry_after: 2.5 }, 2_500],
    [{ path: 'retry_after', unit: 'seconds' }, { retry_after: '4' }, 4_000],
    [{ path: 'ms', unit: 'ms' }, { ms: 4_500 }, 4_500],
    [{ path: 'details[].retryDelay', unit: 'duration' }, { details: [{}, { retryDelay: '33.5s' }] }, 33_500],
    [{ needed: 'cost', available: 'has', per_second: 'rate' }, { cost: 700, has: 200, rate: 50 }, 10_000],
  ] as const)('%j', (body_wait, body, ms) => {
    expect(wait({ body_wait }, 429, {}, body)).toEqual([true, ms, 'body']);
  });

  test.each([
    [{ path: 'retry_after', unit: 'seconds' }, { retry_after: -2 }],
    [{ path: 'retry_after', unit: 'seconds' }, { retry_after: 'soon' }],
    [{ path: 'retry_after', unit: 'seconds' }, { retry_after: { in: 3 } }],
    [{ path: 'retry_after', unit: 'seconds' }, { retry_after: 1e300 }],
    [{ path: 'x', unit: 'duration' }, { x: '3m' }],
    [
      { needed: 'cost', available: 'has', per_second: 'rate' },
      { cost: 700, has: 200, rate: 0 },
    ],
  ] as const)('%j of %j: ignored', (body_wait, body) => {
    expect(wait({ body_wait }, 429, {}, body)).toEqual([true, 1_000, 'default']);
  });

  test('windows that begin at multiples of a time end there', () => {
    expect(wait({ aligned: 900 }, 429)).toEqual([true, 900_000, 'aligned']);
  });
});

test('whatever an answer says, reading it does not throw, and no wait is longer than an hour', () => {
  const given = dialect({
    headers: {
      limit: ['x-limit'],
      remaining: ['x-left'],
      reset: { name: 'x-reset', unit: 'epoch_s' },
      retry_after: {},
    },
    usage: [
      { format: 'lists', header: 'x-used', limits: 'x-limit', windows: [900] },
      { format: 'percent_json', header: 'x-usage', members: ['a'], wait: { member: 'b', unit: 'minutes' } },
      { format: 'used_of_max', header: 'x-used' },
    ],
    signals: [{ status: [200, 403], code: { body: ['a[0].b'], xml: 'Code', in: ['x'] }, contains: ['x'] }],
    body_wait: { path: 'a', unit: 'duration' },
    reason: { header: 'x-left', scopes: {} },
  });
  const names = fc.constantFrom('retry-after', 'x-limit', 'x-left', 'x-reset', 'x-used', 'x-usage', 'ratelimit');
  const values = fc.oneof(
    fc.string(),
    fc.integer().map(String),
    fc.double().map(String),
    fc.bigInt().map(String),
    fc.json(),
    fc.constantFrom('0', '-0', '1e400', '0, 0', ';', ',,,', '"a";r=0;t=1e9', '\u0000'),
  );
  const headers = fc.array(fc.tuple(names, values), { maxLength: 12 }).map((pairs) => pairs.flat());
  const statuses = fc.constantFrom(200, 400, 403, 429, 503);
  fc.assert(
    fc.property(statuses, headers, fc.oneof(fc.string(), fc.json()), (status, sent, body) => {
      for (const entry of [given, undefined]) {
        const { isLimited, waitMs, window } = readLimit(entry, { status, headers: sent, body, now: NOW });
        expect(waitMs === 0 ? !isLimited : waitMs >= 1_000 && waitMs <= HOUR).toBe(true);
        if (window) {
          expect(window.remaining).toBeGreaterThanOrEqual(0);
          expect(window.resetMs).toBeLessThanOrEqual(HOUR);
        }
      }
    }),
    { numRuns: 300 },
  );
});
