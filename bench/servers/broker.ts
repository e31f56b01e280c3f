// The broker, in a process that also reports the progress of refreshes, its commits and its memory.
import { readFileSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import { start } from '../../src/runtime/app.ts';
import { parseConfig } from '../../src/runtime/config.ts';
import { stopPretenuring } from '../../src/runtime/v8-flags.ts';
import { answerTo } from './remote.ts';
import { turns } from './turns.ts';

let commits = 0;
/** Each commit is one fsync of the write-ahead log. */
const prepare = Sqlite.prototype.prepare;
Sqlite.prototype.prepare = function counted(this: Sqlite.Database, sql: string) {
  const statement = prepare.call(this, sql);
  if (sql === 'COMMIT') {
    const run = statement.run.bind(statement, []);
    statement.run = () => {
      commits++;
      return run();
    };
  }
  return statement;
} as typeof prepare;

let progress = { claimed: 0, kept: 0, since: 0, until: 0, commits: 0, lastCommits: 0 };
const parsed = parseConfig(process.env, (path) => readFileSync(path, 'utf8'));
if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
const { url } = await start(parsed.config, createLogger(parsed.config.logLevel), {
  reached(point) {
    if (point === 'claimed' && progress.claimed++ === 0) {
      progress.since = performance.now();
      progress.commits = commits;
    }
    if (point === 'committed') {
      progress.kept++;
      progress.until = performance.now();
      progress.lastCommits = commits;
    }
  },
});

stopPretenuring();

export interface Progress {
  claimed: number;
  kept: number;
  /** From the first claim to the last commit. */
  seconds: number;
  /** The times of these, in milliseconds of a clock that all processes share. */
  since: number;
  until: number;
  commits: number;
}

const handlers = {
  url: (_: null): string => url,
  /** Resets the counters. */
  forget(_: null): void {
    progress = { claimed: 0, kept: 0, since: 0, until: 0, commits: 0, lastCommits: 0 };
  },
  progress: (_: null): Progress => ({
    claimed: progress.claimed,
    kept: progress.kept,
    seconds: (progress.until - progress.since) / 1_000,
    since: performance.timeOrigin + progress.since,
    until: performance.timeOrigin + progress.until,
    commits: progress.lastCommits - progress.commits,
  }),
  turns,
  /** Bytes in use after a garbage collection; needs `--expose-gc`. */
  memory(_: null): { heap: number; resident: number } {
    globalThis.gc!();
    globalThis.gc!();
    const { heapUsed, external, rss } = process.memoryUsage();
    return { heap: heapUsed + external, resident: rss };
  },
};
export type Broker = typeof handlers;
answerTo(handlers);
