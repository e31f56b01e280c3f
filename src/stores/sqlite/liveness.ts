// Which processes are alive on this database: the operating system knows, by their locks, so that no clock and no heartbeat is
// needed. A frozen process keeps its lock, and its leases.
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, rmSync, statSync, utimes } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { HEARTBEAT_INTERVAL_MS, LIVE_HOLDERS_TTL_MS, PROCESS_DEAD_AFTER_MS } from '../../domain/time-limits.ts';
import { isOwnFile, writeOwnFile } from '../shared/own-files.ts';
import { openProcessLocks } from './process-locks.ts';

export interface Liveness {
  /** Names this process in leases. */
  readonly holder: string;
  isAlive(holder: string): boolean;
  /** All that are alive, this one included, in an order that all agree on; as of `LIVE_HOLDERS_TTL_MS` ago at most. */
  liveHolders(): readonly string[];
  /** Tells the others that this process subscribes, and has applied all changes up to this number. */
  tellApplied(seq: number): void;
  /** The other live processes that have told. `isResponsive`: not frozen, as far as can be seen. */
  subscribers(): { appliedSeq: number; isResponsive: boolean }[];
  /** Releases the lock, when the process stops using the database. */
  stop(): void;
}

/** For a database in memory, which no other process can open. */
const onlyProcess = (holder: string): Liveness => ({
  holder,
  isAlive: (other) => other === holder,
  liveHolders: () => [holder],
  tellApplied: () => undefined,
  subscribers: () => [],
  stop: () => undefined,
});

/** Registers this process, and removes the files of dead ones. `now`: milliseconds of a clock that only goes forward. */
export function startLiveness(databasePath: string, now: () => number = () => performance.now()): Liveness {
  if (databasePath === ':memory:') return onlyProcess(randomUUID());
  const locks = openProcessLocks(databasePath);
  const { holder } = locks;
  const folder = dirname(databasePath);
  const appliedPrefix = `${basename(databasePath)}-applied-`;
  const appliedFileOf = (name: string) => join(folder, `${appliedPrefix}${name}`);
  const isAlive = (name: string): boolean => locks.stateOf(name) === 'alive';
  let beating: NodeJS.Timeout | undefined;
  let live = { holders: [holder] as readonly string[], until: Number.NEGATIVE_INFINITY };
  for (const name of locks.dead()) if (locks.removeDead(name)) rmSync(appliedFileOf(name), { force: true });
  return {
    holder,
    isAlive,
    liveHolders() {
      if (now() >= live.until) live = { holders: locks.alive().sort(), until: now() + LIVE_HOLDERS_TTL_MS };
      return live.holders;
    },
    tellApplied(seq) {
      // At once or not at all, so that no one reads half of a number.
      const written = `${appliedFileOf(holder)}-new`;
      writeOwnFile(written, String(seq));
      renameSync(written, appliedFileOf(holder));
      beating ??= setInterval(() => {
        const now = new Date();
        utimes(appliedFileOf(holder), now, now, () => undefined);
      }, HEARTBEAT_INTERVAL_MS).unref();
    },
    subscribers: () =>
      readdirSync(folder).flatMap((entry) => {
        const name = entry.slice(appliedPrefix.length);
        if (!entry.startsWith(appliedPrefix) || name === holder || !isAlive(name)) return [];
        if (!isOwnFile(appliedFileOf(name))) return [];
        try {
          const appliedSeq = Number(readFileSync(appliedFileOf(name), 'utf8'));
          const age = Date.now() - statSync(appliedFileOf(name)).mtimeMs;
          return [{ appliedSeq, isResponsive: age < PROCESS_DEAD_AFTER_MS }];
        } catch {
          // It has stopped meanwhile.
          return [];
        }
      }),
    stop() {
      clearInterval(beating);
      locks.release();
      rmSync(appliedFileOf(holder), { force: true });
    },
  };
}
