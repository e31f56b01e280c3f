// The contract of the store: connect sessions and flows.
import { describe, expect, test } from 'vitest';
import type { ConnectSession } from '../../../src/domain/integration.ts';
import { StoreError } from '../../../src/ports/index.ts';
import { aFlow, anEntry, aSession, NOW, recorded } from '../builders.ts';
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
