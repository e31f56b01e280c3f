// What happened by the hour, as charts show it.

import type { Refusal } from '../../domain/errors.ts';
import type { HourlyCount } from '../../domain/hourly-counts.ts';
import type { Store } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';

/**
 * The counts of the hours that begin at `from` or later and before `to`, in ms since the epoch, in their order; integration
 * undefined: of all. For callers with `admin:read` on everything. Rejects with `StoreError`.
 */
export type ReadHourlyHistory = (
  call: Call,
  range: { from: number; to: number; integration?: string | undefined },
) => Promise<HourlyCount[] | Refusal>;

interface Parts {
  store: Pick<Store, 'hourlyCounts'>;
  access: Pick<Access, 'denied'>;
}

export const hourlyHistoryReader =
  ({ store, access }: Parts): ReadHourlyHistory =>
  async (call, range) =>
    access.denied(call, 'admin:read', '*', '*') ?? store.hourlyCounts(range);
