// The contract of the store: sessions of the browser console, and the links that begin them.
import { expect, test } from 'vitest';
import { aConsoleSession, anEntry, NOW, recorded } from '../builders.ts';
import type { Opened } from './index.ts';

export function consoleSessions(at: Opened): void {
  const add = async (given: Parameters<typeof aConsoleSession>[0] = {}) => {
    const session = aConsoleSession(given);
    await at.store.addConsoleSession(session, anEntry());
    return session;
  };
  const found = ({ digest }: { digest: string }) => at.store.consoleSession(digest);

  test('a session is found by its digest, is used later and never earlier, and is listed until it expires', async () => {
    const session = await add({ providerSession: 'sid', name: null, mac: 'm1.x.y' });
    expect(await found(session)).toEqual(session);
    expect(await found({ digest: 'none' })).toBeUndefined();
    await at.store.touchConsoleSession(session.id, NOW + 5);
    await at.store.touchConsoleSession(session.id, NOW + 3);
    expect(await found(session)).toEqual({ ...session, lastSeenAt: NOW + 5 });
    const young = await add();
    const listed = async (now: number, limit = 500) => (await at.store.consoleSessions(now, limit)).map(({ id }) => id);
    expect((await listed(NOW)).indexOf(young.id)).toBeLessThan((await listed(NOW)).indexOf(session.id));
    expect(await listed(NOW, 1)).toHaveLength(1);
    expect(await listed(session.expiresAt)).not.toContain(session.id);
    await at.store.deleteExpired(session.expiresAt, 500);
    expect(await found(session)).toBeDefined();
    await at.store.deleteExpired(session.expiresAt + 1, 500);
    expect(await found(session)).toBeUndefined();
  });

  test('a sign-in replaces the session that the browser had before, in one commit', async () => {
    const [before, other, after] = [await add(), await add(), aConsoleSession()];
    const entry = anEntry();
    await at.store.addConsoleSession(after, entry, before.id);
    expect([await found(before), await found(other), await found(after)]).toEqual([undefined, other, after]);
    expect(await recorded(at.store, entry)).toBe(true);
  });

  test('a link is opened once, however many open it at the same time', async () => {
    const link = await add({ openedAt: null });
    const before = await add();
    const sessions = [1, 2, 3].map((n) => ({ ...link, digest: `${link.digest}${n}`, openedAt: NOW }));
    const opened = await Promise.all(sessions.map((one) => at.store.openConsoleLink(one, anEntry(), before.id)));
    expect(opened.filter(Boolean)).toHaveLength(1);
    const winner = sessions[opened.indexOf(true)]!;
    expect([await found(link), await found(winner)]).toEqual([undefined, winner]);
    expect(await found(before)).toBeUndefined();
    const refused = anEntry();
    expect(await at.store.openConsoleLink(aConsoleSession(), refused)).toBe(false);
    expect(await recorded(at.store, refused)).toBe(false);
  });

  test('sessions end by id, by user and by the session of the provider; nothing named ends none', async () => {
    const ends = (which: Parameters<typeof at.store.endConsoleSessions>[0]) =>
      at.store.endConsoleSessions(which, anEntry());
    const issuer = 'https://idp.example.com';
    const [a, b] = [await add({ issuer, providerSession: 's1' }), await add({ issuer, providerSession: 's2' })];
    const [c, d] = [await add({ issuer, subject: 'other' }), await add()];
    expect(await ends({})).toBe(0);
    expect(await ends({ issuer, subject: a.subject, providerSession: 's1' })).toBe(1);
    expect([await found(a), await found(b)]).toEqual([undefined, b]);
    const unnamed = await add({ issuer });
    expect(await ends({ issuer, providerSession: 's1' })).toBe(0);
    expect(await ends({ issuer, subject: unnamed.subject, providerSession: 's1' })).toBe(1);
    expect([await found(unnamed), await found(b)]).toEqual([undefined, b]);
    expect(await ends({ issuer, subject: b.subject })).toBe(1);
    expect(await ends({ id: d.id })).toBe(1);
    expect([await found(b), await found(c), await found(d)]).toEqual([undefined, c, undefined]);
    const none = anEntry();
    expect(await at.store.endConsoleSessions({ id: d.id }, none)).toBe(0);
    expect(await recorded(at.store, none)).toBe(false);
  });
}
