// The process: reads the environment, runs one broker, and stops it on a signal. What not every process needs is imported when
// it is needed: a supervisor is small.
import { createLogger } from '../adapters/telemetry/logger.ts';
import { LOG_EXIT_WAIT_MS, SHUTDOWN_KILL_MS } from '../domain/time-limits.ts';
import { createRequestCounts } from '../http/middleware/rate-limits.ts';
import type { Logger } from '../ports/index.ts';
import type { Running } from './app.ts';
import type { Config } from './config.ts';
import { configured, readFile } from './configured.ts';
import { SetupError } from './setup-error.ts';
import { systemClock } from './system-clock.ts';
import { endStartFlagsLater, stopPretenuring } from './v8-flags.ts';
import { createSupervisor, forkWorker, linkToSupervisor, type StartMessage, WORKER_MARK } from './workers/index.ts';

/** Serves as a process of its own: prints all issues of its configuration at once, with exit code 78 (EX_CONFIG). */
export async function main(options: { force: boolean }): Promise<void> {
  try {
    await serve(options);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.report);
    process.exitCode = 78;
  }
}

/**
 * Runs the broker until SIGTERM or SIGINT: alone, or as the supervisor of worker processes. `force`: also on a database that was
 * migrated to another one. Rejects with `SetupError`.
 */
export async function serve({ force }: { force: boolean }): Promise<void> {
  if (process.env[WORKER_MARK] !== undefined && process.connected) return runWorker();
  const files: StartMessage['files'] = {};
  const readAndKeep = (path: string) => {
    files[path] = readFile(path);
    return files[path];
  };
  await configured(
    async (config, log) => {
      if (force) await (await import('./data-migration.ts')).unmarkMigratedSource(config, log);
      if (config.workers > 1) return supervise(config, log, files);
      const { start } = await import('./app.ts');
      const running = await start(config, log);
      stopPretenuring();
      endStartFlagsLater();
      const stop = stopping(running, log);
      process.on('SIGTERM', stop);
      process.on('SIGINT', stop);
      logListening(running);
    },
    { readFile: readAndKeep },
  );
}

async function supervise(config: Config, log: Logger, files: StartMessage['files']): Promise<void> {
  const supervisor = createSupervisor({
    wanted: config.workers,
    spawn: () => forkWorker(process.env),
    files,
    counts: createRequestCounts(),
    clock: systemClock,
    log,
    onListening: logListening,
  });
  endStartFlagsLater();
  process.on('SIGTERM', supervisor.stop);
  process.on('SIGINT', supervisor.stop);
  process.exitCode = await supervisor.run();
  log.info({ event: 'stopped' }, 'stopped');
  endWithin(LOG_EXIT_WAIT_MS);
}

/** A worker process: it ends with its supervisor. */
async function runWorker(): Promise<void> {
  delete process.env[WORKER_MARK];
  const link = linkToSupervisor(process);
  const { start } = await import('./app.ts');
  const started = await Promise.race([link.started, link.gone]);
  if (!started) return;
  const { worker, isFirst, files, ports } = started;
  try {
    await configured(
      async (config, log) => {
        const running = await start({ ...config, ...ports }, log, {}, { siblings: link.siblings, isFirst });
        stopPretenuring();
        endStartFlagsLater();
        const stop = stopping(running, log, link.close);
        process.on('SIGTERM', stop);
        process.on('SIGINT', stop);
        void link.gone.then(() => stop('the supervisor has ended'));
        link.ready(running);
      },
      { readFile: (path) => files[path] ?? readFile(path), worker },
    );
  } catch (error) {
    link.close();
    throw error;
  }
}

/** What a signal does. A second one does nothing. */
function stopping(running: Running, log: Logger, afterwards = () => {}): (signal: string) => Promise<void> {
  let isStopping = false;
  return async (signal) => {
    if (isStopping) return;
    isStopping = true;
    log.info({ event: 'stopping', signal }, 'stopping');
    endWithin(SHUTDOWN_KILL_MS);
    try {
      await running.stop();
      log.info({ event: 'stopped' }, 'stopped');
    } catch (error) {
      log.error({ event: 'stopped', err: error }, 'stopped, not in order: what was not answered may be missing');
      process.exitCode = 1;
      endWithin(LOG_EXIT_WAIT_MS);
    }
    afterwards();
  };
}

/**
 * Ends the process if it has not ended by then. `process.exit` would wait for the threads, one of which may wait for the disk, or
 * for the reader of the log.
 */
function endWithin(ms: number): void {
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), ms).unref();
}

/** At any log level and at once: supervisors and tests wait for this line, and the first look for what is due comes after it. */
function logListening({ url, internalUrl: internal_url, publicUrl: public_url }: Omit<Running, 'stop'>): void {
  const log = createLogger('info');
  log.info({ event: 'listening', url, internal_url, public_url }, 'listening');
  log.flush();
}
