// Work that needs the configuration: it is read from the environment, and what is wrong with it is said all at once.
import { readFileSync } from 'node:fs';
import { createLogger } from '../adapters/telemetry/logger.ts';
import { type Logger, StoreError } from '../ports/index.ts';
import { type Config, parseConfig } from './config.ts';
import { SetupError } from './setup-error.ts';

interface Configured {
  /** 2: stderr, for commands that print their result to stdout. */
  logTo?: 1 | 2;
  readFile?: (path: string) => string;
  /** Which worker process this is: the supervisor has warned of the configuration. */
  worker?: number;
}

/** Does the work with the configuration of the environment. Rejects with `SetupError` if that is not valid, or does not fit. */
export async function configured(
  work: (config: Config, log: Logger) => Promise<void>,
  { logTo = 1, readFile: read = readFile, worker }: Configured = {},
): Promise<void> {
  const parsed = parseConfig(process.env, read);
  if (!parsed.ok) throw new SetupError(parsed.issues);
  const { config, warnings } = parsed;
  const log = createLogger(config.logLevel, logTo, worker);
  if (worker === undefined) for (const warning of warnings) log.warn({}, warning);
  try {
    await work(config, log);
  } catch (error) {
    if (error instanceof StoreError) throw new SetupError([`VALETKEY_DATABASE_URL: ${error.message}`]);
    throw error;
  }
}

export const readFile = (path: string): string => readFileSync(path, 'utf8');
