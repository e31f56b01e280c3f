// What happens in the simulation: when each connection was due, refreshed, and without a valid token; and what the token
// endpoints were asked. All times are milliseconds since the beginning.

export interface Minute {
  /** Connections that became due, and refreshes that were committed. */
  due: number;
  refreshed: number;
  requests: number;
  failed: number;
  /** Seconds of circuits that were open, over all integrations. */
  openSeconds: number;
  /** Due and not refreshed, at its end. */
  backlog: number;
  /** The latest refresh: how long after it was due. */
  latest: number;
}

export interface Observations {
  minutes: Minute[];
  /** Of each refresh: how long after it was due, in ms, in the order of the commits. */
  lateness: Float64Array;
  /** When each of these was committed. */
  committedAt: Float64Array;
  /** Connections whose token expired before its successor was there, and for how long at most. */
  expired: { connections: number; longestMs: number };
  /** Requests of an integration in each second. */
  requests: Map<string, Uint32Array>;
  /** Connections due and not refreshed, at the end of each second. */
  backlog: Uint32Array;
}

export interface Observer {
  /** The first time that a connection is due, and when its token expires. */
  known(n: number, times: { dueAt: number; expiresAt: number }): void;
  refreshed(n: number, next: { dueAt: number; expiresAt: number }): void;
  requested(integration: string): void;
  failed(): void;
  /** Once in each second. */
  second(openCircuits: number): void;
  observations(): Observations;
}

const MINUTE = 60_000;

export function createObserver(connections: number, durationMs: number, elapsed: () => number): Observer {
  const dueAt = new Float64Array(connections);
  const expiresAt = new Float64Array(connections);
  const seconds = Math.ceil(durationMs / 1_000) + 1;
  const minutes: Minute[] = Array.from({ length: Math.ceil(durationMs / MINUTE) }, () => ({
    ...{ due: 0, refreshed: 0, requests: 0, failed: 0, openSeconds: 0, backlog: 0, latest: 0 },
  }));
  /** Connections that become due in each second. */
  const becomeDue = new Uint32Array(seconds);
  const backlog = new Uint32Array(seconds);
  const requests = new Map<string, Uint32Array>();
  let dueSoFar = 0;
  let refreshes = 0;
  let lateness = new Float64Array(connections);
  let committedAt = new Float64Array(connections);
  const expired = { connections: 0, longestMs: 0 };
  let secondsPassed = 0;

  const minuteOf = (at: number): Minute => minutes[Math.min(minutes.length - 1, Math.floor(at / MINUTE))]!;
  function willBeDue(n: number, times: { dueAt: number; expiresAt: number }): void {
    dueAt[n] = times.dueAt;
    expiresAt[n] = times.expiresAt;
    if (times.dueAt >= durationMs) return;
    const at = Math.max(0, times.dueAt);
    minuteOf(at).due++;
    becomeDue[Math.floor(at / 1_000)]!++;
  }
  function noteExpired(n: number, until: number): void {
    const without = until - expiresAt[n]!;
    if (without <= 0) return;
    expired.connections++;
    expired.longestMs = Math.max(expired.longestMs, without);
  }
  const longer = (values: Float64Array<ArrayBuffer>) => {
    const twice = new Float64Array(2 * values.length);
    twice.set(values);
    return twice;
  };

  return {
    known: willBeDue,
    refreshed(n, next) {
      const now = elapsed();
      const late = now - dueAt[n]!;
      if (refreshes === lateness.length) {
        lateness = longer(lateness);
        committedAt = longer(committedAt);
      }
      lateness[refreshes] = late;
      committedAt[refreshes++] = now;
      const minute = minuteOf(now);
      minute.refreshed++;
      minute.latest = Math.max(minute.latest, late);
      noteExpired(n, now);
      willBeDue(n, next);
    },
    requested(integration) {
      const now = elapsed();
      minuteOf(now).requests++;
      let counts = requests.get(integration);
      if (!counts) {
        counts = new Uint32Array(seconds);
        requests.set(integration, counts);
      }
      counts[Math.min(seconds - 1, Math.floor(now / 1_000))]!++;
    },
    failed() {
      minuteOf(elapsed()).failed++;
    },
    second(openCircuits) {
      const second = Math.min(seconds - 1, secondsPassed++);
      dueSoFar += becomeDue[second]!;
      backlog[second] = Math.max(0, dueSoFar - refreshes);
      const minute = minuteOf(second * 1_000);
      minute.openSeconds += openCircuits;
      minute.backlog = backlog[second]!;
    },
    observations() {
      const end = elapsed();
      const atEnd = { ...expired };
      for (let n = 0; n < connections; n++) {
        const without = end - expiresAt[n]!;
        if (without <= 0) continue;
        atEnd.connections++;
        atEnd.longestMs = Math.max(atEnd.longestMs, without);
      }
      return {
        minutes: minutes.slice(0, Math.ceil(end / MINUTE)),
        lateness: lateness.slice(0, refreshes),
        committedAt: committedAt.slice(0, refreshes),
        expired: atEnd,
        requests,
        backlog: backlog.slice(0, secondsPassed),
      };
    },
  };
}
