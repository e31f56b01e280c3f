// Agent sessions in memory: clocks that jump, ends that overtake reads, and callers that change.
import { describe, expect, test } from 'vitest';
import { createSessionCache, type SessionMakerState } from '../../../src/broker/cache/callers/session-cache.ts';
import type { AgentSession } from '../../../src/domain/agent-session.ts';
import { anAgentSession, NOW } from '../../stores/builders.ts';

const GRANT = { actions: ['proxy' as const], integrations: ['slack'], owners: ['user:*'] };

function setup(session: AgentSession = anAgentSession()) {
  let monotonic = 1_000;
  let version = Symbol();
  let maker: SessionMakerState | undefined = {
    caller: { id: session.callerId, name: 'app', permissions: [GRANT] },
    rateLimit: null,
    endsAt: Number.POSITIVE_INFINITY,
  };
  const asked: string[][] = [];
  let answer = (rows: AgentSession[]): Promise<AgentSession[]> => Promise.resolve(rows);
  let ended: string[] = [];
  const cache = createSessionCache({
    store: {
      agentSessionsByDigest: (digests) => {
        asked.push([...digests]);
        return answer(digests.includes(session.digest) ? [session] : []);
      },
      endedAgentSessions: async (ids) => ids.filter((id) => ended.includes(id)),
      countSessionUse: async () => 'counted',
    },
    makerOf: () => maker,
    callersVersion: () => version,
    reloadCallers: async () => undefined,
    clock: { monotonic: () => monotonic },
  });
  const lookUp = (now = NOW) => cache.lookUp(session.digest, now);
  return {
    ...{ cache, session, asked, lookUp },
    find: (now = NOW) => cache.find(session.digest, now),
    pass: (ms: number) => {
      monotonic += ms;
    },
    answering: (how: typeof answer) => {
      answer = how;
    },
    endInStore: () => {
      ended = [session.id];
    },
    callersAre: (next: SessionMakerState | undefined) => {
      maker = next;
      version = Symbol();
    },
  };
}

describe('session cache:', () => {
  test('a session is read once, and narrowed to what its caller may do now', async () => {
    const { cache, session, asked, lookUp, find, callersAre } = setup();
    expect(find()).toBeUndefined();
    expect(cache.whyNot(session.digest)).toBe('unknown');
    const first = await lookUp();
    expect(find()).toBe(first);
    expect(asked).toEqual([[session.digest]]);
    expect(find()).toMatchObject({
      caller: { id: 'clr_1', permissions: [{ ...GRANT, owners: ['user:1'], paths: ['/repos/*'] }] },
      credential: { kind: 'session', id: session.id, expiresAt: session.expiresAt },
      session: { purpose: session.purpose },
    });
    const caller = { id: 'clr_1', name: 'app', permissions: [{ ...GRANT, integrations: ['other'] }] };
    callersAre({ caller, rateLimit: null, endsAt: NOW + 10 });
    expect(find()?.caller.permissions).toEqual([{ actions: [], integrations: [], owners: [] }]);
    expect(cache.callerOf(session)).toBe(find()?.caller);
    expect(find(NOW + 10), 'its key expires').toBeUndefined();
    callersAre(undefined);
    expect(find()).toBeUndefined();
    expect([cache.callerOf(session), cache.whyNot(session.digest)]).toEqual([undefined, 'ended']);
  });

  test('a wall clock that is set back makes no session last longer, and one that jumps ahead ends it', async () => {
    const { cache, session, lookUp, find, pass } = setup();
    await lookUp();
    expect(find(session.expiresAt)).toBeUndefined();
    expect(cache.whyNot(session.digest)).toBe('expired');
    expect(find(session.expiresAt - 1)).toBeDefined();
    pass(900_000);
    for (const now of [NOW, NOW - 86_400_000]) {
      expect(find(now)).toBeUndefined();
      expect(await lookUp(now)).toBeUndefined();
    }
    expect(cache.whyNot(session.digest)).toBe('expired');
  });

  test('by a clock that was behind when it was read, it lasts no longer than it was made for', async () => {
    const { lookUp, find, pass } = setup();
    expect(await lookUp(NOW - 86_400_000)).toBeDefined();
    pass(899_999);
    expect(find(NOW - 86_400_000)).toBeDefined();
    pass(1);
    expect(find(NOW - 86_400_000)).toBeUndefined();
  });

  test('an end that is told while the session is being read wins, and stays', async () => {
    const { cache, session, lookUp, find, answering } = setup();
    const { promise, resolve } = Promise.withResolvers<AgentSession[]>();
    answering(() => promise);
    const reading = lookUp();
    cache.noteEnded([session.id]);
    resolve([session]);
    expect(await reading).toBeUndefined();
    expect([find(), cache.whyNot(session.digest), cache.callerOf(session)]).toEqual([undefined, 'ended', undefined]);
    expect(await lookUp()).toBeUndefined();
  });

  test('an end is known for as long as the session is in memory, however many others end after it', async () => {
    const { cache, session, lookUp, find } = setup();
    await lookUp();
    cache.noteEnded([session.id]);
    for (let from = 0; from < 120_000; from += 10_000)
      cache.noteEnded(Array.from({ length: 10_000 }, (_, n) => `ses_${from + n}`));
    expect(find()).toBeUndefined();
    expect(await lookUp()).toBeUndefined();
  });

  test('one that has ended in the store is not used, and neither is one whose end was missed', async () => {
    const over = setup(anAgentSession({ endedAt: NOW - 1, endReason: 'revoked' }));
    expect(await over.lookUp()).toBeUndefined();
    expect(over.cache.whyNot(over.session.digest)).toBe('ended');
    const { cache, lookUp, find, endInStore } = setup();
    await lookUp();
    await cache.recheck('all');
    expect(find()).toBeDefined();
    endInStore();
    await cache.recheck('of_workloads');
    expect(find(), 'a key made it').toBeDefined();
    await cache.recheck('all');
    expect(find()).toBeUndefined();
    const bound = setup(anAgentSession({ createdWith: 'wl_1' }));
    await bound.lookUp();
    bound.endInStore();
    await bound.cache.recheck('of_workloads');
    expect(bound.find()).toBeUndefined();
  });

  test('one whose workload binding was taken away does not come back with the binding', async () => {
    const { cache, session, lookUp, find, callersAre } = setup(anAgentSession({ createdWith: 'wl_1' }));
    await lookUp();
    const maker = { caller: { id: 'clr_1', name: 'app', permissions: [GRANT] }, rateLimit: null, endsAt: Infinity };
    callersAre(undefined);
    cache.callersRead();
    callersAre(maker);
    cache.callersRead();
    expect([find(), cache.whyNot(session.digest)]).toEqual([undefined, 'ended']);
    expect(await lookUp()).toBeUndefined();
  });
});
