// What the parts of the SQLite store share: how they read, and how they write.
import type { Database } from 'better-sqlite3';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import type { AuditEntry } from '../../domain/audit.ts';
import type { EventType } from '../../domain/events.ts';
import type { StoreChange } from '../../ports/index.ts';
import type { SqliteEventWriter } from './event-writer.ts';

export interface SqliteAccess {
  orm: BetterSQLite3Database & { $client: Database };
  /** Outside of any transaction. Rejects with `StoreError`. */
  read<T>(query: () => T): Promise<T>;
  /** One atomic, durable operation: see `GroupCommit.write`. Rejects with `StoreError`. */
  write<T>(operation: () => T): Promise<T>;
  /** The same, for what has happened elsewhere and cannot be repeated: it waits for as long as the disk takes. */
  writePatiently<T>(operation: () => T): Promise<T>;
  /** The same, when the answers that are ready have been sent: for what is written each second and no request waits for. */
  writeAside<T>(operation: () => T): Promise<T>;
  /** Writes the write-ahead log into the file, and empties it: see `Checkpoints.truncate`. */
  truncateLog(): Promise<boolean>;
  /**
   * Inside an operation, after its changes: its audit entry, its changes for the change feed, and the event that the entry
   * is, with its deliveries.
   */
  record(audit: AuditEntry | undefined, ...changes: StoreChange[]): void;
  /** The same for a change without an entry, of which this process has in memory what it brings: only others hear of it. */
  recordKnown(change: StoreChange): void;
  /** Inside an operation: its audit entry alone. */
  recordEntry(audit: AuditEntry): void;
  /** Audit entries that no request waits for, in a commit of their own: see `GroupCommit.writeElsewhere`. Rejects with `StoreError`. */
  recordElsewhere(entries: readonly AuditEntry[]): Promise<void>;
  events: Pick<SqliteEventWriter, 'write' | 'audienceChanged' | 'judgeCallersBy'>;
  /** See `EventStore.onEvents`. */
  onEvents(listener: (types: EventType[]) => void): () => void;
}
