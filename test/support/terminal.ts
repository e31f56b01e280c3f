// Runs the command line in this process, and captures what it prints.
import type { Io } from '../../src/cli/io.ts';
import { run } from '../../src/cli/run.ts';

export interface Printed {
  code: number;
  out: string;
  err: string;
}

export type Valetkey = (args: string[], more?: Partial<Io>) => Promise<Printed>;

/** By default no terminal and an empty stdin; it never waits. */
export function createTerminal(env: Record<string, string>, given: Partial<Io> = {}): Valetkey {
  return async (args, more = {}) => {
    const printed = { out: '', err: '' };
    const io: Io = {
      env,
      out: (line) => {
        printed.out += `${line}\n`;
      },
      write: async (bytes) => {
        printed.out += Buffer.from(bytes).toString('utf8');
      },
      note: (line) => {
        printed.err += `${line}\n`;
      },
      input: async () => '',
      inputBytes: async () => new Uint8Array(),
      outIsTty: false,
      inputIsTty: false,
      color: false,
      fetch,
      open: () => Promise.reject(new Error('there is no browser')),
      question: () => Promise.reject(new Error('there is no terminal')),
      now: Date.now,
      pause: (_, signal) =>
        new Promise((resolve, reject) => {
          setImmediate(() => (signal.aborted ? reject(signal.reason) : resolve()));
        }),
      interrupted: () => new AbortController().signal,
      ...given,
      ...more,
    };
    return { code: await run(args, io), ...printed };
  };
}
