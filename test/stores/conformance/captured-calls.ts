// The contract of the store: captures of calls through the proxy, and what they captured.
import { expect, test } from 'vitest';
import { aCapturedCall, anEntry, connected, FIRST, NOW } from '../builders.ts';
import type { Opened } from './index.ts';

export function capturedCalls(at: Opened): void {
  const MINUTE = 60_000;
  async function capturing(until = NOW + MINUTE): Promise<string> {
    const { connection } = await connected(at.store);
    expect(await at.store.startCapture({ connectionId: connection.id, startedAt: NOW, until }, anEntry())).toBe(true);
    return connection.id;
  }
  const add = async (connectionId: string, given: { at?: number } = {}, keep = 2) => {
    const call = aCapturedCall({ connectionId, ...given });
    await at.store.addCapturedCall(call, keep);
    return call.id;
  };
  const listed = async (id: string) => (await at.store.capturedCalls(id, FIRST)).data.map((call) => call.id);

  test('a capture runs until its end, is given another, and is ended', async () => {
    const connectionId = await capturing();
    expect(await at.store.runningCaptures(NOW)).toEqual([{ connectionId, startedAt: NOW, until: NOW + MINUTE }]);
    expect(await at.store.runningCaptures(NOW + MINUTE)).toEqual([]);
    const longer = { connectionId, startedAt: NOW + 1, until: NOW + 2 * MINUTE };
    expect(await at.store.startCapture(longer, anEntry())).toBe(true);
    expect(await at.store.runningCaptures(NOW + MINUTE)).toEqual([longer]);
    expect(await at.store.stopCapture(connectionId, NOW + 5, anEntry())).toBe(true);
    expect(await at.store.runningCaptures(NOW + 5)).toEqual([]);
    expect(await at.store.stopCapture(connectionId, NOW + 5, anEntry())).toBe(false);
    const none = { connectionId: 'con_none', startedAt: NOW, until: NOW + MINUTE };
    expect(await at.store.startCapture(none, anEntry())).toBe(false);
  });

  test('calls that a capture covers are kept, the newest of each connection, and listed in pages', async () => {
    const [id, other] = [await capturing(), await capturing()];
    const elsewhere = await add(other);
    const [, b, c] = [await add(id), await add(id), await add(id)];
    await add(id, { at: NOW - 1 });
    await add(id, { at: NOW + MINUTE + 1 });
    await add('con_none');
    expect(await listed(id)).toEqual([c, b]);
    expect(await listed(other)).toEqual([elsewhere]);
    const first = await at.store.capturedCalls(id, { limit: 1, after: undefined });
    expect([first.data.map((call) => call.id), first.next]).toEqual([[c], c]);
    const second = await at.store.capturedCalls(id, { limit: 1, after: c });
    expect([second.data.map((call) => call.id), second.next]).toEqual([[b], null]);
  });

  test('calls before a time, and captures that ended before it, are deleted in portions', async () => {
    const id = await capturing();
    const [, young] = [await add(id), await add(id, { at: NOW + 1 })];
    expect(await at.store.deleteCapturedCalls(NOW + 1, 1)).toBe(true);
    expect(await at.store.deleteCapturedCalls(NOW + 1, 1)).toBe(false);
    expect(await listed(id)).toEqual([young]);
    expect(await at.store.runningCaptures(NOW)).toHaveLength(1);
    await at.store.deleteCapturedCalls(NOW + MINUTE + 1, 9);
    expect([await listed(id), await at.store.runningCaptures(NOW)]).toEqual([[], []]);
  });

  test('a revocation deletes them, ends the capture, and no other one starts', async () => {
    const id = await capturing();
    await add(id);
    await at.store.revoke(id, 'unsupported', NOW, anEntry());
    await add(id);
    expect([await listed(id), await at.store.runningCaptures(NOW)]).toEqual([[], []]);
    expect(await at.store.startCapture({ connectionId: id, startedAt: NOW, until: NOW + 1 }, anEntry())).toBe(false);
  });
}
