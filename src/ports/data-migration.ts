// Migrating data between two databases: which tables are migrated, in which form, and what an endpoint can do.

/**
 * The tables that are migrated, by their names in the database, each after those that it refers to. Tables that concern
 * one database only are left out: `changes` and `replicas`, which its processes read, `console_sessions`, whose users sign in
 * again, `agent_sessions`, which last an hour at most, the token buckets (`rate_buckets` and the deprecated `paces`), which fill up within a moment,
 * `connection_counts`, which the triggers of the target write, and `audit_reads`, which is made again of the audit log.
 */
export const MIGRATED_TABLES = [
  'integrations',
  'callers',
  'caller_keys',
  'connections',
  'grants',
  'leases',
  'connect_sessions',
  'flows',
  'consumed_flows',
  'candidates',
  'portal_sessions',
  'outbox_revocations',
  'client_registrations',
  'unreadable_responses',
  'captures',
  'captured_calls',
  'audit',
  'audit_seals',
  'key_checks',
  'events',
  'event_sequences',
  'webhook_endpoints',
  'deliveries',
  'received_webhooks',
  'webhook_connections',
  'received_event_ids',
  'captured_values',
  'hold_changes',
  'receiver_settings',
  'integration_faults',
  'reauth_notices',
  'signing_keys',
  'hourly_counts',
  'jobs',
] as const;
export type MigratedTable = (typeof MIGRATED_TABLES)[number];

/** Columns that mean nothing in another database, and are null there: the holder of a lease is a process of this one. */
export const LOCAL_COLUMNS: readonly string[] = [
  'leases.holder',
  'leases.refreshed_xid',
  'leases.refreshed_generation',
];

/**
 * A row in the form that both stores can hold, and that digests are made of: each value as text, in the order of the
 * schema, the primary key first. Times are whole milliseconds, booleans `0` and `1`; U+FFFD stands for a NUL in a text; JSON is the text that
 * was stored.
 */
export type MigratedRow = readonly [id: string, ...(string | null)[]];

/** A value that is migrated in another form: without its NUL characters, or its fraction of a millisecond. */
export interface AlteredValue {
  table: MigratedTable;
  id: string;
  column: string;
}

export interface MigratedPage {
  rows: MigratedRow[];
  altered: AlteredValue[];
}

/** Everything that is read through one snapshot is as of one moment. */
export interface Snapshot {
  count(table: MigratedTable): Promise<number>;
  /** The greatest primary key, in byte order. */
  lastKey(table: MigratedTable): Promise<string | undefined>;
  /** Pages in the byte order of the primary keys; only of rows after `after`. */
  pages(table: MigratedTable, after?: string): AsyncIterable<MigratedPage>;
}

/**
 * How the tables of a database compare with this build. `empty`: it has none; `newer`: it has all migrations of this
 * build, and more; `foreign`: its migrations are of another line of versions; `occupied`: another application has tables
 * of the same names.
 */
export type DatabaseVersion = 'empty' | 'older' | 'current' | 'newer' | 'foreign' | 'occupied';

export interface EndpointState {
  /** `absent`: there is no such database. */
  version: DatabaseVersion | 'absent';
  /** A broker has the database open. */
  isInUse: boolean;
  /** The name of the source, while a data migration into this database has begun and not finished. */
  migratingFrom: string | undefined;
  /** The name of the target, once all of this database has been migrated there. */
  migratedTo: string | undefined;
  /** How many responses of providers wait in the rescue file beside it. */
  rescued: number;
}

/** The source or the target. Each method may reject with `StoreError`; nothing is opened or made before it is needed. */
export interface MigrationEndpoint {
  /** A URL without user and password, the same however it was written. */
  readonly name: string;
  state(): Promise<EndpointState>;
  /** Changes nothing. */
  read<T>(work: (snapshot: Snapshot) => Promise<T>): Promise<T>;
  /**
   * Makes the database, or brings its tables up to date; from then on no broker starts on it, until `finish`. A second
   * time from the same source changes nothing.
   */
  begin(from: string): Promise<void>;
  /** One durable commit. */
  write(table: MigratedTable, rows: MigratedRow[]): Promise<void>;
  finish(): Promise<void>;
  /** From now on no broker starts on this database, the source, since its refresh tokens may be spent by the target. */
  markMigrated(to: string): Promise<void>;
  /** The opposite. Without effect on a database that is not marked. */
  unmarkMigrated(): Promise<void>;
  close(): Promise<void>;
}

/**
 * The table that exists while a data migration into the database is unfinished. Its one row names the source, in the
 * column `place`.
 */
export const UNFINISHED_MARKER = 'moving_from';

/** The table of a database that has been migrated. Its one row names the target, in the column `place`. */
export const MIGRATED_MARKER = 'moved_to';

/** Why nothing may use the old database any more. */
export const migratedAway = (to: string): string =>
  `this database was migrated to ${to}, where its refresh tokens are spent since: use that one. If no broker was ever started there, start one on this database with --force`;

/** Why nothing else may open the database meanwhile. */
export const unfinishedMigration = (from: string): string =>
  `a data migration from ${from} into this database has not finished: run valetkey migrate-data again until it has, or use another database`;
