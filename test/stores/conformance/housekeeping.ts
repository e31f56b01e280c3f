// The contract of the store: key checks, expiry, ping, closing.
import { expect, test } from 'vitest';
import { StoreError } from '../../../src/ports/index.ts';
import { aCiphertext, aFlow, anEntry, anIntegration, aSession, NOW } from '../builders.ts';
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
    expect(await at.store.integration('slack')).toBeDefined();
    await store.close();
  });
}
