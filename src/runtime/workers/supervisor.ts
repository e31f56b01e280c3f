// The supervisor of worker processes that share a port: starts them, replaces those that end, stops them, and holds what they
// share. It serves no request, and opens neither the database nor the port.
import {
  SECOND_SIGNAL_AFTER_MS,
  WORKER_METRICS_WAIT_MS,
  WORKER_PING_INTERVAL_MS,
  WORKER_RESTART_MAX_MS,
  WORKER_RESTART_MS,
  WORKER_STOP_MS,
  WORKER_UNRESPONSIVE_MS,
} from '../../domain/time-limits.ts';
import type { RequestCounts } from '../../http/middleware/rate-limits.ts';
import type { Clock, CollectedMetrics, Logger } from '../../ports/index.ts';
import { createAnswers } from './answers.ts';
import { createLastMetrics } from './last-metrics.ts';
import type { ReadyMessage, StartMessage, ToSupervisor } from './messages.ts';
import { createRestartPolicy, type RestartPolicy } from './restart-policy.ts';
import type { Ended, WorkerProcess } from './worker-process.ts';

export interface Supervisor {
  /**
   * Starts the first worker, and the others when it serves. Fulfilled with the exit code of the whole when no worker is left:
   * that of the first one, if it ends before it serves.
   */
  run(): Promise<number>;
  /** Has all workers drain. A second call some time later kills them. */
  stop(signal: string): void;
}

interface Parts {
  /** How many workers are wanted. */
  wanted: number;
  spawn: () => WorkerProcess;
  /** As of `StartMessage`. */
  files: StartMessage['files'];
  counts: RequestCounts;
  clock: Pick<Clock, 'monotonic'>;
  log: Logger;
  /** Called once: the first worker serves. */
  onListening: (ready: ReadyMessage) => void;
  /**
   * Set by tests: how often workers are pinged, how long they may be silent, the first pause of a worker that keeps ending, and how
   * long a stop may take.
   */
  tuning?: { pingEveryMs?: number; unresponsiveMs?: number; restartMs?: number; stopMs?: number };
}

type Of<K extends ToSupervisor['kind']> = Extract<ToSupervisor, { kind: K }>;

/** A worker, and those that replace it. */
interface Slot {
  worker: number;
  child: WorkerProcess | undefined;
  /** Monotonic ms; undefined: the process does not serve yet. */
  readySince: number | undefined;
  /** Pings in a row without an answer. */
  unanswered: number;
  restart: RestartPolicy;
  waiting: NodeJS.Timeout | undefined;
}

/** While no worker serves, so many starts in a row may fail; then it is a matter for what has started the supervisor. */
const FAILED_STARTS = 5;
/** The exit code of a process that has said what is wrong with its configuration. */
const EX_CONFIG = 78;

export function createSupervisor(parts: Parts): Supervisor {
  const { wanted, spawn, files, counts, clock, log, onListening, tuning = {} } = parts;
  const { pingEveryMs = WORKER_PING_INTERVAL_MS, unresponsiveMs = WORKER_UNRESPONSIVE_MS, restartMs } = tuning;
  const slots = Array.from({ length: wanted }, (_, i): Slot => {
    const nothing = { child: undefined, readySince: undefined, unanswered: 0, waiting: undefined };
    return { worker: i + 1, restart: createRestartPolicy(restartMs), ...nothing };
  });
  const collected = createAnswers<CollectedMetrics>(WORKER_METRICS_WAIT_MS);
  const lastMetrics = createLastMetrics();
  /** While there is no other worker, what was lost in one that ended has to be asked for again, within seconds. */
  const lastMs = restartMs ?? WORKER_RESTART_MS;
  const { promise: ended, resolve: end } = Promise.withResolvers<number>();
  let ports: StartMessage['ports'];
  let stoppingSince: number | undefined;
  let exitCode = 0;
  let restarts = 0;
  let failedStarts = 0;

  const serving = () => slots.filter(({ readySince }) => readySince !== undefined);

  function launch(slot: Slot): void {
    const child = spawn();
    Object.assign(slot, { child, readySince: undefined, unanswered: 0, waiting: undefined });
    child.onMessage((message) => hear(slot, child, message));
    void child.ended.then((how) => handleEnd(slot, child, how));
  }

  function hear(slot: Slot, child: WorkerProcess, message: ToSupervisor): void {
    const { worker } = slot;
    switch (message.kind) {
      case 'hello':
        child.send({ kind: 'start', worker, isFirst: ports === undefined, files, ports });
        break;
      case 'ready':
        handleReady(slot, message);
        break;
      case 'count':
        void countAll(child, message);
        break;
      case 'failures':
        for (const other of serving()) if (other !== slot) other.child?.send(message);
        break;
      case 'collect-all':
        void collectAll(slot, child, message);
        break;
      case 'collected':
        collected.settle(message.id, message.metrics);
        break;
      case 'pong':
        slot.unanswered = 0;
    }
  }

  function handleReady(slot: Slot, ready: ReadyMessage): void {
    slot.readySince = clock.monotonic();
    failedStarts = 0;
    log.info({ event: 'worker_ready', worker: slot.worker, pid: slot.child?.pid }, 'worker: serves');
    if (ports !== undefined) return;
    const { url, internalUrl } = ready;
    ports = { port: portOf(url), internalPort: internalUrl === undefined ? undefined : portOf(internalUrl) };
    onListening(ready);
    if (stoppingSince === undefined) for (const other of slots.slice(1)) launch(other);
  }

  async function countAll(child: WorkerProcess, { id, requests }: Of<'count'>): Promise<void> {
    const all = await Promise.all(requests.map(({ callerId, limit }) => counts.add(callerId, limit)));
    child.send({ kind: 'counted', id, counts: all });
  }

  /** What a worker has counted stays counted when it is gone, and while it does not answer. */
  async function collectAll(slot: Slot, child: WorkerProcess, { id, own }: Of<'collect-all'>): Promise<void> {
    lastMetrics.note(slot.worker, own);
    await Promise.all(serving().map((other) => other !== slot && collectFrom(other)));
    const others = await lastMetrics.without(slot.worker);
    child.send({ kind: 'all-collected', id, others, workers: { wanted, running: serving().length, restarts } });
  }

  async function collectFrom({ worker, child }: Slot): Promise<void> {
    const answer = collected.ask((id) => child?.send({ kind: 'collect', id }));
    const metrics = await Promise.race([answer, child?.ended.then(() => undefined)]);
    if (metrics) lastMetrics.note(worker, metrics);
  }

  function handleEnd(slot: Slot, child: WorkerProcess, { code, signal }: Ended): void {
    const hasServed = slot.readySince !== undefined;
    const servedMs = hasServed ? clock.monotonic() - slot.readySince! : 0;
    Object.assign(slot, { child: undefined, readySince: undefined });
    lastMetrics.retire(slot.worker);
    const how = { event: 'worker_ended', worker: slot.worker, pid: child.pid, code, signal };
    if (stoppingSince !== undefined) {
      // One that did not serve yet had nothing to finish.
      if (code !== 0 && hasServed) {
        log.error(how, 'worker: did not stop in order');
        exitCode ||= code ?? 1;
      }
      endIfNoneIsLeft();
    } else if (ports === undefined) {
      // It has said why, unless it was killed, or could not be made.
      if (code !== EX_CONFIG) log.error(how, 'worker: ended before it served: giving up');
      end(code || 1);
    } else if (!hasServed && serving().length === 0 && ++failedStarts >= FAILED_STARTS) {
      log.error({ ...how, starts: failedStarts }, 'worker: none serves, and none can be started: giving up');
      exitCode = code || 1;
      stopAll('SIGKILL');
    } else replace(slot, how, servedMs);
  }

  function replace(slot: Slot, how: { code: number | null }, servedMs: number): void {
    const isLast = slots.every(({ child }) => child === undefined);
    const delay = Math.min(slot.restart.delayAfter(servedMs), isLast ? lastMs : WORKER_RESTART_MAX_MS);
    log[how.code === 0 ? 'info' : 'error']({ ...how, restart_in_ms: delay }, 'worker: ended, will be replaced');
    slot.waiting = setTimeout(() => {
      restarts++;
      launch(slot);
    }, delay);
  }

  function endIfNoneIsLeft(): void {
    if (slots.every(({ child }) => child === undefined)) end(exitCode);
  }

  function stopAll(signal: NodeJS.Signals): void {
    stoppingSince ??= clock.monotonic();
    for (const { child, waiting } of slots) {
      clearTimeout(waiting);
      child?.kill(signal);
    }
    endIfNoneIsLeft();
  }

  /** A probe of an orchestrator meets the others, mostly: so one that hangs is found here. */
  function ping(): void {
    for (const slot of serving()) {
      if (++slot.unanswered * pingEveryMs <= unresponsiveMs) slot.child?.send({ kind: 'ping' });
      else {
        log.error({ worker: slot.worker, pid: slot.child?.pid }, 'worker: does not respond, is killed');
        slot.child?.kill('SIGKILL');
      }
    }
  }

  return {
    run() {
      const pinging = setInterval(ping, pingEveryMs);
      launch(slots[0]!);
      return ended.finally(() => clearInterval(pinging));
    },
    stop(signal) {
      if (stoppingSince === undefined) {
        log.info({ event: 'stopping', signal }, 'stopping');
        stopAll('SIGTERM');
        setTimeout(() => {
          log.error({}, 'stopping: workers have not ended in time, they are killed');
          stopAll('SIGKILL');
        }, tuning.stopMs ?? WORKER_STOP_MS).unref();
      } else if (clock.monotonic() - stoppingSince > SECOND_SIGNAL_AFTER_MS) {
        log.warn({ signal }, 'stopping: a second signal, workers are killed');
        stopAll('SIGKILL');
      }
    },
  };
}

const portOf = (url: string): number => Number(new URL(url).port || 80);
