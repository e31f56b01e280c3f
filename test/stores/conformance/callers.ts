// The contract of the store: callers and their keys.
import { expect, test } from 'vitest';
import type { AuditEntry } from '../../../src/domain/audit.ts';
import type { Caller, CallerKey } from '../../../src/domain/caller.ts';
import { StoreError } from '../../../src/ports/index.ts';
import { aCaller, aKey, anEntry, NOW, recorded } from '../builders.ts';
import type { Opened } from './index.ts';

export function callers(at: Opened): void {
  async function added() {
    const caller = aCaller();
    const key = aKey(caller.id);
    await at.store.addCaller(caller, key, anEntry());
    return { caller, key };
  }
  const putCaller = (caller: Caller, keys: CallerKey[], by: AuditEntry) =>
    at.store.putDeclared({ integrations: [], callers: [{ caller, keys, audit: by }] });
  const keysOf = async (id: string) => (await at.store.callers()).find(({ caller }) => caller.id === id)?.keys;

  test('gives back every caller with every field of its keys', async () => {
    const { caller, key } = await added();
    const by = anEntry();
    const second = aKey(caller.id, { expiresAt: null, lastUsedAt: null });
    expect(await at.store.addCallerKey(second, by)).toBe('added');
    expect(await recorded(at.store, by)).toBe(true);
    const other = await added();
    expect(await at.store.callers()).toEqual([
      { caller, keys: [key, second] },
      { caller: other.caller, keys: [other.key] },
    ]);
  });

  test('records who added a caller', async () => {
    const caller = aCaller();
    const by = anEntry();
    await at.store.addCaller(caller, aKey(caller.id), by);
    expect(await recorded(at.store, by)).toBe(true);
  });

  test('refuses a key whose digest is there already, and keeps nothing of that caller', async () => {
    const { key } = await added();
    const caller = aCaller();
    const by = anEntry();
    const twice = at.store.addCaller(caller, aKey(caller.id, { digest: key.digest }), by);
    await expect(twice).rejects.toBeInstanceOf(StoreError);
    expect(await keysOf(caller.id)).toBeUndefined();
    expect(await recorded(at.store, by)).toBe(false);
  });

  test('adds a caller without a key', async () => {
    const caller = aCaller({ rateLimit: null });
    await at.store.addCaller(caller, null, anEntry());
    expect(await at.store.callers()).toEqual([{ caller, keys: [] }]);
  });

  test('updates all of a caller but when it was made, and leaves its keys', async () => {
    const { caller, key } = await added();
    const [by, again] = [anEntry(), anEntry()];
    const other = { id: caller.id, name: 'other', permissions: [], workloads: [], rateLimit: null, createdAt: NOW + 9 };
    expect(await at.store.updateCaller(other, by)).toBe('updated');
    expect(await recorded(at.store, by)).toBe(true);
    expect(await at.store.callers()).toEqual([{ caller: { ...other, createdAt: NOW }, keys: [key] }]);
    expect(await at.store.updateCaller(aCaller(), again)).toBe('absent');
    expect(await recorded(at.store, again)).toBe(false);
    expect(await at.store.callers()).toHaveLength(1);
  });

  test('adds no key to a caller that is absent', async () => {
    const by = anEntry();
    expect(await at.store.addCallerKey(aKey('clr_nobody'), by)).toBe('absent');
    expect(await recorded(at.store, by)).toBe(false);
  });

  test('deletes a caller with its keys', async () => {
    const { caller, key } = await added();
    const [by, again] = [anEntry(), anEntry()];
    expect(await at.store.deleteCaller(caller.id, by)).toBe('deleted');
    expect(await at.store.callers()).toEqual([]);
    expect(await recorded(at.store, by)).toBe(true);
    expect(await at.store.deleteCaller(caller.id, again)).toBe('absent');
    expect(await recorded(at.store, again)).toBe(false);
    const heir = aCaller();
    await at.store.addCaller(heir, aKey(heir.id, { digest: key.digest }), anEntry());
    expect(await keysOf(heir.id)).toHaveLength(1);
  });

  test('deletes one key, of that caller only', async () => {
    const { caller, key } = await added();
    const other = await added();
    const [stray, by] = [anEntry(), anEntry()];
    expect(await at.store.deleteCallerKey(caller.id, other.key.id, stray)).toBe('absent');
    expect(await keysOf(other.caller.id)).toEqual([other.key]);
    expect(await recorded(at.store, stray)).toBe(false);
    expect(await at.store.deleteCallerKey(caller.id, key.id, by)).toBe('deleted');
    expect(await keysOf(caller.id)).toEqual([]);
    expect(await recorded(at.store, by)).toBe(true);
  });

  test('puts a caller that is new', async () => {
    const caller = aCaller();
    const keys = [aKey(caller.id), aKey(caller.id)];
    const by = anEntry();
    await putCaller(caller, keys, by);
    expect(await at.store.callers()).toEqual([{ caller, keys }]);
    expect(await recorded(at.store, by)).toBe(true);
  });

  test('puts exactly these keys: known digests stay as they are, others come and go', async () => {
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

  test('puts a new end to a key that stays', async () => {
    const { caller, key } = await added();
    await putCaller(caller, [{ ...key, id: 'key_other', expiresAt: NOW + 77 }], anEntry());
    expect(await keysOf(caller.id)).toEqual([{ ...key, expiresAt: NOW + 77 }]);
  });

  test('puts a caller without keys', async () => {
    const { caller } = await added();
    await putCaller(caller, [], anEntry());
    expect(await keysOf(caller.id)).toEqual([]);
  });

  test('does not put the key of another caller, and changes nothing', async () => {
    const { caller, key } = await added();
    const other = await added();
    const stolen = putCaller(caller, [aKey(caller.id, { digest: other.key.digest })], anEntry());
    await expect(stolen).rejects.toBeInstanceOf(StoreError);
    expect(await keysOf(caller.id)).toEqual([key]);
    expect(await keysOf(other.caller.id)).toEqual([other.key]);
  });

  test('moves the last use forward, never back', async () => {
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
