// The contract of the store: key checks, expiry, ping, closing.
import { expect, test } from 'vitest';
import type { Ciphertext } from '../../../src/domain/connection.ts';
import { StoreClosedError, StoreError } from '../../../src/ports/index.ts';
import { aCiphertext, aFlow, anEntry, anIntegration, aSession, FIRST, NOW } from '../builders.ts';
import type { Opened } from './index.ts';

export function housekeeping(at: Opened): void {
  test('the first check of a key is the one that stays', async () => {
    expect(await at.store.keyChecks()).toEqual([]);
    const [k1, k2] = [
      { kid: 'k1', ciphertext: aCiphertext('check') },
      { kid: 'k2', ciphertext: aCiphertext('check') },
    ];
    await at.store.addKeyCheck(k1);
    await at.store.addKeyCheck(k2);
    await at.store.addKeyCheck({ kid: 'k1', ciphertext: aCiphertext('other') });
    expect(await at.store.keyChecks()).toEqual([k1, k2]);
  });

  test('replaceKeyCheck replaces the check of its key where the one before is still there', async () => {
    const [first, second, other] = [aCiphertext('check'), aCiphertext('check'), aCiphertext('check')];
    const replace = (ciphertext: Ciphertext, before: Ciphertext | null) =>
      at.store.replaceKeyCheck({ kid: 'k1', ciphertext }, before, anEntry({ action: 'key.protection' }));
    expect(await replace(first, other)).toBe(false);
    expect(await replace(first, null)).toBe(true);
    expect(await replace(other, null)).toBe(false);
    expect(await replace(second, first)).toBe(true);
    expect(await replace(other, first)).toBe(false);
    expect(await at.store.keyChecks()).toEqual([{ kid: 'k1', ciphertext: second }]);
    expect((await at.store.audit({ action: 'key.protection' }, FIRST)).data).toHaveLength(2);
  });

  test('replaceMac sets a code where the one before is still there', async () => {
    await at.store.putIntegration(anIntegration({ mac: null }), anEntry());
    const row = { table: 'integrations', id: 'slack' } as const;
    expect(await at.store.replaceMac({ ...row, mac: 'm1.k.a' }, 'm1.k.other')).toBe(false);
    expect(await at.store.replaceMac({ ...row, mac: 'm1.k.a' }, null)).toBe(true);
    expect(await at.store.replaceMac({ ...row, mac: 'm1.k.b' }, null)).toBe(false);
    expect(await at.store.replaceMac({ ...row, mac: 'm1.k.b' }, 'm1.k.a')).toBe(true);
    expect(await at.store.integration('slack')).toMatchObject({ mac: 'm1.k.b', version: 1 });
    expect(await at.store.replaceMac({ table: 'callers', id: 'clr_absent', mac: 'm1.k.b' }, null)).toBe(false);
  });

  test('sessionsToAuthenticate returns open sessions without a code of the key', async () => {
    const open = [
      aSession({ mac: null }),
      aSession({ mac: 'm1.k_1.a' }),
      aSession({ status: 'awaiting_finish', mac: null }),
    ];
    const others = [aSession({ mac: 'm1.kx1.a' }), aSession({ mac: null, status: 'failed' })];
    for (const session of [...open, ...others]) await at.store.addSession(session, anEntry());
    const ids = async (kid: string) => (await at.store.sessionsToAuthenticate(kid, 10)).map(({ id }) => id);
    expect(await ids('kx1')).toEqual(open.map(({ id }) => id));
    expect(await ids('k_1')).toEqual([open[0]!.id, open[2]!.id, others[0]!.id]);
  });

  test('wipeDeleted may be called at any time', async () => {
    expect(typeof (await at.store.wipeDeleted())).toBe('boolean');
  });

  test('deleteExpired deletes flows and sessions that expired before, and no others', async () => {
    const session = (expiresAt: number) => aSession({ expiresAt });
    const [over, ends, open] = [session(NOW - 1), session(NOW), session(NOW + 1000)];
    for (const each of [over, ends, open]) await at.store.addSession(each, anEntry());
    const dead = aFlow(open.id, { expiresAt: NOW - 1 });
    const alive = aFlow(open.id, { expiresAt: NOW });
    for (const flow of [alive, dead]) expect(await at.store.beginFlow(flow, NOW - 500)).toBe('begun');

    await at.store.deleteExpired(NOW, 100);
    expect(await at.store.session(over.id)).toBeUndefined();
    expect(await at.store.session(ends.id)).toEqual(ends);
    expect(await at.store.session(open.id)).toBeDefined();
    expect(await at.store.consumeFlow(dead.stateDigest, dead.browserDigest, NOW - 500)).toBeUndefined();
    expect(await at.store.consumeFlow(alive.stateDigest, alive.browserDigest, NOW - 500)).toBeDefined();
  });

  test('deleteExpired deletes up to a limit, and says whether there may be more', async () => {
    const over = [1, 2, 3].map(() => aSession({ expiresAt: NOW - 1 }));
    for (const each of over) await at.store.addSession(each, anEntry());
    const left = async () => (await Promise.all(over.map(({ id }) => at.store.session(id)))).filter(Boolean).length;
    expect(await at.store.deleteExpired(NOW, 2)).toBe(true);
    expect(await left()).toBe(1);
    expect(await at.store.deleteExpired(NOW, 2)).toBe(false);
    expect(await left()).toBe(0);
  });

  test('deleteExpired deletes a session with its flows', async () => {
    const session = aSession({ expiresAt: NOW - 1 });
    const flow = aFlow(session.id, { expiresAt: NOW - 1 });
    await at.store.addSession(session, anEntry());
    await at.store.beginFlow(flow, NOW - 10);
    await at.store.deleteExpired(NOW, 100);
    expect(await at.store.session(session.id)).toBeUndefined();
    expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW - 10)).toBeUndefined();
  });

  test('ping succeeds', async () => {
    await at.store.ping();
  });

  test('close finishes earlier operations, and later ones are rejected', async () => {
    const store = await at.another();
    const written = store.putIntegration(anIntegration(), anEntry());
    const closed = store.close();
    await expect(written).resolves.toBe('created');
    await closed;
    await expect(store.ping()).rejects.toBeInstanceOf(StoreError);
    await expect(store.integration('slack')).rejects.toBeInstanceOf(StoreError);
    const count = { hour: 0, integration: 'slack', metric: 'read', outcome: 'ok', count: 1 } as const;
    for (const late of [
      store.appendAudit([anEntry()]),
      store.touchKeys([{ keyId: 'key_1', at: NOW }]),
      store.addHourlyCounts([count]),
    ])
      await expect(late).rejects.toBeInstanceOf(StoreClosedError);
    expect(await at.store.integration('slack')).toBeDefined();
    await store.close();
  });
}
