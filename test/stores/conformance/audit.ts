// The contract of the store: the audit log.
import { expect, test } from 'vitest';
import type { AuditEntry } from '../../../src/domain/audit.ts';
import { weekOf } from '../../../src/domain/audit-reads.ts';
import { type AuditFilter, type Page, type Store, StoreError } from '../../../src/ports/index.ts';
import { anEntry, connected, FIRST, NOW } from '../builders.ts';
import { storedReads } from '../stored-reads.ts';
import type { Opened } from './index.ts';

const DAY_MS = 86_400_000;

const aRead = (n: number, given: Partial<AuditEntry> = {}): AuditEntry =>
  anEntry({
    action: 'token.read',
    at: NOW + n,
    owner: `user:${n}`,
    connectionId: `con_${n}`,
    requestId: `req-${n}`,
    traceId: null,
    detail: null,
    changed: null,
    ...given,
  });

/** Stores what was noted as the buffer does. */
async function noted(store: Store, entries: AuditEntry[]): Promise<AuditEntry[]> {
  const stored = storedReads(entries);
  await store.appendAudit(stored);
  return stored;
}

/** All pages of a list, of `limit` entries each. */
async function pagesOf(store: Store, filter: AuditFilter, limit: number) {
  const all: Page<{ id: string }>['data'] = [];
  for (let after: string | undefined; ; ) {
    const { data, next } = await store.audit(filter, { limit, after });
    all.push(...data);
    if (next === null) return all;
    after = next;
  }
}

const withoutIds = (entries: readonly { id: string }[]) => entries.map(({ id: _, ...rest }) => rest);

export function auditLog(at: Opened): void {
  test('reads that are stored as a batch are returned one by one, with all that they have', async () => {
    const reads = [
      aRead(1),
      aRead(2, { count: 7, clientRequestId: null }),
      aRead(3, { owner: 'o"\\{%_', traceId: 'x' }),
    ];
    const change = anEntry({ id: `${reads[2]!.id}x` });
    const stored = await noted(at.store, [change, ...reads]);
    expect(stored).toHaveLength(2);
    const { data, next } = await at.store.audit({}, FIRST);
    expect(next).toBeNull();
    expect(withoutIds(data)).toEqual(withoutIds([change, ...reads.toReversed()]));
    const ids = data.map(({ id }) => id);
    expect(ids).toEqual([...new Set(ids)].sort().reverse());
    for (const id of ids) expect(id).toMatch(/^[\w-]{1,64}$/);
  });

  test('reads that have a row of their own, and those in batches, are one list', async () => {
    const single = aRead(1, { connectionId: 'con_x', owner: 'x' });
    await noted(at.store, [single]);
    await noted(at.store, [aRead(2), aRead(3, { connectionId: 'con_x', owner: 'x' }), aRead(4, { owner: 'x' })]);
    await at.store.appendAudit([
      anEntry({ action: 'connection.revoked', connectionId: 'con_x', owner: 'x', at: NOW + 5 }),
    ]);
    const times = async (filter: AuditFilter) => (await at.store.audit(filter, FIRST)).data.map((e) => e.at - NOW);
    expect(await times({ owner: 'x' })).toEqual([5, 4, 3, 1]);
    expect(await times({ connectionId: 'con_x' })).toEqual([5, 3, 1]);
    expect(await times({ connectionId: 'con_x', changes: true })).toEqual([5]);
  });

  test('batches are found although a clock was wrong once', async () => {
    for (const when of [NOW, 0, 4e14, NOW + 1]) await noted(at.store, [aRead(1, { at: when }), aRead(2, { at: when })]);
    const { data } = await at.store.audit({ owner: 'user:1' }, FIRST);
    expect(data.map((entry) => entry.at).sort((a, b) => a - b)).toEqual([0, NOW, NOW + 1, 4e14]);
  });

  test('a batch may have values that only some databases can hold', async () => {
    const odd = aRead(1, { owner: 'a\0b', connectionId: 'con_a\0b', requestId: 'r\ud800' });
    await noted(at.store, [odd, aRead(2)]);
    for (const filter of [{ owner: 'a\0b' }, { connectionId: 'con_a\0b', owner: 'a\0b' }, { requestId: 'r\ud800' }])
      expect((await at.store.audit(filter, FIRST)).data.map((e) => e.at - NOW)).toEqual([1]);
    expect((await at.store.audit({ connectionId: 'con_\0' }, FIRST)).data).toEqual([]);
  });

  test('a batch is found by a connection of which nothing says any more whose it was', async () => {
    const reads = [aRead(1), aRead(2), aRead(3, { connectionId: 'con_1', owner: 'user:1' })];
    await noted(at.store, reads);
    expect(await pagesOf(at.store, { connectionId: 'con_1' }, 1)).toHaveLength(2);
    expect(await pagesOf(at.store, { connectionId: 'con_1', action: 'token.read' }, 10)).toHaveLength(2);
    expect(await pagesOf(at.store, { connectionId: 'con_1', changes: true }, 10)).toEqual([]);
    expect(await pagesOf(at.store, { connectionId: 'con_4' }, 10)).toEqual([]);
  });

  test('a batch is found by a connection that has no other entry', async () => {
    const { connection } = await connected(at.store);
    const read = aRead(1, { connectionId: connection.id, owner: connection.owner });
    await noted(at.store, [read, aRead(2)]);
    expect(withoutIds((await at.store.audit({ connectionId: connection.id }, FIRST)).data)).toEqual(withoutIds([read]));
  });

  test.each([
    ['owner', { owner: 'user:7' }, [7]],
    ['owner and connection', { owner: 'user:7', connectionId: 'con_7' }, [7]],
    ['owner and the connection of another', { owner: 'user:7', connectionId: 'con_8' }, []],
    ['request', { requestId: 'req-9' }, [9]],
    ['actor and owner', { actor: 'clr_1', owner: 'user:7' }, [7]],
    ['session and request', { session: 'ses_1', requestId: 'req-7' }, [7]],
    ['integration and time', { integration: 'slack', from: NOW + 3, to: NOW + 5 }, [4, 3]],
    ['another integration', { integration: 'github', owner: 'user:7' }, []],
    ['action', { action: 'token.read', owner: 'user:7' }, [7]],
    ['another action', { action: 'proxy.called' }, []],
    [
      'owners of a scope',
      { within: [{ integrations: ['sl*'], owners: ['user:7', 'user:12*', 'nobody'] }] },
      [129, 128, 127, 126, 125, 124, 123, 122, 121, 120, 12, 7],
    ],
    ['an integration of no scope', { within: [{ integrations: ['github'], owners: ['*'] }] }, []],
    ['no scope', { within: [] }, []],
    ['changes', { changes: true as const }, []],
    ['the owner that a batch says it has', { owner: '*' }, []],
  ])('a filter finds reads of batches by %s', async (_, filter, expected) => {
    await noted(
      at.store,
      Array.from({ length: 130 }, (_, n) => aRead(n)),
    );
    const { data } = await at.store.audit(filter, FIRST);
    expect(data.map((entry) => entry.at - NOW).sort((a, b) => b - a)).toEqual(expected);
  });

  test.each([1, 3, 64, 65])('pages of %i reads have each of them once', async (limit) => {
    const reads = Array.from({ length: 150 }, (_, n) => aRead(n, { owner: n % 2 ? 'odd' : 'even' }));
    await noted(at.store, reads);
    await noted(at.store, [aRead(200, { owner: 'odd' })]);
    for (const [filter, count] of [
      [{}, 151],
      [{ owner: 'odd' }, 76],
    ] as const) {
      const ids = (await pagesOf(at.store, filter, limit)).map(({ id }) => id);
      expect(ids).toHaveLength(count);
      expect(ids).toEqual([...new Set(ids)].sort().reverse());
    }
  });

  test('a batch that is appended again is stored once, and found once', async () => {
    const stored = await noted(at.store, [aRead(1), aRead(2)]);
    await at.store.appendAudit(stored);
    expect((await at.store.audit({ owner: 'user:1' }, FIRST)).data).toHaveLength(1);
    expect((await at.store.audit({}, FIRST)).data).toHaveLength(2);
  });

  test('a batch is pruned as a whole, and what finds it by whole weeks', async () => {
    const old = NOW - 21 * DAY_MS;
    await noted(at.store, [aRead(1, { at: old }), aRead(2, { at: old })]);
    await noted(at.store, [aRead(1), aRead(2)]);
    expect(await at.store.pruneAuditReads((weekOf(old) + 1) * 7 * DAY_MS, 1)).toBe(1);
    expect(await at.store.pruneAuditReads((weekOf(old) + 1) * 7 * DAY_MS, 5)).toBe(1);
    expect(await at.store.pruneAuditReads((weekOf(old) + 1) * 7 * DAY_MS, 5)).toBe(0);
    expect((await at.store.audit({ owner: 'user:1' }, FIRST)).data.map((entry) => entry.at)).toEqual([NOW + 1]);
  });

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

  test('entries that are not stored are found by their ids', async () => {
    const [stored, absent] = [anEntry(), anEntry()];
    await at.store.appendAudit([stored]);
    expect(await at.store.missingAuditEntries([absent.id, stored.id])).toEqual([absent.id]);
    expect(await at.store.missingAuditEntries([])).toEqual([]);
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
