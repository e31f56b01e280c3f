// The contract of the store: candidates, the grants of two-phase connect sessions that wait for their finish.
import { describe, expect, test } from 'vitest';
import type { ConnectSession } from '../../../src/domain/integration.ts';
import { StoreError } from '../../../src/ports/index.ts';
import {
  aCaller,
  aCandidate,
  aConnection,
  aKey,
  anEntry,
  anIntegration,
  aRevocation,
  aSession,
  FIRST,
  NOW,
  recorded,
  someCredentials,
} from '../builders.ts';
import type { Opened } from './index.ts';

const UNTIL = { finishDigest: 'digest', expiresAt: NOW + 60_000, account: null };

export function candidates(at: Opened): void {
  async function added(given: Partial<ConnectSession> = {}) {
    await at.store.putIntegration(anIntegration(), anEntry());
    const session = aSession({ finish: true, ...given });
    await at.store.addSession(session, anEntry());
    return session;
  }
  async function waiting(given: Partial<ConnectSession> = {}) {
    const session = await added(given);
    const candidate = aCandidate(session.id);
    expect(await at.store.awaitFinish(candidate, UNTIL, anEntry())).toBe('awaiting');
    return { session, candidate };
  }
  const statusOf = async ({ id }: { id: string }) => (await at.store.session(id))?.status;

  test('awaitFinish: a pending two-phase session waits, with its candidate, for the given time', async () => {
    const session = await added();
    const candidate = aCandidate(session.id);
    const audit = anEntry();
    const account = { issuer: 'https://op.example', id: 'sub-1', name: 'Ada' };
    expect(await at.store.awaitFinish(candidate, { ...UNTIL, account }, audit)).toBe('awaiting');
    expect(await at.store.candidate(session.id)).toEqual(candidate);
    const status = 'awaiting_finish';
    expect(await at.store.session(session.id)).toEqual({ ...session, ...UNTIL, account, status });
    expect(await recorded(at.store, audit)).toBe(true);
  });

  test.each([
    ['has ended', { status: 'cancelled' }],
    ['waits already', { status: 'awaiting_finish' }],
    ['is not two-phase', { finish: false }],
  ] as const)('awaitFinish: session_over when it %s, and nothing is stored', async (_, given) => {
    const session = await added(given);
    const audit = anEntry();
    expect(await at.store.awaitFinish(aCandidate(session.id), UNTIL, audit)).toBe('session_over');
    expect(await at.store.candidate(session.id)).toBeUndefined();
    expect(await at.store.session(session.id)).toEqual(session);
    expect(await recorded(at.store, audit)).toBe(false);
  });

  test('awaitFinish: rejects when the integration is gone, and the session stays pending', async () => {
    const session = await added({ integration: 'gone' });
    await expect(at.store.awaitFinish(aCandidate(session.id), UNTIL, anEntry())).rejects.toBeInstanceOf(StoreError);
    expect(await at.store.session(session.id)).toEqual(session);
  });

  describe('a finish', () => {
    test('completes a session that waits, once, and deletes the candidate', async () => {
      const { session } = await waiting({ owner: 'user:finish' });
      const { integration, owner, label } = session;
      const other = await at.another();
      const done = await Promise.all(
        [at.store, other, at.store].map((store) =>
          store.addConnection(aConnection({ integration, owner, label }), someCredentials(), session.id, anEntry()),
        ),
      );
      expect(done.filter((one) => one === 'added')).toHaveLength(1);
      expect(await statusOf(session)).toBe('completed');
      expect(await at.store.candidate(session.id)).toBeUndefined();
    });

    test('is refused before the candidate is there, and after the session has ended', async () => {
      const pending = await added({ owner: 'user:early' });
      const { session: ended } = await waiting({ owner: 'user:late' });
      expect(await at.store.endSession(ended.id, { status: 'cancelled', error: null }, anEntry())).toBe(true);
      for (const { id, owner } of [pending, ended])
        expect(await at.store.addConnection(aConnection({ owner }), someCredentials(), id, anEntry())).toBe(
          'session_over',
        );
    });

    test('renews under the same conditions', async () => {
      const connection = aConnection({ owner: 'user:renewed' });
      await at.store.putIntegration(anIntegration(), anEntry());
      await at.store.addConnection(connection, someCredentials(), null, anEntry());
      const { session } = await waiting({ connectionId: connection.id });
      const renew = () => at.store.renewConnection(connection, someCredentials(), session.id, anEntry());
      expect(await renew()).toEqual({ generation: 2 });
      expect(await renew()).toBe('session_over');
      expect(await at.store.candidate(session.id)).toBeUndefined();
    });
  });

  test('countWrongAttempt: counts while it waits; the last one ends the session', async () => {
    const { session } = await waiting();
    const count = () => at.store.countWrongAttempt(session.id, 2, 'invalid_finish_code', anEntry());
    expect([await count(), await statusOf(session)]).toEqual([1, 'awaiting_finish']);
    expect([await count(), await statusOf(session)]).toEqual([2, 'failed']);
    expect(await count()).toBeUndefined();
    expect(await at.store.session(session.id)).toMatchObject({ error: 'invalid_finish_code', wrongAttempts: 2 });
  });

  test('endSession: ends what is open, once', async () => {
    for (const { id } of [await added(), (await waiting()).session]) {
      const audit = anEntry();
      expect(await at.store.endSession(id, { status: 'failed', error: 'owner_mismatch' }, audit)).toBe(true);
      expect(await at.store.session(id)).toMatchObject({ status: 'failed', error: 'owner_mismatch' });
      expect(await recorded(at.store, audit)).toBe(true);
      expect(await at.store.endSession(id, { status: 'cancelled', error: null }, anEntry())).toBe(false);
    }
  });

  describe('destroyCandidate', () => {
    const isEnded = async (id: string, now: number) =>
      (await at.store.endedCandidates(now, 100)).some(({ session }) => session.id === id);

    test('of a session that waits: nothing, until its time is over; then it is expired, and its tokens are revoked', async () => {
      const { session, candidate } = await waiting();
      expect(await isEnded(session.id, NOW)).toBe(false);
      expect(await at.store.destroyCandidate(session.id, NOW, aRevocation(), anEntry())).toBe(false);
      expect(await at.store.candidate(session.id)).toEqual(candidate);
      const revocation = aRevocation({ integration: `of-${session.id}` });
      const audit = anEntry();
      expect(await isEnded(session.id, UNTIL.expiresAt)).toBe(true);
      expect(await at.store.destroyCandidate(session.id, UNTIL.expiresAt, revocation, audit)).toBe(true);
      expect(await at.store.candidate(session.id)).toBeUndefined();
      expect(await statusOf(session)).toBe('expired');
      expect(await at.store.claimRevocations(`of-${session.id}`, NOW + 1e9, NOW + 1e9, 9)).toHaveLength(1);
      expect(await recorded(at.store, audit)).toBe(true);
      expect(await at.store.destroyCandidate(session.id, UNTIL.expiresAt, aRevocation(), anEntry())).toBe(false);
    });

    test('of a session that has ended: at once, and its status stays', async () => {
      const { session } = await waiting();
      await at.store.endSession(session.id, { status: 'cancelled', error: null }, anEntry());
      expect(await isEnded(session.id, NOW)).toBe(true);
      expect(await at.store.destroyCandidate(session.id, NOW, null, anEntry())).toBe(true);
      expect(await statusOf(session)).toBe('cancelled');
    });
  });

  test('are not deleted with their session before they are destroyed', async () => {
    const { session } = await waiting();
    while (await at.store.deleteExpired(UNTIL.expiresAt + 1, 500));
    expect(await at.store.candidate(session.id)).toBeDefined();
    await at.store.destroyCandidate(session.id, UNTIL.expiresAt, null, anEntry());
    while (await at.store.deleteExpired(UNTIL.expiresAt + 1, 500));
    expect(await at.store.session(session.id)).toBeUndefined();
  });

  test('keep their integration from being deleted', async () => {
    const integration = anIntegration({ id: 'kept' });
    await at.store.putIntegration(integration, anEntry());
    const { session } = await waiting({ integration: 'kept' });
    expect(await at.store.deleteIntegration('kept', anEntry())).toEqual({
      integration: 'kept',
      connections: 0,
      pendingRevocations: 1,
    });
    await at.store.endSession(session.id, { status: 'cancelled', error: null }, anEntry());
    await at.store.destroyCandidate(session.id, NOW, null, anEntry());
    expect(await at.store.deleteIntegration('kept', anEntry())).toBe('deleted');
  });

  test('isConnecting: while a grant of this owner or account waits, or one of an account that is not known', async () => {
    const account = { issuer: 'https://op.example', id: 'waiting', name: null };
    await at.store.putIntegration(anIntegration({ id: 'shared' }), anEntry());
    const session = await added({ integration: 'shared', owner: 'user:w', browserDigest: 'b' });
    const isConnecting = (owner: string, of: typeof account | null, now = NOW) =>
      at.store.isConnecting('shared', owner, of, now);
    await at.store.awaitFinish(aCandidate(session.id), { ...UNTIL, account }, anEntry());
    expect(await isConnecting('user:w', null)).toBe(true);
    expect(await isConnecting('user:x', account)).toBe(true);
    expect(await isConnecting('user:x', null)).toBe(true);
    expect(await isConnecting('user:x', { ...account, id: 'other' })).toBe(false);
    expect(await isConnecting('user:w', account, UNTIL.expiresAt)).toBe(false);
  });

  describe('open sessions end with', () => {
    test('their caller, and the key that created them', async () => {
      const caller = aCaller();
      const [key, other] = [aKey(caller.id), aKey(caller.id)];
      await at.store.addCaller(caller, key, anEntry());
      await at.store.addCallerKey(other, anEntry());
      const by = { createdBy: caller.id, createdWith: key.id };
      const sessions = [await added(by), (await waiting(by)).session];
      const byOther = await added({ createdBy: caller.id, createdWith: other.id });
      const foreign = await added({ createdWith: key.id });
      await at.store.deleteCallerKey(caller.id, key.id, anEntry());
      const statuses = () => Promise.all([...sessions, byOther, foreign].map(statusOf));
      expect(await statuses()).toEqual(['cancelled', 'cancelled', 'pending', 'pending']);
      await at.store.deleteCaller(caller.id, anEntry());
      expect(await statuses()).toEqual(['cancelled', 'cancelled', 'cancelled', 'pending']);
    });

    test('the permission or the workload binding by which they were created', async () => {
      const permission = { actions: ['connections:write' as const], integrations: ['slack'], owners: ['user:*'] };
      const workload = { id: 'wl_a', issuer: 'https://op.example', audience: 'v', claims: { sub: 'x' } };
      const caller = aCaller({ permissions: [permission], workloads: [workload, { ...workload, id: 'wl_b' }] });
      await at.store.addCaller(caller, null, anEntry());
      const by = (createdWith: string, owner: string) => added({ createdBy: caller.id, createdWith, owner });
      const sessions = [await by('wl_a', 'user:1'), await by('wl_b', 'user:1'), await by('wl_a', 'org:1')];
      const statuses = () => Promise.all(sessions.map(statusOf));
      await at.store.updateCaller({ ...caller, workloads: [workload] }, anEntry());
      expect(await statuses()).toEqual(['pending', 'cancelled', 'cancelled']);
      const narrowed = { ...caller, workloads: [workload], permissions: [{ ...permission, owners: ['user:2'] }] };
      const audit = anEntry();
      await at.store.putDeclared({ integrations: [], callers: [{ caller: narrowed, keys: undefined, audit }] });
      expect(await statuses()).toEqual(['cancelled', 'cancelled', 'cancelled']);
    });

    test('the key that the declarative file no longer has', async () => {
      const caller = aCaller();
      const key = aKey(caller.id);
      const put = (keys: (typeof key)[]) =>
        at.store.putDeclared({ integrations: [], callers: [{ caller, keys, audit: anEntry() }] });
      await put([key]);
      const session = await added({ createdBy: caller.id, createdWith: key.id });
      await put([key]);
      expect(await statusOf(session)).toBe('pending');
      await put([]);
      expect(await statusOf(session)).toBe('cancelled');
    });

    test('the connection whose place they wait for; one that no one has consented to yet stays', async () => {
      const connection = aConnection({ owner: 'user:gone', label: 'work' });
      await at.store.putIntegration(anIntegration(), anEntry());
      await at.store.addConnection(connection, someCredentials(), null, anEntry());
      const of = { owner: 'user:gone' };
      const { session: renewing } = await waiting({ ...of, connectionId: connection.id });
      const { session: sameSlot } = await waiting(of);
      const [invited, otherLabel] = [await added(of), (await waiting({ ...of, label: 'home' })).session];
      await at.store.revoke(connection.id, 'unsupported', NOW, anEntry());
      const statuses = await Promise.all([renewing, sameSlot, invited, otherLabel].map(statusOf));
      expect(statuses).toEqual(['cancelled', 'cancelled', 'pending', 'awaiting_finish']);
    });
  });

  test('addSession: creator_gone when the caller or the key has been deleted, and nothing is stored', async () => {
    const caller = aCaller();
    const key = aKey(caller.id);
    await at.store.addCaller(caller, key, anEntry());
    const add = async (callerId: string, keyId: string | null) => {
      const session = aSession();
      const outcome = await at.store.addSession(session, anEntry(), { callerId, keyId });
      expect((await at.store.session(session.id)) !== undefined).toBe(outcome === 'added');
      return outcome;
    };
    expect([await add(caller.id, key.id), await add(caller.id, null)]).toEqual(['added', 'added']);
    expect([await add('clr_none', null), await add(caller.id, 'key_none')]).toEqual(['creator_gone', 'creator_gone']);
  });

  test('connectSessions: by integration, owner and status as of now, in order, paged, and narrowed', async () => {
    const of = { owner: 'user:listed' };
    const made = [
      await added(of),
      (await waiting({ ...of, integration: 'slack' })).session,
      await added({ ...of, status: 'completed' }),
      await added({ ...of, expiresAt: NOW }),
      await added({ ...of, integration: 'github', status: 'expired' }),
    ];
    const ids = made.map(({ id }) => id);
    const list = async (filter: object, page = FIRST) =>
      (await at.store.connectSessions({ now: NOW, ...of, ...filter }, page)).data.map(({ id }) => id);
    expect(await list({})).toEqual(ids);
    expect(await list({ integration: 'github' })).toEqual([ids[4]]);
    expect(await list({ status: 'pending' })).toEqual([ids[0]]);
    expect(await list({ status: 'awaiting_finish' })).toEqual([ids[1]]);
    expect(await list({ status: 'open' })).toEqual(ids.slice(0, 2));
    expect(await list({ status: 'expired' })).toEqual(ids.slice(3));
    expect(await list({ within: [{ integrations: ['git*'], owners: ['*'] }] })).toEqual([ids[4]]);
    expect(await list({ within: [{ integrations: ['*'], owners: ['user:other'] }] })).toEqual([]);
    const page = await at.store.connectSessions({ now: NOW, ...of }, { limit: 2, after: ids[0] });
    expect([page.data.map(({ id }) => id), page.next]).toEqual([ids.slice(1, 3), ids[2]]);
    expect(await list({ owner: undefined, integration: 'github' })).toContain(ids[4]);
  });
}
