// Code that a process of a test runs before its own: a faster stop, a disk that hangs.

/** Environment variables with which a process of Node runs this first. */
export const preloaded = (...code: string[]): { NODE_OPTIONS: string } => ({
  NODE_OPTIONS: code.map((part) => `--import=data:text/javascript,${encodeURIComponent(part)}`).join(' '),
});

/** From SIGTERM on, timers fire so many times sooner: before, a busy machine would be late for some of them. */
export const fasterStop = (times: number): string => `
  let sooner = 1;
  process.once('SIGTERM', () => { sooner = ${times}; });
  const timer = setTimeout;
  globalThis.setTimeout = (run, ms, ...more) => timer(run, ms / sooner, ...more);`;

/**
 * While a file of this path exists, whoever brings a file to the disk hangs, in a system call that does not return: a thread
 * opens this named pipe, which no one writes to. It says `the disk hangs`.
 */
export const hangingDisk = (while_: string, pipe: string): string => `
  import fs from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  const { fdatasync } = fs;
  fs.fdatasync = (fd, done) => {
    if (!fs.existsSync(${JSON.stringify(while_)})) return fdatasync(fd, done);
    console.error('the disk hangs');
    fs.open(${JSON.stringify(pipe)}, 'r', done);
  };
  syncBuiltinESMExports();`;
