// The processes of a chaos run: starts, controls and ends the provider and the brokers.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from './broker.ts';
import type { Controls } from './provider.ts';

/** A process's message when it accepts requests. */
export interface Listening {
  url: string;
  /** The certificate (PEM) and the URL of what it serves over TLS. */
  tls?: { url: string; certificate: string };
}

/** The answer to `killWorker`, when the worker has ended. */
export interface WorkerKilled {
  killedAt: number;
}

export interface RunningProcess extends Listening {
  send(order: Command): void;
  /** The next message of the process. */
  nextMessage(): Promise<unknown>;
  /** Freezes the process (SIGSTOP), or lets it go on (SIGCONT). */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  /** Ends the process; its exit code, null when it was killed. */
  end(signal: NodeJS.Signals): Promise<number | null>;
  /** Resolves when the process has ended. */
  gone: Promise<number | null>;
  isGone(): boolean;
}

const START_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 30_000;

/** `file` is relative to this one, or absolute. Undefined: the process ended before it listened; see the log. */
async function launch(
  file: string,
  args: string[],
  env: Record<string, string>,
  logPath: string,
): Promise<RunningProcess | undefined> {
  const log = openSync(logPath, 'a');
  const child = fork(isAbsolute(file) ? file : fileURLToPath(new URL(file, import.meta.url)), args, {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', log, log, 'ipc'],
    execArgv: [],
  });
  let ended = false;
  const gone = once(child, 'exit').then(([code]) => {
    ended = true;
    return code as number | null;
  });
  const late = setTimeout(() => child.kill('SIGKILL'), START_WITHIN_MS);
  const first = await Promise.race([once(child, 'message'), gone]);
  clearTimeout(late);
  if (!Array.isArray(first)) return undefined;
  return {
    ...(first[0] as Listening),
    send: (order) => void child.send(order),
    nextMessage: () => once(child, 'message').then(([message]) => message),
    signal: (signal) => void child.kill(signal),
    gone,
    isGone: () => ended,
    async end(signal) {
      child.kill(signal);
      const tooLate = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
      const code = await gone;
      clearTimeout(tooLate);
      return code;
    },
  };
}

/** `program`: the broker's bundle, which starts faster than its sources. */
export const launchBroker = (env: Record<string, string>, logPath: string, program = 'broker.ts') =>
  launch(program, [], env, logPath);

export interface ChaosProvider {
  /** Of the token and revocation endpoints. */
  baseUrl: string;
  tokenUrl: string;
  /** PEM, when the token endpoint is over TLS. */
  certificate: string | undefined;
  control<C extends keyof Controls>(name: C, ask: Controls[C]['ask']): Promise<Controls[C]['answer']>;
  signal: RunningProcess['signal'];
  end(): Promise<unknown>;
}

/** `tls`: the token endpoint is over TLS. */
export async function launchProvider(seed: number, logPath: string, tls = false): Promise<ChaosProvider> {
  const running = await launch('provider.ts', [String(seed)], {}, logPath);
  if (!running) throw new Error(`the provider did not start: ${logPath}`);
  const baseUrl = tls ? running.tls!.url : running.url;
  return {
    baseUrl,
    tokenUrl: `${baseUrl}/token`,
    certificate: tls ? running.tls!.certificate : undefined,
    async control<C extends keyof Controls>(name: C, ask: Controls[C]['ask']) {
      const response = await fetch(`${running.url}/control/${name}`, { method: 'POST', body: JSON.stringify(ask) });
      return (await response.json()) as Controls[C]['answer'];
    },
    signal: running.signal,
    end: () => running.end('SIGKILL'),
  };
}
