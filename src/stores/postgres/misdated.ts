// Times that a clock has stored which was ahead and was set back since, in PostgreSQL.
import { and, gt, isNotNull, sql } from 'drizzle-orm';
import type { MisdatedStore } from '../../ports/index.ts';
import {
  correctedDelivery,
  type DeliveryPlace,
  deliveryCursor,
  deliveryPlace,
  FURTHEST,
  misdatedDelivery,
} from '../shared/misdated.ts';
import type { PostgresAccess } from './client.ts';
import {
  clientRegistrations,
  jobs,
  pendingRevocations,
  rateBuckets,
  receivedWebhooks,
  webhookEndpoints,
} from './schema.ts';

const PAGE = `
  select connection_id as id, coalesce(due_at > $1::bigint + ${FURTHEST.claim} and exists (
    select 1 from connections c where c.id = connection_id and c.status = 'active' and c.next_refresh_at <= $1::bigint), false)
    as misdated
  from leases where connection_id > $2 order by connection_id limit $3`;
/**
 * Not one that another replica has moved on meanwhile. Waits for connections, before it locks their leases, as sets of claims and
 * commits do: what is skipped is on no later page.
 */
const MAKE_DUE = `
  with locked as materialized (select id from connections where id = any($2::text[]) order by id for no key update)
  update leases set due_at = $1::bigint from locked
  where connection_id = locked.id and due_at > $1::bigint + ${FURTHEST.claim}`;

/** Open deliveries, page by page. */
export const DELIVERIES = `
  select id, status from deliveries
  where status <> 'delivered' and (status, id) > ($1, $2) order by status, id limit $3`;
const CORRECT_DELIVERIES = `
  update deliveries set ${correctedDelivery('$1::bigint')} where id = any($2::text[]) and ${misdatedDelivery('$1::bigint')}`;

export const createMisdatedStore = ({
  autocommit,
  transaction,
}: Pick<PostgresAccess, 'autocommit' | 'transaction'>): MisdatedStore => ({
  correctTimes: (now) =>
    transaction(async (orm) => {
      const due = { nextAt: now };
      const isLater = (t: typeof jobs | typeof receivedWebhooks | typeof pendingRevocations, ms: number) =>
        and(isNotNull(t.nextAt), gt(t.nextAt, now + ms));
      const isClaimed = gt(clientRegistrations.claimedUntil, now + FURTHEST.registration);
      const isFailing = gt(webhookEndpoints.failingSince, now + FURTHEST.failure);
      // By the clock of the server, as they are.
      const isBlocked = sql`${rateBuckets.blockedUntil} > extract(epoch from clock_timestamp()) * 1000 + ${sql.raw(String(FURTHEST.block))}`;
      const changed = [
        await orm.update(jobs).set(due).where(isLater(jobs, FURTHEST.job)),
        await orm.update(receivedWebhooks).set(due).where(isLater(receivedWebhooks, FURTHEST.background)),
        await orm
          .update(pendingRevocations)
          .set({ ...due, claimedUntil: null })
          .where(isLater(pendingRevocations, FURTHEST.background)),
        await orm.update(clientRegistrations).set({ claimedUntil: now }).where(isClaimed),
        await orm.update(webhookEndpoints).set({ failingSince: now }).where(isFailing),
        await orm.update(rateBuckets).set({ blockedUntil: null }).where(isBlocked),
      ];
      return changed.reduce((sum, { rowCount }) => sum + (rowCount ?? 0), 0);
    }),
  correctDueTimes: (now, { limit, after = '' }) =>
    autocommit(async (orm) => {
      const at = Math.floor(now);
      const { rows } = await orm.$client.query<{ id: string; misdated: boolean }>(PAGE, [at, after, limit]);
      const ids = rows.filter(({ misdated }) => misdated).map(({ id }) => id);
      if (ids.length > 0) await orm.$client.query(MAKE_DUE, [at, ids]);
      return { corrected: ids.length, next: rows.length < limit ? null : rows.at(-1)!.id };
    }),
  correctDeliveries: (now, { limit, after }) =>
    autocommit(async (orm) => {
      const { status, id } = deliveryPlace(after);
      const { rows } = await orm.$client.query<DeliveryPlace>(DELIVERIES, [status, id, limit]);
      const ids = rows.map((row) => row.id);
      const { rowCount } = await orm.$client.query(CORRECT_DELIVERIES, [Math.floor(now), ids]);
      const last = rows.length < limit ? undefined : rows.at(-1);
      return { corrected: rowCount ?? 0, next: last ? deliveryCursor(last) : null };
    }),
});
