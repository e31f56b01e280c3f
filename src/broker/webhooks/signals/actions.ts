// What a signal does to a connection. An event that is older than the credentials may be about earlier ones (the owner has
// connected again since): then a refresh finds out, and nothing is ended for it.
import type { Connection } from '../../../domain/connection.ts';
import { claimsOf } from '../../../domain/jwt-claims.ts';
import type { SignalEffect } from '../../../domain/security-events.ts';
import type { Clock, Store, Vault } from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';
import type { TokenCache } from '../../cache/index.ts';
import { decryptIdToken } from '../../secrets/index.ts';
import type { AccountHolds } from '../processing/account-holds.ts';
import type { StoredSignal } from './stored-signal.ts';

export interface SignalActions {
  /** Idempotent. True: its token may not be served any more, by other replicas either. Rejects with `StoreError`. */
  act(connection: Connection, effect: SignalEffect, event: StoredSignal['events'][number]): Promise<boolean>;
  /** Ends a grant without offline access (OpenID Connect Back-Channel Logout 2.7). */
  logOut(connection: Connection, scopes: OfflineScopes, sid: string | null): Promise<'ended' | 'kept'>;
}

/** How it shows that a grant has offline access. */
export interface OfflineScopes {
  /** The scopes that the integration asks for. */
  requested: readonly string[];
  /** False: the provider has no scope for it, so that every refresh token counts as offline. */
  isNamed: boolean;
}

export interface SignalActionParts {
  store: Pick<Store, 'connection' | 'deauthorize' | 'makeDue' | 'revoke' | 'storedCredentials'>;
  vault: Pick<Vault, 'decrypt'>;
  holds: AccountHolds;
  tokenCache: Pick<TokenCache, 'invalidate'>;
  access: Pick<Access, 'recordSystem'>;
  clock: Pick<Clock, 'now'>;
}

/** A refresh may bring new credentials meanwhile. */
const ATTEMPTS = 5;

export function createSignalActions(parts: SignalActionParts): SignalActions {
  const { store, vault, holds, tokenCache, access, clock } = parts;
  const entry = (
    action: Parameters<Access['recordSystem']>[0],
    { id, integration, owner }: Connection,
    detail: string | null = null,
  ) => access.recordSystem(action, { integration, owner, connectionId: id, detail });

  /** False: it has ended already. */
  async function end(connection: Connection): Promise<boolean> {
    let now: Connection | undefined = connection;
    for (let n = 0; n < ATTEMPTS && now; n++) {
      if (now.status !== 'active' && now.status !== 'on_hold') return false;
      const { id, generation } = now;
      const by = entry('connection.deauthorized', now, 'deauthorized');
      if ((await store.deauthorize(id, generation, 'deauthorized', by)) === 'deauthorized') {
        tokenCache.invalidate(now, generation + 1);
        return true;
      }
      now = await store.connection(id);
    }
    if (now) throw new Error('the connection changes too often');
    return false;
  }

  return {
    async act(connection, effect, { at, subject }) {
      const { id } = connection;
      const isOlder = subject.kind === 'identity' && at < connection.issuedAt;
      async function due() {
        await store.makeDue(id, clock.now());
        return false;
      }
      switch (effect) {
        case 'end':
          return isOlder ? due() : end(connection);
        case 'hold':
          return isOlder ? due() : holds.hold(connection, at);
        case 'release':
          return holds.release(connection, at);
        case 'refresh':
          return due();
        case 'destroy':
          // The account is gone, and its tokens with it: the provider need not be asked.
          await store.revoke(id, 'unsupported', clock.now(), entry('connection.revoked', connection, 'account_purged'));
          tokenCache.invalidate(connection, Number.POSITIVE_INFINITY);
          return true;
        case 'tell':
        case 'stream':
          return false;
      }
    },

    async logOut(connection, { requested, isNamed }, sid) {
      const { id, scopes } = connection;
      const stored = await store.storedCredentials(id);
      if (!stored || connection.status !== 'active') return 'kept';
      // Some do not list it among the granted scopes.
      const isOffline =
        scopes.includes(OFFLINE_ACCESS) ||
        (stored.refreshToken !== null && (!isNamed || requested.includes(OFFLINE_ACCESS)));
      if (isOffline) return 'kept';
      const own = sidOf(decryptIdToken(vault, connection, stored.idToken));
      if (sid !== null && own !== undefined && own !== sid) return 'kept';
      await end(connection);
      return 'ended';
    },
  };
}

export const OFFLINE_ACCESS = 'offline_access';

/** The session of an ID token that was verified when it was received; undefined: it names none. */
function sidOf(idToken: string | null): string | undefined {
  const sid = claimsOf(idToken ?? '')?.sid;
  return typeof sid === 'string' ? sid : undefined;
}
