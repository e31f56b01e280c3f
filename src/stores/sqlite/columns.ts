// The kinds of columns that the tables share.
import { text } from 'drizzle-orm/sqlite-core';
import type { Ciphertext } from '../../domain/connection.ts';

export const json = <T>(name: string) => text(name, { mode: 'json' }).$type<T>();
export const ciphertext = (name: string) => text(name).$type<Ciphertext>();
