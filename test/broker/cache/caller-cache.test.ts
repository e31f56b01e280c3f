// The caller cache: which reload makes workload tokens be verified again.
import { expect, test } from 'vitest';
import { createCallerCache } from '../../../src/broker/cache/caller-cache.ts';
import { digest } from '../../../src/broker/secrets/ids.ts';
import type { Caller, CallerKey } from '../../../src/domain/caller.ts';

const NOW = 1_795_824_000_000;
const workload = { id: 'wl_1', issuer: 'https://op.example', audience: 'valetkey', claims: { sub: 'billing' } };
const caller: Caller = {
  id: 'clr_1',
  name: 'billing',
  permissions: [],
  workloads: [workload],
  rateLimit: null,
  createdAt: NOW,
};
const key: CallerKey = {
  id: 'key_1',
  callerId: caller.id,
  digest: 'd',
  prefix: 'vk_',
  createdAt: NOW,
  expiresAt: null,
  lastUsedAt: null,
};
const credential = {
  kind: 'workload',
  id: workload.id,
  issuer: workload.issuer,
  subject: 'billing',
  expiresAt: NOW + 60_000,
} as const;

async function withRememberedToken() {
  let stored: { caller: Caller; keys: CallerKey[] }[] = [{ caller, keys: [key] }];
  const cache = createCallerCache({
    store: { callers: async () => structuredClone(stored) },
    adminKey: undefined,
    rateLimit: null,
  });
  await cache.reload();
  cache.remember(cache.boundTo(workload.issuer).ticket, 'a.b.c', { caller, workload }, credential, 60_000);
  return {
    reloadWith: (next: typeof stored) => {
      stored = next;
      return cache.reload();
    },
    isRemembered: () => cache.find('a.b.c', NOW) !== undefined,
  };
}

test('caller cache: a reload that finds the same callers keeps verified workload tokens', async () => {
  const { reloadWith, isRemembered } = await withRememberedToken();
  await reloadWith([{ caller, keys: [{ ...key, lastUsedAt: NOW }] }]);
  expect(isRemembered()).toBe(true);
});

test('caller cache: a reload that finds a changed caller makes workload tokens be verified again', async () => {
  const { reloadWith, isRemembered } = await withRememberedToken();
  await reloadWith([{ caller: { ...caller, workloads: [] }, keys: [key] }]);
  expect(isRemembered()).toBe(false);
});

test('caller cache: of two reloads that overlap, the later one wins, whichever is answered first', async () => {
  const answers: ((callers: { caller: Caller; keys: CallerKey[] }[]) => void)[] = [];
  const cache = createCallerCache({
    store: { callers: () => new Promise((resolve) => answers.push(resolve)) },
    adminKey: undefined,
    rateLimit: null,
  });
  const secret = 'vk_a-key-that-is-deleted';
  const before = [{ caller, keys: [{ ...key, digest: digest(secret) }] }];
  const [older, newer] = [cache.reload(), cache.reload()];
  answers[1]!([{ caller, keys: [] }]);
  await newer;
  answers[0]!(before);
  await older;
  expect(cache.find(secret, NOW)).toBeUndefined();
  const [first, second] = [cache.reload(), cache.reload()];
  answers[2]!(before);
  await first;
  expect(cache.find(secret, NOW)).toBeDefined();
  answers[3]!([{ caller, keys: [] }]);
  await second;
  expect(cache.find(secret, NOW)).toBeUndefined();
});
