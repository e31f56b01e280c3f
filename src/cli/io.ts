// Everything that commands do outside their own process memory, behind one interface, so that tests can replace it.
import { once } from 'node:events';
import { arrayBuffer, text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { EXIT } from './failure.ts';

export interface Io {
  env: Record<string, string | undefined>;
  /** Prints a line to stdout: results only. */
  out(line: string): void;
  /** Writes bytes to stdout, as fast as they are taken. */
  write(bytes: Uint8Array): Promise<void>;
  /** Prints a line to stderr: messages for people. */
  note(line: string): void;
  /** All of stdin. */
  input(): Promise<string>;
  /** The same, as bytes. */
  inputBytes(): Promise<Uint8Array<ArrayBuffer>>;
  /** Whether stdout is a terminal: then lists are tables, otherwise tab-separated lines. */
  outIsTty: boolean;
  inputIsTty: boolean;
  /** Whether stdout takes colours: NO_COLOR turns them off. */
  color: boolean;
  fetch: typeof fetch;
  /** Opens a URL in a browser. Rejects if there is none. */
  open(url: string): Promise<void>;
  /** Asks for a line at the terminal. */
  question(text: string): Promise<string>;
  now(): number;
  /** Rejects with an `AbortError` if the signal is aborted first. */
  pause(ms: number, signal: AbortSignal): Promise<void>;
  /** Aborted by Ctrl-C. From the first call on, Ctrl-C no longer ends the process. */
  interrupted(): AbortSignal;
}

export function processIo(env: Io['env']): Io {
  const { stdin, stdout, stderr } = process;
  // A reader such as `head` closes the pipe early.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    stderr.write(`the output cannot be written: ${error.message}\n`);
    process.exit(EXIT.refused);
  });
  stderr.on('error', () => undefined);
  return {
    env,
    out: (line) => void stdout.write(`${line}\n`),
    async write(bytes) {
      if (!stdout.write(bytes)) await once(stdout, 'drain');
    },
    note: (line) => void stderr.write(`${line}\n`),
    input: () => text(stdin),
    inputBytes: async () => new Uint8Array(await arrayBuffer(stdin)),
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
