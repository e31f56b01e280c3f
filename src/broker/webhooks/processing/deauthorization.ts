// A webhook that says that a grant has ended: its connections need their owners, where the sender is authenticated. Otherwise,
// where it may be the echo of a revocation of ours, and where the credentials are newer than the webhook (the owner may have
// connected again before it was processed), the provider is asked by a refresh.
import { type Connection, hasUsableGrant } from '../../../domain/connection.ts';
import type { ReceivedWebhook } from '../../../domain/received-webhook.ts';
import { REVOCATION_ECHO_MS } from '../../../domain/time-limits.ts';
import type { Clock, Logger, Store, Telemetry } from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';
import type { TokenCache } from '../../cache/index.ts';

export interface Deauthorizer {
  /** Can be repeated. True: it has ended, and other replicas have to be waited for. Rejects with `StoreError`. */
  end(
    connection: Connection,
    webhook: Pick<ReceivedWebhook, 'id' | 'receivedAt'>,
    isSenderAuthenticated: boolean,
  ): Promise<boolean>;
}

/** With another generation each time, a connection is being refreshed: once more is enough. */
const ATTEMPTS = 3;

interface Parts {
  store: Pick<Store, 'deauthorize' | 'makeDue' | 'connection' | 'hasPendingRevocation' | 'audit'>;
  tokenCache: Pick<TokenCache, 'invalidate'>;
  access: Pick<Access, 'recordSystem'>;
  telemetry: Pick<Telemetry, 'webhook'>;
  clock: Pick<Clock, 'now'>;
  log: Logger;
}

export function createDeauthorizer(parts: Parts): Deauthorizer {
  const { store, tokenCache, access, telemetry, clock, log } = parts;

  /** A revocation of ours at the provider, of this grant or an earlier one of the owner, that the provider may be telling of. */
  async function mayBeEcho({ id, integration, owner }: Connection): Promise<boolean> {
    if (await store.hasPendingRevocation(id)) return true;
    const from = clock.now() - REVOCATION_ECHO_MS;
    for (const action of ['connection.revoked_upstream', 'connection.revoked']) {
      const { data } = await store.audit({ integration, owner, action, from }, { limit: 1, after: undefined });
      if (data.length > 0) return true;
    }
    return false;
  }

  return {
    async end(connection, { id: webhook, receivedAt }, isSenderAuthenticated) {
      const { id, integration, owner } = connection;
      if (!hasUsableGrant(connection)) return false;
      async function check(
        why: 'deauthorization_echo' | 'deauthorization_late' | 'deauthorization_unauthenticated',
      ): Promise<false> {
        await store.makeDue(id, clock.now());
        telemetry.webhook(integration, why);
        log.info({ connection: id, integration, webhook, why }, 'webhooks: a grant is checked');
        return false;
      }
      if (await mayBeEcho(connection)) return check('deauthorization_echo');
      if (!isSenderAuthenticated) return check('deauthorization_unauthenticated');
      let current: Connection | undefined = connection;
      for (let attempt = 0; attempt < ATTEMPTS && current && hasUsableGrant(current); attempt++) {
        if (receivedAt < current.issuedAt) return check('deauthorization_late');
        const subject = { integration, owner, connectionId: id, detail: 'deauthorized' };
        const by = access.recordSystem('connection.deauthorized', subject);
        if ((await store.deauthorize(id, current.generation, 'deauthorized', by)) === 'deauthorized') {
          tokenCache.invalidate(current, current.generation + 1);
          telemetry.webhook(integration, 'deauthorized');
          log.warn({ connection: id, integration, webhook }, 'webhooks: the provider has ended a grant');
          return true;
        }
        current = await store.connection(id);
      }
      return false;
    },
  };
}
