// The brokers of a chaos run: where each of them lives, its own line to the database, how it starts and is cut off.
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Link, openTcpProxy } from '../../support/tcp-proxy.ts';
import { launchBroker, type Running } from './processes.ts';
import type { SeededRandom } from './seeded-random.ts';

/** One that was killed comes back to its place: to its own disk and its own line. */
export interface Place {
  broker: Running | undefined;
  env: Record<string, string>;
  /** To PostgreSQL. */
  link: Link | undefined;
  /** When the line broke the last time, and when it was whole again. */
  away: { since: number; until: number } | undefined;
}

export interface Brokers {
  /** Starts a broker at a place where none lives, until it does start. */
  start(): Promise<Running>;
  /** Of those that live, any; undefined: none does. */
  any(): Running | undefined;
  living(): Running[];
  /** Of those that live, and whose line can be broken, so many. */
  places(count?: number): Place[];
  breakLine(place: Place, how: 'cut' | 'stall'): void;
  mendLine(place: Place): void;
  /**
   * Whether it should serve at `at` what it has served since then (undefined: never). One that is cut off, or has not
   * noticed yet that it can go on, has only what it has served itself, and of that not what it had news of and could not
   * look at any more.
   */
  mustHold(broker: Running, at: number, servedSince: number | undefined): boolean;
  close(): Promise<void>;
}

interface Options {
  env: Record<string, string>;
  folder: string;
  logPath: string;
  random: SeededRandom;
  /** URL of the database; undefined: the brokers share a file, and nothing can be cut. */
  postgres: string | undefined;
  /** A bundle of the broker; undefined: its sources. */
  program: string | undefined;
}

const START_WITHIN_MS = 30_000;
/** Of what a broker has just served itself, the news are still under way to it. */
const NEWS_MS = 500;
/** Between two signs of life to a database that is away. */
const HEALING_MS = 1_500;

export function openBrokers({ env, folder, logPath, random, postgres, program }: Options): Brokers {
  const all: Place[] = [];
  const lives = ({ broker }: Place) => broker !== undefined && !broker.isGone();
  const living = () => all.filter(lives).map(({ broker }) => broker!);

  async function build(): Promise<Place> {
    const place: Place = { broker: undefined, env, link: undefined, away: undefined };
    all.push(place);
    if (postgres === undefined) return place;
    const data = join(folder, `replica_${all.length}`);
    place.link = await openTcpProxy(postgres);
    place.env = { ...env, VALETKEY_DATABASE_URL: place.link.url, VALETKEY_DATA_DIR: data };
    return place;
  }

  return {
    async start() {
      const place = all.find((each) => !lives(each)) ?? (await build());
      for (const begun = Date.now(); Date.now() - begun < START_WITHIN_MS; await pause(50)) {
        const broker = await launchBroker(place.env, logPath, program);
        if (!broker) continue;
        place.broker = broker;
        return broker;
      }
      throw new Error(`no broker started; see ${logPath}`);
    },
    any() {
      const [first, ...others] = living();
      return first && (others.length === 0 ? first : random.pick([first, ...others]));
    },
    living,
    places: (count = all.length) => {
      const cuttable = all.filter((place) => place.link && lives(place));
      while (cuttable.length > count) cuttable.splice(random.between(0, cuttable.length - 1), 1);
      return cuttable;
    },
    breakLine(place, how) {
      place.away = { since: Date.now(), until: Number.POSITIVE_INFINITY };
      place.link?.[how]();
    },
    mendLine(place) {
      if (place.away) place.away.until = Date.now();
      place.link?.heal();
    },
    mustHold(broker, at, servedSince) {
      const away = all.find((place) => place.broker === broker)?.away;
      if (away === undefined || at > away.until + HEALING_MS) return true;
      return servedSince !== undefined && servedSince < away.since - NEWS_MS;
    },
    async close() {
      await Promise.all(living().map((each) => each.end('SIGKILL')));
      await Promise.all(all.map(({ link }) => link?.close()));
    },
  };
}
