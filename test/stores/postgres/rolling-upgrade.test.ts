// Replicas of the release before beside those of this one, on one database: with the statements that they send.
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import type { Claimed } from '../../../src/ports/index.ts';
import { asked } from '../../support/postgres.ts';
import { createMigratedDatabase, openTestStore } from '../../support/stores.ts';
import { aConnection, anEntry, connected, NOW, someCredentials, someRefreshedFields } from '../builders.ts';

const HOLDER = 'f3a0e1d2-0000-4000-8000-000000000001';
const LATER = NOW + 3_600_000;

/** A replica of the release before, which is alive. */
async function earlierReplica(url: string) {
  const client = new Client(url);
  await client.connect();
  onTestFinished(() => client.end());
  await client.query(
    `insert into replicas (holder, seen_at, applied_seq) values ('${HOLDER}', clock_timestamp() + interval '1 hour', -1)`,
  );
  const rowsOf = async (statement: string, values: unknown[] = []) => (await client.query(statement, values)).rows;
  return {
    rowsOf,
    async claimDue(integration: string): Promise<string[]> {
      const rows = await rowsOf(
        `with due as materialized (
           select id, next_refresh_at as due_at from connections
           where status = 'active' and integration = $1 and next_refresh_at <= $2
           order by next_refresh_at limit 10 for no key update skip locked
         )
         update connections set next_refresh_at = $3 from due where connections.id = due.id
         returning connections.id, due_at`,
        [integration, NOW, NOW + 30_000],
      );
      return rows.map(({ id }) => id);
    },
    /** The fence; undefined: another process holds the lease. */
    async claim(id: string): Promise<number | undefined> {
      await client.query('begin');
      await rowsOf(`select * from connections where (id = $1 and status = 'active') for no key update`, [id]);
      const [row] = await rowsOf(
        `select grants.*, l.fence, l.holder, exists (select 1 from replicas where replicas.holder = l.holder
           and seen_at > clock_timestamp() - interval '6000 milliseconds') as alive
         from grants left join leases l on l.connection_id = grants.connection_id where grants.connection_id = $1`,
        [id],
      );
      const isBusy = row.holder !== null && row.holder !== HOLDER && row.alive;
      const fence = (row.fence ?? 0) + 1;
      if (!isBusy)
        await rowsOf(
          `insert into leases (connection_id, fence, holder, attempt, started_at) values ($1, $2, $3, $4, $5)
           on conflict (connection_id) do update set fence = excluded.fence, holder = excluded.holder,
             attempt = excluded.attempt, started_at = excluded.started_at`,
          [id, fence, HOLDER, 'att_earlier', NOW],
        );
      await client.query('commit');
      return isBusy ? undefined : fence;
    },
    async commit(id: string, nextRefreshAt: number): Promise<void> {
      await client.query('begin');
      await rowsOf('select generation from connections where id = $1 for no key update', [id]);
      await rowsOf(
        `update connections set reason = null, failures = 0, last_refresh_error = null, generation = generation + 1,
           issued_at = $2, next_refresh_at = $3, updated_at = $2, status = case when status = 'on_hold' then 'on_hold' else 'active' end
         where id = $1`,
        [id, NOW, nextRefreshAt],
      );
      await rowsOf('update leases set holder = null, attempt = null, started_at = null where connection_id = $1', [id]);
      await client.query('commit');
    },
  };
}

async function setUp() {
  const url = await createMigratedDatabase();
  const store = await openTestStore(url);
  const earlier = await earlierReplica(url);
  const { connection } = await connected(store, { nextRefreshAt: NOW - 10_000, failures: 0, lastRefreshError: null });
  const { id, integration } = connection;
  const claim = () => store.claim(id, { attempt: 'att_1', generation: 99, now: NOW, monotonic: 0 });
  /** The ids, at a time when they fall to any replica. */
  const due = async (now: number) => (await store.dueConnections(integration, now, 10)).map((row) => row.connection.id);
  return { url, store, earlier, connection, id, integration, claim, due };
}

test('a lease of the release before keeps this one from claiming, until it is committed', async () => {
  const { store, earlier, id, claim } = await setUp();
  const fence = (await earlier.claim(id))!;
  expect(await claim()).toBe('busy');
  await earlier.commit(id, LATER);
  const claimed = (await claim()) as Claimed;
  expect(claimed).toMatchObject({ unresolved: null, connection: { generation: 2, nextRefreshAt: LATER } });
  expect(claimed.fence).toBeGreaterThan(fence);
  expect(await store.unresolvedRefreshes()).toEqual([]);
});

test('a lease of this release keeps the one before from claiming, until it is committed', async () => {
  const { store, earlier, id, claim } = await setUp();
  const { fence } = (await claim()) as Claimed;
  expect(await earlier.claim(id)).toBeUndefined();
  const routine = { fence, generation: 1, isRoutine: true, keepsValues: true };
  expect(await store.commitRefresh(id, routine, someRefreshedFields(), someCredentials(), anEntry, 'changes')).toBe(
    'committed',
  );
  expect(await earlier.claim(id)).toBe(fence + 1);
});

test('the commit of the release before, as one function, leaves nothing held and the times of its connection', async () => {
  const { store, earlier, id, claim, due } = await setUp();
  const { fence } = (await claim()) as Claimed;
  const [answer] = await earlier.rowsOf(
    `select valetkey_commit_refresh($1, $2, 1, null, $3, $4, $4, null, $3, $3, 'a', 'r', null, null) as done`,
    [id, fence, NOW, LATER],
  );
  expect(answer).toEqual({ done: true });
  expect(await earlier.rowsOf('select holder, attempt, due_at from leases')).toEqual([
    { holder: null, attempt: null, due_at: String(LATER) },
  ]);
  expect(await due(NOW + 40_000)).toEqual([]);
  expect((await store.connection(id))?.generation).toBe(2);
});

test('an intent that the release before has left is inherited, and one of this release by the one before', async () => {
  const { store, earlier, id, claim } = await setUp();
  await earlier.claim(id);
  await earlier.rowsOf(`delete from replicas where holder = '${HOLDER}'`);
  expect(await store.unresolvedRefreshes()).toEqual([{ id, startedAt: NOW }]);
  expect(await claim()).toMatchObject({ unresolved: { attempt: 'att_earlier', startedAt: NOW } });
  expect(await earlier.rowsOf('select attempt, started_at from leases')).toEqual([
    { attempt: 'att_1', started_at: String(NOW) },
  ]);
});

test('what the release before has pushed, committed or made is due then, for this one too', async () => {
  const { store, earlier, integration, id, due } = await setUp();
  expect(await due(NOW)).toEqual([id]);
  expect(await earlier.claimDue(integration)).toEqual([id]);
  expect(await due(NOW)).toEqual([]);
  expect(await due(NOW + 40_000)).toEqual([id]);
  await earlier.claim(id);
  await earlier.commit(id, LATER);
  expect(await due(NOW + 40_000)).toEqual([]);
  expect(await due(LATER + 10_000)).toEqual([id]);
  // A row without the columns that this release has beside the lease.
  const other = aConnection({ integration });
  await earlier.rowsOf(
    `insert into connections (id, integration, owner, label, status, scopes, metadata, params, captured, token_type,
       issued_at, next_refresh_at, failures, generation, created_at, updated_at)
     values ($1, $2, 'o', 'l', 'active', '[]', '{}', '{}', '{}', 'Bearer', $3, $3, 0, 1, $3, $3)`,
    [other.id, integration, NOW],
  );
  await earlier.rowsOf('insert into grants (connection_id) values ($1)', [other.id]);
  expect(await due(NOW + 40_000)).toEqual([other.id]);
  expect(await store.claim(other.id, { attempt: 'att_2', generation: 1, now: NOW, monotonic: 0 })).toMatchObject({
    fence: 1,
  });
});

test('what this release has claimed, the one before may hand out, and finds busy', async () => {
  const { earlier, integration, id, claim } = await setUp();
  await claim();
  expect(await earlier.claimDue(integration)).toEqual([id]);
  expect(await earlier.claim(id)).toBeUndefined();
});

test('the times beside every lease are those of its connection, however it was changed', async () => {
  const { url, store, earlier, id, connection } = await setUp();
  const differing = () =>
    asked(
      url,
      `select c.id from connections c full join leases l on l.connection_id = c.id
       where (c.status <> 'revoked') <> (l.connection_id is not null) or l.integration <> c.integration
         or l.due_at is distinct from case when c.status = 'active' then c.next_refresh_at end
         or l.dead_at is distinct from case when c.status = 'needs_reauth' then c.updated_at end
         or l.ends_at is distinct from case when c.status = 'active' then c.reauth_due_at end`,
    );
  expect(await differing()).toEqual([]);
  // The commit writes both, and keeps the trigger from it; what the session does next is in step again.
  const commit = (n: number) =>
    `select * from valetkey_commit_refreshes('{${id}}', '{0}', '{${n}}', '{null}', '{${NOW}}', '{${NOW + n}}', '{${NOW + n}}',
       '{${NOW + n}}', '{${NOW}}', '{${NOW}}', '{a}', '{r}', '{null}', '{null}')`;
  expect(await earlier.rowsOf(commit(1))).toMatchObject([{ place: 1 }]);
  expect(await earlier.rowsOf('select due_at from leases')).toEqual([{ due_at: String(NOW + 1) }]);
  expect(await differing()).toEqual([]);
  await earlier.rowsOf(`update connections set next_refresh_at = ${LATER}, reauth_due_at = ${LATER}`);
  expect(await differing()).toEqual([]);
  await earlier.rowsOf('begin');
  await earlier.rowsOf(commit(2));
  await earlier.rowsOf(`update connections set next_refresh_at = ${LATER}`);
  await earlier.rowsOf('commit');
  expect(await differing()).toEqual([]);
  await asked(url, `update connections set status = 'needs_reauth', reason = 'grant_revoked', updated_at = ${NOW + 5}`);
  expect(await differing()).toEqual([]);
  await store.renewConnection({ ...connection, reauthDueAt: NOW + 7 }, someCredentials(), null, anEntry());
  expect(await differing()).toEqual([]);
  await store.hold(id, 'account_disabled', NOW + 8, anEntry());
  expect(await differing()).toEqual([]);
  await store.revoke(id, 'unsupported', NOW + 9, anEntry());
  expect(await differing()).toEqual([]);
});
