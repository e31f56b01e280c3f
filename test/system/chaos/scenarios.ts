// What befalls the brokers of a chaos run, one thing at a time, while readers read.
import { setTimeout as pause } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import type { Stage } from './driver.ts';
import type { Spend } from './provider.ts';

export type Scenario = (stage: Stage) => Promise<void>;

/**
 * What requests may meet while brokers are killed. Where a lost answer can be had again for some seconds only, no
 * outage takes these seconds: each of the two is survived, both at once nobody could survive.
 */
const roughWeather: Scenario = ({ rules, options }) => {
  const outages = options.windowMs > 0 ? {} : { unavailable: 0.03, throttled: 0.01 };
  const faults = { ...outages, broken: 0.01, cutBefore: 0.01, garbageBefore: 0.01 };
  return rules({ faults, latency: [0, 60], life: [2, 5], retryAfter: 1, clockSkewMs: 3_600_000 });
};

export const fairWeather: Scenario = (stage) =>
  stage.rules({ faults: {}, latency: [0, 20], retryAfter: 1, clockSkewMs: 0 });

/** Long enough for a broker to ask again for what was lost; and how often it is given that, whatever starting takes. */
const BREATH = { everyMs: 4_000, ms: 3_000 };
/** On PostgreSQL, where the dead are succeeded after six seconds. */
const LATER_BREATH = { everyMs: 1_500, ms: 8_500 };

/** One kill after another; but no row of them longer than a reuse window, which nobody could survive. */
async function killing(stage: Stage, count: number, kill: (i: number) => Promise<void>): Promise<void> {
  await roughWeather(stage);
  const { postgres, windowMs } = stage.options;
  const breath = postgres !== undefined && windowMs > 0 ? LATER_BREATH : BREATH;
  let breathed = Date.now();
  for (let i = 0; i < count; i++) {
    await kill(i);
    if (Date.now() - breathed < breath.everyMs) continue;
    await pause(breath.ms);
    breathed = Date.now();
  }
  await fairWeather(stage);
}

export const randomKills =
  (count: number): Scenario =>
  (stage) =>
    killing(stage, count, async () => {
      await pause(stage.random.between(150, 1_200));
      await stage.kill();
    });

const POINTS = ['claimed', 'answered', 'committed'] as const;

export const chosenKills =
  (count: number): Scenario =>
  (stage) =>
    killing(stage, count, async (i) => {
      await pause(stage.random.between(50, 400));
      await stage.killAt(POINTS[i % POINTS.length]!, stage.random.between(1, 12));
    });

export const terms =
  (count: number): Scenario =>
  async (stage) => {
    await roughWeather(stage);
    for (let i = 0; i < count; i++) {
      await pause(stage.random.between(100, 800));
      await stage.restart();
    }
    await fairWeather(stage);
  };

/** The most requests that came within any second. */
export function peakPerSecond(spends: readonly Spend[]): number {
  let [most, from] = [0, 0];
  for (const [i, { at }] of spends.entries()) {
    while (spends[from]!.at <= at - 1_000) from++;
    most = Math.max(most, i - from + 1);
  }
  return most;
}

const PROBED_WITHIN_MS = 30_000;

/** 503 for a while; then what has waited is worked off no faster than allowed. Rejects when it is. */
export const outage =
  (ms: number, watchMs = 4_000): Scenario =>
  async (stage) => {
    await stage.rules({ faults: { unavailable: 1 }, retryAfter: 1 });
    await pause(ms);
    const { length } = await stage.spendsFrom(0);
    await fairWeather(stage);
    // The broker finds out with a probe.
    const deadline = Date.now() + PROBED_WITHIN_MS;
    while ((await stage.spendsFrom(length)).length < 2 && Date.now() < deadline) await pause(100);
    await pause(watchMs);
    const { concurrency, perSecond } = stage.options.limits;
    const backlog = await stage.spendsFrom(length);
    const peak = peakPerSecond(backlog);
    if (backlog.length < stage.options.connections / 4)
      throw new Error(`after the outage only ${backlog.length} requests came`);
    if (peak > concurrency + perSecond)
      throw new Error(`after the outage ${peak} requests came within a second, allowed are ${concurrency + perSecond}`);
  };

export const throttling =
  (ms: number): Scenario =>
  async (stage) => {
    await stage.rules({ faults: { throttled: 0.3 }, retryAfter: 1 });
    await pause(ms);
    await fairWeather(stage);
  };

/** Requests that are never answered, not even looked at; and answers that take seconds. */
export const slowness =
  (ms: number): Scenario =>
  async (stage) => {
    await stage.rules({ faults: { hangBefore: 0.05 }, latency: [200, 1_500] });
    await pause(ms);
    await fairWeather(stage);
  };

/** The connection breaks before or after the rotation. */
export const cuts =
  (ms: number): Scenario =>
  async (stage) => {
    const lossy = stage.options.windowMs > 0 ? { cutAfter: 0.2, garbageAfter: 0.1 } : {};
    await stage.rules({ faults: { cutBefore: 0.2, ...lossy } });
    await pause(ms);
    await fairWeather(stage);
  };

/** What has hung is given up, and asked for once more, within this. */
const HANG_MS = 9_500;

/** The provider rotates and then says nothing more; a moment later it is well again. */
export const hangs =
  (ms: number): Scenario =>
  async (stage) => {
    const { length } = await stage.spendsFrom(0);
    await stage.rules({ faults: { hangAfter: 1 }, life: [2, 5] });
    await pause(ms);
    await fairWeather(stage);
    await pause(HANG_MS);
    const hung = (await stage.spendsFrom(length)).filter(({ fault }) => fault === 'hangAfter');
    if (hung.length === 0) throw new Error('no request has hung');
  };

/** The client's secret is wrong for a while: that is nobody's grant. */
export const misconfiguration =
  (ms: number): Scenario =>
  async (stage) => {
    await stage.rules({ faults: { invalidClient: 1 } });
    await pause(ms);
    await fairWeather(stage);
    await stage.mend();
  };

/** While another process holds these files. */
async function withHeld(
  stage: Pick<Stage, 'held'>,
  paths: string[],
  work: (letGo: () => void) => Promise<void>,
): Promise<void> {
  const over = stage.held();
  const held = paths.map((path) => {
    const file = new Sqlite(path, { timeout: 5_000 });
    file.exec('BEGIN EXCLUSIVE');
    return file;
  });
  const letGo = () => {
    for (const file of held.splice(0)) file.close();
    over();
  };
  try {
    await work(letGo);
  } finally {
    letGo();
  }
}

/** Another process holds the database, and perhaps the rescue file too. */
export const lockedDisk =
  (ms: number, { rescueToo = false, killAmid = false } = {}): Scenario =>
  ({ database, kill, held }) =>
    withHeld({ held }, rescueToo ? [database, `${database}.rescue`] : [database], async (letGo) => {
      await pause(ms);
      if (!killAmid) return;
      // It cannot start while the disk is held.
      const dead = kill();
      await pause(300);
      letGo();
      await dead;
    });

export const clockJumps =
  (eachMs: number): Scenario =>
  async (stage) => {
    for (const clockOffMs of [3_600_000, 0, -3_600_000, 0]) {
      stage.broker().send({ clockOffMs });
      await pause(eachMs);
    }
  };

/** Two on one database; now one dies, now the other. */
export const twoBrokers =
  (kills: number): Scenario =>
  async (stage) => {
    let [older, younger] = [stage.broker(), await stage.start()];
    for (let i = 0; i < kills; i++) {
      await pause(stage.random.between(500, 2_000));
      await older.end('SIGKILL');
      stage.died();
      await pause(stage.random.between(0, 2_000));
      [older, younger] = [younger, await stage.start()];
    }
    await younger.end('SIGTERM');
  };

/** One of two dies amid its refreshes and is not started again: the other one must see to what it has left behind. */
export const loneSurvivor: Scenario = async (stage) => {
  await stage.rules({ life: [2, 3], latency: [200, 500] });
  const mortal = stage.broker();
  await stage.start();
  const { length } = await stage.spendsFrom(0);
  while ((await stage.spendsFrom(length)).length < stage.options.connections) await pause(50);
  await mortal.end('SIGKILL');
  stage.died();
  await pause(stage.options.windowMs + 500);
};

/** The disk is held until one of two has put its answers beside it; then that one is killed, and the other one goes on. */
export const rescuedByTheDead: Scenario = async (stage) => {
  await stage.rules({ life: [3, 5], latency: [400, 900] });
  const mortal = stage.broker();
  await stage.start();
  await pause(5_000);
  await withHeld(stage, [stage.database], async () => {
    await pause(7_500);
    await mortal.end('SIGKILL');
    stage.died();
  });
  await pause(2_000);
  await fairWeather(stage);
};
