// All that commands touch of the world, so that a test can stand in its place.
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';

export interface Io {
  env: Record<string, string | undefined>;
  /** A line on stdout: the answer, and nothing else. */
  out(line: string): void;
  /** A line on stderr: what people should know besides. */
  note(line: string): void;
  /** All of stdin. */
  input(): Promise<string>;
  /** Whether a person reads stdout; then answers are laid out, otherwise they are lines of fields between tabs. */
  outIsTty: boolean;
  inputIsTty: boolean;
  /** Whether stdout takes colours: NO_COLOR turns them off. */
  color: boolean;
  fetch: typeof fetch;
  /** Shows a URL to the person. Rejects when that cannot be done here. */
  open(url: string): Promise<void>;
  /** Asks the person at the terminal for a line. */
  question(text: string): Promise<string>;
  now(): number;
  /** Rejects with an `AbortError` when the signal comes first. */
  pause(ms: number, signal: AbortSignal): Promise<void>;
  /** Aborted by Ctrl-C, from the first call on. */
  interrupted(): AbortSignal;
}

export function processIo(env: Io['env']): Io {
  const { stdin, stdout, stderr } = process;
  // Whoever has read enough, such as `head`, closes the pipe.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
  return {
    env,
    out: (line) => void stdout.write(`${line}\n`),
    note: (line) => void stderr.write(`${line}\n`),
    input: () => text(stdin),
    outIsTty: stdout.isTTY === true,
    inputIsTty: stdin.isTTY === true,
    color: stdout.isTTY === true && stdout.hasColors(),
    fetch,
    async open(url) {
      const { default: open } = await import('open');
      await open(url);
    },
    async question(asked) {
      const { createInterface } = await import('node:readline/promises');
      const terminal = createInterface({ input: stdin, output: stderr });
      try {
        return await terminal.question(asked);
      } finally {
        terminal.close();
      }
    },
    now: Date.now,
    pause: (ms, signal) => pause(ms, undefined, { signal }),
    interrupted() {
      const controller = new AbortController();
      process.once('SIGINT', () => controller.abort());
      return controller.signal;
    },
  };
}
