// The contract of the store: callers and their keys.
import { expect, test } from 'vitest';
import type { AuditEntry } from '../../../src/domain/audit.ts';
import type { Caller, CallerKey } from '../../../src/domain/caller.ts';
import { type ExpectedCaller, StoreError } from '../../../src/ports/index.ts';
import { aCaller, aKey, anEntry, anIntegration, NOW, recorded } from '../builders.ts';
import type { Opened } from './index.ts';

export function callers(at: Opened): void {
  async function added() {
    const caller = aCaller();
    const key = aKey(caller.id);
    await at.store.addCaller(caller, key, anEntry());
    return { caller, key };
  }
  const putCaller = (caller: Caller, keys: CallerKey[], audit: AuditEntry) =>
    at.store.putDeclared({ integrations: [], callers: [{ caller, keys, audit: audit }] });
  const keysOf = async (id: string) => (await at.store.callers()).find(({ caller }) => caller.id === id)?.keys;

  test('callers are returned with every field of their keys', async () => {
    const { caller, key } = await added();
    const audit = anEntry();
    const second = aKey(caller.id, { expiresAt: null, lastUsedAt: null });
    expect(await at.store.addCallerKey(second, audit)).toBe('added');
    expect(await recorded(at.store, audit)).toBe(true);
    const other = await added();
    expect(await at.store.callers()).toEqual([
      { caller, keys: [key, second] },
      { caller: other.caller, keys: [other.key] },
    ]);
  });

  test('of digests, those of stored keys are told', async () => {
    const [one, two] = [await added(), await added()];
    const asked = [one.key.digest, two.key.digest, 'of no key'];
    expect((await at.store.storedKeys(asked)).sort()).toEqual([one.key.digest, two.key.digest].sort());
    expect(await at.store.storedKeys(['of no key'])).toEqual([]);
    expect(await at.store.storedKeys([])).toEqual([]);
  });

  test('a new caller is recorded in the audit log', async () => {
    const caller = aCaller();
    const audit = anEntry();
    await at.store.addCaller(caller, aKey(caller.id), audit);
    expect(await recorded(at.store, audit)).toBe(true);
  });

  test('a caller whose key has a stored digest is rejected as a whole', async () => {
    const { key } = await added();
    const caller = aCaller();
    const audit = anEntry();
    const twice = at.store.addCaller(caller, aKey(caller.id, { digest: key.digest }), audit);
    await expect(twice).rejects.toBeInstanceOf(StoreError);
    expect(await keysOf(caller.id)).toBeUndefined();
    expect(await recorded(at.store, audit)).toBe(false);
  });

  test('a caller can be added without a key', async () => {
    const caller = aCaller({ rateLimit: null });
    await at.store.addCaller(caller, null, anEntry());
    expect(await at.store.callers()).toEqual([{ caller, keys: [] }]);
  });

  test('an update replaces all of a caller but createdAt and its keys', async () => {
    const { caller, key } = await added();
    const [audit, again] = [anEntry(), anEntry()];
    const other = {
      id: caller.id,
      name: 'other',
      permissions: [],
      workloads: [],
      rateLimit: null,
      maxSessionTtl: null,
      audiences: null,
      createdAt: NOW + 9,
      mac: null,
    };
    expect(await at.store.updateCaller(other, audit)).toBe('updated');
    expect(await recorded(at.store, audit)).toBe(true);
    expect(await at.store.callers()).toEqual([{ caller: { ...other, createdAt: NOW }, keys: [key] }]);
    expect(await at.store.updateCaller(aCaller(), again)).toBe('absent');
    expect(await recorded(at.store, again)).toBe(false);
    expect(await at.store.callers()).toHaveLength(1);
  });

  test('only the caller is replaced that was expected', async () => {
    const { caller, key } = await added();
    const [audit, declared] = [anEntry(), anEntry()];
    const narrow = { ...caller, permissions: [] };
    const wide = { ...caller, name: 'wide' };
    expect(await at.store.updateCaller(narrow, anEntry(), caller)).toBe('updated');
    expect(await at.store.updateCaller(wide, audit, caller)).toBe('changed');
    const put = (keys: CallerKey[] | undefined, expected: ExpectedCaller) =>
      at.store.putDeclared({
        integrations: [{ settings: anIntegration(), audit: anEntry() }],
        callers: [{ caller: wide, keys, audit: declared, expected }],
      });
    expect(await put(undefined, { caller, keys: [key] })).toBe('changed');
    // Without the key that it is given back, and not at all.
    await at.store.deleteCallerKey(caller.id, key.id, anEntry());
    expect(await put([key], { caller: narrow, keys: [key] })).toBe('changed');
    expect(await at.store.callers()).toEqual([{ caller: narrow, keys: [] }]);
    await at.store.deleteCaller(caller.id, anEntry());
    expect(await put(undefined, { caller: narrow, keys: [] })).toBe('changed');
    expect(await at.store.updateCaller(wide, audit, narrow)).toBe('absent');
    expect(await at.store.callers()).toEqual([]);
    expect(await at.store.integration('slack')).toBeUndefined();
    expect(await Promise.all([audit, declared].map((one) => recorded(at.store, one)))).toEqual([false, false]);
    await at.store.addCaller(narrow, null, anEntry());
    expect(await put([key], { caller: narrow, keys: [] })).toBe('stored');
    expect(await at.store.callers()).toEqual([{ caller: wide, keys: [key] }]);
  });

  test('a key of an absent caller is not added', async () => {
    const audit = anEntry();
    expect(await at.store.addCallerKey(aKey('clr_nobody'), audit)).toBe('absent');
    expect(await recorded(at.store, audit)).toBe(false);
  });

  test('a caller is deleted with its keys', async () => {
    const { caller, key } = await added();
    const [audit, again] = [anEntry(), anEntry()];
    expect(await at.store.deleteCaller(caller.id, audit)).toBe('deleted');
    expect(await at.store.callers()).toEqual([]);
    expect(await recorded(at.store, audit)).toBe(true);
    expect(await at.store.deleteCaller(caller.id, again)).toBe('absent');
    expect(await recorded(at.store, again)).toBe(false);
    const heir = aCaller();
    await at.store.addCaller(heir, aKey(heir.id, { digest: key.digest }), anEntry());
    expect(await keysOf(heir.id)).toHaveLength(1);
  });

  test('a key is deleted only for its own caller', async () => {
    const { caller, key } = await added();
    const other = await added();
    const [stray, audit] = [anEntry(), anEntry()];
    expect(await at.store.deleteCallerKey(caller.id, other.key.id, stray)).toBe('absent');
    expect(await keysOf(other.caller.id)).toEqual([other.key]);
    expect(await recorded(at.store, stray)).toBe(false);
    expect(await at.store.deleteCallerKey(caller.id, key.id, audit)).toBe('deleted');
    expect(await keysOf(caller.id)).toEqual([]);
    expect(await recorded(at.store, audit)).toBe(true);
  });

  test('declaring a new caller creates it', async () => {
    const caller = aCaller();
    const keys = [aKey(caller.id), aKey(caller.id)];
    const audit = anEntry();
    await putCaller(caller, keys, audit);
    expect(await at.store.callers()).toEqual([{ caller, keys }]);
    expect(await recorded(at.store, audit)).toBe(true);
  });

  test('declared keys replace the stored ones, and those of a known digest stay as they are', async () => {
    const { caller, key } = await added();
    const dropped = aKey(caller.id);
    await at.store.addCallerKey(dropped, anEntry());
    const bystander = await added();
    const same = aKey(caller.id, { digest: key.digest, createdAt: NOW + 99, lastUsedAt: null });
    const fresh = aKey(caller.id);
    const grants = [{ actions: ['*' as const], integrations: ['*'], owners: ['*'] }];
    await putCaller({ ...caller, name: 'renamed', permissions: grants, createdAt: NOW + 99 }, [same, fresh], anEntry());
    expect(await at.store.callers()).toEqual([
      { caller: { ...caller, name: 'renamed', permissions: grants }, keys: [key, fresh] },
      { caller: bystander.caller, keys: [bystander.key] },
    ]);
  });

  test('declaring a known key changes its expiry alone', async () => {
    const { caller, key } = await added();
    await putCaller(caller, [{ ...key, id: 'key_other', expiresAt: NOW + 77 }], anEntry());
    expect(await keysOf(caller.id)).toEqual([{ ...key, expiresAt: NOW + 77 }]);
  });

  test('declaring no keys deletes the stored ones', async () => {
    const { caller } = await added();
    await putCaller(caller, [], anEntry());
    expect(await keysOf(caller.id)).toEqual([]);
  });

  test('declaring the key of another caller is rejected, and nothing changes', async () => {
    const { caller, key } = await added();
    const other = await added();
    const stolen = putCaller(caller, [aKey(caller.id, { digest: other.key.digest })], anEntry());
    await expect(stolen).rejects.toBeInstanceOf(StoreError);
    expect(await keysOf(caller.id)).toEqual([key]);
    expect(await keysOf(other.caller.id)).toEqual([other.key]);
  });

  test('lastUsedAt moves forward, never back', async () => {
    const { caller, key } = await added();
    const unused = aKey(caller.id, { lastUsedAt: null });
    await at.store.addCallerKey(unused, anEntry());
    await at.store.touchKeys([
      { keyId: key.id, at: NOW + 50 },
      { keyId: key.id, at: NOW + 20 },
      { keyId: unused.id, at: NOW + 30 },
      { keyId: 'key_gone', at: NOW },
    ]);
    expect((await keysOf(caller.id))?.map((k) => k.lastUsedAt)).toEqual([NOW + 50, NOW + 30]);
    await at.store.touchKeys([]);
  });
}
