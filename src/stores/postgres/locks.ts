// Locks that replicas take for the length of a transaction: rows, which every database has. Some that speak PostgreSQL's
// protocol have no advisory locks, or functions of that name that lock nothing.
import { eq, sql } from 'drizzle-orm';
import { type AUDIENCE, AUDIENCE_VERSIONS } from '../shared/events.ts';
import { isLacking } from './errors.ts';
import type { Orm, Prepare } from './orm.ts';
import { eventSequences } from './schema.ts';

/** The rows of `event_sequences` that are of no connection. */
type Lock = typeof AUDIENCE | 'signing_keys';

/** The advisory locks of earlier releases, whose replicas may still run. A later release takes none. */
const ADVISORY = { audience: 0x76_6b_61_75, signing_keys: 0x76_6b_73_6b } satisfies Record<Lock, number>;

export interface Locks {
  /** Returns its version, which every exclusive one has changed. Waits for an exclusive one, and that waits for it. */
  shared(orm: Orm, lock: Lock): Promise<number | undefined>;
  exclusive(orm: Orm, lock: Lock): Promise<void>;
}

export function createLocks(prepared: Prepare): Locks {
  const { connectionId, sequence } = eventSequences;
  const statements = prepared((orm, name) => ({
    shared: orm
      .select({ version: sequence })
      .from(eventSequences)
      .where(eq(connectionId, sql.placeholder('lock')))
      .for('share')
      .prepare(name('shared_lock')),
  }));
  const version = sql`floor(random() * ${sql.raw(String(AUDIENCE_VERSIONS))})::int`;

  return {
    async shared(orm, lock) {
      const shared = async () => (await statements(orm).shared.execute({ lock }))[0]?.version;
      const known = await shared();
      if (known !== undefined) return known;
      // Once in the life of a database: until its row is there, there is nothing to lock.
      await orm.insert(eventSequences).values({ connectionId: lock, sequence: version }).onConflictDoNothing();
      return shared();
    },
    async exclusive(orm, lock) {
      await lockWhereSupported((text) => orm.execute(sql.raw(text)), ADVISORY[lock]);
      const row = { connectionId: lock, sequence: version };
      await orm
        .insert(eventSequences)
        .values(row)
        .onConflictDoUpdate({ target: connectionId, set: { sequence: sql`excluded.sequence` } });
    },
  };
}

/** Inside a transaction: an advisory lock until its end, or none where the database has no such locks or permits none. */
export async function lockWhereSupported(query: (text: string) => Promise<unknown>, key: number): Promise<void> {
  await query('savepoint unlocked');
  try {
    await query(`select pg_advisory_xact_lock(${key})`);
  } catch (error) {
    if (!isLacking(error)) throw error;
    await query('rollback to savepoint unlocked');
  }
}
