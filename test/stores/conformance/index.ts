// What every store has to pass: the contract of `Store` in `src/ports/index.ts`, outcome by outcome.
import { afterEach, beforeEach, describe } from 'vitest';
import type { Store } from '../../../src/ports/index.ts';
import { auditLog } from './audit.ts';
import { auditSeals } from './audit-seals.ts';
import { callers } from './callers.ts';
import { candidates } from './candidates.ts';
import { changeFeed } from './change-feed.ts';
import { connectSessions } from './connect-sessions.ts';
import { connections } from './connections.ts';
import { declarativeFile } from './declarative-file.ts';
import { deliveries } from './deliveries.ts';
import { eventHook } from './event-hook.ts';
import { events } from './events.ts';
import { holds } from './holds.ts';
import { housekeeping } from './housekeeping.ts';
import { integrations } from './integrations.ts';
import { rateBuckets } from './rate-buckets.ts';
import { reads } from './reads.ts';
import { receivedWebhooks } from './received-webhooks.ts';
import { reencryption } from './reencryption.ts';
import { refreshes } from './refreshes.ts';
import { revocations } from './revocations.ts';
import { unreadableResponses } from './unreadable-responses.ts';
import { webhookEndpoints } from './webhook-endpoints.ts';

export interface Opened {
  /** On an empty database. */
  store: Store;
  /** One more on the same database, as another replica has it. */
  another(): Promise<Store>;
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
  audit: auditLog,
  'audit seals': auditSeals,
  're-encryption': reencryption,
  'unreadable responses': unreadableResponses,
  'received webhooks': receivedWebhooks,
  events,
  'events of changes': eventHook,
  'webhook endpoints': webhookEndpoints,
  deliveries,
  housekeeping,
  'change feed': changeFeed,
};
export type Part = keyof typeof PARTS;

/** `parts`: all of them, unless some are named. */
export function conformance(
  name: string,
  open: () => Promise<Opened>,
  parts = Object.keys(PARTS) as readonly Part[],
): void {
  describe(`the ${name} store`, () => {
    const stores: Store[] = [];
    let opened: Opened;
    const closedLater = (store: Store) => {
      stores.push(store);
      return store;
    };
    beforeEach(async () => {
      opened = await open();
      closedLater(opened.store);
    });
    afterEach(async () => {
      await Promise.all(stores.splice(0).map((store) => store.close()));
    });

    const subject: Opened = {
      get store() {
        return opened.store;
      },
      another: async () => closedLater(await opened.another()),
    };
    for (const part of parts) describe(part, () => PARTS[part](subject));
  });
}
