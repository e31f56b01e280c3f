// Remote calls to a process of the bench, over Node's IPC channel.
import { type ChildProcess, fork, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

type Handlers = Record<string, (given: never) => unknown>;

interface Call {
  id: number;
  name: string;
  given: unknown;
}
type Reply = { id: number; value: unknown } | { id: number; error: string };

/** In the child process: handles calls until the parent disconnects. */
export function answerTo(handlers: Handlers): void {
  process.on('message', async ({ id, name, given }: Call) => {
    try {
      process.send!({ id, value: await handlers[name]!(given as never) });
    } catch (error) {
      process.send!({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
  process.on('disconnect', () => process.exit());
  process.send!({ id: 0, value: 'ready' });
}

/** The parent's handle of a child process. */
export interface Remote<H extends Handlers> {
  pid: number;
  ask<N extends keyof H & string>(name: N, given: Parameters<H[N]>[0]): Promise<Awaited<ReturnType<H[N]>>>;
  stop(): Promise<void>;
}

interface RemoteOptions {
  env?: Record<string, string>;
  execArgv?: string[];
  /** Its standard output; standard error is inherited. */
  stdout?: 'ignore' | 'inherit';
}

const DOCKERFILE = readFileSync(new URL('../../Dockerfile', import.meta.url), 'utf8');
/** Those of Node that the image starts the broker with. */
export const BROKER_OPTIONS = (JSON.parse(/^CMD (.+)$/m.exec(DOCKERFILE)![1]!) as string[]).slice(1, -1);

/** Starts `bench/servers/<name>.ts`; resolves when it is ready. */
export async function startRemote<H extends Handlers>(name: string, options: RemoteOptions = {}): Promise<Remote<H>> {
  const { env = {}, execArgv = [], stdout = 'ignore' } = options;
  const stdio: StdioOptions = ['ignore', stdout, 'inherit', 'ipc'];
  const child = fork(fileURLToPath(new URL(`./${name}.ts`, import.meta.url)), [], {
    env: { PATH: process.env.PATH, ...env },
    execArgv: [...(name === 'broker' ? BROKER_OPTIONS : []), ...execArgv],
    serialization: 'advanced',
    stdio,
  });
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  const answered = (id: number) => new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
  let last = 0;
  child.on('message', (answer: Reply) => {
    const one = waiting.get(answer.id);
    waiting.delete(answer.id);
    if ('error' in answer) one?.reject(new Error(`${name}: ${answer.error}`));
    else one?.resolve(answer.value);
  });
  const gone = once(child, 'exit');
  void gone.then(([code]) => {
    for (const { reject } of waiting.values()) reject(new Error(`${name} exited with ${code}`));
  });
  await answered(last);
  return {
    pid: child.pid!,
    async ask(call, given) {
      const answer = answered(++last);
      child.send({ id: last, name: call, given } satisfies Call);
      return (await answer) as never;
    },
    async stop() {
      endNow(child);
      await gone;
    },
  };
}

function endNow(child: ChildProcess): void {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
}

/** CPU time of a process, in seconds; undefined if the system does not report it (only Linux does). */
export function processorSeconds(pid: number): number | undefined {
  const fields = procFile(pid, 'stat')
    ?.replace(/^.*\) /s, '')
    .split(' ');
  return fields && (Number(fields[11]) + Number(fields[12])) / 100;
}

/** The same for a process with its children, including those that have exited. */
export function childrenSeconds(pid: number): number | undefined {
  const stats = readdirSafely('/proc').map((name) =>
    procFile(Number(name), 'stat')
      ?.replace(/^.*\) /s, '')
      .split(' '),
  );
  const own = procFile(pid, 'stat')
    ?.replace(/^.*\) /s, '')
    .split(' ');
  if (!own) return undefined;
  const ended = Number(own[13]) + Number(own[14]);
  const children = stats.filter((fields) => Number(fields?.[1]) === pid);
  const ticks = [own, ...children].reduce((sum, fields) => sum + Number(fields![11]) + Number(fields![12]), ended);
  return ticks / 100;
}

const readdirSafely = (path: string): string[] => {
  try {
    return readdirSync(path).filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
};

/** Resident set size of a process, in bytes; undefined if the system does not report it. */
export function residentBytes(pid: number): number | undefined {
  const kilobytes = procFile(pid, 'status')?.match(/^VmRSS:\s+(\d+) kB/m)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1_024;
}

function procFile(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}
