// The contract of the store: connect sessions and flows.
import { describe, expect, test } from 'vitest';
import type { ConnectSession } from '../../../src/domain/integration.ts';
import { StoreError } from '../../../src/ports/index.ts';
import { aCaller, aCiphertext, aFlow, anEntry, aPortalSession, aSession, NOW, recorded } from '../builders.ts';
import type { Opened } from './index.ts';

export function connectSessions(at: Opened): void {
  async function added(given: Partial<ConnectSession> = {}) {
    const session = aSession(given);
    await at.store.addSession(session, anEntry());
    return session;
  }
  async function begun(given: Parameters<typeof aFlow>[1] = {}) {
    const session = await added();
    const flow = aFlow(session.id, given);
    expect(await at.store.beginFlow(flow, NOW)).toBe('begun');
    return { session, flow };
  }

  test('a session is returned by id and by the digest of its secret', async () => {
    const session = aSession();
    const audit = anEntry();
    await at.store.addSession(session, audit);
    await added();
    expect(await at.store.session(session.id)).toEqual(session);
    expect(await at.store.sessionBySecret(session.secretDigest)).toEqual(session);
    expect(await recorded(at.store, audit)).toBe(true);
    expect(await at.store.session('cs_none')).toBeUndefined();
    expect(await at.store.sessionBySecret('none')).toBeUndefined();
  });

  test('null and set fields of a session are returned as stored', async () => {
    const bare = await added({ scopes: null, metadata: null, returnUrl: null, params: {}, label: '' });
    expect(await at.store.session(bare.id)).toEqual(bare);
    const full = await added({ connectionId: 'con_1', error: 'denied', status: 'failed', browserDigest: 'b' });
    expect(await at.store.session(full.id)).toEqual(full);
  });

  test('a second session with the same secret is rejected', async () => {
    const { secretDigest } = await added();
    await expect(added({ secretDigest })).rejects.toBeInstanceOf(StoreError);
  });

  test('a connection that was authorized as often as it may be within a time gets no further step-up session', async () => {
    const stepUps = { since: NOW - 1_000, most: 3 };
    const stepUp = (given: Partial<ConnectSession> = {}) =>
      aSession({ connectionId: 'con_1', isStepUp: true, ...given });
    // None of these count.
    await added({ connectionId: 'con_1', isStepUp: false });
    await added({ connectionId: 'con_2', isStepUp: true });
    await added({ connectionId: 'con_1', isStepUp: true, createdAt: NOW - 1_001 });
    const [first, ...others] = Array.from({ length: 4 }, () => stepUp());
    expect(await at.store.addSession(first!, anEntry(), undefined, stepUps)).toBe('added');
    const got = [];
    for (const one of others) got.push(await at.store.addSession(one, anEntry(), undefined, stepUps));
    expect(got).toEqual(['added', 'added', 'exhausted']);
    expect(await at.store.session(others[2]!.id)).toBeUndefined();
    const later = { since: NOW + 1, most: 3 };
    expect(await at.store.addSession(stepUp(), anEntry(), undefined, later)).toBe('added');
    // What was completed counts, whatever it was for.
    await added({ connectionId: 'con_3', isStepUp: false, status: 'completed' });
    const ofAnother = () => stepUp({ connectionId: 'con_3' });
    const most = { ...stepUps, most: 2 };
    expect(await at.store.addSession(ofAnother(), anEntry(), undefined, most)).toBe('added');
    expect(await at.store.addSession(ofAnother(), anEntry(), undefined, most)).toBe('exhausted');
  });

  describe('chooseIntegration', () => {
    test('a pending session becomes one of it, with its code; its flows elsewhere are deleted', async () => {
      const session = await added({ integration: '' });
      const flow = aFlow(session.id);
      await at.store.beginFlow(flow, NOW);
      const chosen = { ...session, integration: 'github', mac: 'm1.test.chosen' };
      expect(await at.store.chooseIntegration(chosen, NOW)).toBe(true);
      const stored = await at.store.session(session.id);
      expect(stored).toMatchObject({ integration: 'github', mac: 'm1.test.chosen', owner: session.owner });
      expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW)).toBeUndefined();
    });

    test('one that has ended or expired stays as it is', async () => {
      const failed = await added({ integration: '', status: 'failed' });
      const expired = await added({ integration: '', expiresAt: NOW });
      for (const session of [failed, expired]) {
        expect(await at.store.chooseIntegration({ ...session, integration: 'github' }, NOW)).toBe(false);
        expect(await at.store.session(session.id)).toEqual(session);
      }
    });
  });

  test('bindSession binds a pending session to one browser', async () => {
    const session = await added();
    expect(await at.store.bindSession(session.id, 'mine', NOW)).toBe('bound');
    expect(await at.store.bindSession(session.id, 'mine', NOW)).toBe('bound');
    expect(await at.store.bindSession(session.id, 'other', NOW)).toBe('other_browser');
    expect(await at.store.bindSession('cs_none', 'mine', NOW)).toBe('gone');
    expect(await at.store.bindSession((await added({ status: 'completed' })).id, 'mine', NOW)).toBe('gone');
    expect(await at.store.session(session.id)).toEqual({ ...session, browserDigest: 'mine' });
  });

  describe('portal sessions', () => {
    test('are found by their secret, and once a browser has entered, by its cookie', async () => {
      const portal = aPortalSession();
      const audit = anEntry();
      expect(await at.store.addPortalSession(portal, audit)).toBe('added');
      expect(await recorded(at.store, audit)).toBe(true);
      expect(await at.store.portalSessionBySecret(portal.secretDigest)).toEqual(portal);
      expect(await at.store.portalSessionOfBrowser('b1')).toBeUndefined();
      const entered = { browserDigest: `b ${portal.id}`, content: aCiphertext('content'), expiresAt: NOW + 9_000 };
      expect(await at.store.enterPortalSession(portal.id, entered, anEntry())).toBe(true);
      const late = anEntry();
      const other = { ...entered, browserDigest: 'other' };
      expect(await at.store.enterPortalSession(portal.id, other, late)).toBe(false);
      expect(await recorded(at.store, late)).toBe(false);
      expect(await at.store.portalSessionOfBrowser(entered.browserDigest)).toEqual({ ...portal, ...entered });
    });

    test('end with their owner, in one entry, and when they have expired', async () => {
      const owner = aSession().id;
      const [one, two, another] = [
        aPortalSession({ owner }),
        aPortalSession({ owner }),
        aPortalSession({ expiresAt: NOW - 1 }),
      ];
      for (const portal of [one, two, another]) await at.store.addPortalSession(portal, anEntry());
      const [ended, none] = [anEntry(), anEntry()];
      expect(await at.store.endPortalSessions(owner, ended)).toBe(2);
      expect(await at.store.endPortalSessions(owner, none)).toBe(0);
      expect([await recorded(at.store, ended), await recorded(at.store, none)]).toEqual([true, false]);
      expect(await at.store.portalSessionBySecret(one.secretDigest)).toBeUndefined();
      expect(await at.store.portalSessionBySecret(another.secretDigest)).toEqual(another);
      await at.store.deleteExpired(NOW, 100);
      expect(await at.store.portalSessionBySecret(another.secretDigest)).toBeUndefined();
    });

    test('creator_gone when the caller that made it is gone', async () => {
      const portal = aPortalSession();
      const creator = { callerId: 'clr_none', keyId: null };
      expect(await at.store.addPortalSession(portal, anEntry(), creator)).toBe('creator_gone');
      expect(await at.store.portalSessionBySecret(portal.secretDigest)).toBeUndefined();
    });
  });

  describe('beginFlow', () => {
    test('the first flow binds the session to the browser, and moves its expiry to that of the flow', async () => {
      const { session, flow } = await begun({ params: { shop: 'acme', region: 'eu' } });
      expect(await at.store.session(session.id)).toEqual({
        ...session,
        browserDigest: flow.browserDigest,
        expiresAt: flow.expiresAt,
      });
      const taken = await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW);
      expect(taken?.flow.params).toEqual({ shop: 'acme', region: 'eu' });
    });

    test('the same browser may begin again, which does not extend the session', async () => {
      const { session, flow } = await begun();
      const again = aFlow(session.id, { expiresAt: flow.expiresAt + 1000 });
      expect(await at.store.beginFlow(again, NOW)).toBe('begun');
      expect((await at.store.session(session.id))?.expiresAt).toBe(flow.expiresAt);
      expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW)).toBeDefined();
      expect(await at.store.consumeFlow(again.stateDigest, again.browserDigest, NOW)).toBeDefined();
    });

    test('another browser is refused, and the session does not change', async () => {
      const { session, flow } = await begun();
      const before = await at.store.session(session.id);
      const other = aFlow(session.id, { browserDigest: 'browser-2', params: { shop: 'evil' } });
      expect(await at.store.beginFlow(other, NOW)).toBe('other_browser');
      expect(await at.store.session(session.id)).toEqual(before);
      expect(await at.store.consumeFlow(other.stateDigest, 'browser-2', NOW)).toBeUndefined();
      expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW)).toBeDefined();
    });

    test('of two concurrent browsers, one gets the session', async () => {
      const session = await added();
      const other = await at.another();
      const outcomes = await Promise.all([
        at.store.beginFlow(aFlow(session.id, { browserDigest: 'browser-1' }), NOW),
        other.beginFlow(aFlow(session.id, { browserDigest: 'browser-2' }), NOW),
      ]);
      expect(outcomes.sort()).toEqual(['begun', 'other_browser']);
    });

    test.each([
      ['absent', () => Promise.resolve(aSession())],
      ['expired', () => added({ expiresAt: NOW })],
      ['completed', () => added({ status: 'completed' })],
      ['failed', () => added({ status: 'failed' })],
      ['completed by another browser', () => added({ status: 'completed', browserDigest: 'browser-2' })],
    ])('gone when the session is %s', async (_, make) => {
      const flow = aFlow((await make()).id);
      expect(await at.store.beginFlow(flow, NOW)).toBe('gone');
      expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW)).toBeUndefined();
    });
  });

  test('beginFlow: a session has few flows, the newest, however often it is begun', async () => {
    const [session, other] = [await added(), (await begun()).flow];
    const flows = Array.from({ length: 50 }, (_, i) => aFlow(session.id, { expiresAt: NOW + 600_000 + i }));
    for (const flow of flows) await at.store.beginFlow(flow, NOW, false);
    const found = await Promise.all(flows.map(({ stateDigest }) => at.store.flowOf(stateDigest)));
    const kept = found.flatMap((flow, i) => (flow ? [i] : []));
    expect(kept).toEqual(Array.from({ length: 20 }, (_, i) => 30 + i));
    expect(await at.store.flowOf(other.stateDigest)).toBeDefined();
  });

  describe('a session that failed with the wrong account', () => {
    const mismatched = (given: Partial<ConnectSession> = {}) =>
      added({ status: 'failed', error: 'identity_mismatch', returnUrl: null, browserDigest: 'b', ...given });
    const reopen = ({ id }: ConnectSession, now = NOW) =>
      at.store.reopenSession(id, 'identity_mismatch', now, anEntry());

    test('may be tried again while it has time left', async () => {
      const session = await mismatched();
      expect(await reopen(session, session.expiresAt)).toBe(false);
      expect([await reopen(session), await reopen(session)]).toEqual([true, false]);
      expect(await at.store.session(session.id)).toEqual({ ...session, status: 'pending', error: null });
    });

    test.each<[string, Partial<ConnectSession>]>([
      ['the app was told at its return_url', { returnUrl: 'https://app.example' }],
      ['it failed with another error', { error: 'owner_mismatch' }],
    ])('may not where %s', async (_, given) => {
      const session = await mismatched(given);
      expect(await at.store.reopenSession(session.id, session.error ?? '', NOW, anEntry())).toBe(false);
      expect(await at.store.endSession(session.id, { status: 'cancelled', error: null }, anEntry())).toBe(false);
    });

    test('is cancelled like an open one: alone, with its caller, and in bulk; then no try is left', async () => {
      const caller = aCaller();
      await at.store.addCaller(caller, null, anEntry());
      const owner = 'user:mismatched';
      const [alone, ofCaller, late] = [
        await mismatched({ owner }),
        await mismatched({ createdBy: caller.id }),
        await mismatched({ createdBy: caller.id, owner, expiresAt: NOW }),
      ];
      const open = await at.store.connectSessions({ owner, status: 'open', now: NOW }, { limit: 9, after: undefined });
      expect(open.data.map(({ id }) => id)).toEqual([alone.id]);
      expect(await at.store.endSession(alone.id, { status: 'cancelled', error: null }, anEntry())).toBe(true);
      await at.store.deleteCaller(caller.id, anEntry());
      for (const session of [alone, ofCaller]) {
        expect(await reopen(session)).toBe(false);
        expect(await at.store.session(session.id)).toEqual({ ...session, status: 'cancelled', error: null });
      }
      expect(await at.store.session(late.id)).toEqual(late);
    });
  });

  describe('consumeFlow', () => {
    test('returns every field, with the session', async () => {
      const { session, flow } = await begun();
      expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW)).toEqual({
        flow,
        session: await at.store.session(session.id),
      });
    });

    test('returns an absent issuer as null', async () => {
      const { flow } = await begun({ issuer: null, scopes: [], params: {} });
      expect((await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW))?.flow).toEqual(flow);
    });

    test('succeeds once', async () => {
      const { flow } = await begun();
      const other = await at.another();
      const takes = [at.store, at.store, other, other].map((store) =>
        store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW),
      );
      expect((await Promise.all(takes)).filter((taken) => taken !== undefined)).toHaveLength(1);
    });

    test('fails for another browser or state, and leaves the flow', async () => {
      const { flow } = await begun();
      expect(await at.store.consumeFlow(flow.stateDigest, 'browser-2', NOW)).toBeUndefined();
      expect(await at.store.consumeFlow('state-2', flow.browserDigest, NOW)).toBeUndefined();
      expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW)).toBeDefined();
    });

    test('fails when the flow has expired', async () => {
      const { flow } = await begun();
      expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, flow.expiresAt)).toBeUndefined();
      expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, flow.expiresAt - 1)).toBeDefined();
    });
  });

  test('a pending session fails once, with the first error', async () => {
    const session = await added();
    const [audit, again] = [anEntry(), anEntry()];
    await at.store.failSession(session.id, 'access_denied', audit);
    expect(await at.store.session(session.id)).toEqual({ ...session, status: 'failed', error: 'access_denied' });
    expect(await recorded(at.store, audit)).toBe(true);
    await at.store.failSession(session.id, 'timeout', again);
    expect((await at.store.session(session.id))?.error).toBe('access_denied');
    expect(await recorded(at.store, again)).toBe(false);
  });

  test('a completed session does not fail', async () => {
    const session = await added({ status: 'completed', connectionId: 'con_1' });
    await at.store.failSession(session.id, 'access_denied', anEntry());
    expect(await at.store.session(session.id)).toEqual(session);
  });
}
