// What an owner may do on the page: no more than the caller that made the link may do now.
import { ADMIN_ID, allows } from '../../domain/caller.ts';
import type { Connection } from '../../domain/connection.ts';
import type { PortalSession, PortalSessionRow } from '../../domain/portal-session.ts';
import { type Clock, type Vault, VaultError } from '../../ports/index.ts';
import type { Call } from '../audit/index.ts';
import type { CallerCache } from '../cache/index.ts';
import { portalContext } from './portal-sessions.ts';

export interface OwnerCalls {
  /** Undefined: it has expired, its caller or key is gone, or something else than a broker has changed the row. */
  open(row: PortalSessionRow | undefined): PortalSession | undefined;
  /** The owner's requests, as the caller's. Precondition: `open` has just returned the session. */
  callOf(session: PortalSession, from: Pick<Call, 'address' | 'requestId' | 'client'>): Call;
  /** Whether the connection is one that the page shows. */
  permits(session: PortalSession, connection: Pick<Connection, 'integration' | 'owner'>): boolean;
}

interface Parts {
  vault: Pick<Vault, 'decrypt'>;
  callerCache: Pick<CallerCache, 'makerOf'>;
  clock: Clock;
}

export function createOwnerCalls({ vault, callerCache, clock }: Parts): OwnerCalls {
  const credentialOf = ({ createdWith: id }: PortalSession) => ({ kind: 'key', id, expiresAt: null }) as const;
  const callerOf = ({ createdBy: callerId, createdWith }: PortalSession) =>
    callerCache.makerOf({ callerId, createdWith }, clock.now());

  function decrypted({ id, content, browserDigest }: PortalSessionRow): PortalSession | undefined {
    try {
      const session = JSON.parse(vault.decrypt(content, portalContext(id))) as PortalSession;
      return session.browserDigest === browserDigest ? session : undefined;
    } catch (error) {
      if (error instanceof VaultError) return undefined;
      throw error;
    }
  }

  return {
    open(row) {
      if (!row || row.expiresAt <= clock.now()) return undefined;
      const session = decrypted(row);
      return session && callerOf(session) ? session : undefined;
    },
    callOf(session, { address, requestId, client }) {
      const { permissions = [] } = callerOf(session) ?? {};
      const caller = { id: session.createdBy, name: session.createdBy === ADMIN_ID ? 'admin' : '', permissions };
      const principal = { caller, credential: credentialOf(session), rateLimit: null };
      return { principal, address, requestId, client, portalSession: session.id };
    },
    permits(session, { integration, owner }) {
      const { permissions = [] } = callerOf(session) ?? {};
      const isNamed = session.integrations === null || session.integrations.includes(integration);
      return owner === session.owner && isNamed && allows(permissions, 'connections:write', integration, owner);
    },
  };
}
