// Callers and their keys in PostgreSQL.
import { and, asc, eq, inArray, notInArray, sql } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type { Caller, CallerKey } from '../../domain/caller.ts';
import type { Store } from '../../ports/index.ts';
import { given, type Orm, type PostgresAccess } from './client.ts';
import { callerKeys, callers } from './schema.ts';

type CallerStore = Pick<
  Store,
  'callers' | 'addCaller' | 'updateCaller' | 'addCallerKey' | 'deleteCaller' | 'deleteCallerKey' | 'touchKeys'
>;

const CHANGED = { kind: 'callers' } as const;

/** The part of a sentence that puts one; its keys stay when none are given. */
export const callerPutter =
  ({ record }: Pick<PostgresAccess, 'record'>) =>
  async (orm: Orm, caller: Caller, keys: CallerKey[] | undefined, by: AuditEntry): Promise<void> => {
    const { id: _id, createdAt: _at, ...set } = caller;
    await orm.insert(callers).values(caller).onConflictDoUpdate({ target: callers.id, set });
    if (keys !== undefined) await replaceKeys(orm, caller.id, keys);
    await record(orm, by, CHANGED);
  };

async function replaceKeys(orm: Orm, callerId: string, keys: CallerKey[]): Promise<void> {
  const ofCaller = eq(callerKeys.callerId, callerId);
  const digests = keys.map((key) => key.digest);
  await orm.delete(callerKeys).where(and(ofCaller, notInArray(callerKeys.digest, digests)));
  const stay = await orm
    .select({ digest: callerKeys.digest })
    .from(callerKeys)
    .where(and(ofCaller, inArray(callerKeys.digest, digests)));
  const known = new Set(stay.map((key) => key.digest));
  for (const key of keys)
    if (known.has(key.digest))
      await orm
        .update(callerKeys)
        .set({ expiresAt: key.expiresAt })
        .where(and(ofCaller, eq(callerKeys.digest, key.digest)));
    else await orm.insert(callerKeys).values(key);
}

export function callerStore({ ask, write, prepared, record }: PostgresAccess): CallerStore {
  const statements = prepared((orm, name) => ({
    touch: orm
      .update(callerKeys)
      .set({ lastUsedAt: sql`greatest(${callerKeys.lastUsedAt}, ${given(callerKeys.lastUsedAt, 'at')})` })
      .where(eq(callerKeys.id, sql.placeholder('keyId')))
      .prepare(name('touch_key')),
    all: orm
      .select({ caller: callers, key: callerKeys })
      .from(callers)
      .leftJoin(callerKeys, eq(callerKeys.callerId, callers.id))
      .orderBy(asc(callers.id), asc(callerKeys.id))
      .prepare(name('callers')),
  }));

  return {
    callers: () =>
      ask(async (orm) => {
        const found = new Map<string, { caller: Caller; keys: CallerKey[] }>();
        for (const { caller, key } of await statements(orm).all.execute()) {
          const entry = found.get(caller.id) ?? { caller, keys: [] };
          if (key) entry.keys.push(key);
          found.set(caller.id, entry);
        }
        return [...found.values()];
      }),
    addCaller: (caller, key, by) =>
      write(async (orm) => {
        await orm.insert(callers).values(caller);
        if (key) await orm.insert(callerKeys).values(key);
        await record(orm, by, CHANGED);
      }),
    updateCaller: ({ id, createdAt: _, ...rest }, by) =>
      write(async (orm) => {
        const updated = await orm.update(callers).set(rest).where(eq(callers.id, id)).returning({ id: callers.id });
        if (updated.length === 0) return 'absent';
        await record(orm, by, CHANGED);
        return 'updated';
      }),
    addCallerKey: (key, by) =>
      write(async (orm) => {
        const caller = orm.select({ id: callers.id }).from(callers).where(eq(callers.id, key.callerId));
        if ((await caller.for('key share')).length === 0) return 'absent';
        await orm.insert(callerKeys).values(key);
        await record(orm, by, CHANGED);
        return 'added';
      }),
    deleteCaller: (id, by) =>
      write(async (orm) => {
        const deleted = await orm.delete(callers).where(eq(callers.id, id)).returning({ id: callers.id });
        if (deleted.length === 0) return 'absent';
        await record(orm, by, CHANGED);
        return 'deleted';
      }),
    deleteCallerKey: (callerId, keyId, by) =>
      write(async (orm) => {
        const theKey = and(eq(callerKeys.callerId, callerId), eq(callerKeys.id, keyId));
        const deleted = await orm.delete(callerKeys).where(theKey).returning({ id: callerKeys.id });
        if (deleted.length === 0) return 'absent';
        await record(orm, by, CHANGED);
        return 'deleted';
      }),
    touchKeys: async (uses) => {
      if (uses.length === 0) return;
      // Always in this order: two replicas that tell of the same keys would else wait for each other.
      const ordered = [...uses].sort((a, b) => (a.keyId < b.keyId ? -1 : 1));
      await write(async (orm) => {
        const { touch } = statements(orm);
        await Promise.all(ordered.map((use) => touch.execute(use)));
      });
    },
  };
}
