// Connections, as a store keeps them.
import type { AuditEntry } from '../domain/audit.ts';
import type { Account, Connection, EncryptedCredentials, WrittenCredentials } from '../domain/connection.ts';
import type {
  BoundRow,
  ConnectionFilter,
  ConnectionVersion,
  Page,
  PageRequest,
  ReadIntegration,
  RenewedCredentials,
  ServedRow,
} from './rows.ts';

export interface ConnectionStore {
  /**
   * Creates a connection with its credentials, and completes the session if one is named. Without effect on `exists` (a
   * live connection of the same integration, owner and label) and `session_over`: the session is not pending or, if it is
   * two-phase, does not await its finish. Its candidate is deleted. Rejects when the integration is not there, or is not the
   * one that was read (`of`).
   */
  addConnection(
    connection: Connection,
    credentials: WrittenCredentials,
    sessionId: string | null,
    audit: AuditEntry,
    of?: ReadIntegration,
  ): Promise<'added' | 'session_over' | { exists: string }>;
  /**
   * Replaces the credentials of a live connection, and returns its new generation. It becomes `active`, generation + 1;
   * failures, error and lease are cleared, and the intent, unless the refresh token that may have been spent is kept. The given
   * `generation`, `createdAt`, `integration`, `owner` and `label` are ignored. Without effect on `gone` (absent or revoked),
   * `session_over`, `changed`: it is not of the generation that the renewal was decided on (undefined: any), and `refreshing`: a
   * refresh is in flight that spends the refresh token which the renewal keeps, or its process has ended and has left an intent, of
   * which the next claim finds out; of what is not `active` there is none, so that no one waits for it.
   */
  renewConnection(
    connection: Connection,
    credentials: RenewedCredentials,
    sessionId: string | null,
    audit: AuditEntry,
    ofGeneration?: number,
  ): Promise<{ generation: number } | 'session_over' | 'gone' | 'refreshing' | 'changed'>;
  /** Notes what a check came to. Without effect on `changed`: the connection was revoked, or has other credentials by now. */
  recordCheck(
    id: string,
    check: { generation: number; at: number; error: string | null },
    audit: AuditEntry,
  ): Promise<'recorded' | 'changed'>;
  /** The stored credentials of a connection; undefined: it is absent, or revoked. */
  storedCredentials(id: string): Promise<EncryptedCredentials | undefined>;
  connection(id: string): Promise<Connection | undefined>;
  connections(filter: ConnectionFilter, page: PageRequest): Promise<Page<Connection>>;
  /** Live connections that match, their ids ascending. */
  liveConnections(
    filter: Pick<ConnectionFilter, 'integration' | 'owner'>,
    page: PageRequest,
  ): Promise<Page<Pick<Connection, 'id'>>>;
  /** Live connections of the account, of any integration, the oldest first. */
  connectionsOfAccount(account: Pick<Account, 'issuer' | 'id'>, limit: number): Promise<Connection[]>;

  /** The cold read by id: one row. */
  servedRow(id: string): Promise<ServedRow | undefined>;
  /** The cold read by owner: live connections first, newest first, at most 20. Label undefined: any. */
  servedRowsByOwner(integration: string, owner: string, label: string | undefined): Promise<ServedRow[]>;
  /** Those of at most 1,000 connections that exist. */
  connectionVersions(ids: string[]): Promise<ConnectionVersion[]>;
  /** The token and its key for a DPoP proof, from one snapshot. */
  dpopBoundRow(id: string): Promise<BoundRow | undefined>;
}
