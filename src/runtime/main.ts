// The process: reads the environment, runs one broker, and stops it on a signal.
import { readFileSync } from 'node:fs';
import { createLogger } from '../adapters/telemetry/logger.ts';
import {
  auditVerificationJson,
  auditVerificationText,
  keyRotationJson,
  keyRotationText,
} from '../broker/maintenance/index.ts';
import { type Logger, StoreError, type UnreadableResponseHead } from '../ports/index.ts';
import { migrateStore } from '../stores/open.ts';
import { start } from './app.ts';
import { runAuditVerification } from './audit-verification.ts';
import { type Config, parseConfig } from './config.ts';
import { unmarkMigratedSource } from './data-migration.ts';
import { runKeyRotation } from './keys.ts';
import { SetupError } from './setup-error.ts';
import { type OpenSigningKeys, withSigningKeys } from './signing-keys.ts';
import { listUnreadable, readUnreadable } from './unreadable-responses.ts';

type Read = Awaited<ReturnType<typeof readUnreadable>>;

/** Runs the broker until SIGTERM or SIGINT. `force`: also on a database that was migrated to another one. */
export async function main({ force }: { force: boolean }): Promise<void> {
  await configured(async (config, log) => {
    if (force) await unmarkMigratedSource(config, log);
    const running = await start(config, log);
    let stopping = false;
    const stop = async (signal: string) => {
      if (stopping) return;
      stopping = true;
      log.info({ event: 'stopping', signal }, 'stopping');
      await running.stop();
      log.info({ event: 'stopped' }, 'stopped');
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
    // At any log level: supervisors and tests wait for this line.
    const lifecycle = createLogger('info');
    const { url, internalUrl: internal_url, publicUrl: public_url } = running;
    lifecycle.info({ event: 'listening', url, internal_url, public_url }, 'listening');
  });
}

/** Migrates the database without serving. */
export async function migrate(): Promise<void> {
  await configured(async ({ databaseUrl }, log) => {
    await migrateStore(databaseUrl);
    log.info({ event: 'migrated' }, 'database schema is up to date');
  });
}

/** Re-encrypts every secret with the first key. Prints text, or one JSON object; exit code 1 if some secrets are left. */
export async function rotate({ json }: { json: boolean }): Promise<void> {
  await configured(async (config, log) => {
    const done = await runKeyRotation(config, log);
    if (done.remaining.length > 0 || done.inauthentic.length > 0) process.exitCode = 1;
    console.log(json ? JSON.stringify(keyRotationJson(done)) : keyRotationText(done));
  }, 2);
}

/** Lists or rotates the keys that the deployment signs with. */
export async function useSigningKeys(work: (opened: OpenSigningKeys) => Promise<void>): Promise<void> {
  await configured((config, log) => withSigningKeys(config, log, work), 2);
}

/** Verifies the audit log. Prints text, or one JSON object; exit code 1 if its chain is broken. */
export async function verifyAuditLog(options: {
  json: boolean;
  expected: { id: string; hash: string } | undefined;
}): Promise<void> {
  await configured(async (config, log) => {
    const verified = await runAuditVerification(config, log, options.expected);
    if (verified.broken) process.exitCode = 1;
    console.log(options.json ? JSON.stringify(auditVerificationJson(verified)) : auditVerificationText(verified));
  }, 2);
}

/** Lists the responses of token endpoints in which no token was found, newest first. */
export async function listUnreadableResponses(
  integration: string | undefined,
  print: (responses: AsyncIterable<UnreadableResponseHead>) => Promise<void>,
): Promise<void> {
  await configured((config, log) => print(listUnreadable(config, log, integration)), 2);
}

/** Reads one of them, with its body. Undefined: there is none. */
export async function readUnreadableResponse(id: string, print: (found: Read) => void): Promise<void> {
  await configured(async (config, log) => print(await readUnreadable(config, log, id)), 2);
}

/** `logTo` 2: stderr, for commands that print their result to stdout. */
async function configured(work: (config: Config, log: Logger) => Promise<void>, logTo: 1 | 2 = 1): Promise<void> {
  const parsed = parseConfig(process.env, (path) => readFileSync(path, 'utf8'));
  if (!parsed.ok) return refuse(parsed.issues);
  const { config, warnings } = parsed;
  const log = createLogger(config.logLevel, logTo);
  for (const warning of warnings) log.warn({}, warning);
  try {
    await work(config, log);
  } catch (error) {
    if (error instanceof SetupError) return refuse(error.issues);
    if (error instanceof StoreError) return refuse([`VALETKEY_DATABASE_URL: ${error.message}`]);
    throw error;
  }
}

/** Prints all issues at once; exit code 78 (EX_CONFIG). */
function refuse(issues: string[]): void {
  console.error(`Valetkey cannot start:\n${issues.map((issue) => `  - ${issue}`).join('\n')}`);
  process.exitCode = 78;
}
