// How many requests at once, and how many a second, an integration's token endpoint gets from us; whoever waits in
// front of a reader goes first. How many at once is each process's own affair; how many a second is that of all together,
// so that turns are taken from the store, as many at a time as can begin.
import type { BucketLimits } from '../../domain/token-bucket.ts';
import type { Clock, Store } from '../../ports/index.ts';

export type Priority = 'read' | 'background';

export interface RefreshLimits {
  /** Requests under way at once, for each integration, of this process. */
  concurrency: number;
  /** Requests a second, for each integration, of all processes; a burst of `concurrency` is allowed. */
  perSecond: number;
}

/** What background work has lately used within this time is taken at once; twice as long is it kept. */
const AHEAD_MS = 50;
/** Background work leaves this part of a burst to readers, here and elsewhere. */
const READERS_PART = 1 / 4;
/** More than can be worked off within this time is not taken from others. */
const QUEUE_MS = 3_000;

interface Turn {
  key: string;
  begin: () => void;
  fail: (error: unknown) => void;
}

/** The broker stops: the work was not begun. */
export class RateLimiterStopped extends Error {
  override name = 'Dismissed';
}

interface Lane {
  integration: string;
  running: number;
  read: Turn[];
  background: Turn[];
  /** Taken from the store, and not used yet. */
  held: number;
  heldUntil: number;
  /** How many are taken ahead: twice as many when all were used in time, half as many when some were not. */
  appetite: number;
  asking: boolean;
  timer: NodeJS.Timeout | undefined;
}

export type RateLimiter = ReturnType<typeof createRateLimiter>;

interface Parts extends RefreshLimits {
  store: Pick<Store, 'takeFromBucket'>;
  clock: Pick<Clock, 'monotonic'>;
}

export function createRateLimiter({ store, clock, concurrency, perSecond }: Parts) {
  const lanes = new Map<string, Lane>();
  let dismissed = false;
  const most = Math.min(2 * concurrency, Math.ceil((perSecond * QUEUE_MS) / 1_000));
  const ahead = Math.max(1, Math.min(concurrency, Math.floor((perSecond * AHEAD_MS) / 1_000)));
  const ofReaders: BucketLimits = { perSecond, burst: concurrency, reserve: 0 };
  const ofBackground: BucketLimits = { ...ofReaders, reserve: Math.floor(concurrency * READERS_PART) };

  function laneOf(integration: string): Lane {
    let lane = lanes.get(integration);
    if (!lane) {
      const queues = { read: [], background: [] };
      lane = {
        integration,
        running: 0,
        ...queues,
        held: 0,
        heldUntil: 0,
        appetite: 1,
        asking: false,
        timer: undefined,
      };
      lanes.set(integration, lane);
    }
    return lane;
  }

  function advance(lane: Lane): void {
    if (lane.held > 0 && clock.monotonic() > lane.heldUntil) {
      lane.held = 0;
      // The next one is twice that.
      lane.appetite = Math.ceil(lane.appetite / 4);
    }
    while (lane.running < concurrency && lane.held > 0) {
      const turn = lane.read.shift() ?? lane.background.shift();
      if (!turn) return;
      lane.running++;
      lane.held--;
      turn.begin();
    }
    const isWaiting = lane.read.length + lane.background.length > 0 && lane.running < concurrency;
    if (isWaiting && !lane.asking) void ask(lane);
  }

  /** Without a turn that nobody else has, nothing begins: where the store cannot say, whoever waits is told. */
  async function ask(lane: Lane): Promise<void> {
    const isUrgent = lane.read.length > 0;
    if (lane.timer && !isUrgent) return;
    clearTimeout(lane.timer);
    lane.timer = undefined;
    const now = Math.min(isUrgent ? lane.read.length : lane.background.length, concurrency - lane.running);
    lane.asking = true;
    try {
      const [wanted, limits] = isUrgent ? [now, ofReaders] : [Math.max(now, lane.appetite), ofBackground];
      const { taken, inMs } = await store.takeFromBucket(lane.integration, wanted, limits);
      lane.held = taken;
      if (!isUrgent) lane.appetite = Math.min(2 * lane.appetite, ahead);
      lane.heldUntil = clock.monotonic() + 2 * AHEAD_MS;
      if (taken === 0 && !dismissed) lane.timer = setTimeout(again, inMs, lane);
    } catch (error) {
      for (const turn of [...lane.read.splice(0), ...lane.background.splice(0)]) turn.fail(error);
    }
    lane.asking = false;
    advance(lane);
  }

  function again(lane: Lane): void {
    lane.timer = undefined;
    advance(lane);
  }

  return {
    /** Runs the work when its turn comes. `key` names it for `hurry`. Rejects with `Dismissed`, or when the store fails. */
    run<T>(integration: string, key: string, urgency: Priority, work: () => Promise<T>): Promise<T> {
      const lane = laneOf(integration);
      return new Promise<T>((resolve, reject) => {
        const begin = () =>
          void work()
            .then(resolve, reject)
            .finally(() => {
              lane.running--;
              advance(lane);
            });
        if (dismissed) return reject(new RateLimiterStopped('the broker stops'));
        lane[urgency].push({ key, begin, fail: reject });
        advance(lane);
      });
    },

    /** A reader waits for it now: it goes before all background work. Without effect on what has begun. */
    prioritize(integration: string, key: string): void {
      const lane = lanes.get(integration);
      const at = lane?.background.findIndex((turn) => turn.key === key) ?? -1;
      if (!lane || at < 0) return;
      lane.read.push(...lane.background.splice(at, 1));
      advance(lane);
    },

    /** How much more background work an integration should be given now: enough to be busy, not a queue in memory. */
    room: (integration: string): number => {
      const lane = lanes.get(integration);
      return lane ? Math.max(0, most - lane.running - lane.read.length - lane.background.length) : most;
    },

    /** Nothing more begins; what has begun goes on. */
    stop(): void {
      dismissed = true;
      for (const lane of lanes.values()) {
        clearTimeout(lane.timer);
        for (const turn of [...lane.read.splice(0), ...lane.background.splice(0)])
          turn.fail(new RateLimiterStopped('the broker stops'));
      }
    },

    inFlight: (): number => [...lanes.values()].reduce((sum, lane) => sum + lane.running, 0),
  };
}
