// A worker as the supervisor sees it: a child process with a channel.
import { fork } from 'node:child_process';
import type { ToSupervisor, ToWorker } from './messages.ts';

export interface Ended {
  /** Null: it was killed by `signal`. */
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface WorkerProcess {
  readonly pid: number | undefined;
  /** Does nothing when the process has ended. */
  send(message: ToWorker): void;
  onMessage(listener: (message: ToSupervisor) => void): void;
  kill(signal: NodeJS.Signals): void;
  /** It has ended, and all that it has said is heard. Never rejects. */
  ended: Promise<Ended>;
}

/** The environment, which main.ts reads. */
export type Environment = Record<string, string | undefined>;

/** Says to a process that it is a worker. No setting: the process that reads it removes it. */
export const WORKER_MARK = 'VALETKEY_IS_WORKER';

/** Runs a program, by default that of this process once more, with the environment that is given. */
export function forkWorker(env: Environment, [program = '', ...args] = process.argv.slice(1)): WorkerProcess {
  const child = fork(program, args, {
    env: { ...env, [WORKER_MARK]: '1' },
    execArgv: [
      // Beside each event loop, one thread of V8. An option of the supervisor itself comes later, and counts.
      '--v8-pool-size=1',
      // The variables of such a file are in the environment already, as they were at the start.
      ...process.execArgv.filter((option) => !option.startsWith('--env-file')),
    ],
    // Numbers that JSON has no word for are among the metrics.
    serialization: 'advanced',
  });
  const ended = new Promise<Ended>((resolve) => {
    child.once('exit', (code, signal) => {
      const end = () => resolve({ code, signal });
      // What it has said last may still be in the channel.
      if (child.connected) child.once('disconnect', end);
      else end();
    });
    // No process could be made.
    child.once('error', () => child.pid === undefined && resolve({ code: 1, signal: null }));
  });
  return {
    pid: child.pid,
    // A process that ends meanwhile is heard of by `ended`.
    send: (message) => void (child.connected && child.send(message, () => undefined)),
    onMessage: (listener) => void child.on('message', (message) => listener(message as ToSupervisor)),
    kill: (signal) => void child.kill(signal),
    ended,
  };
}
