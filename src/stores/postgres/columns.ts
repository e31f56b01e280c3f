// The kinds of columns that the tables share.
import { bigint, customType, json as jsonColumn } from 'drizzle-orm/pg-core';
import type { Ciphertext } from '../../domain/connection.ts';

/** PostgreSQL cannot store NUL in a text: U+FFFD replaces it. An id of a request that has one then matches no row. */
export const text = customType<{ data: string; driverData: string }>({
  dataType: () => 'text',
  toDriver: (value) => (value?.includes('\0') ? value.replaceAll('\0', '\uFFFD') : value),
});
/** Not `jsonb`, which rejects a `\u0000` that SQLite accepts. */
export const json = <T>(name: string) => jsonColumn(name).$type<T>();
/** Milliseconds since the epoch. A provider may send a fraction, or infinity: its response must not be lost for that. */
export const time = customType<{ data: number; driverData: number | string }>({
  dataType: () => 'bigint',
  toDriver: (ms) => Math.min(Math.round(ms), Number.MAX_SAFE_INTEGER),
  fromDriver: Number,
});
export const ciphertext = (name: string) => text(name).$type<Ciphertext>();
/** A place in an order that the database gives. */
export const position = (name: string) => bigint(name, { mode: 'number' });
/** The number of a transaction, which no other one of this server has. */
export const xid8 = customType<{ data: string; driverData: string }>({ dataType: () => 'xid8' });
