// The memory of tokens: what is taken in while others change the store.
import { expect, test } from 'vitest';
import { createServing, type Served } from '../../../src/broker/cache/token-cache.ts';
import { aConnection } from '../../stores/builders.ts';

const served = (change: Parameters<typeof aConnection>[0] = {}): Served => ({
  connection: aConnection(change),
  accessToken: 'token',
  until: Number.POSITIVE_INFINITY,
  ofUnknownAge: false,
});

test('what was read before a change elsewhere was heard of is not taken in after it', () => {
  const serving = createServing();
  const [old, other] = [served(), served()];
  const ticket = serving.ticket();
  serving.dropSetOf(old.connection.id);
  serving.put(old, ticket);
  expect(serving.get(old.connection.id)).toBeUndefined();
  serving.put(other, ticket);
  expect(serving.get(other.connection.id)).toBe(other);
  serving.put(old, serving.ticket());
  expect(serving.get(old.connection.id)).toBe(old);
});

test('nor is anything, where nobody knows what was changed', () => {
  const serving = createServing();
  const one = served();
  const ticket = serving.ticket();
  serving.doubtAll();
  serving.put(one, ticket);
  expect(serving.held()).toEqual([]);
  serving.put(one, serving.ticket());
  expect(serving.held()).toEqual([one.connection.id]);
});
