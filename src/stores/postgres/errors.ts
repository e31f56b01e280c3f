// The errors of PostgreSQL and of the way to it, as errors of the port. They hold neither values nor the URL.
import { DrizzleQueryError } from 'drizzle-orm';
import { DatabaseError } from 'pg';
import { StoreError } from '../../ports/index.ts';

/** The driver's error, without the query builder's wrapper, whose message holds the parameters. */
const originOf = (error: unknown): unknown =>
  error instanceof DrizzleQueryError && error.cause !== undefined ? originOf(error.cause) : error;

/** SQLSTATE, or the code of the socket's error. */
export function codeOf(error: unknown): string | undefined {
  const { code } = (originOf(error) ?? {}) as { code?: unknown };
  return typeof code === 'string' ? code : undefined;
}

/**
 * The server answered, and the connection stays usable. Not so when it is about to end (08, 57P, XX), or leads to a primary
 * that has become a standby (25006).
 */
export const isAnswer = (error: unknown): boolean => {
  const origin = originOf(error);
  return origin instanceof DatabaseError && !/^(08|57P|XX|25006)/.test(origin.code ?? '');
};

/** No answer: the connection has ended, or there was none. */
export const isBroken = (error: unknown): boolean => !isAnswer(error) && !(error instanceof StoreError);

/** Serialization failure, deadlock: nothing happened, and the next attempt may succeed. */
export const isWorthRetrying = (error: unknown): boolean => ['40001', '40P01'].includes(codeOf(error) ?? '');

/** The user may not do it, or not log in; or the server only reads: the next attempt is denied too. */
export const isDenied = (error: unknown): boolean => /^(28|42501|25006)/.test(codeOf(error) ?? '');

/** The database does not support it: the feature, or the function, or not for this user. */
export const isLacking = (error: unknown): boolean => ['0A000', '42883', '42501'].includes(codeOf(error) ?? '');

/** A prepared statement is unknown by its name, or exists already: a pooler has switched the connection. */
export const isForeignName = (error: unknown): boolean => ['26000', '42P05'].includes(codeOf(error) ?? '');

/** Without a cause: its fields, and for some classes its message, may hold values. */
export function storeError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const origin = originOf(error);
  const message = origin instanceof Error && origin.message !== '' ? origin.message : 'it failed';
  const code = codeOf(error);
  if (code !== undefined && /^(22|23)/.test(code)) {
    const { table, column, constraint } = origin as { table?: string; column?: string; constraint?: string };
    const where = [table, column, constraint].filter((name) => name !== undefined).join('.');
    return new StoreError(`PostgreSQL refused a value (${code}${where === '' ? '' : `, ${where}`})`);
  }
  return new StoreError(`PostgreSQL: ${message}${code === undefined ? '' : ` (${code})`}`);
}
