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

  test('gives a session back by id and by the digest of its secret', async () => {
    const session = aSession();
    const by = anEntry();
    await at.store.addSession(session, by);
    await added();
    expect(await at.store.session(session.id)).toEqual(session);
    expect(await at.store.sessionBySecret(session.secretDigest)).toEqual(session);
    expect(await recorded(at.store, by)).toBe(true);
    expect(await at.store.session('cs_none')).toBeUndefined();
    expect(await at.store.sessionBySecret('none')).toBeUndefined();
  });

  test('keeps what is absent absent, and what is set set', async () => {
    const bare = await added({ scopes: null, metadata: null, returnUrl: null, params: {}, label: '' });
    expect(await at.store.session(bare.id)).toEqual(bare);
    const full = await added({ connectionId: 'con_1', error: 'denied', status: 'failed', browserDigest: 'b' });
    expect(await at.store.session(full.id)).toEqual(full);
  });

  test('takes no second session with the same secret', async () => {
    const { secretDigest } = await added();
    await expect(added({ secretDigest })).rejects.toBeInstanceOf(StoreError);
  });

  describe('beginning a flow', () => {
    test('binds the session to the browser, and moves its end to that of the flow', async () => {
      const { session, flow } = await begun({ params: { shop: 'acme', region: 'eu' } });
      expect(await at.store.session(session.id)).toEqual({
        ...session,
        browserDigest: flow.browserDigest,
        expiresAt: flow.expiresAt,
      });
      const taken = await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW);
      expect(taken?.flow.params).toEqual({ shop: 'acme', region: 'eu' });
    });

    test('lets the same browser begin again, which does not lengthen the session', async () => {
      const { session, flow } = await begun();
      const again = aFlow(session.id, { expiresAt: flow.expiresAt + 1000 });
      expect(await at.store.beginFlow(again, NOW)).toBe('begun');
      expect((await at.store.session(session.id))?.expiresAt).toBe(flow.expiresAt);
      expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW)).toBeDefined();
      expect(await at.store.consumeFlow(again.stateDigest, again.browserDigest, NOW)).toBeDefined();
    });

    test('refuses another browser, and leaves the session as it was', async () => {
      const { session, flow } = await begun();
      const before = await at.store.session(session.id);
      const other = aFlow(session.id, { browserDigest: 'browser-2', params: { shop: 'evil' } });
      expect(await at.store.beginFlow(other, NOW)).toBe('other_browser');
      expect(await at.store.session(session.id)).toEqual(before);
      expect(await at.store.consumeFlow(other.stateDigest, 'browser-2', NOW)).toBeUndefined();
      expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW)).toBeDefined();
    });

    test('lets one of two browsers that come at once have it', async () => {
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
    ])('says gone when the session is %s', async (_, make) => {
      const flow = aFlow((await make()).id);
      expect(await at.store.beginFlow(flow, NOW)).toBe('gone');
      expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW)).toBeUndefined();
    });
  });

  describe('taking a flow', () => {
    test('gives every field back, with the session', async () => {
      const { session, flow } = await begun();
      expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW)).toEqual({
        flow,
        session: await at.store.session(session.id),
      });
    });

    test('keeps an issuer that is absent absent', async () => {
      const { flow } = await begun({ issuer: null, scopes: [], params: {} });
      expect((await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW))?.flow).toEqual(flow);
    });

    test('happens once', async () => {
      const { flow } = await begun();
      const other = await at.another();
      const takes = [at.store, at.store, other, other].map((store) =>
        store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW),
      );
      expect((await Promise.all(takes)).filter((taken) => taken !== undefined)).toHaveLength(1);
    });

    test('needs the browser that began it, and leaves it there for that one', async () => {
      const { flow } = await begun();
      expect(await at.store.consumeFlow(flow.stateDigest, 'browser-2', NOW)).toBeUndefined();
      expect(await at.store.consumeFlow('state-2', flow.browserDigest, NOW)).toBeUndefined();
      expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW)).toBeDefined();
    });

    test('is over at the end of its time', async () => {
      const { flow } = await begun();
      expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, flow.expiresAt)).toBeUndefined();
      expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, flow.expiresAt - 1)).toBeDefined();
    });
  });

  test('fails a pending session, once', async () => {
    const session = await added();
    const [by, again] = [anEntry(), anEntry()];
    await at.store.failSession(session.id, 'access_denied', by);
    expect(await at.store.session(session.id)).toEqual({ ...session, status: 'failed', error: 'access_denied' });
    expect(await recorded(at.store, by)).toBe(true);
    await at.store.failSession(session.id, 'timeout', again);
    expect((await at.store.session(session.id))?.error).toBe('access_denied');
    expect(await recorded(at.store, again)).toBe(false);
  });

  test('does not fail one that is completed', async () => {
    const session = await added({ status: 'completed', connectionId: 'con_1' });
    await at.store.failSession(session.id, 'access_denied', anEntry());
    expect(await at.store.session(session.id)).toEqual(session);
  });
}
