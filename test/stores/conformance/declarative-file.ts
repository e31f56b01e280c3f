// The contract of the store: what a deployment declares is put wholly or not at all.
import { expect, test } from 'vitest';
import type { Ciphertext } from '../../../src/domain/connection.ts';
import { StoreError } from '../../../src/ports/index.ts';
import { aCaller, aCiphertext, aKey, anEntry, anIntegration, connected, NOW, recorded } from '../builders.ts';
import type { Opened } from './index.ts';

export function declarativeFile(at: Opened): void {
  test('integrations and callers are stored, each with its audit entry', async () => {
    const [slack, caller, made, admitted] = [anIntegration(), aCaller(), anEntry(), anEntry()];
    const keys = [aKey(caller.id)];
    await at.store.putDeclared({
      integrations: [{ settings: slack, audit: made }],
      callers: [{ caller, keys, audit: admitted }],
    });
    expect(await at.store.integration('slack')).toEqual({ ...slack, version: 1 });
    expect(await at.store.callers()).toEqual([{ caller, keys }]);
    expect(await Promise.all([made, admitted].map((audit) => recorded(at.store, audit)))).toEqual([true, true]);
  });

  test('how an integration receives is stored with it, or neither is', async () => {
    const [slack, made] = [anIntegration(), anEntry()];
    const settings = { integration: 'slack', webhook: 'w' as Ciphertext, updatedAt: NOW };
    const stored = async () => ({
      integration: (await at.store.integration('slack'))?.version,
      receivers: (await at.store.receiverSettings()).map(({ webhook }) => webhook),
    });
    const broken = [{ settings: { ...settings, updatedAt: null as never }, audit: anEntry() }];
    await expect(at.store.putIntegration(slack, made, broken)).rejects.toBeInstanceOf(StoreError);
    const rows = { integrations: [{ settings: slack, audit: made }], receivers: broken, callers: [] };
    await expect(at.store.putDeclared(rows)).rejects.toBeInstanceOf(StoreError);
    expect([await stored(), await recorded(at.store, made)]).toEqual([
      { integration: undefined, receivers: [] },
      false,
    ]);

    await at.store.putIntegration(slack, made, [{ settings, audit: anEntry() }]);
    expect(await stored()).toEqual({ integration: 1, receivers: ['w'] });
    const again = { ...settings, webhook: 'x' as Ciphertext };
    await at.store.putDeclared({ integrations: [], receivers: [{ settings: again, audit: anEntry() }], callers: [] });
    expect(await stored()).toEqual({ integration: 1, receivers: ['x'] });
  });

  test('undefined keys leave the stored ones, and declared keys replace them', async () => {
    const caller = aCaller();
    const [stays, goes] = [aKey(caller.id), aKey(caller.id)];
    await at.store.addCaller(caller, stays, anEntry());
    const put = (keys?: (typeof stays)[]) =>
      at.store.putDeclared({
        integrations: [],
        callers: [{ caller: { ...caller, name: 'new' }, keys, audit: anEntry() }],
      });
    await put();
    expect(await at.store.callers()).toEqual([{ caller: { ...caller, name: 'new' }, keys: [stays] }]);
    await put([goes]);
    expect((await at.store.callers())[0]?.keys).toEqual([goes]);
    await put([]);
    expect((await at.store.callers())[0]?.keys).toEqual([]);
  });

  test('one row that is rejected rolls all back, audit entries included', async () => {
    const holder = aCaller();
    const key = aKey(holder.id);
    await at.store.addCaller(holder, key, anEntry());
    const [other, made, admitted] = [aCaller(), anEntry(), anEntry()];
    const put = at.store.putDeclared({
      integrations: [{ settings: anIntegration(), audit: made }],
      callers: [{ caller: other, keys: [aKey(other.id, { digest: key.digest })], audit: admitted }],
    });
    await expect(put).rejects.toBeInstanceOf(StoreError);
    expect(await at.store.integration('slack')).toBeUndefined();
    expect(await at.store.callers()).toEqual([{ caller: holder, keys: [key] }]);
    expect(await Promise.all([made, admitted].map((audit) => recorded(at.store, audit)))).toEqual([false, false]);
  });

  test('an integration that is not what it was decided on: nothing is stored', async () => {
    const { createdAt } = anIntegration();
    await at.store.putIntegration(anIntegration(), anEntry());
    const caller = aCaller();
    const put = (expected: { version: number; createdAt?: number }, id = 'slack') =>
      at.store.putDeclared({
        integrations: [
          { settings: anIntegration({ id: 'first' }), audit: anEntry() },
          { settings: anIntegration({ id, clientId: 'other' }), audit: anEntry(), expected },
        ],
        callers: [{ caller, keys: [], audit: anEntry() }],
      });
    expect(await put({ version: 0 })).toBe('changed');
    expect(await put({ version: 2 })).toBe('changed');
    expect(await put({ version: 1, createdAt: createdAt + 1 })).toBe('changed');
    expect(await put({ version: 1 }, 'absent')).toBe('changed');
    expect(await at.store.integration('first')).toBeUndefined();
    expect(await at.store.callers()).toEqual([]);
    expect(await put({ version: 1, createdAt })).toBe('stored');
    expect(await at.store.integration('slack')).toMatchObject({ version: 2, clientId: 'other' });
    expect(await at.store.integration('first')).toBeDefined();
  });

  test('what is deleted goes in the same operation, or all stays while an integration is needed', async () => {
    const [old, fresh] = [aCaller(), aCaller()];
    const key = aKey(old.id);
    await at.store.addCaller(old, key, anEntry());
    const { connection } = await connected(at.store);
    const webhook = aCiphertext('hook');
    const rows = () => ({
      deleted: {
        integrations: [
          { id: 'absent', audit: anEntry() },
          { id: connection.integration, audit: anEntry() },
        ],
        callers: [{ id: old.id, audit: anEntry() }],
      },
      integrations: [{ settings: anIntegration({ id: 'new' }), audit: anEntry() }],
      callers: [{ caller: fresh, keys: [aKey(fresh.id, { digest: key.digest })], audit: anEntry() }],
      receivers: [{ settings: { integration: 'new', webhook, updatedAt: 1 }, audit: anEntry() }],
    });
    const refused = rows();
    expect(await at.store.putDeclared(refused)).toEqual({
      integration: connection.integration,
      connections: 1,
      pendingRevocations: 0,
    });
    expect(await at.store.callers()).toEqual([{ caller: old, keys: [key] }]);
    expect(await at.store.integration('new')).toBeUndefined();
    expect(await recorded(at.store, refused.deleted.callers[0]!.audit)).toBe(false);

    const stored = rows();
    stored.deleted.integrations.pop();
    expect(await at.store.putDeclared(stored)).toBe('stored');
    expect((await at.store.callers()).map(({ caller }) => caller.id)).toEqual([fresh.id]);
    expect(await at.store.integration('new')).toBeDefined();
    expect(await at.store.receiverSettings()).toMatchObject([{ integration: 'new', webhook }]);
    expect(await recorded(at.store, stored.deleted.callers[0]!.audit)).toBe(true);
    expect(await recorded(at.store, stored.deleted.integrations[0]!.audit)).toBe(false);

    const last = {
      integrations: [],
      callers: [],
      deleted: { integrations: [{ id: 'new', audit: anEntry() }], callers: [] },
    };
    expect(await at.store.putDeclared(last)).toBe('stored');
    expect(await at.store.integration('new')).toBeUndefined();
    expect(await at.store.receiverSettings()).toEqual([]);
  });
}
