// The cache of verdicts: which requests have one verdict, and what stays while it is full.
import { expect, test } from 'vitest';
import { createJwtVerification, type VerifyRequest } from '../../../src/broker/jwt/jwt-verification.ts';
import type { TrustedIssuer } from '../../../src/ports/index.ts';

type Parts = Parameters<typeof createJwtVerification>[0];

const ISSUER = 'https://id.example';
/** Three times what the cache holds. */
const MANY = 30_000;
const NOW = 1_900_000_000_000;
const EXP = 2_000_000_000;

/** Every token is active; says whether a request was verified. */
function setUp(
  clock = { now: () => NOW, monotonic: () => 0 },
): (request: VerifyRequest) => Promise<'verified' | 'cached'> {
  let verified = 0;
  const verifier = {
    claimedIssuer: () => ISSUER,
    verify: async (token: string) => {
      verified++;
      return { active: true, issuer: ISSUER, claims: { exp: token === 'new' ? 2 * EXP : EXP, jti: token }, header: {} };
    },
  } as unknown as Parts['verifier'];
  const trusted: TrustedIssuer = { issuer: ISSUER, audiences: [], clientIds: [], isListed: true };
  const { verifyToJson } = createJwtVerification({
    verifier,
    trustedIssuers: { find: async () => trusted },
    access: { noteRead: () => undefined } as unknown as Parts['access'],
    clock,
  });
  const call = { principal: { caller: { permissions: [{ actions: ['jwt:verify'] }] } } } as never;
  return async (request) => {
    const before = verified;
    expect(JSON.parse((await verifyToJson(call, request)) as string).claims.jti).toBe(request.token);
    return verified > before ? 'verified' : 'cached';
  };
}

test('a full cache of verdicts takes in the tokens that are presented twice, and evicts none for one that is not', async () => {
  const present = setUp();
  expect(await present({ token: 'often' })).toBe('verified');
  expect(await present({ token: 'often' })).toBe('cached');
  for (let n = 0; n < MANY; n++) expect(await present({ token: `once ${n}` })).toBe('verified');
  expect(await present({ token: 'often' })).toBe('cached');
  for (const expected of ['verified', 'verified', 'cached']) expect(await present({ token: 'new' })).toBe(expected);
});

test.each([
  ['expired', { now: EXP * 1_000 - 1, monotonic: 0 }, { now: EXP * 1_000 + 300_000, monotonic: 0 }],
  ['too old', { now: NOW, monotonic: 0 }, { now: NOW, monotonic: 24 * 3_600_000 }],
])('a cache full of verdicts that are %s has room', async (_, before, after) => {
  let at = before;
  const present = setUp({ now: () => at.now, monotonic: () => at.monotonic });
  for (let n = 0; n < MANY; n++) await present({ token: `before ${n}` });
  at = after;
  for (const expected of ['verified', 'cached']) expect(await present({ token: 'new' })).toBe(expected);
});

test('a verdict is for one token and one set of expectations, however the token is written', async () => {
  const present = setUp();
  const requests: VerifyRequest[] = [
    { token: 'a', audience: 'x' },
    { token: 'a' },
    { token: 'a', audience: ['x'] },
    { token: 'a', audience: 'x', issuer: ISSUER },
    { token: 'a\n{"audience":"x"}' },
    { token: 'a\n{}' },
    { token: '{"token":"a"}' },
  ];
  for (const expected of ['verified', 'cached'])
    for (const request of requests) expect(await present(request), JSON.stringify(request)).toBe(expected);
});
