// How far in the future the times can be that something waits for: what is further away was stored by a clock that was ahead.
import {
  BACKGROUND_BACKOFF_MAX_MS,
  CLAIMED_DUE_AGAIN_MS,
  CLOCK_SKEW_MAX_MS,
  JOB_RETRY_MAX_MS,
  LIMIT_WAIT_MAX_MS,
  REGISTRATION_CLAIM_MS,
} from '../../domain/time-limits.ts';

/** Milliseconds. */
export const FURTHEST = {
  claim: CLAIMED_DUE_AGAIN_MS + CLOCK_SKEW_MAX_MS,
  job: JOB_RETRY_MAX_MS + CLOCK_SKEW_MAX_MS,
  background: BACKGROUND_BACKOFF_MAX_MS + CLOCK_SKEW_MAX_MS,
  block: LIMIT_WAIT_MAX_MS + CLOCK_SKEW_MAX_MS,
  registration: REGISTRATION_CLAIM_MS + CLOCK_SKEW_MAX_MS,
} as const;
