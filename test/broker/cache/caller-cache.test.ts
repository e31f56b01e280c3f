// The caller cache: which reload makes workload tokens be verified again.
import { describe, expect, test } from 'vitest';
import { createCallerCache } from '../../../src/broker/cache/callers/caller-cache.ts';
import { newSessionToken } from '../../../src/broker/secrets/caller-keys.ts';
import { digest } from '../../../src/broker/secrets/ids.ts';
import type { AgentSession } from '../../../src/domain/agent-session.ts';
import { type Caller, type CallerKey, madeWith } from '../../../src/domain/caller.ts';
import { anAgentSession } from '../../stores/builders.ts';

const NOW = 1_795_824_000_000;
const performanceClock = { monotonic: () => performance.now() };
const NO_SESSIONS = {
  agentSessionsByDigest: async () => [],
  endedAgentSessions: async () => [],
  countSessionUse: async () => 'ended' as const,
};
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
    store: { callers: async () => structuredClone(stored), storedKeys: async () => [], ...NO_SESSIONS },
    adminKey: undefined,
    rateLimit: null,
    clock: performanceClock,
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
    store: {
      callers: () => new Promise((resolve) => answers.push(resolve)),
      storedKeys: async () => [],
      ...NO_SESSIONS,
    },
    adminKey: undefined,
    rateLimit: null,
    clock: performanceClock,
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

describe('caller cache: a key that is not in memory', () => {
  const secret = 'vk_made-elsewhere';
  function withStore(isStored: (digests: readonly string[]) => Promise<string[]>) {
    const loads: number[] = [];
    const cache = createCallerCache({
      store: {
        callers: async () => {
          loads.push(1);
          return [{ caller, keys: [{ ...key, digest: digest(secret) }] }];
        },
        storedKeys: isStored,
        ...NO_SESSIONS,
      },
      adminKey: undefined,
      rateLimit: null,
      clock: performanceClock,
    });
    return { cache, loads };
  }

  test('is found in the store, and the callers are read again', async () => {
    const { cache, loads } = withStore(async (digests) => [...digests]);
    expect(cache.find(secret, NOW)).toBeUndefined();
    expect(await cache.lookUp(secret, NOW)).toMatchObject({ caller: { id: caller.id } });
    expect(loads).toHaveLength(1);
    expect(cache.find(secret, NOW)).toBeDefined();
  });

  test('one query at a time for all that are asked meanwhile; what is made up reads nothing more; too many are busy', async () => {
    const batches: { digests: readonly string[]; answer: (found: string[]) => void }[] = [];
    const { cache, loads } = withStore((digests) => new Promise((answer) => batches.push({ digests, answer })));
    const guesses = Array.from({ length: 1_001 }, (_, i) => cache.lookUp(`guess ${i}`, NOW));
    const [right, tooMany] = [cache.lookUp('guess 1000', NOW), cache.lookUp('one more', NOW)];
    expect(await tooMany).toBe('busy');
    for (let n = 0; n < 11; n++) {
      expect(batches).toHaveLength(n + 1);
      expect(batches[n]!.digests.length).toBeLessThanOrEqual(100);
      batches[n]!.answer([]);
      await new Promise((next) => setImmediate(next));
    }
    expect(await Promise.all([...guesses, right])).toEqual(Array.from({ length: 1_002 }, () => undefined));
    expect(loads).toHaveLength(0);
  });

  test('a store that fails is no unknown key', async () => {
    const { cache } = withStore(() => Promise.reject(new Error('away')));
    await expect(cache.lookUp(secret, NOW)).rejects.toThrow('away');
    await expect(cache.lookUp(secret, NOW)).rejects.toThrow('away');
  });
});

test('a session that was made with an admin key ends with that key', async () => {
  const cacheOf = async (adminKey: string, sessions: AgentSession[] = []) => {
    const agentSessionsByDigest = async () => sessions;
    const cache = createCallerCache({
      store: { ...NO_SESSIONS, agentSessionsByDigest, callers: async () => [], storedKeys: async () => [] },
      ...{ adminKey, rateLimit: null, clock: performanceClock },
    });
    await cache.reload();
    return cache;
  };
  const admin = (await cacheOf('a'.repeat(32))).find('a'.repeat(32), NOW)!;
  const token = newSessionToken();
  const session = anAgentSession({
    ...{ digest: digest(token), callerId: admin.caller.id, createdWith: madeWith(admin) },
    ...{ createdAt: NOW, expiresAt: NOW + 60_000 },
  });
  expect(session.createdWith).not.toContain('a'.repeat(32));
  expect(await (await cacheOf('a'.repeat(32), [session])).lookUp(token, NOW)).toMatchObject({ session });
  expect(await (await cacheOf('b'.repeat(32), [session])).lookUp(token, NOW)).toBeUndefined();
});
