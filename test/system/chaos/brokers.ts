// The replicas of a chaos run: each has its own data directory and its own proxy to the database.
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.ts';
import { launchBroker, type RunningProcess } from './processes.ts';
import type { SeededRandom } from './seeded-random.ts';

/** A restarted broker gets the data directory and proxy of the one that was killed. */
export interface Replica {
  broker: RunningProcess | undefined;
  env: Record<string, string>;
  /** The proxy to PostgreSQL. */
  proxy: TcpProxy | undefined;
  /** The last disconnection from the database, in ms since the epoch. */
  disconnected: { since: number; until: number } | undefined;
}

export interface Brokers {
  /** Starts a broker for a replica that is not running, and retries until it starts. */
  start(): Promise<RunningProcess>;
  /** A random running broker; undefined when none runs. */
  any(): RunningProcess | undefined;
  running(): RunningProcess[];
  /** This many running replicas with a proxy; all by default. */
  replicas(count?: number): Replica[];
  disconnect(replica: Replica, how: 'cut' | 'stall'): void;
  reconnect(replica: Replica): void;
  /**
   * Whether a broker must serve a token at `at` that it has served itself since `servedSince` (undefined: never). A
   * disconnected broker, or one that has not noticed its reconnection yet, has only what it served itself, without what was
   * invalidated just before.
   */
  mustHold(broker: RunningProcess, at: number, servedSince: number | undefined): boolean;
  close(): Promise<void>;
}

interface Options {
  env: Record<string, string>;
  folder: string;
  logPath: string;
  random: SeededRandom;
  /** The database's URL; undefined: the brokers share a SQLite file, and cannot be disconnected. */
  postgres: string | undefined;
  /** The broker's bundle; undefined: its sources. */
  program: string | undefined;
}

const START_TIMEOUT_MS = 90_000;
/** How long the invalidation of a token that a broker just served may take to arrive. */
const PROPAGATION_MS = 500;
/** The interval of reconnection attempts. */
const RECONNECT_MS = 1_500;

export function createBrokers({ env, folder, logPath, random, postgres, program }: Options): Brokers {
  const all: Replica[] = [];
  const isRunning = ({ broker }: Replica) => broker !== undefined && !broker.isGone();
  const running = () => all.filter(isRunning).map(({ broker }) => broker!);

  async function addReplica(): Promise<Replica> {
    const replica: Replica = { broker: undefined, env, proxy: undefined, disconnected: undefined };
    all.push(replica);
    if (postgres === undefined) return replica;
    const data = join(folder, `replica_${all.length}`);
    replica.proxy = await startTcpProxy(postgres);
    replica.env = { ...env, VALETKEY_DATABASE_URL: replica.proxy.url, VALETKEY_DATA_DIR: data };
    return replica;
  }

  return {
    async start() {
      const replica = all.find((each) => !isRunning(each)) ?? (await addReplica());
      for (const begun = Date.now(); Date.now() - begun < START_TIMEOUT_MS; await pause(50)) {
        const broker = await launchBroker(replica.env, logPath, program);
        if (!broker) continue;
        replica.broker = broker;
        return broker;
      }
      throw new Error(`no broker started; see ${logPath}`);
    },
    any() {
      const [first, ...others] = running();
      return first && (others.length === 0 ? first : random.pick([first, ...others]));
    },
    running: running,
    replicas: (count = all.length) => {
      const cuttable = all.filter((replica) => replica.proxy && isRunning(replica));
      while (cuttable.length > count) cuttable.splice(random.between(0, cuttable.length - 1), 1);
      return cuttable;
    },
    disconnect(replica, how) {
      replica.disconnected = { since: Date.now(), until: Number.POSITIVE_INFINITY };
      replica.proxy?.[how]();
    },
    reconnect(replica) {
      if (replica.disconnected) replica.disconnected.until = Date.now();
      replica.proxy?.heal();
    },
    mustHold(broker, at, servedSince) {
      const away = all.find((replica) => replica.broker === broker)?.disconnected;
      if (away === undefined || at > away.until + RECONNECT_MS) return true;
      return servedSince !== undefined && servedSince < away.since - PROPAGATION_MS;
    },
    async close() {
      await Promise.all(running().map((each) => each.end('SIGKILL')));
      await Promise.all(all.map(({ proxy: link }) => link?.close()));
    },
  };
}
