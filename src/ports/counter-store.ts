// Counters, as a store keeps them: connections by integration and status, and what happened by the hour.
import type { ConnectionStatus } from '../domain/connection.ts';
import type { HourlyCount } from '../domain/hourly-counts.ts';

export interface CounterStore {
  /** By integration and status, those that are not 0. Exact, of counters that change in the commits that change connections. */
  countConnections(): Promise<ConnectionCount[]>;
  /** Makes later reads of these counters cheap again, after many changes. True: there is more to do. */
  foldConnectionCounts(): Promise<boolean>;
  /**
   * Adds to what is stored, whatever other processes add. When the connection to the database is lost during the commit, they
   * may be added although this rejects.
   */
  addHourlyCounts(counts: readonly HourlyCount[]): Promise<void>;
  /** The hours that begin at `from` or later and before `to`, in ms since the epoch, in their order. Integration undefined: all. */
  hourlyCounts(range: { from: number; to: number; integration?: string | undefined }): Promise<HourlyCount[]>;
  /** Deletes those of hours that began before this, up to `limit`. True: there may be more. */
  deleteHourlyCounts(before: number, limit: number): Promise<boolean>;
}

export interface ConnectionCount {
  integration: string;
  status: ConnectionStatus;
  count: number;
  /** Of them, those that are active and whose last refresh failed. */
  failing: number;
}
