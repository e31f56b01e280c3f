// How far in the future the times can be that something waits for: what is further away was stored by a clock that was ahead.
import {
  BACKGROUND_BACKOFF_MAX_MS,
  CLAIMED_DUE_AGAIN_MS,
  CLOCK_SKEW_MAX_MS,
  DELIVERY_CLAIM_MS,
  JOB_RETRY_MAX_MS,
  LIMIT_WAIT_MAX_MS,
  REGISTRATION_CLAIM_MS,
} from '../../domain/time-limits.ts';
import { HELD } from '../../domain/webhook-endpoint.ts';

/** Milliseconds. */
export const FURTHEST = {
  claim: CLAIMED_DUE_AGAIN_MS + CLOCK_SKEW_MAX_MS,
  job: JOB_RETRY_MAX_MS + CLOCK_SKEW_MAX_MS,
  background: BACKGROUND_BACKOFF_MAX_MS + CLOCK_SKEW_MAX_MS,
  block: LIMIT_WAIT_MAX_MS + CLOCK_SKEW_MAX_MS,
  registration: REGISTRATION_CLAIM_MS + CLOCK_SKEW_MAX_MS,
  failure: CLOCK_SKEW_MAX_MS,
} as const;

/** Of a row of `deliveries`, with `now` as SQL: a clock that was ahead made it, attempted it or claimed it. */
export const misdatedDelivery = (now: string): string => `
  next_at > ${now} + ${CLOCK_SKEW_MAX_MS} and next_at < ${HELD} and (attempts = 0
    or last_attempt_at > ${now} + ${CLOCK_SKEW_MAX_MS}
    or claimed_until > ${now} + ${DELIVERY_CLAIM_MS + CLOCK_SKEW_MAX_MS})`;

/**
 * What was attempted is due after the wait that it had then, which a `Retry-After` may have set, from now on: a second correction
 * changes nothing. One that may be on its way is due when a claim that is made now would end; all else at once.
 */
export const correctedDelivery = (now: string): string => {
  const isAttempted = `attempts > 0 and last_attempt_at > ${now} + ${CLOCK_SKEW_MAX_MS}`;
  return `
  next_at = ${now} + case
    when claimed_until is not null then ${DELIVERY_CLAIM_MS}
    when ${isAttempted} and next_at > last_attempt_at then next_at - last_attempt_at
    else 0 end,
  claimed_until = case when claimed_until is null then null else ${now} + ${DELIVERY_CLAIM_MS} end,
  last_attempt_at = case when ${isAttempted} then ${now} else last_attempt_at end`;
};

/** The order of `deliveries_by_status`, in which the open ones are the last. */
export interface DeliveryPlace {
  status: string;
  id: string;
}

export function deliveryPlace(cursor = 'failing '): DeliveryPlace {
  const [status = '', id = ''] = cursor.split(' ');
  return { status, id };
}

export const deliveryCursor = ({ status, id }: DeliveryPlace): string => `${status} ${id}`;
