// The token cache: which reads it takes in while the store changes.
import { describe, expect, it } from 'vitest';
import { createTokenCache, type ServedToken } from '../../../src/broker/cache/token-cache.ts';
import type { CacheSize } from '../../../src/domain/cache-bounds.ts';
import { INVALIDATION_TTL_MS } from '../../../src/domain/time-limits.ts';
import { aConnection } from '../../stores/builders.ts';

const served = (change: Parameters<typeof aConnection>[0] = {}): ServedToken => ({
  connection: aConnection(change),
  accessToken: 'token',
  until: Number.POSITIVE_INFINITY,
  ofUnknownAge: false,
  cachedAt: 0,
});

const newerThan = ({ connection, ...rest }: ServedToken): ServedToken => ({
  ...rest,
  connection: { ...connection, generation: connection.generation + 1 },
});

describe('a full token cache', () => {
  const full = (size: CacheSize, entries: number) => {
    const tokenCache = createTokenCache({ size });
    const cached = Array.from({ length: entries }, () => served());
    const put = (one: ServedToken) => tokenCache.putRead(one, tokenCache.ticket());
    cached.forEach(put);
    const cachedOf = (some: ServedToken[]) => some.filter(({ connection }) => tokenCache.get(connection.id)).length;
    expect(cachedOf(cached)).toBe(entries);
    return { tokenCache, cached, put, cachedOf };
  };

  it.each<[CacheSize, number]>([
    [{ entries: 100 }, 100],
    [{ bytes: 150_600 }, 100],
  ])('of %o keeps what it has while others are read once', (size, entries) => {
    const { cached, put, cachedOf } = full(size, entries);
    const others = Array.from({ length: 5_000 }, () => served());
    others.forEach(put);
    expect(cachedOf(others)).toBe(0);
    expect(cachedOf(cached)).toBe(entries);
  });

  it('takes in what is read twice, in the place of what was read longest ago', () => {
    const { cached, put, cachedOf } = full({ entries: 100 }, 100);
    const others = Array.from({ length: 10 }, () => served());
    // In a row: of so small a cache, few are remembered, and some of ten may have one place.
    for (const each of others.flatMap((one) => [one, one])) put(each);
    expect(cachedOf(others)).toBe(10);
    expect(cachedOf(cached.slice(0, 10))).toBe(0);
    expect(cachedOf(cached.slice(10))).toBe(90);
  });

  it('counts a token of a megabyte as many, and one that is larger than all of it as all', () => {
    const { tokenCache, put, cachedOf } = full({ entries: 100 }, 100);
    const large = (characters: number) => ({ ...served(), accessToken: 'x'.repeat(characters) });
    const several = Array.from({ length: 10 }, () => large(1_000_000));
    for (const each of several.flatMap((one) => [one, one])) put(each);
    expect(cachedOf(several)).toBe(1);
    const [usual, huge] = [large(16_000), large(5_000_000)];
    tokenCache.put(huge, tokenCache.ticket());
    expect(cachedOf([huge])).toBe(1);
    tokenCache.put(usual, tokenCache.ticket());
    expect(cachedOf([huge, usual])).toBe(1);
  });

  it('forgets what was read once, long ago', () => {
    const { put, cachedOf } = full({ entries: 100 }, 100);
    const [one, ...others] = Array.from({ length: 2_000 }, () => served());
    for (const each of [one!, ...others, one!]) put(each);
    expect(cachedOf([one!])).toBe(0);
  });

  it('replaces a token that it has, and takes one in where another was dropped', () => {
    const { tokenCache, cached, put } = full({ entries: 100 }, 100);
    const newer = newerThan(cached[0]!);
    put(newer);
    expect(tokenCache.get(newer.connection.id)).toBe(newer);
    tokenCache.invalidate(cached[1]!.connection, Number.POSITIVE_INFINITY);
    const other = served();
    put(other);
    expect(tokenCache.get(other.connection.id)).toBe(other);
  });

  it('takes in what was refreshed here, in the place of what was used longest ago', () => {
    const { tokenCache, cached, cachedOf } = full({ entries: 100 }, 100);
    const refreshed = served({ generation: 2 });
    const before = { ...refreshed, connection: { ...refreshed.connection, generation: 1 } };
    const ticket = tokenCache.ticket();
    tokenCache.put(refreshed, ticket);
    // A read that began before the commit.
    for (let i = 0; i < 3; i++) tokenCache.putRead(before, ticket);
    expect(tokenCache.get(refreshed.connection.id)).toBe(refreshed);
    expect(cachedOf(cached)).toBe(99);
  });

  it.each<CacheSize>([{ entries: 1 }, { bytes: 2_000 }])(
    'of %o takes in no row that was read before a refresh here, though its token was evicted since',
    (size) => {
      const { tokenCache, put } = full(size, 1);
      const refreshed = served({ generation: 2 });
      const before = { ...refreshed, connection: { ...refreshed.connection, generation: 1 } };
      const other = served();
      const [first, second] = [tokenCache.ticket(), tokenCache.ticket()];
      tokenCache.put(refreshed, tokenCache.ticket());
      for (let i = 0; i < 2; i++) put(other);
      expect(tokenCache.get(other.connection.id)).toBe(other);
      for (const ticket of [first, second]) tokenCache.putRead(before, ticket);
      expect(tokenCache.get(before.connection.id)).toBeUndefined();
      // What is read from now on gets in.
      for (let i = 0; i < 2; i++) put(refreshed);
      expect(tokenCache.get(refreshed.connection.id)).toBe(refreshed);
    },
  );

  it('takes in what is refreshed here while others are evicted', () => {
    const { tokenCache } = full({ entries: 1 }, 1);
    const [refreshed, ...others] = Array.from({ length: 4 }, () => served());
    const ticket = tokenCache.ticket();
    for (const one of others) tokenCache.put(one, tokenCache.ticket());
    tokenCache.put(refreshed!, ticket);
    expect(tokenCache.get(refreshed!.connection.id)).toBe(refreshed);
  });

  it('has no token that was refreshed here, however much has changed during the commit', () => {
    const { tokenCache, cached } = full({ entries: 1 }, 1);
    const refreshed = newerThan(cached[0]!);
    const ticket = tokenCache.ticket();
    for (let i = 0; i < 3; i++) tokenCache.invalidateOwnerOf(`con_${i}`, 1);
    tokenCache.put(refreshed, ticket);
    expect(tokenCache.get(refreshed.connection.id)).not.toBe(cached[0]);
  });

  it('forgets owners, and reads under way, at few evictions only', () => {
    const { tokenCache } = full({ entries: 100 }, 100);
    const before = tokenCache.ticket();
    for (let i = 0; i < 1_000; i++) tokenCache.put(served(), tokenCache.ticket());
    expect(tokenCache.ticket() - before).toBeLessThanOrEqual(11);
  });

  it('takes in what it had until it was too old', async () => {
    let now = 1;
    const tokenCache = createTokenCache({ size: { entries: 100 }, ttlMs: 1_000, clock: { monotonic: () => now } });
    const cached = Array.from({ length: 100 }, () => served());
    for (const each of cached) tokenCache.putRead(each, tokenCache.ticket());
    now += 2_000;
    // The library looks at the clock once in a millisecond.
    await expect.poll(() => tokenCache.get(cached[3]!.connection.id)).toBeUndefined();
    tokenCache.putRead(cached[3]!, tokenCache.ticket());
    expect(tokenCache.get(cached[3]!.connection.id)).toBe(cached[3]);
  });

  it('that is full of what has become too old has room', async () => {
    let now = 1;
    const tokenCache = createTokenCache({ size: { entries: 100 }, ttlMs: 1_000, clock: { monotonic: () => now } });
    const [first, ...others] = Array.from({ length: 100 }, () => served());
    for (const each of [first!, ...others]) tokenCache.putRead(each, tokenCache.ticket());
    now += 2_000;
    // The library looks at the clock once in a millisecond.
    await expect.poll(() => tokenCache.get(first!.connection.id)).toBeUndefined();
    for (const each of Array.from({ length: 100 }, () => served())) {
      tokenCache.putRead(each, tokenCache.ticket());
      expect(tokenCache.get(each.connection.id)).toBe(each);
    }
  });

  it('does the same with the connections of owners', () => {
    const tokenCache = createTokenCache({ size: { entries: 100 } });
    const put = (owner: string) => tokenCache.putOwner(tokenCache.ticket(), 'slack', owner, [aConnection({ owner })]);
    const owners = Array.from({ length: 101 }, (_, n) => `user_${n}`);
    owners.forEach(put);
    expect(owners.filter((owner) => tokenCache.ofOwner('slack', owner))).toEqual(owners.slice(0, 100));
    const again = [aConnection({ owner: 'user_0' }), aConnection({ owner: 'user_0', label: 'work' })];
    tokenCache.putOwner(tokenCache.ticket(), 'slack', 'user_0', again);
    expect(tokenCache.ofOwner('slack', 'user_0')).toBe(again);
    put('user_100');
    expect(tokenCache.ofOwner('slack', 'user_100')).toBeDefined();
    expect(tokenCache.ofOwner('slack', 'user_1')).toBeUndefined();
  });
});

describe('token cache', () => {
  it('ignores a row that was read before the change notification of its connection', () => {
    const tokenCache = createTokenCache();
    const [old, other] = [served(), served()];
    const ticket = tokenCache.ticket();
    tokenCache.invalidateOwnerOf(old.connection.id, old.connection.generation);
    tokenCache.put(old, ticket);
    expect(tokenCache.get(old.connection.id)).toBeUndefined();
    tokenCache.put(other, ticket);
    expect(tokenCache.get(other.connection.id)).toBe(other);
    tokenCache.put(old, tokenCache.ticket());
    expect(tokenCache.get(old.connection.id)).toBe(old);
  });

  it('keeps a row of a later generation than the change that was notified meanwhile', () => {
    const tokenCache = createTokenCache();
    const { connection } = served();
    const { id, generation } = connection;
    const renewed = { ...served(), connection: { ...connection, generation: generation + 1 } };
    const ticket = tokenCache.ticket();
    tokenCache.invalidateOwnerOf(id, generation);
    tokenCache.put(renewed, ticket);
    expect(tokenCache.get(id)).toBe(renewed);
    // The later one may be what was revoked, whatever is notified after it.
    const other = createTokenCache();
    const before = other.ticket();
    other.invalidateOwnerOf(id, generation + 1);
    other.invalidateOwnerOf(id, generation);
    other.put(renewed, before);
    expect(other.get(id)).toBeUndefined();
  });

  it('ignores every row that was read before notifications may have been lost', () => {
    const tokenCache = createTokenCache();
    const one = served();
    const ticket = tokenCache.ticket();
    tokenCache.invalidateReads();
    tokenCache.put(one, ticket);
    expect(tokenCache.cachedIds()).toEqual([]);
    tokenCache.put(one, tokenCache.ticket());
    expect(tokenCache.cachedIds()).toEqual([one.connection.id]);
  });

  it('does not take in what a refresh here has replaced, though the new token was not admitted', () => {
    const tokenCache = createTokenCache();
    const spent = served();
    const ticket = tokenCache.ticket();
    tokenCache.invalidateReads();
    // It finds the row before the commit of the refresh.
    const read = tokenCache.ticket();
    tokenCache.put(newerThan(spent), ticket);
    tokenCache.putRead(spent, read);
    expect(tokenCache.get(spent.connection.id)).toBeUndefined();
    tokenCache.putRead(newerThan(spent), tokenCache.ticket());
    expect(tokenCache.get(spent.connection.id)?.connection.generation).toBe(spent.connection.generation + 1);
  });

  it('drops a token when a newer row is read, also one that is not admitted', () => {
    const tokenCache = createTokenCache();
    const spent = served();
    const { id } = spent.connection;
    tokenCache.putRead(spent, tokenCache.ticket());
    const read = tokenCache.ticket();
    tokenCache.invalidateReads();
    tokenCache.putRead(newerThan(spent), read);
    expect(tokenCache.get(id)).toBeUndefined();
    tokenCache.putRead(spent, tokenCache.ticket());
    expect(tokenCache.get(id)).toBeUndefined();
  });

  it('ignores rows older than the minimum generation that an invalidation left', () => {
    const tokenCache = createTokenCache();
    const [old, renewed] = [served({ generation: 3 }), served({ generation: 4 })];
    const { id } = old.connection;
    renewed.connection.id = id;
    tokenCache.put(old, tokenCache.ticket());
    tokenCache.invalidate(old.connection, 4);
    tokenCache.put(old, tokenCache.ticket());
    expect(tokenCache.get(id)).toBeUndefined();
    tokenCache.put(renewed, tokenCache.ticket());
    expect(tokenCache.get(id)).toBe(renewed);
  });

  it('a later invalidation with a lower generation does not lower the minimum', () => {
    const tokenCache = createTokenCache();
    const one = served({ generation: 3 });
    const ticket = tokenCache.ticket();
    tokenCache.invalidate(one.connection, Number.POSITIVE_INFINITY);
    tokenCache.invalidate(one.connection, 3);
    tokenCache.put(one, ticket);
    expect(tokenCache.get(one.connection.id)).toBeUndefined();
  });

  it('is as large as it was made: in tokens, or in bytes', () => {
    const long = () => ({ ...served(), accessToken: 'x'.repeat(8_500) });
    const cachedOf = (size: CacheSize) => {
      const tokenCache = createTokenCache({ size });
      for (let i = 0; i < 30; i++) tokenCache.put(long(), tokenCache.ticket());
      return tokenCache.cachedIds().length;
    };
    expect(cachedOf({ entries: 20 })).toBe(20);
    expect(cachedOf({ bytes: 100_000 })).toBe(10);
  });

  it('ignores a row that was read before its invalidation, however many others follow', () => {
    const tokenCache = createTokenCache({ size: { entries: 10 } });
    const [revoked, noted] = [served(), served()];
    const ticket = tokenCache.ticket();
    tokenCache.invalidate(revoked.connection, Number.POSITIVE_INFINITY);
    tokenCache.invalidateOwnerOf(noted.connection.id, noted.connection.generation);
    for (let i = 0; i < 50; i++) {
      const other = served();
      if (i % 2 === 0) tokenCache.invalidate(other.connection, 2);
      else tokenCache.put(other, tokenCache.ticket());
    }
    for (const old of [revoked, noted]) {
      tokenCache.put(old, ticket);
      expect(tokenCache.get(old.connection.id)).toBeUndefined();
      tokenCache.put(old, tokenCache.ticket());
      expect(tokenCache.get(old.connection.id)).toBe(old);
    }
  });

  it('ignores a row that was read before changes were missed, when an earlier invalidation is forgotten', () => {
    const tokenCache = createTokenCache({ size: { entries: 10 } });
    tokenCache.invalidate(served().connection, 2);
    const old = served();
    const ticket = tokenCache.ticket();
    tokenCache.invalidateReads();
    for (let i = 0; i < 10; i++) tokenCache.invalidate(served().connection, 2);
    tokenCache.put(old, ticket);
    expect(tokenCache.get(old.connection.id)).toBeUndefined();
  });

  it('ignores a row that was read before its invalidation, however long ago that was', () => {
    let now = 0;
    const tokenCache = createTokenCache({ clock: { monotonic: () => now } });
    const one = served();
    const ticket = tokenCache.ticket();
    tokenCache.invalidate(one.connection, 2);
    now += 3 * INVALIDATION_TTL_MS;
    tokenCache.invalidate(served().connection, 2);
    tokenCache.put(one, ticket);
    expect(tokenCache.get(one.connection.id)).toBeUndefined();
  });
});
