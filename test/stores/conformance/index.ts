// What every store has to pass: the contract of `Store` in `src/ports/index.ts`, outcome by outcome.
import { afterEach, beforeEach, describe } from 'vitest';
import type { Store } from '../../../src/ports/index.ts';
import { auditLog } from './audit.ts';
import { callers } from './callers.ts';
import { connections } from './connections.ts';
import { declared } from './declarative-file.ts';
import { integrations } from './integrations.ts';
import { news } from './change-feed.ts';
import { pace } from './rate-buckets.ts';
import { reading } from './reads.ts';
import { refreshing } from './refreshes.ts';
import { revocations } from './revocations.ts';
import { sealedTexts } from './reencryption.ts';
import { sessions } from './connect-sessions.ts';
import { upkeep } from './housekeeping.ts';

export interface Opened {
  /** On an empty database. */
  store: Store;
  /** One more on the same database, as another replica has it. */
  another(): Promise<Store>;
}

const PARTS = {
  integrations,
  callers,
  'what is declared': declared,
  'sessions and flows': sessions,
  connections,
  reading,
  refreshing,
  pace,
  revocations,
  audit: auditLog,
  'sealed texts': sealedTexts,
  upkeep,
  news,
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
    const keep = (store: Store) => {
      stores.push(store);
      return store;
    };
    beforeEach(async () => {
      opened = await open();
      keep(opened.store);
    });
    afterEach(async () => {
      await Promise.all(stores.splice(0).map((store) => store.close()));
    });

    const subject: Opened = {
      get store() {
        return opened.store;
      },
      another: async () => keep(await opened.another()),
    };
    for (const part of parts) describe(part, () => PARTS[part](subject));
  });
}
