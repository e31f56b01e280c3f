// What every store has to pass: the contract of `Store` in `src/ports/index.ts`, outcome by outcome.
import { afterAll, afterEach, beforeAll, beforeEach, describe } from 'vitest';
import type { Store } from '../../../src/ports/index.ts';
import { agentSessions } from './agent-sessions.ts';
import { auditLog } from './audit.ts';
import { auditSeals } from './audit-seals.ts';
import { callers } from './callers.ts';
import { candidates } from './candidates.ts';
import { capturedCalls } from './captured-calls.ts';
import { changeFeed } from './change-feed.ts';
import { clientRegistrations } from './client-registrations.ts';
import { connectSessions } from './connect-sessions.ts';
import { connections } from './connections.ts';
import { consoleSessions } from './console-sessions.ts';
import { counters } from './counters.ts';
import { declarativeFile } from './declarative-file.ts';
import { deliveries } from './deliveries.ts';
import { eventHook } from './event-hook.ts';
import { events } from './events.ts';
import { holds } from './holds.ts';
import { housekeeping } from './housekeeping.ts';
import { integrations } from './integrations.ts';
import { jobs } from './jobs.ts';
import { misdated } from './misdated.ts';
import { rateBuckets } from './rate-buckets.ts';
import { reads } from './reads.ts';
import { receivedWebhooks } from './received-webhooks.ts';
import { reencryption } from './reencryption.ts';
import { refreshes } from './refreshes.ts';
import { revocations } from './revocations.ts';
import { signingKeys } from './signing-keys.ts';
import { unreadableResponses } from './unreadable-responses.ts';
import { webhookEndpoints } from './webhook-endpoints.ts';

export interface Opened {
  /** On an empty database. */
  store: Store;
  /** One more on the same database, as another replica has it. */
  another(): Promise<Store>;
}

export interface Database {
  /** Opens one more store on it. */
  open(): Promise<Store>;
  /** Deletes all rows but those of the processes that have it open. */
  clear(): Promise<void>;
}

const PARTS = {
  integrations,
  callers,
  'declarative file': declarativeFile,
  'connect sessions and flows': connectSessions,
  candidates,
  connections,
  reads,
  refreshes,
  holds,
  'rate buckets': rateBuckets,
  revocations,
  'client registrations': clientRegistrations,
  audit: auditLog,
  'audit seals': auditSeals,
  're-encryption': reencryption,
  'unreadable responses': unreadableResponses,
  'captured calls': capturedCalls,
  'console sessions': consoleSessions,
  'agent sessions': agentSessions,
  jobs,
  'received webhooks': receivedWebhooks,
  events,
  'events of changes': eventHook,
  'webhook endpoints': webhookEndpoints,
  'signing keys': signingKeys,
  deliveries,
  counters,
  housekeeping,
  misdated,
  'change feed': changeFeed,
};
export type Part = keyof typeof PARTS;

/** What these test depends on which stores are open. */
const WITH_NEW_STORES: readonly Part[] = ['change feed'];

/** `parts`: all of them, unless some are named. Stores are opened once and used by one test after the other. */
export function conformance(
  name: string,
  { open, clear }: Database,
  parts = Object.keys(PARTS) as readonly Part[],
): void {
  describe(`the ${name} store`, () => {
    const free: Store[] = [];
    const used = new Set<Store>();
    const closeAll = (stores: Store[]) => Promise.all(stores.map((store) => store.close()));

    async function take(): Promise<Store> {
      const store = free.pop() ?? (await open());
      used.add(store);
      const close = () => {
        used.delete(store);
        return store.close();
      };
      return Object.create(store, { close: { value: close } });
    }

    const subject = { another: take } as Opened;
    beforeEach(async () => {
      await clear();
      subject.store = await take();
    });
    afterEach(() => {
      free.push(...used);
      used.clear();
    });
    afterAll(() => closeAll(free));

    for (const part of parts)
      describe(part, () => {
        if (WITH_NEW_STORES.includes(part)) {
          beforeAll(() => closeAll(free.splice(0)));
          afterEach(async () => {
            await closeAll([...used]);
            used.clear();
          });
        }
        PARTS[part](subject);
      });
  });
}
