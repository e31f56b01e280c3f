// The process: reads the environment, runs one broker, and stops it on a signal. What not every process needs is imported when
// it is needed: a supervisor is small.
import { readFileSync } from 'node:fs';
import { createLogger } from '../adapters/telemetry/logger.ts';
import { createRequestCounts } from '../http/middleware/rate-limits.ts';
import { type Logger, StoreError, type UnreadableResponseHead } from '../ports/index.ts';
import type { Running } from './app.ts';
import { type Config, parseConfig } from './config.ts';
import { SetupError } from './setup-error.ts';
import type { OpenSigningKeys } from './signing-keys.ts';
import { systemClock } from './system-clock.ts';
import type { readUnreadable } from './unreadable-responses.ts';
import { createSupervisor, forkWorker, linkToSupervisor, type StartMessage, WORKER_MARK } from './workers/index.ts';

type Read = Awaited<ReturnType<typeof readUnreadable>>;

/**
 * Runs the broker until SIGTERM or SIGINT: alone, or as the supervisor of worker processes. `force`: also on a database that was
 * migrated to another one.
 */
export async function main({ force }: { force: boolean }): Promise<void> {
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
  process.on('SIGTERM', supervisor.stop);
  process.on('SIGINT', supervisor.stop);
  process.exitCode = await supervisor.run();
  log.info({ event: 'stopped' }, 'stopped');
}

/** A worker process: it ends with its supervisor. */
async function runWorker(): Promise<void> {
  delete process.env[WORKER_MARK];
  const link = linkToSupervisor(process);
  const { start } = await import('./app.ts');
  const started = await Promise.race([link.started, link.gone]);
  if (!started) return;
  const { worker, isFirst, files, ports } = started;
  let isRunning = false;
  await configured(
    async (config, log) => {
      const running = await start({ ...config, ...ports }, log, {}, { siblings: link.siblings, isFirst });
      const stop = stopping(running, log, link.close);
      process.on('SIGTERM', stop);
      process.on('SIGINT', stop);
      void link.gone.then(() => stop('the supervisor has ended'));
      isRunning = true;
      link.ready(running);
    },
    { readFile: (path) => files[path] ?? readFile(path), worker },
  );
  if (!isRunning) link.close();
}

/** What a signal does. A second one does nothing. */
function stopping(running: Running, log: Logger, afterwards = () => {}): (signal: string) => Promise<void> {
  let isStopping = false;
  return async (signal) => {
    if (isStopping) return;
    isStopping = true;
    log.info({ event: 'stopping', signal }, 'stopping');
    await running.stop();
    log.info({ event: 'stopped' }, 'stopped');
    afterwards();
  };
}

/** At any log level: supervisors and tests wait for this line. */
function logListening({ url, internalUrl: internal_url, publicUrl: public_url }: Omit<Running, 'stop'>): void {
  createLogger('info').info({ event: 'listening', url, internal_url, public_url }, 'listening');
}

/** Migrates the database without serving. */
export async function migrate(): Promise<void> {
  await configured(async ({ databaseUrl }, log) => {
    const { migrateStore } = await import('../stores/open.ts');
    await migrateStore(databaseUrl);
    log.info({ event: 'migrated' }, 'database schema is up to date');
  });
}

/** Re-encrypts every secret with the first key. Prints text, or one JSON object; exit code 1 if some secrets are left. */
export async function rotate({ json }: { json: boolean }): Promise<void> {
  await configured(
    async (config, log) => {
      const { runKeyRotation } = await import('./keys.ts');
      const { keyRotationJson, keyRotationText } = await import('../broker/maintenance/index.ts');
      const done = await runKeyRotation(config, log);
      if (done.remaining.length > 0 || done.inauthentic.length > 0) process.exitCode = 1;
      console.log(json ? JSON.stringify(keyRotationJson(done)) : keyRotationText(done));
    },
    { logTo: 2 },
  );
}

/** Lists or rotates the keys that the deployment signs with. */
export async function useSigningKeys(work: (opened: OpenSigningKeys) => Promise<void>): Promise<void> {
  await configured(async (config, log) => (await import('./signing-keys.ts')).withSigningKeys(config, log, work), {
    logTo: 2,
  });
}

/** Verifies the audit log. Prints text, or one JSON object; exit code 1 if its chain is broken. */
export async function verifyAuditLog(options: {
  json: boolean;
  expected: { id: string; hash: string } | undefined;
}): Promise<void> {
  await configured(
    async (config, log) => {
      const { runAuditVerification } = await import('./audit-verification.ts');
      const { auditVerificationJson, auditVerificationText } = await import('../broker/maintenance/index.ts');
      const verified = await runAuditVerification(config, log, options.expected);
      if (verified.broken) process.exitCode = 1;
      console.log(options.json ? JSON.stringify(auditVerificationJson(verified)) : auditVerificationText(verified));
    },
    { logTo: 2 },
  );
}

/** Lists the responses of token endpoints in which no token was found, newest first. */
export async function listUnreadableResponses(
  integration: string | undefined,
  print: (responses: AsyncIterable<UnreadableResponseHead>) => Promise<void>,
): Promise<void> {
  await configured(
    async (config, log) => {
      const { listUnreadable } = await import('./unreadable-responses.ts');
      await print(listUnreadable(config, log, integration));
    },
    { logTo: 2 },
  );
}

/** Reads one of them, with its body. Undefined: there is none. */
export async function readUnreadableResponse(id: string, print: (found: Read) => void): Promise<void> {
  await configured(
    async (config, log) => print(await (await import('./unreadable-responses.ts')).readUnreadable(config, log, id)),
    { logTo: 2 },
  );
}

interface Configured {
  /** 2: stderr, for commands that print their result to stdout. */
  logTo?: 1 | 2;
  readFile?: (path: string) => string;
  /** Which worker process this is: the supervisor has warned of the configuration. */
  worker?: number;
}

async function configured(
  work: (config: Config, log: Logger) => Promise<void>,
  { logTo = 1, readFile: read = readFile, worker }: Configured = {},
): Promise<void> {
  const parsed = parseConfig(process.env, read);
  if (!parsed.ok) return refuse(parsed.issues);
  const { config, warnings } = parsed;
  const log = createLogger(config.logLevel, logTo, worker);
  if (worker === undefined) for (const warning of warnings) log.warn({}, warning);
  try {
    await work(config, log);
  } catch (error) {
    if (error instanceof SetupError) return refuse(error.issues);
    if (error instanceof StoreError) return refuse([`VALETKEY_DATABASE_URL: ${error.message}`]);
    throw error;
  }
}

const readFile = (path: string): string => readFileSync(path, 'utf8');

/** Prints all issues at once; exit code 78 (EX_CONFIG). */
function refuse(issues: string[]): void {
  console.error(`Valetkey cannot start:\n${issues.map((issue) => `  - ${issue}`).join('\n')}`);
  process.exitCode = 78;
}
