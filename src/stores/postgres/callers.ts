// Callers and their keys in PostgreSQL.
import { isDeepStrictEqual } from 'node:util';
import { and, asc, eq, inArray, notInArray, sql } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type { Caller, CallerKey } from '../../domain/caller.ts';
import type { CallerStore, ExpectedCaller } from '../../ports/index.ts';
import { isSessionId, madeBy, madeWithLostBinding } from '../shared/agent-sessions.ts';
import { CALLERS_CHANGED, callersFrom, hasAllKeys } from '../shared/caller-rows.ts';
import { createdBy, lostBy } from '../shared/connect-sessions.ts';
import { placeholderFor } from '../shared/placeholders.ts';
import { endSessions } from './agent-sessions.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { cancelSessions } from './connect-sessions.ts';
import { agentSessions, callerKeys, callers, connectSessions, webhookEndpoints } from './schema.ts';
import { deleteDeliveriesOf, deleteEndpoints } from './webhook-endpoints.ts';

/** Inside a transaction. Undefined keys: the stored ones stay. */
export const callerWriter =
  ({ record, audienceChanged }: Pick<PostgresAccess, 'record' | 'audienceChanged'>) =>
  async (
    orm: Orm,
    caller: Caller,
    keys: CallerKey[] | undefined,
    audit: AuditEntry,
    expected?: ExpectedCaller,
  ): Promise<'put' | 'changed'> => {
    const { id: _id, createdAt: _at, ...set } = caller;
    if (expected && !isDeepStrictEqual(await storedCaller(orm, caller.id), expected.caller)) return 'changed';
    if (expected && keys && !hasAllKeys(await storedKeysOf(orm, caller.id), expected)) return 'changed';
    await orm.insert(callers).values(caller).onConflictDoUpdate({ target: callers.id, set });
    if (keys !== undefined) await replaceKeys(orm, caller.id, keys, audit.at);
    await cancelSessions(orm, lostBy(connectSessions, caller), audit.at);
    await endSessions(orm, madeWithLostBinding(agentSessions, caller), 'key_deleted', audit.at);
    await audienceChanged(orm);
    await record(orm, audit, CALLERS_CHANGED);
    return 'put';
  };

/** It stays so until the transaction ends. */
async function storedCaller(orm: Orm, id: string): Promise<Caller | undefined> {
  const [stored] = await orm.select().from(callers).where(eq(callers.id, id)).for('update');
  return stored;
}

/** They stay so, too. */
const storedKeysOf = (orm: Orm, callerId: string) =>
  orm.select({ digest: callerKeys.digest }).from(callerKeys).where(eq(callerKeys.callerId, callerId)).for('update');

async function replaceKeys(orm: Orm, callerId: string, keys: CallerKey[], now: number): Promise<void> {
  const ofCaller = eq(callerKeys.callerId, callerId);
  const digests = keys.map((key) => key.digest);
  const deleted = await orm
    .delete(callerKeys)
    .where(and(ofCaller, notInArray(callerKeys.digest, digests)))
    .returning({ id: callerKeys.id });
  const ids = deleted.map(({ id }) => id);
  if (ids.length > 0) await endWithKeys(orm, callerId, ids, now);
  const stored = await orm
    .select({ digest: callerKeys.digest })
    .from(callerKeys)
    .where(and(ofCaller, inArray(callerKeys.digest, digests)));
  const known = new Set(stored.map((key) => key.digest));
  for (const key of keys)
    if (known.has(key.digest))
      await orm
        .update(callerKeys)
        .set({ expiresAt: key.expiresAt, mac: key.mac ?? null })
        .where(and(ofCaller, eq(callerKeys.digest, key.digest)));
    else await orm.insert(callerKeys).values(key);
}

/** What was made with keys that are deleted. Other replicas read of agent sessions that their key is gone. */
async function endWithKeys(orm: Orm, callerId: string, keyIds: string[], now: number): Promise<void> {
  await cancelSessions(orm, createdBy(connectSessions, callerId, keyIds), now);
  await endSessions(orm, madeBy(agentSessions, callerId, keyIds), 'key_deleted', now);
}

/** Inside a transaction; `deleteDeliveriesOf` follows it. Returns the webhook endpoints that went with it; undefined: absent. */
export const callerRemover =
  ({ record, audienceChanged }: Pick<PostgresAccess, 'record' | 'audienceChanged'>) =>
  async (orm: Orm, id: string, audit: AuditEntry): Promise<string[] | undefined> => {
    const deleted = await orm.delete(callers).where(eq(callers.id, id)).returning({ id: callers.id });
    if (deleted.length === 0) return undefined;
    await cancelSessions(orm, createdBy(connectSessions, id), audit.at);
    await endSessions(orm, madeBy(agentSessions, id), 'caller_deleted', audit.at);
    const endpoints = await deleteEndpoints({ audienceChanged }, orm, eq(webhookEndpoints.callerId, id));
    await record(orm, audit, CALLERS_CHANGED);
    return endpoints;
  };

export function createCallerStore(access: PostgresAccess): CallerStore {
  const { autocommit, transaction, prepared, record, audienceChanged } = access;
  const remove = callerRemover(access);
  const statements = prepared((orm, name) => ({
    touch: orm
      .update(callerKeys)
      .set({ lastUsedAt: sql`greatest(${callerKeys.lastUsedAt}, ${placeholderFor(callerKeys.lastUsedAt, 'at')})` })
      .where(eq(callerKeys.id, sql.placeholder('keyId')))
      .prepare(name('touch_key')),
    touchSession: orm
      .update(agentSessions)
      .set({
        lastUsedAt: sql`greatest(${agentSessions.lastUsedAt}, ${placeholderFor(agentSessions.lastUsedAt, 'at')})`,
      })
      .where(eq(agentSessions.id, sql.placeholder('keyId')))
      .prepare(name('touch_session')),
    all: orm
      .select({ caller: callers, key: callerKeys })
      .from(callers)
      .leftJoin(callerKeys, eq(callerKeys.callerId, callers.id))
      .orderBy(asc(callers.id), asc(callerKeys.id))
      .prepare(name('callers')),
  }));

  return {
    callers: () => autocommit(async (orm) => callersFrom(await statements(orm).all.execute())),
    storedKeys: (digests) =>
      autocommit(async (orm) => {
        const found = orm.select({ digest: callerKeys.digest }).from(callerKeys);
        return (await found.where(inArray(callerKeys.digest, [...digests]))).map(({ digest }) => digest);
      }),
    addCaller: (caller, key, audit) =>
      transaction(async (orm) => {
        await orm.insert(callers).values(caller);
        if (key) await orm.insert(callerKeys).values(key);
        await record(orm, audit, CALLERS_CHANGED);
      }),
    updateCaller: ({ id, createdAt: _, ...rest }, audit, expected) =>
      transaction(async (orm) => {
        const stored = expected && (await storedCaller(orm, id));
        if (stored && !isDeepStrictEqual(stored, expected)) return 'changed';
        const updated = await orm.update(callers).set(rest).where(eq(callers.id, id)).returning({ id: callers.id });
        if (updated.length === 0) return 'absent';
        await cancelSessions(orm, lostBy(connectSessions, { ...rest, id }), audit.at);
        await endSessions(orm, madeWithLostBinding(agentSessions, { ...rest, id }), 'key_deleted', audit.at);
        await audienceChanged(orm);
        await record(orm, audit, CALLERS_CHANGED);
        return 'updated';
      }),
    addCallerKey: (key, audit) =>
      transaction(async (orm) => {
        const caller = orm.select({ id: callers.id }).from(callers).where(eq(callers.id, key.callerId));
        if ((await caller.for('key share')).length === 0) return 'absent';
        await orm.insert(callerKeys).values(key);
        await record(orm, audit, CALLERS_CHANGED);
        return 'added';
      }),
    async deleteCaller(id, audit) {
      const endpoints = await transaction((orm) => remove(orm, id, audit));
      if (!endpoints) return 'absent';
      await deleteDeliveriesOf(access, endpoints);
      return 'deleted';
    },
    deleteCallerKey: (callerId, keyId, audit) =>
      transaction(async (orm) => {
        const theKey = and(eq(callerKeys.callerId, callerId), eq(callerKeys.id, keyId));
        const deleted = await orm.delete(callerKeys).where(theKey).returning({ id: callerKeys.id });
        if (deleted.length === 0) return 'absent';
        await endWithKeys(orm, callerId, [keyId], audit.at);
        await record(orm, audit, CALLERS_CHANGED);
        return 'deleted';
      }),
    touchKeys: async (uses) => {
      if (uses.length === 0) return;
      // Always in this order: two replicas that touch the same keys would deadlock.
      const ordered = [...uses].sort((a, b) => (a.keyId < b.keyId ? -1 : 1));
      await transaction(async (orm) => {
        const { touch, touchSession } = statements(orm);
        await Promise.all(ordered.map((use) => (isSessionId(use.keyId) ? touchSession : touch).execute(use)));
      });
    },
  };
}
