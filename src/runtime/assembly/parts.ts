// What a broker is put together from.
import { readFileSync } from 'node:fs';
import type { Outbound } from '../../adapters/outbound/outbound.ts';
import type { HourlyCounter } from '../../broker/counts/index.ts';
import type { RefreshPoint } from '../../broker/refresh/index.ts';
import { packageFile } from '../../package-files.ts';
import type { Clock, Logger, Telemetry, Vault } from '../../ports/index.ts';
import type { Config } from '../config.ts';
import type { Foundation } from '../foundation.ts';
import type { Siblings } from '../workers/index.ts';

/** What tests set: the clock, and how soon and how far background work goes. */
export interface Tuning {
  clock?: Clock;
  /** What reaches third parties; by default the guarded outbound client. */
  outbound?: Outbound;
  /** How often due revocations are delivered, in ms. */
  outboxEveryMs?: number;
  /** How often due deliveries of events are looked for besides, in ms. */
  deliverEveryMs?: number;
  /** How often new audit entries are sealed, in ms. */
  sealEveryMs?: number;
  /** How often grants that end and old events are looked for, and those who wait for events look for those of others, in ms. */
  eventsEveryMs?: number;
  /** How often transmitters without push are polled, in ms. */
  signalPollEveryMs?: number;
  /** How often what other replicas know of the limits of APIs is read, in ms. */
  limitsEveryMs?: number;
  /** How long a call waits for the store before a process counts it against the limits of APIs alone, in ms. */
  limitsWaitMs?: number;
  /** False: nothing is refreshed ahead of its expiry. */
  refreshAhead?: boolean;
  /** When a refresh without a response is slow, when it is lost, and how long a shutdown waits for it, in ms. */
  refreshWait?: { slowMs: number; deadlineMs: number; graceMs: number };
  /** How long a discovery that begins at a protected resource may take, in ms; asked for each. */
  discoveryDeadlineMs?: () => number;
  /** How long an API that is called through the proxy may take, in ms. */
  upstreamTimeouts?: { connectMs: number; firstByteMs: number; idleMs: number };
  /** How often due jobs are looked for, in ms. */
  jobsEveryMs?: number;
  /** How often it is looked whether a key that signs JWTs is due, in ms. */
  signingKeysEveryMs?: number;
  /** Called at the points of each refresh. */
  reached?: (point: RefreshPoint) => void;
}

export interface Assembly extends Foundation {
  config: Config;
  log: Logger;
  tuning: Tuning;
  /** The other worker processes; undefined: there is one process. */
  siblings: Siblings | undefined;
  /** Whether the process has been asked to stop: it is not ready any more. */
  isStopping: () => boolean;
}

/** What every part of a broker gets. */
export interface Common extends Omit<Assembly, 'vault'> {
  vault: Vault;
  clock: Clock;
  telemetry: Telemetry;
  counter: HourlyCounter;
  publicUrl: string;
}

/** The version of this broker. */
export const { version: VERSION }: { version: string } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8'));
