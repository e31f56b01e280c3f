// The time, as a parameter: a test sets it.

export interface Clock {
  /** Milliseconds since the epoch: for what is stored and shown. It may jump. */
  now(): number;
  /** Milliseconds that never run backwards, and count the time that the machine sleeps: for lifetimes, waits and deadlines. */
  monotonic(): number;
}
