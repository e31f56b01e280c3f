// Fault scenarios of a chaos run, one fault at a time, while readers read.
import { setTimeout as pause } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import type { ChaosRun } from './driver.ts';
import type { RefreshRecord } from './provider.ts';

export type Scenario = (context: ChaosRun) => Promise<void>;

/**
 * Random provider faults while brokers are killed. With a reuse window there are none that outlast it: a lost response can
 * only be requested again within the window.
 */
const randomFaults: Scenario = ({ setProviderRules: rules, options }) => {
  const outages = options.windowMs > 0 ? {} : { unavailable: 0.03, throttled: 0.01 };
  const faults = { ...outages, broken: 0.01, cutBefore: 0.01, garbageBefore: 0.01 };
  return rules({ faults, latency: [0, 60], life: [2, 5], retryAfter: 1, clockSkewMs: 3_600_000 });
};

export const noFaults: Scenario = (context) =>
  context.setProviderRules({ faults: {}, latency: [0, 20], retryAfter: 1, clockSkewMs: 0, closes: 0 });

/** A pause for brokers to retry lost refreshes, and how often it is due. */
const RECOVERY_BREAK = { everyMs: 4_000, ms: 3_000 };
/** Longer on PostgreSQL, where leases of a dead broker are taken over after six seconds. */
const POSTGRES_RECOVERY_BREAK = { everyMs: 1_500, ms: 8_500 };

/** Kills repeatedly, with pauses, so that lost refreshes are retried within the reuse window. */
async function killRepeatedly(context: ChaosRun, count: number, kill: (i: number) => Promise<void>): Promise<void> {
  await randomFaults(context);
  const { postgres, windowMs } = context.options;
  const recoveryBreak = postgres !== undefined && windowMs > 0 ? POSTGRES_RECOVERY_BREAK : RECOVERY_BREAK;
  let lastBreak = Date.now();
  for (let i = 0; i < count; i++) {
    await kill(i);
    if (Date.now() - lastBreak < recoveryBreak.everyMs) continue;
    await pause(recoveryBreak.ms);
    lastBreak = Date.now();
  }
  await noFaults(context);
}

export const randomKills =
  (count: number): Scenario =>
  (context) =>
    killRepeatedly(context, count, async () => {
      await pause(context.random.between(150, 1_200));
      await context.kill();
    });

/** One worker after the other is killed; the others take over what it had begun. */
export const workerKills =
  (count: number): Scenario =>
  (context) =>
    killRepeatedly(context, count, async () => {
      await pause(context.random.between(150, 1_200));
      await context.killWorker();
    });

const POINTS = ['claimed', 'answered', 'committed'] as const;

export const killsAtRefreshPoints =
  (count: number): Scenario =>
  (context) =>
    killRepeatedly(context, count, async (i) => {
      await pause(context.random.between(50, 400));
      await context.killAt(POINTS[i % POINTS.length]!, context.random.between(1, 12));
    });

export const restarts =
  (count: number): Scenario =>
  async (context) => {
    await randomFaults(context);
    for (let i = 0; i < count; i++) {
      await pause(context.random.between(100, 800));
      await context.restart();
    }
    await noFaults(context);
  };

/** The maximum number of requests within one second. */
export function peakPerSecond(spends: readonly RefreshRecord[]): number {
  let [most, from] = [0, 0];
  for (const [i, { at }] of spends.entries()) {
    while (spends[from]!.at <= at - 1_000) from++;
    most = Math.max(most, i - from + 1);
  }
  return most;
}

const PROBED_WITHIN_MS = 30_000;

/** The provider responds with 503 for a while. Afterwards the backlog must not exceed the rate limit: rejects when it does. */
export const providerOutage =
  (ms: number, watchMs = 4_000): Scenario =>
  async (context) => {
    await context.setProviderRules({ faults: { unavailable: 1 }, retryAfter: 1 });
    await pause(ms);
    const { length } = await context.refreshesFrom(0);
    await noFaults(context);
    // The circuit breaker of each endpoint closes after a probe.
    const deadline = Date.now() + PROBED_WITHIN_MS;
    const enough = context.options.connections / 4;
    while ((await context.refreshesFrom(length)).length < enough && Date.now() < deadline) await pause(100);
    await pause(watchMs);
    const { concurrency, perSecond } = context.options.limits;
    const backlog = await context.refreshesFrom(length);
    const peak = peakPerSecond(backlog);
    if (backlog.length < enough) throw new Error(`after the outage only ${backlog.length} requests came`);
    if (peak > concurrency + perSecond)
      throw new Error(`after the outage ${peak} requests came within a second, allowed are ${concurrency + perSecond}`);
  };

/** A CDN in front of the provider begins to compress, in every coding, rightly and wrongly. */
export const compressedResponses =
  (ms: number): Scenario =>
  async (context) => {
    await context.setProviderRules({ codings: true, life: [1, 3] });
    await pause(ms);
    await context.setProviderRules({ codings: false });
  };

export const providerRateLimit =
  (ms: number): Scenario =>
  async (context) => {
    await context.setProviderRules({ faults: { throttled: 0.3 }, retryAfter: 1 });
    await pause(ms);
    await noFaults(context);
  };

/** Requests without a response, and slow responses. */
export const providerLatency =
  (ms: number): Scenario =>
  async (context) => {
    await context.setProviderRules({ faults: { hangBefore: 0.05 }, latency: [200, 1_500] });
    await pause(ms);
    await noFaults(context);
  };

/** The connection is closed before or after the rotation. */
export const lostResponses =
  (ms: number): Scenario =>
  async (context) => {
    const lossy = context.options.windowMs > 0 ? { cutAfter: 0.2, garbageAfter: 0.1 } : {};
    await context.setProviderRules({ faults: { cutBefore: 0.2, ...lossy } });
    await pause(ms);
    await noFaults(context);
  };

/** A hanging refresh is requested a second time within the reuse window, after this long. */
const HANG_MS = 9_500;

/** The provider rotates and then hangs, for a while. */
export const hangsAfterRotation =
  (ms: number): Scenario =>
  async (context) => {
    const { length } = await context.refreshesFrom(0);
    await context.setProviderRules({ faults: { hangAfter: 1 }, life: [2, 5] });
    await pause(ms);
    await noFaults(context);
    await pause(HANG_MS);
    const hung = (await context.refreshesFrom(length)).filter(({ fault }) => fault === 'hangAfter');
    if (hung.length === 0) throw new Error('no request has hung');
  };

/** Freezes the provider: what is sent meanwhile waits in its sockets. */
export const providerStopped =
  (ms: number): Scenario =>
  async ({ provider, recordThaw }) => {
    provider.signal('SIGSTOP');
    await pause(ms);
    recordThaw();
    provider.signal('SIGCONT');
  };

/** Each response comes this late, after the rotation. */
export const slowResponses =
  (ms: number, lateMs: number): Scenario =>
  async (context) => {
    await context.setProviderRules({ latency: [lateMs / 2, lateMs / 2], life: [15, 40] });
    await pause(ms);
    await context.setProviderRules({ life: [2, 5] });
    await noFaults(context);
  };

/** A broker is frozen, for up to this long each time, while the provider answers. */
export const brokerFrozen =
  (times: number, maxMs: number): Scenario =>
  async (context) => {
    await context.setProviderRules({ latency: [0, 300] });
    for (let i = 0; i < times; i++) {
      await pause(context.random.between(100, 1_000));
      await context.freeze(context.broker(), context.random.between(maxMs / 4, maxMs));
    }
    await noFaults(context);
  };

/** The client's secret is wrong for a while, which must not lose any grant. */
export const misconfiguration =
  (ms: number): Scenario =>
  async (context) => {
    await context.setProviderRules({ faults: { invalidClient: 1 } });
    await pause(ms);
    await noFaults(context);
    await context.saveIntegration();
  };

/** The provider refuses every refresh token for a while, although all of them live. */
export const massInvalidGrant =
  (ms: number): Scenario =>
  async (context) => {
    await context.setProviderRules({ faults: { invalidGrant: 1 } });
    await pause(ms);
    await noFaults(context);
  };

/** A wrong client id is saved for a while; the provider refuses refresh tokens that are not this client's. */
export const wrongClientId =
  (ms: number): Scenario =>
  async (context) => {
    await context.saveIntegration('wrong');
    await context.setProviderRules({ faults: { invalidGrant: 1 } });
    await pause(ms);
    await noFaults(context);
    await context.saveIntegration();
  };

/** Runs `work` while another process locks these files. */
async function withLockedFiles(paths: string[], work: (unlock: () => void) => Promise<void>): Promise<void> {
  const held = paths.map((path) => {
    const file = new Sqlite(path, { timeout: 5_000 });
    file.exec('BEGIN EXCLUSIVE');
    return file;
  });
  const unlock = () => {
    for (const file of held.splice(0)) file.close();
  };
  try {
    await work(unlock);
  } finally {
    unlock();
  }
}

/** Another process locks the database, and optionally the rescue file. */
export const databaseLocked =
  (ms: number, { rescueToo = false, killAmid = false } = {}): Scenario =>
  ({ database, kill }) =>
    withLockedFiles(rescueToo ? [database, `${database}.rescue`] : [database], async (unlock) => {
      await pause(ms);
      if (!killAmid) return;
      // It cannot start while the database is locked.
      const killed = kill();
      await pause(300);
      unlock();
      await killed;
    });

export const clockJumps =
  (eachMs: number): Scenario =>
  async (context) => {
    for (const clockOffMs of [3_600_000, 0, -3_600_000, 0]) {
      context.broker().send({ clockOffMs });
      await pause(eachMs);
    }
  };

/** Two brokers on one database are killed in turn. */
export const killsOfTwoBrokers =
  (kills: number): Scenario =>
  async (context) => {
    let [older, younger] = [context.broker(), await context.startBroker()];
    for (let i = 0; i < kills; i++) {
      await pause(context.random.between(500, 2_000));
      await context.killForGood(older);
      await pause(context.random.between(0, 2_000));
      [older, younger] = [younger, await context.startBroker()];
    }
    await younger.end('SIGTERM');
  };

/** One of two brokers is killed during refreshes and not restarted: the other must take its refreshes over. */
export const replicaKilledDuringRefreshes: Scenario = async (context) => {
  await context.setProviderRules({ life: [2, 3], latency: [200, 500] });
  const victim = context.broker();
  await context.startBroker();
  const { length } = await context.refreshesFrom(0);
  while ((await context.refreshesFrom(length)).length < context.options.connections) await pause(50);
  await context.killForGood(victim);
  await pause(context.options.windowMs + 500);
};

/** The database is locked until one of two brokers has written its rescue file; then that one is killed. */
export const replicaKilledWithRescueFile: Scenario = async (context) => {
  await context.setProviderRules({ life: [3, 5], latency: [400, 900] });
  const victim = context.broker();
  await context.startBroker();
  await pause(5_000);
  await withLockedFiles([context.database], async () => {
    await pause(7_500);
    await context.killForGood(victim);
  });
  await pause(2_000);
  await noFaults(context);
};
