// The store on a PostgreSQL database, composed of its parts.
import type { Store } from '../../ports/index.ts';
import type { ProcessLocks } from '../shared/process-locks.ts';
import { createAgentSessionStore } from './agent-sessions.ts';
import { createAuditStore } from './audit.ts';
import { createAuditSealStore } from './audit-seals.ts';
import { createBarrier } from './barrier.ts';
import { createCallerStore } from './callers.ts';
import { createCaptureStore } from './captures.ts';
import { openChangeFeed } from './change-feed.ts';
import { createAccess } from './client.ts';
import { createRegistrationStore } from './client-registrations.ts';
import { createColdRead } from './cold-read.ts';
import { createSessionStore } from './connect-sessions.ts';
import { createConnectionLists } from './connection-lists.ts';
import { createConnectionStore } from './connections.ts';
import { createConsoleSessionStore } from './console-sessions.ts';
import { createCounterStore } from './counters.ts';
import { ASIDE, openPool, readAddress } from './database.ts';
import { createDeclarativeFileStore } from './declarative-file.ts';
import { createDeliveryStore } from './deliveries.ts';
import { createDeliveryLists } from './delivery-lists.ts';
import { storeError } from './errors.ts';
import { createEventStore } from './events.ts';
import { createHoldStore } from './holds.ts';
import { createHousekeepingStore } from './housekeeping.ts';
import { createIntegrationStore } from './integrations.ts';
import { createJobStore } from './jobs.ts';
import { startLiveness } from './liveness.ts';
import { migrate } from './migrations.ts';
import { createMisdatedStore } from './misdated.ts';
import { createNoticeStore } from './notices.ts';
import { createPoolWaits } from './pool-waits.ts';
import { createPortalStore } from './portal-sessions.ts';
import { createStatementNames, supportsNamedStatements } from './prepared-statements.ts';
import { createRateBucketStore } from './rate-buckets.ts';
import { createReceivedWebhookStore } from './received-webhooks.ts';
import { createRefreshFunctions } from './refresh-functions.ts';
import { createRefreshStore } from './refreshes.ts';
import { createRevocationStore } from './revocations.ts';
import { createSecretStore } from './secret-columns.ts';
import { createSigningKeyStore } from './signing-keys.ts';
import { createUnreadableResponseStore } from './unreadable-responses.ts';
import { createWebhookEndpointStore } from './webhook-endpoints.ts';

/**
 * Opens `postgres://…` (see `readAddress`), and migrates it. `onNamesLost` is called when a pooler turns out to be in
 * between, so that statements are no longer named. `locks`: of the processes on this machine; released with the store. Rejects with `StoreError`, also when a newer version made the database.
 */
export async function openPostgres(
  url: string,
  onNamesLost: () => void = () => undefined,
  monotonic: () => number = () => performance.now(),
  locks?: ProcessLocks,
): Promise<Store> {
  const address = readAddress(url);
  await migrate(address);
  const pool = openPool(address, address.pool);
  // For heartbeats and the change feed, which must not queue behind other statements.
  const aside = openPool(address, 1, ASIDE);
  const endPools = async () => {
    await Promise.all([pool.end(), aside.end()]);
  };
  try {
    const usesNames = address.isNamed && (await supportsNamedStatements(pool, aside));
    if (usesNames !== address.isNamed) onNamesLost();
    const names = createStatementNames(usesNames, onNamesLost);
    const liveness = await startLiveness(aside, monotonic, locks);
    const changeFeed = openChangeFeed({ ...liveness, address, pool: aside, names, now: monotonic });
    const waits = createPoolWaits({ pool, monotonic });
    const access = createAccess({
      pool,
      waits,
      names,
      liveness,
      monotonic,
      onChanges: changeFeed.notify,
    });
    let closing: Promise<void> | undefined;
    return {
      traits: { mayLoseCommits: true, marksRefreshes: true, changeFeed: 'pushed' },
      ...createIntegrationStore(access),
      ...createCallerStore(access),
      ...createDeclarativeFileStore(access),
      ...createSessionStore(access),
      ...createPortalStore(access),
      ...createAgentSessionStore(access),
      ...createConnectionStore(access, liveness),
      ...createConnectionLists(access),
      ...createColdRead(access),
      ...createCounterStore(access),
      ...createRefreshStore(access, liveness, createRefreshFunctions(access, liveness, changeFeed)),
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
      ...createHousekeepingStore(access, liveness),
      databaseWaits: waits.state,
      subscribe: changeFeed.subscribe,
      untilApplied: createBarrier(access, liveness, changeFeed).untilApplied,
      close: () => {
        closing ??= (async () => {
          await access.close();
          await changeFeed.stop();
          await liveness.stop();
          await endPools();
        })();
        return closing;
      },
    };
  } catch (cause) {
    await endPools();
    throw storeError(cause);
  }
}

/** Brings the tables up to date. Rejects with `StoreError`. */
export const migratePostgres = (url: string): Promise<void> => migrate(readAddress(url));
