// The cache of verdicts when it is full: what is presented again and again stays, whatever else is presented once.
import { expect, test } from 'vitest';
import { createJwtVerification, type JwtVerificationParts } from '../../../src/broker/jwt/jwt-verification.ts';
import type { TrustedIssuer } from '../../../src/ports/index.ts';

const ISSUER = 'https://id.example';
const MANY = 30_000;

test('a full cache of verdicts takes in the tokens that are presented twice, and evicts none for one that is not', async () => {
  const verified: string[] = [];
  const verifier = {
    claimedIssuer: () => ISSUER,
    verify: async (token: string) => {
      verified.push(token);
      return { active: true, issuer: ISSUER, claims: { exp: 2_000_000_000, jti: token }, header: {} };
    },
  } as unknown as JwtVerificationParts['verifier'];
  const trusted: TrustedIssuer = { issuer: ISSUER, audiences: [], clientIds: [], isListed: true };
  const { verifyToJson } = createJwtVerification({
    verifier,
    trustedIssuers: { find: async () => trusted },
    access: { noteRead: () => undefined } as unknown as JwtVerificationParts['access'],
    clock: { now: () => 1_900_000_000_000, monotonic: () => 0 },
  });
  const call = { principal: { caller: { permissions: [{ actions: ['jwt:verify'] }] } } } as never;
  const present = async (token: string): Promise<'verified' | 'cached'> => {
    const before = verified.length;
    expect(await verifyToJson(call, { token })).toContain(`"jti":"${token}"`);
    return verified.length > before ? 'verified' : 'cached';
  };

  expect(await present('often')).toBe('verified');
  expect(await present('often')).toBe('cached');
  for (let n = 0; n < MANY; n++) expect(await present(`once ${n}`)).toBe('verified');
  expect(await present('often')).toBe('cached');

  expect([await present('new'), await present('new'), await present('new')]).toEqual([
    'verified',
    'verified',
    'cached',
  ]);
});
