// Connections whose account the provider has suspended: put on hold and released as the latest word of the provider has it, in
// whatever order its words arrive. The store compares their times.
import { isMinted } from '../../../domain/auth-modes.ts';
import type { Connection } from '../../../domain/connection.ts';
import { Refusal } from '../../../domain/errors.ts';
import type { Clock, Store } from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';
import type { TokenCache } from '../../cache/index.ts';
import type { Targets } from '../../integrations/index.ts';

/** `at`: when the provider did it, in ms since the epoch. True: the connection has changed, and other replicas have to be waited for. */
export interface AccountHolds {
  /** Rejects with `StoreError`. */
  hold(connection: Connection, at: number): Promise<boolean>;
  /** Rejects with `StoreError`. */
  release(connection: Connection, at: number): Promise<boolean>;
}

export interface AccountHoldParts {
  store: Pick<Store, 'hold' | 'release'>;
  tokenCache: Pick<TokenCache, 'invalidate'>;
  targets: Pick<Targets, 'find'>;
  access: Pick<Access, 'recordSystem'>;
  clock: Pick<Clock, 'now'>;
}

export function createAccountHolds({ store, tokenCache, targets, access, clock }: AccountHoldParts): AccountHolds {
  const entry = (
    action: 'connection.held' | 'connection.released',
    { id, integration, owner }: Connection,
    detail: string | null,
  ) => access.recordSystem(action, { integration, owner, connectionId: id, detail });

  return {
    async hold(connection, at) {
      const { id } = connection;
      const by = entry('connection.held', connection, 'account_disabled');
      const held = await store.hold(id, 'account_disabled', at, by);
      if (held === 'unchanged') return false;
      tokenCache.invalidate(connection, held.generation + 1);
      return true;
    },

    async release(connection, at) {
      const found = await targets.find(connection.integration);
      const hasMinted = !(found instanceof Refusal) && isMinted(found.auth);
      const by = entry('connection.released', connection, null);
      const released = await store.release(connection.id, { at, nextRefreshAt: clock.now(), isMinted: hasMinted }, by);
      if (released === 'unchanged') return false;
      tokenCache.invalidate(connection, released.generation + 1);
      return true;
    },
  };
}
