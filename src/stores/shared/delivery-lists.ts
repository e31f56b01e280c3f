// Lists of deliveries, for the tables of any dialect: which index range is read, and which of its rows match.
import { and, type Column, eq, inArray, lt, type SQL, sql } from 'drizzle-orm';
import type { DeliveryFilter } from '../../ports/index.ts';

type Columns = Record<'id' | 'endpointId' | 'eventId' | 'status', Column | SQL.Aliased>;

/** Equal values by which an index finds deliveries in the order of their ids; of an event, there is one for each endpoint. */
export type DeliveryRange = Pick<DeliveryFilter, 'endpoint' | 'event' | 'status'>;

/** The ranges, merged, have all rows that match. `own`: the endpoints of the filter's caller; undefined: all. */
export function deliveryRanges(filter: DeliveryFilter, own: readonly string[] | undefined): DeliveryRange[] {
  const { endpoint, event, status } = filter;
  if (event !== undefined) return [{ event }];
  if (endpoint !== undefined) return [{ endpoint }];
  if (own !== undefined) return own.map((one) => ({ endpoint: one }));
  // Most are delivered, so that all are read for these; the others have an index.
  return status === undefined || status === 'delivered' ? [{}] : [{ status }];
}

/** Newest first: the next step has lower ids. */
export const inDeliveryRange = (
  deliveries: Columns,
  { endpoint, event, status }: DeliveryRange,
  after: string | undefined,
): SQL | undefined =>
  and(
    is(deliveries.endpointId, endpoint),
    is(deliveries.eventId, event),
    is(deliveries.status, status),
    // A literal: only then is the partial index used.
    status === undefined ? undefined : sql`${deliveries.status} <> 'delivered'`,
    after === undefined ? undefined : lt(deliveries.id as Column, after),
  );

export const matchesDelivery = (
  deliveries: Columns,
  { endpoint, event, status }: DeliveryFilter,
  own: readonly string[] | undefined,
): SQL | undefined =>
  and(
    is(deliveries.endpointId, endpoint),
    is(deliveries.eventId, event),
    is(deliveries.status, status),
    own === undefined ? undefined : inArray(deliveries.endpointId as Column, [...own]),
  );

const is = (column: Column | SQL.Aliased, value: string | undefined) =>
  value === undefined ? undefined : eq(column as Column, value);
