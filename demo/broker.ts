// Starts the broker as a process, as an operator does, and waits until it listens.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface RunningBroker {
  url: string;
  adminKey: string;
  process: ChildProcess;
  /** Its output so far. */
  output(): string;
  /** Resolves with the exit code (null if killed) once the process has exited. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const START_TIMEOUT_MS = 60_000;

/** `env` overrides settings for loopback. `main`: the file to run. Rejects with the output if the process exits before it listens. */
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
    const late = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS);
    createInterface({ input: child.stdout }).on('line', (line) => {
      printed.push(`${line}\n`);
      if (!line.includes('"event":"listening"')) return;
      clearTimeout(late);
      resolve((JSON.parse(line) as { url: string }).url);
    });
    void gone.then(() => {
      clearTimeout(late);
      reject(new Error(`the broker exited before it listened:\n${printed.join('')}`));
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
