// A verifier of another house, on jose: it fetches the keys of a broker, caches them for as long as it may, and asks no sooner.
import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyResult, jwtVerify } from 'jose';
import { expect } from 'vitest';

export interface JwksVerifier {
  /** Rejects with an error of jose. */
  verify(token: string, expected: { typ: string; audience: string }): Promise<JWTVerifyResult>;
  /** The keys that it knows now. */
  kids(): Promise<string[]>;
}

/** `now` in ms since the epoch. `askEveryMs`: the cache is never older; undefined: as `max-age` says. */
export function createJwksVerifier(brokerUrl: string, issuer: string, now: () => number): JwksVerifier {
  let cached: { set: JSONWebKeySet; until: number } | undefined;

  async function current(): Promise<JSONWebKeySet> {
    if (cached && now() < cached.until) return cached.set;
    const response = await fetch(new URL('/oauth2/jwks', brokerUrl));
    expect(response.status).toBe(200);
    const [, maxAge] = /^public, max-age=(\d+)$/.exec(response.headers.get('cache-control') ?? '') ?? [];
    expect(maxAge).toBe('300');
    cached = { set: (await response.json()) as JSONWebKeySet, until: now() + Number(maxAge) * 1_000 };
    return cached.set;
  }

  return {
    async verify(token, { typ, audience }) {
      const keys = createLocalJWKSet(await current());
      return jwtVerify(token, keys, { issuer, audience, typ, currentDate: new Date(now()) });
    },
    kids: async () => (await current()).keys.map(({ kid }) => String(kid)),
  };
}
