// The keys for JWTs in memory: when the next one may sign and a retired one is published, while the wall clock is set.
import { createSecretKey, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { createKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createCachedKeys } from '../../../src/broker/signing/keys/cached-keys.ts';
import { newSigningKey } from '../../../src/broker/signing/keys/key-material.ts';
import { DAY_MS, SIGNING_KEY_LEAD_MS, SIGNING_KEY_RETIRED_MS } from '../../../src/domain/time-limits.ts';

const START = 1_800_000_000_000;
const vault = createKeyRing([{ kid: 'k1', key: createSecretKey(randomBytes(32)) }]);
const log = { error() {}, warn() {} };

async function setup() {
  let wall = START;
  let monotonic = 0;
  const clock = { now: () => wall, monotonic: () => monotonic };
  const key = () => newSigningKey({ vault, clock }, 'jwt', 'ES256');
  const [old, next] = [{ ...(await key()), signingSince: START }, await key()];
  const store = { signingKeys: async () => [] };
  const cache = createCachedKeys({ store, vault, clock, log }, async () => [old]);
  cache.take([old]);
  return {
    ...{ cache, old, next },
    pass(ms: number) {
      wall += ms;
      monotonic += ms;
    },
    set(ms: number) {
      wall += ms;
    },
  };
}

test('signing keys: a wall clock that is set forward lets the next key not sign early, and set back not either', async () => {
  const { cache, old, next, pass, set } = await setup();
  const keys = [next, old];
  cache.take(keys);
  set(DAY_MS);
  expect(cache.isNextDue(keys)).toBe(false);
  pass(SIGNING_KEY_LEAD_MS - 1);
  expect(cache.isNextDue(keys)).toBe(false);
  pass(1);
  expect(cache.isNextDue(keys)).toBe(true);
  set(-2 * DAY_MS);
  expect(cache.isNextDue(keys)).toBe(false);
});

test('signing keys: a retired key is published for its time, however the wall clock is set', async () => {
  const { cache, old, next, pass, set } = await setup();
  const signing = { ...next, signingSince: START };
  const retired = { ...old, retiredAt: START };
  cache.take([signing, retired]);
  set(DAY_MS);
  pass(SIGNING_KEY_RETIRED_MS - 1);
  expect(cache.isPublished(retired)).toBe(true);
  pass(1);
  expect(cache.isPublished(retired)).toBe(false);
  set(-2 * DAY_MS);
  expect(cache.isPublished(retired)).toBe(true);
});
