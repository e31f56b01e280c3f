// The contract of the store: agent sessions, from their making to their end.
import { expect, test } from 'vitest';
import type { AgentSession } from '../../../src/domain/agent-session.ts';
import type { Change, SessionMaker } from '../../../src/ports/index.ts';
import { aCaller, aKey, anAgentSession, anEntry, NOW, recorded } from '../builders.ts';
import type { Opened } from './index.ts';

const ANYONE: SessionMaker = { callerId: undefined, keyId: null, mostLive: 100, mostBelow: 100 };

export function agentSessions(at: Opened): void {
  async function made(given: Partial<AgentSession> = {}, maker = ANYONE) {
    const session = anAgentSession(given);
    expect(await at.store.addAgentSession(session, maker, anEntry())).toBe('added');
    return session;
  }
  const below = (parent: AgentSession, given: Partial<AgentSession> = {}) =>
    made({ parentId: parent.id, ancestors: [...parent.ancestors, parent.id], ...given });
  const stateOf = async ({ id }: Pick<AgentSession, 'id'>) => {
    const { endedAt = undefined, endReason = undefined } = (await at.store.agentSession(id)) ?? {};
    return { endedAt, endReason };
  };
  const LASTS = { endedAt: null, endReason: null };

  test('a session is found by its digest and its id with every field, and its entry is in the audit log', async () => {
    const entry = anEntry();
    const session = anAgentSession({ maxUses: 3, counted: ['ses_x'] });
    expect(await at.store.addAgentSession(session, ANYONE, entry)).toBe('added');
    expect(await at.store.agentSessionsByDigest([session.digest, 'none'])).toEqual([session]);
    expect(await at.store.agentSession(session.id)).toEqual(session);
    expect(await at.store.agentSession('ses_none')).toBeUndefined();
    expect(await recorded(at.store, entry)).toBe(true);
    await at.store.touchKeys([{ keyId: session.id, at: NOW + 5 }]);
    await at.store.touchKeys([{ keyId: session.id, at: NOW + 3 }]);
    expect((await at.store.agentSession(session.id))?.lastUsedAt).toBe(NOW + 5);
  });

  test('nothing is stored once the caller, its key or the session above is gone, or the caller has too many', async () => {
    const caller = aCaller();
    const key = aKey(caller.id);
    await at.store.addCaller(caller, key, anEntry());
    const maker = { callerId: caller.id, keyId: key.id, mostLive: 2, mostBelow: 2 };
    const of = { callerId: caller.id, createdWith: key.id };
    const first = await made(of, maker);
    await made({ ...of, expiresAt: NOW }, maker);
    const second = await made(of, maker);
    const refused = anEntry();
    const add = (given: Partial<AgentSession>, by = maker) =>
      at.store.addAgentSession(anAgentSession({ ...of, ...given }), by, refused);
    expect(await add({})).toBe('too_many');
    const many = { ...maker, mostLive: 100 };
    const few = { ...many, mostBelow: 1 };
    await made({ ...of, parentId: second.id, ancestors: [second.id] }, few);
    expect(await add({ parentId: second.id }, few)).toBe('too_many');
    await made({ ...of, parentId: first.id, ancestors: [first.id] }, few);
    expect(await add({}, { ...many, keyId: 'key_none' })).toBe('maker_gone');
    await at.store.endAgentSessions([first.id], 'revoked', anEntry());
    expect(await add({ parentId: first.id }, many)).toBe('maker_gone');
    await at.store.deleteCallerKey(caller.id, key.id, anEntry());
    expect(await add({}, many)).toBe('maker_gone');
    await at.store.deleteCaller(caller.id, anEntry());
    expect(await add({}, { ...many, keyId: null as never })).toBe('maker_gone');
    expect(await recorded(at.store, refused)).toBe(false);
  });

  test('sessions end with all below them, once, and other processes are told which', async () => {
    const seen: Change[] = [];
    const other = await at.another();
    const feed = await other.subscribe((changes) => void seen.push(...changes));
    const [top, aside] = [await made(), await made()];
    const middle = await below(top);
    const leaf = await below(middle);
    const entry = anEntry({ at: NOW + 1 });
    expect((await at.store.endAgentSessions([top.id], 'revoked', entry)).sort()).toEqual(
      [top, middle, leaf].map(({ id }) => id).sort(),
    );
    expect(await recorded(at.store, entry)).toBe(true);
    expect(await stateOf(top)).toEqual({ endedAt: NOW + 1, endReason: 'revoked' });
    for (const one of [middle, leaf])
      expect(await stateOf(one)).toEqual({ endedAt: NOW + 1, endReason: 'parent_ended' });
    expect(await stateOf(aside)).toEqual(LASTS);
    expect((await at.store.endedAgentSessions([top.id, aside.id, 'ses_none'])).sort()).toEqual(
      ['ses_none', top.id].sort(),
    );
    const again = anEntry();
    expect(await at.store.endAgentSessions([top.id], 'revoked', again)).toEqual([]);
    expect(await recorded(at.store, again)).toBe(false);
    const told = () => seen.flatMap((one) => (one.kind === 'session_ended' ? [one.id] : [])).sort();
    await expect.poll(told, { timeout: 30_000 }).toEqual([top, middle, leaf].map(({ id }) => id).sort());
    await feed.stop();
  });

  test('sessions end with their caller, with the key that made them, and with a workload binding', async () => {
    const [caller, other] = [aCaller(), aCaller()];
    const [key, second] = [aKey(caller.id), aKey(caller.id)];
    await at.store.addCaller(caller, key, anEntry());
    await at.store.addCallerKey(second, anEntry());
    await at.store.addCaller(other, null, anEntry());
    const of = (createdWith: string, callerId = caller.id) => made({ callerId, createdWith });
    const [a, b, w, o] = [await of(key.id), await of(second.id), await of('wl_1'), await of('wl_1', other.id)];
    await at.store.deleteCallerKey(caller.id, key.id, anEntry());
    expect(await stateOf(a)).toEqual({ endedAt: NOW, endReason: 'key_deleted' });
    await at.store.updateCaller({ ...caller, workloads: [] }, anEntry());
    expect(await stateOf(w)).toEqual({ endedAt: NOW, endReason: 'key_deleted' });
    for (const one of [b, o]) expect(await stateOf(one)).toEqual(LASTS);
    await at.store.putDeclared({
      integrations: [],
      callers: [{ caller: { ...caller, workloads: [] }, keys: [], audit: anEntry() }],
    });
    expect(await stateOf(b)).toEqual({ endedAt: NOW, endReason: 'key_deleted' });
    await at.store.deleteCaller(other.id, anEntry());
    expect(await stateOf(o)).toEqual({ endedAt: NOW, endReason: 'caller_deleted' });
  });

  test('uses are counted exactly, against all that are limited, however many ask at once at two processes', async () => {
    const other = await at.another();
    const top = await made({ maxUses: 10 });
    const leaf = await below(top, { maxUses: 7 });
    const use = (ids: string[], n: number, now = NOW) => (n % 2 ? at.store : other).countSessionUse(ids, now);
    const asked = Array.from({ length: 12 }, (_, n) => use(n % 3 ? [top.id, leaf.id] : [leaf.id, top.id], n));
    const outcomes = await Promise.all(asked);
    expect(outcomes.filter((one) => one === 'counted')).toHaveLength(7);
    expect(outcomes.filter((one) => one === 'used_up')).toHaveLength(5);
    expect((await at.store.agentSession(top.id))?.uses).toBe(7);
    const rest = await Promise.all(Array.from({ length: 6 }, (_, n) => use([top.id], n)));
    expect(rest.filter((one) => one === 'counted')).toHaveLength(3);
    expect(await use([top.id], 0, top.expiresAt)).toBe('ended');
    expect(await use(['ses_none'], 0)).toBe('ended');
    await at.store.endAgentSessions([top.id], 'revoked', anEntry());
    expect(await use([leaf.id], 0)).toBe('ended');
  });

  test('sessions are listed, the newest first, and deleted after their time', async () => {
    const sessions = [
      await made(),
      await made({ owner: 'user:2' }),
      await made({ callerId: 'clr_2', expiresAt: NOW + 5 }),
    ];
    const [first, second, third] = sessions.map(({ id }) => id);
    const listed = async (filter: Parameters<typeof at.store.agentSessions>[0], limit = 10, after?: string) => {
      const { data, next } = await at.store.agentSessions(filter, { limit, after });
      return [data.map(({ id }) => id), next];
    };
    expect(await listed({})).toEqual([[third, second, first], null]);
    expect(await listed({}, 1)).toEqual([[third], third]);
    expect(await listed({}, 2, third)).toEqual([[second, first], null]);
    expect(await listed({ owner: 'user:2' })).toEqual([[second], null]);
    expect(await listed({ callerId: 'clr_2' })).toEqual([[third], null]);
    await at.store.endAgentSessions([second!], 'revoked', anEntry());
    expect(await listed({ liveAt: NOW })).toEqual([[third, first], null]);
    expect(await listed({ liveAt: NOW + 5 })).toEqual([[first], null]);
    expect(await at.store.countLiveAgentSessions(NOW)).toBe(2);
    await at.store.deleteExpired(NOW + 6, 500);
    expect(await listed({})).toEqual([[second, first], null]);
  });

  test('those that someone may see fill the pages, and the others are in no cursor', async () => {
    const owner = 'user:seen';
    const top = await made({ owner, integrations: ['mail'] });
    const middle = await below(top, { owner, integrations: ['mail'] });
    const leaf = await below(middle, { owner, integrations: ['mail'] });
    const own = await made({ owner, callerId: 'clr_2', integrations: ['other'] });
    const both = await made({ owner, callerId: 'clr_3', integrations: ['mail', 'mail-2'] });
    const hidden = await made({ owner, callerId: 'clr_3', integrations: ['mail', 'files'] });
    const seen = async (seenBy: NonNullable<Parameters<typeof at.store.agentSessions>[0]['seenBy']>, limit = 10) => {
      const { data, next } = await at.store.agentSessions({ owner, seenBy }, { limit, after: undefined });
      return [data.map(({ id }) => id), next];
    };
    expect(await seen({ session: top.id })).toEqual([[leaf.id, middle.id, top.id], null]);
    expect(await seen({ session: middle.id })).toEqual([[leaf.id, middle.id], null]);
    expect(await seen({ session: leaf.id }, 1)).toEqual([[leaf.id], null]);
    expect(await seen({ callerId: 'clr_2', scopes: [] }, 1)).toEqual([[own.id], null]);
    expect(await seen({ callerId: 'clr_none', scopes: [] }, 1)).toEqual([[], null]);
    const mail = { integrations: ['mail*'], owners: ['user:*'] };
    expect(await seen({ callerId: 'clr_none', scopes: [mail] })).toEqual([[both.id, leaf.id, middle.id, top.id], null]);
    const foreign = { integrations: ['files'], owners: ['user:other'] };
    expect(await seen({ callerId: 'clr_none', scopes: [mail, foreign] })).toEqual(
      await seen({ callerId: 'clr_none', scopes: [mail] }),
    );
    const files = { integrations: ['files'], owners: [owner] };
    expect(await seen({ callerId: 'clr_none', scopes: [mail, files] }, 1)).toEqual([[hidden.id], hidden.id]);
  });
}
