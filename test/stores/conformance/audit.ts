// The contract of the store: the audit log.
import { expect, test } from 'vitest';
import { StoreError } from '../../../src/ports/index.ts';
import { anEntry, FIRST, NOW } from '../builders.ts';
import type { Opened } from './index.ts';

export function auditLog(at: Opened): void {
  test('gives every field back, newest first', async () => {
    const full = anEntry();
    const bare = anEntry({
      keyId: null,
      integration: null,
      owner: null,
      connectionId: null,
      address: null,
      requestId: null,
      detail: null,
      outcome: 'denied',
      count: 41,
    });
    await at.store.appendAudit([full, bare]);
    expect(await at.store.audit({}, FIRST)).toEqual({ data: [bare, full], next: null });
    await at.store.appendAudit([]);
  });

  test('goes page by page', async () => {
    const entries = [anEntry(), anEntry(), anEntry()];
    await at.store.appendAudit(entries);
    const first = await at.store.audit({}, { limit: 2, after: undefined });
    expect(first).toEqual({ data: [entries[2], entries[1]], next: entries[1]!.id });
    expect(await at.store.audit({}, { limit: 2, after: entries[1]!.id })).toEqual({ data: [entries[0]], next: null });
  });

  test.each([
    ['integration', { integration: 'github' }, [0]],
    ['owner, exactly', { owner: 'user:1' }, [0, 2, 3, 4, 5, 6]],
    ['connection', { connectionId: 'con_9' }, [2]],
    ['actor', { actor: 'system' }, [3]],
    ['action', { action: 'connection.refreshed' }, [4]],
    ['outcome', { outcome: 'failed' as const }, [5]],
    ['time, with its beginning and without its end', { from: NOW + 10, to: NOW + 20 }, [6]],
    ['several at once', { owner: 'user:1', actor: 'system', outcome: 'ok' as const }, [3]],
    ['what is not there', { actor: 'nobody' }, []],
  ])('filters by %s', async (_, filter, expected) => {
    const entries = [
      anEntry({ integration: 'github' }),
      anEntry({ owner: 'user:10' }),
      anEntry({ connectionId: 'con_9' }),
      anEntry({ actor: 'system' }),
      anEntry({ action: 'connection.refreshed' }),
      anEntry({ outcome: 'failed', at: NOW + 20 }),
      anEntry({ at: NOW + 10 }),
    ];
    await at.store.appendAudit(entries);
    const { data } = await at.store.audit(filter, FIRST);
    expect(data).toEqual(expected.map((i) => entries[i]).reverse());
  });

  test('forgets the oldest, below an id, a portion at a time', async () => {
    const entries = Array.from({ length: 6 }, () => anEntry());
    await at.store.appendAudit(entries);
    const before = entries[4]!.id;
    expect(await at.store.pruneAudit(before, 3)).toBe(3);
    expect((await at.store.audit({}, FIRST)).data).toEqual([entries[5], entries[4], entries[3]]);
    expect(await at.store.pruneAudit(before, 3)).toBe(1);
    expect(await at.store.pruneAudit(before, 3)).toBe(0);
    expect((await at.store.audit({}, FIRST)).data).toEqual([entries[5], entries[4]]);
  });

  test('is pruned by two at once, and each entry goes once', async () => {
    await at.store.appendAudit(Array.from({ length: 60 }, () => anEntry()));
    const last = anEntry();
    await at.store.appendAudit([last]);
    const other = await at.another();
    const gone = await Promise.all([1, 2, 3].flatMap(() => [at.store, other].map((s) => s.pruneAudit(last.id, 10))));
    let all = gone.reduce((sum, count) => sum + count, 0);
    all += await at.store.pruneAudit(last.id, 60);
    expect(all).toBe(60);
    expect((await at.store.audit({}, FIRST)).data).toEqual([last]);
  });

  test('keeps all of a batch or nothing of it', async () => {
    const impossible = anEntry({ actor: null as never });
    await expect(at.store.appendAudit([anEntry(), impossible])).rejects.toBeInstanceOf(StoreError);
    expect((await at.store.audit({}, FIRST)).data).toEqual([]);
  });

  test('has an entry once, also when whoever has lost the answer brings it again', async () => {
    const [fresh, kept] = [anEntry(), anEntry()];
    await at.store.appendAudit([kept]);
    await at.store.appendAudit([fresh, kept]);
    expect((await at.store.audit({}, FIRST)).data.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual(
      [fresh, kept].sort((a, b) => (a.id < b.id ? -1 : 1)),
    );
  });
}
