// The memory of tokens: what is taken in while others change the store.
import { expect, test } from 'vitest';
import { createTokenCache, type ServedToken } from '../../../src/broker/cache/token-cache.ts';
import { aConnection } from '../../stores/builders.ts';

const served = (change: Parameters<typeof aConnection>[0] = {}): ServedToken => ({
  connection: aConnection(change),
  accessToken: 'token',
  until: Number.POSITIVE_INFINITY,
  ofUnknownAge: false,
});

test('what was read before a change elsewhere was heard of is not taken in after it', () => {
  const tokenCache = createTokenCache();
  const [old, other] = [served(), served()];
  const ticket = tokenCache.ticket();
  tokenCache.invalidateOwnerOf(old.connection.id);
  tokenCache.put(old, ticket);
  expect(tokenCache.get(old.connection.id)).toBeUndefined();
  tokenCache.put(other, ticket);
  expect(tokenCache.get(other.connection.id)).toBe(other);
  tokenCache.put(old, tokenCache.ticket());
  expect(tokenCache.get(old.connection.id)).toBe(old);
});

test('nor is anything, where nobody knows what was changed', () => {
  const tokenCache = createTokenCache();
  const one = served();
  const ticket = tokenCache.ticket();
  tokenCache.invalidateReads();
  tokenCache.put(one, ticket);
  expect(tokenCache.cachedIds()).toEqual([]);
  tokenCache.put(one, tokenCache.ticket());
  expect(tokenCache.cachedIds()).toEqual([one.connection.id]);
});
