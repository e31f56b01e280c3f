// A grant of the browser becomes a new connection, or renews the one that is there: at the callback, or when the session is
// finished.
import { setTimeout as pause } from 'node:timers/promises';
import type { AuditEntry } from '../../../domain/audit.ts';
import { type Connection, type EncryptedCredentials, lifetime } from '../../../domain/connection.ts';
import { isSameSource } from '../../../domain/grant-source.ts';
import { parseStoredCredentials } from '../../../domain/imported-credentials.ts';
import type { ConnectSession } from '../../../domain/integration.ts';
import { namesTokens } from '../../../domain/signal-receivers.ts';
import { RENEWAL_POLL_MS, RENEWAL_WAIT_MS } from '../../../domain/time-limits.ts';
import { type Clock, type Logger, type Store, type Telemetry, type Vault, VaultError } from '../../../ports/index.ts';
import type { TokenCache } from '../../cache/index.ts';
import type { ResolvedIntegration, Targets } from '../../integrations/index.ts';
import { decryptKeyMaterial, encryptCredentials, newId } from '../../secrets/index.ts';
import { revokeReplaced } from '../upstream-revocation/replaced-grant.ts';
import { newConnection, type ReceivedCredentials, warnIfNotRenewable } from './new-connection.ts';
import {
  compareAccounts,
  keepsRefreshToken,
  keptCaptured,
  movesElsewhere,
  type RenewalVerdict,
  renewedCredentials,
} from './renewal.ts';

export interface GrantStorageParts {
  store: Pick<
    Store,
    | 'connection'
    | 'servedRowsByOwner'
    | 'addConnection'
    | 'renewConnection'
    | 'storedCredentials'
    | 'addPendingRevocation'
  >;
  vault: Pick<Vault, 'encrypt' | 'decrypt' | 'digests'>;
  targets: Targets;
  tokenCache: Pick<TokenCache, 'invalidate'>;
  telemetry: Pick<Telemetry, 'connect'>;
  clock: Clock;
  log: Logger;
}

export interface ReceivedGrant {
  received: ReceivedCredentials;
  params: Record<string, string>;
  /** ms since the epoch. */
  receivedAt: number;
}

export type StoredGrant =
  | { kind: 'stored'; connection: Connection }
  /** It is not of the account of this connection, or that is not known. */
  | { kind: Exclude<RenewalVerdict, 'same'>; existing: Connection }
  /** The session has ended meanwhile. */
  | { kind: 'session_over' }
  /** A refresh spends the refresh token that is to be kept, and takes too long. */
  | { kind: 'refreshing' }
  /** The connection to renew is revoked. */
  | { kind: 'gone' };

/** Other requests may create or revoke a connection with the same integration, owner and label meanwhile. */
const ATTEMPTS = 3;
const REFRESH_POLLS = RENEWAL_WAIT_MS / RENEWAL_POLL_MS;

/**
 * Makes the grant of a connect session a connection, and completes the session with the same commit. `record` makes the
 * audit entry. Rejects with `StoreError`.
 */
export type StoreGrant = (
  session: ConnectSession,
  resolved: ResolvedIntegration,
  grant: ReceivedGrant,
  record: (action: 'connection.created' | 'connection.renewed', connectionId: string) => AuditEntry,
) => Promise<StoredGrant>;

export function createGrantStorage(parts: GrantStorageParts): StoreGrant {
  const { store, vault, targets, tokenCache, telemetry, clock, log } = parts;

  return async (session, resolved, { received, params, receivedAt }, record) => {
    const { auth } = resolved;
    const { integration, owner, label } = session;
    const { values } = targets.targetOf(resolved, { params, captured: received.captured });
    let refreshing = 0;
    for (let n = 0; n < ATTEMPTS; n++) {
      const existing = await existingFor(store, session);
      if (isGone(session, existing)) break;
      const verdict = existing ? compareAccounts(existing, auth, values, received) : 'same';
      if (existing && verdict !== 'same') return { kind: verdict, existing };
      const now = clock.now();
      const id = existing?.id ?? newId('con', now);
      const metadata = session.metadata ?? existing?.metadata ?? {};
      const place = { integration, owner, label, params, metadata };
      const stored = existing && (await store.storedCredentials(id));
      const captured = { ...existing?.captured, ...received.captured };
      const isElsewhere =
        stored !== undefined &&
        (!isOfSameSource(vault, existing, stored, received) ||
          movesElsewhere(targets, resolved, existing, { params, captured }));
      const keeps = keepsRefreshToken(received, stored) && !isElsewhere;
      const renewed = existing && { ...existing, captured: keptCaptured(existing, auth, values, received) };
      const fresh = newConnection(id, place, auth, received, receivedAt, renewed, keeps);
      const connection = { ...fresh, createdAt: existing?.createdAt ?? now, updatedAt: now };
      const encrypted = encryptCredentials(vault, connection, received.credentials, namesTokens(resolved.provider));
      const action = existing ? 'connection.renewed' : 'connection.created';
      const by = record(action, id);
      const done = existing
        ? await store.renewConnection(
            connection,
            renewedCredentials(received, encrypted, keeps),
            session.id,
            by,
            existing.generation,
          )
        : await store.addConnection(connection, encrypted, session.id, by, resolved.integration);
      if (done === 'session_over') return { kind: 'session_over' };
      if (done === 'refreshing' || done === 'changed') {
        // The refresh token that is kept is being spent, and its successor is the one to keep: without it the grant is lost. Or it may
        // be one of another place by now.
        if (++refreshing > REFRESH_POLLS) return { kind: 'refreshing' };
        n--;
        await pause(RENEWAL_POLL_MS);
        continue;
      }
      if (done === 'gone' || (typeof done === 'object' && 'exists' in done)) continue;

      tokenCache.invalidate(connection, done === 'added' ? connection.generation : done.generation);
      if (existing && stored) {
        const before = { ...existing, account: connection.account };
        await revokeReplaced(parts, resolved, before, stored, received.credentials, isElsewhere);
      }
      telemetry.connect(integration, 'ok');
      log.info(
        { connection: id, integration, action, lifetime_ms: lifetime(connection), kept_refresh_token: keeps },
        'connect: connection stored',
      );
      if (!keeps) warnIfNotRenewable(log, connection, auth, received.credentials);
      return { kind: 'stored', connection };
    }
    return { kind: 'gone' };
  };
}

/** A refresh token is never kept for another authorization server, resource or client than the one that issued it. */
function isOfSameSource(
  vault: Pick<Vault, 'decrypt'>,
  existing: Connection | undefined,
  stored: EncryptedCredentials | undefined,
  { credentials: { credentials } }: ReceivedCredentials,
): boolean {
  const { source } = parseStoredCredentials(credentials);
  if (!existing || !stored?.credentials) return source === undefined;
  try {
    const before = parseStoredCredentials(decryptKeyMaterial(vault, existing, stored.credentials));
    return isSameSource(before.source, source);
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    return source === undefined;
  }
}

/** The connection that the session names cannot be renewed any more. */
export const isGone = (session: ConnectSession, existing: Connection | undefined): boolean =>
  session.connectionId !== null && (existing === undefined || existing.status === 'revoked');

/** The live connection that the session renews: the one it names, or the one with its integration, owner and label. */
export async function existingFor(
  store: Pick<Store, 'connection' | 'servedRowsByOwner'>,
  session: ConnectSession,
): Promise<Connection | undefined> {
  if (session.connectionId !== null) return store.connection(session.connectionId);
  const rows = await store.servedRowsByOwner(session.integration, session.owner, session.label);
  return rows.map((row) => row.connection).find((c) => c.status !== 'revoked');
}
