// How many requests at once, and how many a second, an integration's token endpoint gets from us; whoever waits in
// front of a reader goes first.
import type { Clock } from '../ports.ts';

export type Urgency = 'read' | 'background';

export interface PaceLimits {
  /** Requests under way at once, for each integration. */
  concurrency: number;
  /** Requests a second, for each integration; a burst of `concurrency` is allowed. */
  perSecond: number;
}

interface Turn {
  key: string;
  begin: () => void;
  dismiss: () => void;
}

/** The broker stops: the work was not begun. */
export class Dismissed extends Error {
  override name = 'Dismissed';
}

interface Lane {
  running: number;
  read: Turn[];
  background: Turn[];
  /** Requests that may begin now; filled up as time goes by. */
  allowance: number;
  filledAt: number;
  timer: NodeJS.Timeout | undefined;
}

export type Pace = ReturnType<typeof createPace>;

export function createPace(clock: Pick<Clock, 'monotonic'>, { concurrency, perSecond }: PaceLimits) {
  const lanes = new Map<string, Lane>();
  let dismissed = false;

  function laneOf(integration: string): Lane {
    let lane = lanes.get(integration);
    if (!lane) {
      lane = {
        running: 0,
        read: [],
        background: [],
        allowance: concurrency,
        filledAt: clock.monotonic(),
        timer: undefined,
      };
      lanes.set(integration, lane);
    }
    return lane;
  }

  function fill(lane: Lane): void {
    const now = clock.monotonic();
    lane.allowance = Math.min(concurrency, lane.allowance + ((now - lane.filledAt) / 1_000) * perSecond);
    lane.filledAt = now;
  }

  function advance(lane: Lane): void {
    fill(lane);
    while (lane.running < concurrency && lane.allowance >= 1) {
      const turn = lane.read.shift() ?? lane.background.shift();
      if (!turn) return;
      lane.running++;
      lane.allowance--;
      turn.begin();
    }
    const waits = lane.read.length + lane.background.length > 0 && lane.running < concurrency;
    if (!waits || lane.timer) return;
    const ms = Math.ceil(((1 - lane.allowance) / perSecond) * 1_000);
    lane.timer = setTimeout(() => {
      lane.timer = undefined;
      advance(lane);
    }, ms);
  }

  return {
    /** Runs the work when its turn comes. `key` names it for `hurry`. */
    run<T>(integration: string, key: string, urgency: Urgency, work: () => Promise<T>): Promise<T> {
      const lane = laneOf(integration);
      return new Promise<T>((resolve, reject) => {
        const begin = () =>
          void work()
            .then(resolve, reject)
            .finally(() => {
              lane.running--;
              advance(lane);
            });
        if (dismissed) return reject(new Dismissed('the broker stops'));
        lane[urgency].push({ key, begin, dismiss: () => reject(new Dismissed('the broker stops')) });
        advance(lane);
      });
    },

    /** A reader waits for it now: it goes before all background work. Without effect on what has begun. */
    hurry(integration: string, key: string): void {
      const lane = lanes.get(integration);
      const at = lane?.background.findIndex((turn) => turn.key === key) ?? -1;
      if (lane && at >= 0) lane.read.push(...lane.background.splice(at, 1));
    },

    /** How much more background work an integration should be given now: enough to be busy, not a queue in memory. */
    room: (integration: string): number => {
      const lane = lanes.get(integration);
      return lane
        ? Math.max(0, 2 * concurrency - lane.running - lane.read.length - lane.background.length)
        : 2 * concurrency;
    },

    /** Nothing more begins; what has begun goes on. */
    dismiss(): void {
      dismissed = true;
      for (const lane of lanes.values()) {
        clearTimeout(lane.timer);
        for (const turn of [...lane.read.splice(0), ...lane.background.splice(0)]) turn.dismiss();
      }
    },

    inFlight: (): number => [...lanes.values()].reduce((sum, lane) => sum + lane.running, 0),
  };
}
