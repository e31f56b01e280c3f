// The time, as a parameter: a test sets it.

export interface Clock {
  /** Milliseconds since the epoch: for what is stored and shown. It may jump. */
  now(): number;
  /** Milliseconds that never run backwards: for waits and deadlines in this process. */
  monotonic(): number;
}
