// Runs the real broker as a process of its own, as an operator would, and waits until it listens.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface RunningBroker {
  url: string;
  adminKey: string;
  process: ChildProcess;
  /** Everything that it has printed. */
  output(): string;
  /** Fulfilled with its exit code (null when killed) once it is gone. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const START_WITHIN_MS = 20_000;

/** `env` is laid over a set-up for loopback; `main` is what is run: the sources, or a bundle. Rejects, with what it printed, when it ends before it listens. */
export async function startBroker(env: Record<string, string> = {}, main = MAIN): Promise<RunningBroker> {
  const adminKey = env.VALETKEY_ADMIN_KEY ?? randomBytes(32).toString('base64url');
  const child = spawn(process.execPath, [main], {
    env: {
      PATH: process.env.PATH,
      VALETKEY_PORT: '0',
      VALETKEY_ADMIN_KEY: adminKey,
      VALETKEY_OUTBOUND_ALLOW: '127.0.0.1,localhost',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const gone = once(child, 'exit').then(([code]) => code as number | null);
  const printed: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => printed.push(text));

  const url = await new Promise<string>((resolve, reject) => {
    const late = setTimeout(() => child.kill('SIGKILL'), START_WITHIN_MS);
    createInterface({ input: child.stdout }).on('line', (line) => {
      printed.push(`${line}\n`);
      if (!line.includes('"event":"listening"')) return;
      clearTimeout(late);
      resolve((JSON.parse(line) as { url: string }).url);
    });
    void gone.then(() => {
      clearTimeout(late);
      reject(new Error(`the broker ended before it listened:\n${printed.join('')}`));
    });
  });

  return {
    url,
    adminKey,
    process: child,
    output: () => printed.join(''),
    stop(signal = 'SIGTERM') {
      child.kill(signal);
      return gone;
    },
  };
}
