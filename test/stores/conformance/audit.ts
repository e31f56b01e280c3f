// The contract of the store: the audit log.
import { expect, test } from 'vitest';
import { StoreError } from '../../../src/ports/index.ts';
import { anEntry, FIRST, NOW } from '../builders.ts';
import type { Opened } from './index.ts';

export function auditLog(at: Opened): void {
  test('entries are returned with every field, newest first', async () => {
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

  test('entries are returned page by page', async () => {
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
    ['request', { requestId: 'req-of-one' }, [6]],
    ['a time span, with its start and without its end', { from: NOW + 10, to: NOW + 20 }, [6]],
    ['changes, which are no reads', { changes: true as const, connectionId: 'con_9' }, [2]],
    ['several at once', { owner: 'user:1', actor: 'system', outcome: 'ok' as const }, [3]],
    ['nothing', { actor: 'nobody' }, []],
  ])('a filter matches %s', async (_, filter, expected) => {
    const entries = [
      anEntry({ integration: 'github' }),
      anEntry({ owner: 'user:10' }),
      anEntry({ connectionId: 'con_9', action: 'connection.revoked' }),
      anEntry({ actor: 'system' }),
      anEntry({ action: 'connection.refreshed' }),
      anEntry({ outcome: 'failed', at: NOW + 20 }),
      anEntry({ at: NOW + 10, requestId: 'req-of-one' }),
    ];
    if ('changes' in filter) entries.push(anEntry({ connectionId: 'con_9', action: 'token.read' }));
    await at.store.appendAudit(entries);
    const { data } = await at.store.audit(filter, FIRST);
    expect(data).toEqual(expected.map((i) => entries[i]).reverse());
  });

  test('pruning deletes the oldest below an id, a batch at a time', async () => {
    const entries = Array.from({ length: 6 }, () => anEntry());
    await at.store.appendAudit(entries);
    const before = entries[4]!.id;
    expect(await at.store.pruneAudit(before, 3)).toBe(3);
    expect((await at.store.audit({}, FIRST)).data).toEqual([entries[5], entries[4], entries[3]]);
    expect(await at.store.pruneAudit(before, 3)).toBe(1);
    expect(await at.store.pruneAudit(before, 3)).toBe(0);
    expect((await at.store.audit({}, FIRST)).data).toEqual([entries[5], entries[4]]);
  });

  test('concurrent pruning counts each entry once', async () => {
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

  test('a batch with an invalid entry is rejected as a whole', async () => {
    const impossible = anEntry({ actor: null as never });
    await expect(at.store.appendAudit([anEntry(), impossible])).rejects.toBeInstanceOf(StoreError);
    expect((await at.store.audit({}, FIRST)).data).toEqual([]);
  });

  test('an entry that is appended again is stored once', async () => {
    const [fresh, stored] = [anEntry(), anEntry()];
    await at.store.appendAudit([stored]);
    await at.store.appendAudit([fresh, stored]);
    expect((await at.store.audit({}, FIRST)).data.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual(
      [fresh, stored].sort((a, b) => (a.id < b.id ? -1 : 1)),
    );
  });
}
