// Trying a dead grant once more: the provider may have refused it by mistake, or under wrong settings of the integration.
import { type Connection, reauthReasonOf } from '../../../domain/connection.ts';
import { type ReauthReason, Refusal, refuse } from '../../../domain/errors.ts';
import { CLAIMED_DUE_AGAIN_MS } from '../../../domain/time-limits.ts';
import type { Clock, Store } from '../../../ports/index.ts';
import type { Access, Call } from '../../audit/index.ts';
import { type Refresher, refusalOf } from '../../refresh/index.ts';

export interface GrantRetry {
  /**
   * Refreshes a connection that is `needs_reauth` with the credentials that it has, and returns it as it is afterwards; an
   * `active` one is returned as it is. Refuses with `reauthorization_required` if the grant is still dead, or nothing is left
   * to try; with `connection_on_hold` while it is on hold. When the provider cannot be asked, the connection stays `active`, and its refresh is retried. Rejects with
   * `StoreError`.
   */
  retry(call: Call, id: string): Promise<Connection | Refusal>;
}

/** In the other cases there is no refresh token, or its account is another one. */
const RETRYABLE: ReadonlySet<ReauthReason> = new Set<ReauthReason>([
  'grant_revoked',
  'refresh_outcome_unknown',
  'credentials_rejected',
  'deauthorized',
  'authorization_server_changed',
]);

export interface GrantRetryParts {
  store: Pick<Store, 'connection' | 'reactivate'>;
  refresher: Pick<Refresher, 'refresh'>;
  access: Access;
  clock: Pick<Clock, 'now'>;
}

export function createGrantRetry({ store, refresher, access, clock }: GrantRetryParts): GrantRetry {
  const notFound = (id: string) => refuse({ code: 'not_found', what: 'connection', id });

  return {
    async retry(call, id) {
      const connection = await store.connection(id);
      if (!connection) return notFound(id);
      const { integration, owner, status, generation, updatedAt } = connection;
      const denied = access.denied(call, 'connections:write', integration, owner, id);
      if (denied) return denied;
      if (status === 'active') return connection;
      const reason = reauthReasonOf(connection);
      if (reason === null || !RETRYABLE.has(reason)) return refusalOf(connection) ?? connection;
      const by = access.record(call, 'connection.retried', { integration, owner, connectionId: id, detail: reason });
      // The scheduler takes over if this process ends before the refresh does.
      const dueAt = clock.now() + CLAIMED_DUE_AGAIN_MS;
      if ((await store.reactivate(id, { generation, reason }, dueAt, by)) === 'reactivated') {
        const retried = { reason, updatedAt };
        const result = await refresher.refresh({ id, generation }, { isForced: true, retried });
        if (result instanceof Refusal) return result;
      }
      return (await store.connection(id)) ?? notFound(id);
    },
  };
}
