// The data on their way from one database to another: what is carried, in which form, and what a place of it can do.

/**
 * The tables that are carried, by their names in the database, each after those that it refers to. What belongs to a
 * place stays there: `changes`, which tells processes of it, `replicas`, and `paces`, which is full after a moment.
 */
export const CARRIED = [
  'integrations',
  'callers',
  'caller_keys',
  'connections',
  'grants',
  'leases',
  'connect_sessions',
  'flows',
  'outbox_revocations',
  'audit',
  'key_checks',
] as const;
export type CarriedTable = (typeof CARRIED)[number];

/** Columns that mean nothing elsewhere: who holds a lease is a process of the place. There they are null. */
export const LEFT_BEHIND: readonly string[] = ['leases.holder'];

/**
 * A row in the form that both stores keep, and that digests are made of: each value as text, in the order of the schema,
 * the primary key first. Times are whole milliseconds; there is no NUL in a text (U+FFFD stands for it); JSON is the
 * text that was stored.
 */
export type CarriedRow = readonly [id: string, ...(string | null)[]];

/** A value that was stored in another form: its NUL characters, or a fraction of a millisecond, are not carried. */
export interface Altered {
  table: CarriedTable;
  id: string;
  column: string;
}

export interface CarriedPage {
  rows: CarriedRow[];
  altered: Altered[];
}

/** All that is read through one of these is as of one moment. */
export interface Reading {
  count(table: CarriedTable): Promise<number>;
  /** The greatest primary key, by its bytes. */
  last(table: CarriedTable): Promise<string | undefined>;
  /** Pages in the order of the primary keys, by their bytes; of those after the given one. */
  pages(table: CarriedTable, after?: string): AsyncIterable<CarriedPage>;
}

export interface PlaceStanding {
  /** `absent`: no such database; `empty`: without tables; otherwise what made its tables, as compared with this version. */
  version: 'absent' | 'empty' | 'older' | 'current' | 'newer';
  /** A process that serves has it open. */
  isInhabited: boolean;
  /** The name of the place that is being moved here, when that has begun and not ended. */
  movingFrom: string | undefined;
  /** Answers of providers that wait beside it. */
  waiting: number;
}

/** Each method may reject with `StoreError`; nothing is opened or made before it is needed. */
export interface Place {
  /** A URL without user and password, the same however it was written. */
  readonly name: string;
  standing(): Promise<PlaceStanding>;
  /** Changes nothing. */
  read<T>(work: (reading: Reading) => Promise<T>): Promise<T>;
  /**
   * Makes the database, or brings its tables up to date; from then on no broker starts on it, until `finish`. Once more
   * from the same place changes nothing.
   */
  begin(from: string): Promise<void>;
  /** One durable commit. */
  write(table: CarriedTable, rows: CarriedRow[]): Promise<void>;
  finish(): Promise<void>;
  close(): Promise<void>;
}

/** The table that is there as long as a move into the database is under way, with one row: where it comes from. */
export const MARK = 'moving_from';

/** Why nothing else may open the database meanwhile. */
export const halfMoved = (from: string): string =>
  `a move from ${from} into this database has not ended: run valetkey migrate-data again, to its end, or use another database`;
