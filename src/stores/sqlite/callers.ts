// Callers and their keys in SQLite.
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
import type { SqliteAccess } from './client.ts';
import { cancelSessions } from './connect-sessions.ts';
import { prepared } from './prepared-queries.ts';
import { agentSessions, callerKeys, callers, connectSessions, webhookEndpoints } from './schema.ts';
import { deleteDeliveriesOf, deleteEndpoints } from './webhook-endpoints.ts';

/** Inside an operation. Undefined keys: the stored ones stay. */
export const callerWriter =
  ({ orm, record, events }: Pick<SqliteAccess, 'orm' | 'record' | 'events'>) =>
  (caller: Caller, keys: CallerKey[] | undefined, audit: AuditEntry, expected?: ExpectedCaller): 'put' | 'changed' => {
    const { id: _id, createdAt: _at, ...set } = caller;
    if (expected && !isDeepStrictEqual(storedCaller(orm, caller.id), expected.caller)) return 'changed';
    if (expected && keys && !hasAllKeys(storedKeysOf(orm, caller.id), expected)) return 'changed';
    orm.insert(callers).values(caller).onConflictDoUpdate({ target: callers.id, set }).run();
    if (keys !== undefined) replaceKeys(orm, caller.id, keys, audit.at);
    cancelSessions(orm, lostBy(connectSessions, caller), audit.at);
    endSessions(orm, madeWithLostBinding(agentSessions, caller), 'key_deleted', audit.at);
    events.audienceChanged();
    record(audit, CALLERS_CHANGED);
    return 'put';
  };

const storedCaller = (orm: SqliteAccess['orm'], id: string): Caller | undefined =>
  orm.select().from(callers).where(eq(callers.id, id)).get();

const storedKeysOf = (orm: SqliteAccess['orm'], callerId: string) =>
  orm.select({ digest: callerKeys.digest }).from(callerKeys).where(eq(callerKeys.callerId, callerId)).all();

function replaceKeys(orm: SqliteAccess['orm'], callerId: string, keys: CallerKey[], now: number): void {
  const ofCaller = eq(callerKeys.callerId, callerId);
  const digests = keys.map((key) => key.digest);
  const deleted = orm
    .delete(callerKeys)
    .where(and(ofCaller, notInArray(callerKeys.digest, digests)))
    .returning({ id: callerKeys.id })
    .all();
  const ids = deleted.map(({ id }) => id);
  if (ids.length > 0) endWithKeys(orm, callerId, ids, now);
  const stored = orm
    .select({ digest: callerKeys.digest })
    .from(callerKeys)
    .where(and(ofCaller, inArray(callerKeys.digest, digests)))
    .all();
  const known = new Set(stored.map((key) => key.digest));
  for (const key of keys)
    if (known.has(key.digest))
      orm
        .update(callerKeys)
        .set({ expiresAt: key.expiresAt, mac: key.mac ?? null })
        .where(and(ofCaller, eq(callerKeys.digest, key.digest)))
        .run();
    else orm.insert(callerKeys).values(key).run();
}

/** What was made with keys that are deleted. Other replicas read of agent sessions that their key is gone. */
function endWithKeys(orm: SqliteAccess['orm'], callerId: string, keyIds: string[], now: number): void {
  cancelSessions(orm, createdBy(connectSessions, callerId, keyIds), now);
  endSessions(orm, madeBy(agentSessions, callerId, keyIds), 'key_deleted', now);
}

/** Inside an operation; `deleteDeliveriesOf` follows it. Returns the webhook endpoints that went with it; undefined: absent. */
export const callerRemover =
  ({ orm, record, events }: Pick<SqliteAccess, 'orm' | 'record' | 'events'>) =>
  (id: string, audit: AuditEntry): string[] | undefined => {
    if (orm.delete(callers).where(eq(callers.id, id)).run().changes === 0) return undefined;
    cancelSessions(orm, createdBy(connectSessions, id), audit.at);
    endSessions(orm, madeBy(agentSessions, id), 'caller_deleted', audit.at);
    const deleted = deleteEndpoints({ orm, events }, eq(webhookEndpoints.callerId, id));
    record(audit, CALLERS_CHANGED);
    return deleted;
  };

export function createCallerStore(access: SqliteAccess): CallerStore {
  const { orm, read, write, writeAside, record, events } = access;
  const remove = callerRemover(access);
  const at = placeholderFor(callerKeys.lastUsedAt, 'at');
  const touch = prepared(() =>
    orm
      .update(callerKeys)
      .set({ lastUsedAt: sql`max(coalesce(${callerKeys.lastUsedAt}, 0), ${at})` })
      .where(eq(callerKeys.id, sql.placeholder('keyId'))),
  );
  const touchSession = prepared(() =>
    orm
      .update(agentSessions)
      .set({ lastUsedAt: sql`max(coalesce(${agentSessions.lastUsedAt}, 0), ${at})` })
      .where(eq(agentSessions.id, sql.placeholder('keyId'))),
  );
  const all = prepared(() =>
    orm
      .select({ caller: callers, key: callerKeys })
      .from(callers)
      .leftJoin(callerKeys, eq(callerKeys.callerId, callers.id))
      .orderBy(asc(callers.id), asc(callerKeys.id)),
  );

  return {
    callers: () => read(() => callersFrom(all.all())),
    storedKeys: (digests) =>
      read(() => {
        const found = orm.select({ digest: callerKeys.digest }).from(callerKeys);
        return found
          .where(inArray(callerKeys.digest, [...digests]))
          .all()
          .map(({ digest }) => digest);
      }),
    addCaller: (caller, key, audit) =>
      write(() => {
        orm.insert(callers).values(caller).run();
        if (key) orm.insert(callerKeys).values(key).run();
        record(audit, CALLERS_CHANGED);
      }),
    updateCaller: ({ id, createdAt: _, ...rest }, audit, expected) =>
      write(() => {
        const stored = expected && storedCaller(orm, id);
        if (stored && !isDeepStrictEqual(stored, expected)) return 'changed';
        if (orm.update(callers).set(rest).where(eq(callers.id, id)).run().changes === 0) return 'absent';
        cancelSessions(orm, lostBy(connectSessions, { ...rest, id }), audit.at);
        endSessions(orm, madeWithLostBinding(agentSessions, { ...rest, id }), 'key_deleted', audit.at);
        events.audienceChanged();
        record(audit, CALLERS_CHANGED);
        return 'updated';
      }),
    addCallerKey: (key, audit) =>
      write(() => {
        if (!orm.select({ id: callers.id }).from(callers).where(eq(callers.id, key.callerId)).get()) return 'absent';
        orm.insert(callerKeys).values(key).run();
        record(audit, CALLERS_CHANGED);
        return 'added';
      }),
    async deleteCaller(id, audit) {
      const endpoints = await write(() => remove(id, audit));
      if (!endpoints) return 'absent';
      await deleteDeliveriesOf(access, endpoints);
      return 'deleted';
    },
    deleteCallerKey: (callerId, keyId, audit) =>
      write(() => {
        const theKey = and(eq(callerKeys.callerId, callerId), eq(callerKeys.id, keyId));
        if (orm.delete(callerKeys).where(theKey).run().changes === 0) return 'absent';
        endWithKeys(orm, callerId, [keyId], audit.at);
        record(audit, CALLERS_CHANGED);
        return 'deleted';
      }),
    touchKeys: async (uses) => {
      if (uses.length === 0) return;
      await writeAside(() => uses.forEach((use) => void (isSessionId(use.keyId) ? touchSession : touch).run(use)));
    },
  };
}
