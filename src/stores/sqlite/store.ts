// The store on an embedded SQLite file, composed of its parts.
import { drizzle } from 'drizzle-orm/better-sqlite3';
import type { AuditEntry } from '../../domain/audit.ts';
import type { EventType } from '../../domain/events.ts';
import { type Store, StoreClosedError } from '../../ports/index.ts';
import { createInstants } from '../shared/instants.ts';
import { createListeners } from '../shared/listeners.ts';
import { rejectingWith } from '../shared/store-errors.ts';
import { createAgentSessionStore } from './agent-sessions.ts';
import { createAuditStore } from './audit.ts';
import { createAuditSealStore } from './audit-seals.ts';
import { auditWriter } from './audit-writer.ts';
import { createBackgroundThread } from './background-thread.ts';
import { createBarrier } from './barrier.ts';
import { createCallerStore } from './callers.ts';
import { createCaptureStore } from './captures.ts';
import { openChangeFeed } from './change-feed.ts';
import { createCheckpoints } from './checkpoints.ts';
import type { SqliteAccess } from './client.ts';
import { createRegistrationStore } from './client-registrations.ts';
import { createColdRead } from './cold-read.ts';
import { createSessionStore } from './connect-sessions.ts';
import { createConnectionLists } from './connection-lists.ts';
import { createConnectionStore } from './connections.ts';
import { createConsoleSessionStore } from './console-sessions.ts';
import { createCounterStore } from './counters.ts';
import { createCounts } from './counts.ts';
import { openDatabase, pathOf } from './database.ts';
import { createDeclarativeFileStore } from './declarative-file.ts';
import { createDeliveryStore } from './deliveries.ts';
import { createDeliveryLists } from './delivery-lists.ts';
import { createEventWriter } from './event-writer.ts';
import { createEventStore } from './events.ts';
import { GroupCommit, type GroupCommitParts } from './group-commit.ts';
import { createHoldStore } from './holds.ts';
import { createHousekeepingStore } from './housekeeping.ts';
import { createIntegrationStore } from './integrations.ts';
import { createJobStore } from './jobs.ts';
import { startLiveness } from './liveness.ts';
import { createLogSync } from './log-sync.ts';
import { createMisdatedStore } from './misdated.ts';
import { createNoticeStore } from './notices.ts';
import { createPortalStore } from './portal-sessions.ts';
import { createRateBucketStore } from './rate-buckets.ts';
import { createReceivedWebhookStore } from './received-webhooks.ts';
import { createRefreshStore } from './refreshes.ts';
import { createRevocationStore } from './revocations.ts';
import { createSecretStore } from './secret-columns.ts';
import { createSigningKeyStore } from './signing-keys.ts';
import { compileWhenRun } from './statements.ts';
import { storeError } from './store-error.ts';
import { createUnreadableResponseStore } from './unreadable-responses.ts';
import { createWebhookEndpointStore } from './webhook-endpoints.ts';

/**
 * Opens `file:<path>` or `file::memory:`, and migrates it. `migrations` is the folder of the generated SQL, for a
 * bundle that lies elsewhere. `onThreadFailed` is called when the thread could not append to the audit log and the event loop does.
 * `disk` is set by tests. Rejects with `StoreError`, also when a newer version made the database.
 */
export async function openSqlite(
  url: string,
  migrations?: string,
  monotonic?: () => number,
  onThreadFailed: (error: unknown) => void = () => undefined,
  disk?: Pick<GroupCommitParts, 'sync' | 'giveUpMs' | 'unsyncedAfterMs'>,
): Promise<Store> {
  const client = openDatabase(url, migrations);
  compileWhenRun(client);
  // Two: a checkpoint takes as long as the disk likes.
  const checkpointer = createBackgroundThread(client.name);
  const appender = createBackgroundThread(client.name);
  const checkpoints = createCheckpoints(client, checkpointer);
  const log = createLogSync(client);
  const commits = new GroupCommit(client, {
    onCommit: checkpoints.committed,
    onAnswered: () => changeFeed.answered(),
    sync: log.sync,
    ...disk,
  });
  const liveness = startLiveness(pathOf(url), monotonic);
  const orm = drizzle(client);
  const changeFeed = openChangeFeed(client, liveness, monotonic);
  const writeAudit = auditWriter(client);
  const eventWriter = createEventWriter(orm);
  const eventListeners = createListeners<EventType[]>();
  function write<T>(operation: () => T, isPatient: boolean): Promise<T> {
    let types: EventType[] = [];
    return commits.write(
      () => {
        eventWriter.takeWritten();
        const result = operation();
        types = eventWriter.takeWritten();
        return result;
      },
      { isPatient, durable: () => types.length > 0 && eventListeners.tell(types) },
    );
  }
  /** From the first checkpoint on: a quiet broker has no threads. Entries are known by their ids, so a second try repeats nothing. */
  async function recordElsewhere(entries: readonly AuditEntry[]): Promise<void> {
    if (checkpointer.isRunning() && !appender.isGone()) {
      try {
        return await commits.writeElsewhere(() => appender.run({ kind: 'append', entries }));
      } catch (error) {
        if (error instanceof StoreClosedError) throw error;
        onThreadFailed(error);
      }
    }
    await commits.write(() => entries.forEach(writeAudit), { isAwaited: false });
  }
  const access: SqliteAccess = {
    orm,
    read: rejectingWith(storeError)((query) => query()),
    write: (operation) => write(operation, false),
    writePatiently: (operation) => write(operation, true),
    writeAside: (operation) => commits.write(operation, { isAwaited: false }),
    truncateLog: rejectingWith(storeError)(checkpoints.truncate),
    record: (audit, ...changes) => {
      if (audit) writeAudit(audit);
      changeFeed.append(changes);
      if (audit) eventWriter.ofAudit(audit);
    },
    recordKnown: (change) => changeFeed.append([change], true),
    recordEntry: writeAudit,
    recordElsewhere,
    events: eventWriter,
    onEvents: eventListeners.add,
  };
  return {
    traits: { mayLoseCommits: false, marksRefreshes: false, changeFeed: 'polled' },
    ...createIntegrationStore(access),
    ...createCallerStore(access),
    ...createDeclarativeFileStore(access),
    ...createSessionStore(access),
    ...createPortalStore(access),
    ...createAgentSessionStore(access),
    ...createConnectionStore(access, liveness),
    ...createConnectionLists(access),
    ...createColdRead(client),
    ...createCounterStore(access),
    ...createCounts(access),
    ...createRefreshStore(access, liveness, createInstants(monotonic)),
    ...createHoldStore(access),
    ...createRateBucketStore(access, liveness),
    ...createRevocationStore(access),
    ...createRegistrationStore(access),
    ...createAuditStore(access),
    ...createAuditSealStore(access),
    ...createSecretStore(access),
    ...createUnreadableResponseStore(access),
    ...createCaptureStore(access),
    ...createConsoleSessionStore(access),
    ...createReceivedWebhookStore(access),
    ...createEventStore(access),
    ...createNoticeStore(access),
    ...createWebhookEndpointStore(access),
    ...createDeliveryStore(access),
    ...createDeliveryLists(access),
    ...createSigningKeyStore(access),
    ...createJobStore(access),
    ...createMisdatedStore(access),
    ...createHousekeepingStore(access),
    // One connection, which operations share without waiting.
    databaseWaits: () => ({ waiting: 0, waited: 0, waitedMs: 0, timedOut: 0 }),
    subscribe: changeFeed.subscribe,
    untilApplied: createBarrier(access, changeFeed, liveness).untilApplied,
    close: async () => {
      await commits.finish();
      changeFeed.stop();
      checkpoints.stop();
      await Promise.all([checkpointer.stop(), appender.stop()]);
      log.close();
      client.close();
      liveness.stop();
    },
  };
}

/** Brings the tables up to date, and rebuilds the file if it was never rebuilt. Throws `StoreError`. */
export function migrateSqlite(url: string, migrations?: string): void {
  openDatabase(url, migrations, undefined, Number.POSITIVE_INFINITY).close();
}
