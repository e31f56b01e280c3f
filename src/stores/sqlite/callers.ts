// Callers and their keys in SQLite.
import { and, asc, eq, inArray, notInArray, sql } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type { Caller, CallerKey } from '../../domain/caller.ts';
import type { Store } from '../../ports/index.ts';
import { given, type SqliteAccess } from './client.ts';
import { callerKeys, callers } from './schema.ts';

type CallerStore = Pick<
  Store,
  'callers' | 'addCaller' | 'updateCaller' | 'addCallerKey' | 'deleteCaller' | 'deleteCallerKey' | 'touchKeys'
>;

const CHANGED = { kind: 'callers' } as const;

/** The part of a sentence that puts one; its keys stay when none are given. */
export const callerPutter =
  ({ orm, record }: Pick<SqliteAccess, 'orm' | 'record'>) =>
  (caller: Caller, keys: CallerKey[] | undefined, by: AuditEntry): void => {
    const { id: _id, createdAt: _at, ...set } = caller;
    orm.insert(callers).values(caller).onConflictDoUpdate({ target: callers.id, set }).run();
    if (keys !== undefined) replaceKeys(orm, caller.id, keys);
    record(by, CHANGED);
  };

function replaceKeys(orm: SqliteAccess['orm'], callerId: string, keys: CallerKey[]): void {
  const ofCaller = eq(callerKeys.callerId, callerId);
  const digests = keys.map((key) => key.digest);
  orm
    .delete(callerKeys)
    .where(and(ofCaller, notInArray(callerKeys.digest, digests)))
    .run();
  const stay = orm
    .select({ digest: callerKeys.digest })
    .from(callerKeys)
    .where(and(ofCaller, inArray(callerKeys.digest, digests)))
    .all();
  const known = new Set(stay.map((key) => key.digest));
  for (const key of keys)
    if (known.has(key.digest))
      orm
        .update(callerKeys)
        .set({ expiresAt: key.expiresAt })
        .where(and(ofCaller, eq(callerKeys.digest, key.digest)))
        .run();
    else orm.insert(callerKeys).values(key).run();
}

export function callerStore({ orm, read, write, record }: SqliteAccess): CallerStore {
  const at = given(callerKeys.lastUsedAt, 'at');
  const touch = orm
    .update(callerKeys)
    .set({ lastUsedAt: sql`max(coalesce(${callerKeys.lastUsedAt}, 0), ${at})` })
    .where(eq(callerKeys.id, sql.placeholder('keyId')))
    .prepare();
  const all = orm
    .select({ caller: callers, key: callerKeys })
    .from(callers)
    .leftJoin(callerKeys, eq(callerKeys.callerId, callers.id))
    .orderBy(asc(callers.id), asc(callerKeys.id))
    .prepare();

  return {
    callers: () =>
      read(() => {
        const found = new Map<string, { caller: Caller; keys: CallerKey[] }>();
        for (const { caller, key } of all.all()) {
          const entry = found.get(caller.id) ?? { caller, keys: [] };
          if (key) entry.keys.push(key);
          found.set(caller.id, entry);
        }
        return [...found.values()];
      }),
    addCaller: (caller, key, by) =>
      write(() => {
        orm.insert(callers).values(caller).run();
        if (key) orm.insert(callerKeys).values(key).run();
        record(by, CHANGED);
      }),
    updateCaller: ({ id, createdAt: _, ...rest }, by) =>
      write(() => {
        if (orm.update(callers).set(rest).where(eq(callers.id, id)).run().changes === 0) return 'absent';
        record(by, CHANGED);
        return 'updated';
      }),
    addCallerKey: (key, by) =>
      write(() => {
        if (!orm.select({ id: callers.id }).from(callers).where(eq(callers.id, key.callerId)).get()) return 'absent';
        orm.insert(callerKeys).values(key).run();
        record(by, CHANGED);
        return 'added';
      }),
    deleteCaller: (id, by) =>
      write(() => {
        if (orm.delete(callers).where(eq(callers.id, id)).run().changes === 0) return 'absent';
        record(by, CHANGED);
        return 'deleted';
      }),
    deleteCallerKey: (callerId, keyId, by) =>
      write(() => {
        const theKey = and(eq(callerKeys.callerId, callerId), eq(callerKeys.id, keyId));
        if (orm.delete(callerKeys).where(theKey).run().changes === 0) return 'absent';
        record(by, CHANGED);
        return 'deleted';
      }),
    touchKeys: async (uses) => {
      if (uses.length > 0) await write(() => uses.forEach((use) => void touch.run(use)));
    },
  };
}
