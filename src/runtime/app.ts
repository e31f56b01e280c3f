// From a configuration to a running broker: its parts, in the order in which they start and stop (graceful shutdown).
import { warnOfWorkloads } from '../broker/callers/index.ts';
import { Refusal } from '../domain/errors.ts';
import { SHUTDOWN_GRACE_MS } from '../domain/time-limits.ts';
import { declaredOf } from '../http/setups.ts';
import type { Logger } from '../ports/index.ts';
import { assemble, type Broker } from './assembly/assemble.ts';
import type { Tuning } from './assembly/parts.ts';
import type { Config } from './config.ts';
import { inWords } from './declarative-file.ts';
import { closeFoundation, openFoundation } from './foundation.ts';
import { type Room, startAll } from './lifecycle.ts';
import { SetupError } from './setup-error.ts';
import type { Siblings } from './workers/index.ts';

export type { Tuning } from './assembly/parts.ts';

export interface Running {
  url: string;
  /** Where there is a port for callers and operators; then `url` serves browsers, providers and senders only. */
  internalUrl: string | undefined;
  publicUrl: string;
  /** Stops listening, finishes the refreshes in flight, flushes, closes. */
  stop(): Promise<void>;
}

/** One of several processes that share the ports. */
export interface Worker {
  siblings: Siblings;
  /** It starts alone: what is done once for all is done by it. */
  isFirst: boolean;
}

/** `worker` undefined: there is one process. Rejects with `SetupError` or `StoreError`; then nothing is left open. */
export async function start(config: Config, log: Logger, tuning: Tuning = {}, worker?: Worker): Promise<Running> {
  const appliesFile = worker?.isFirst ?? true;
  const foundation = await openFoundation(config, log, worker ? (worker.isFirst ? 'first' : 'join') : 'alone');
  const { store, rescue, listeners } = foundation;
  let stopping = false;
  let broker: Broker;
  try {
    broker = assemble({
      ...{ ...foundation, config, log, tuning, isStopping: () => stopping },
      siblings: worker?.siblings,
    });
  } catch (error) {
    await closeFoundation(foundation);
    throw error;
  }
  const {
    audit,
    cache,
    connections,
    refresh,
    webhooks,
    events,
    outbound,
    upstream,
    proxy,
    counter,
    signing,
    withdrawals,
  } = broker;

  // Started from the first to the last, stopped from the last to the first.
  const rooms: Room[] = [
    { name: 'rescue file', stop: rescue.close },
    { name: 'store', stop: store.close },
    ...(withdrawals ? [{ name: 'log of withdrawals', stop: withdrawals.stop }] : []),
    { name: 'outbound connections', stop: outbound.close },
    { name: 'connections to APIs', stop: upstream.close },
    // After the audit buffer, whose reads it counts.
    { name: 'hourly counts', stop: counter.flush },
    { name: 'audit buffer', stop: audit.close },
    { name: 'revocations in flight', stop: connections.outbox.drain },
    { name: 'deliveries in flight', stop: events.engine.stop },
    { name: 'refreshes in flight', stop: refresh.stop },
    { name: 'socket', stop: () => listeners.stop(0) },
    // After the socket, which is bound: a start that fails from here on closes it, and the process ends.
    ...(withdrawals ? [{ name: 'withdrawals', start: withdrawals.start }] : []),
    ...(appliesFile
      ? [
          { name: 'declarative file', start: () => applyDeclared(broker, config) },
          { name: 'warnings', start: () => warnOfWorkloads({ ...broker, ...broker.integrations, log }) },
        ]
      : []),
    { name: 'running calls', stop: proxy.stop },
    { name: 'cache invalidation', start: () => followChanges(broker, log), stop: cache.stop },
    { name: 'refresh scheduler', start: refresh.start },
    { name: 'deliveries', start: () => events.engine.start(tuning.deliverEveryMs) },
    { name: 'audit retention', start: audit.start, stop: audit.stop },
    { name: 'housekeeping', start: connections.start, stop: connections.stop },
    { name: 'received webhooks', start: webhooks.start, stop: webhooks.stop },
    { name: 'event housekeeping', start: events.housekeeping.start, stop: events.housekeeping.stop },
    { name: 'signing keys', start: signing.housekeeping.start, stop: signing.housekeeping.stop },
    { name: 'jobs', start: () => broker.jobs.runner.start(tuning.jobsEveryMs), stop: broker.jobs.runner.stop },
    {
      name: 'requests',
      start: () => listeners.handle(broker.http),
      stop: () => {
        stopping = true;
        return listeners.stop(SHUTDOWN_GRACE_MS);
      },
    },
    { name: 'claims of deliveries', stop: events.engine.stopClaiming },
    { name: 'requests that wait for events', stop: events.feed.stop },
    { name: 'calls that wait for limits', stop: proxy.stopWaiting },
    // The first to stop, in the turn of the event loop in which the signal arrives.
    { name: 'claims', stop: refresh.stopClaiming },
  ];
  const stop = await startAll(rooms, log);
  const { url, internalUrl } = listeners;
  return { url, internalUrl, publicUrl: broker.publicUrl, stop };
}

/** Rejects with `SetupError`, or with `StoreError`. */
export async function applyDeclared(
  { apply }: Pick<Broker, 'apply'>,
  { declared }: Pick<Config, 'declared'>,
): Promise<void> {
  const applied = await apply.atStart(declaredOf(declared));
  if (applied instanceof Refusal) throw new SetupError(issuesOf(applied, declared));
}

/** Why the declarative file was not applied. */
function issuesOf({ fault }: Refusal, declared: Config['declared']): string[] {
  if (fault.code !== 'invalid_request') return [`VALETKEY_CONFIG: ${fault.code}`];
  const issues = fault.issues?.map(({ path, message }) => `${inWords(path, declared)}: ${message}`) ?? [fault.detail];
  return issues.map((issue) => `VALETKEY_CONFIG: ${issue}`);
}

/** Keeps what is in memory as other processes change it. Rejects with `StoreError`. */
export async function followChanges(broker: Broker, log: Logger): Promise<void> {
  const { store, cache, integrations, tokens, refresh, proxy, signing, withdrawals } = broker;
  const { delivery, everyMs } = await cache.followChanges({
    integrationChanged: integrations.changed,
    connectionsChanged: proxy.connectionsChanged,
    capturesChanged: proxy.capturesChanged,
    callersChanged: proxy.callersChanged,
    signingKeysChanged: signing.keysChanged,
    reload: tokens.reader.readRow,
    recommitLost: async () => void (await Promise.all([refresh.recommitLost(), withdrawals?.repeatLost()])),
  });
  if (delivery === 'polled' && store.traits.changeFeed === 'pushed')
    log.warn({ every_ms: everyMs }, 'change feed: the database delivers no notifications (LISTEN), polling instead');
}
