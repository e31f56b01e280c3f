// What PostgreSQL, or the way there, did not do, in the words of the port. Neither values nor the URL are told.
import { DrizzleQueryError } from 'drizzle-orm';
import { DatabaseError } from 'pg';
import { StoreError } from '../../ports/index.ts';

/** What the driver said, below what the query builder wraps it in: its message would tell the parameters. */
const originOf = (error: unknown): unknown =>
  error instanceof DrizzleQueryError && error.cause !== undefined ? originOf(error.cause) : error;

/** SQLSTATE, or the code of the socket's error. */
export function codeOf(error: unknown): string | undefined {
  const { code } = (originOf(error) ?? {}) as { code?: unknown };
  return typeof code === 'string' ? code : undefined;
}

/**
 * The server answered, and this connection is of use. Not so where it is about to end (08, 57P, XX), or was made to a
 * primary that has become a standby (25006).
 */
export const isAnswer = (error: unknown): boolean => {
  const origin = originOf(error);
  return origin instanceof DatabaseError && !/^(08|57P|XX|25006)/.test(origin.code ?? '');
};

/** Nobody answered: the connection is over, or there was none. */
export const isBroken = (error: unknown): boolean => !isAnswer(error) && !(error instanceof StoreError);

/** Serialization failure, deadlock: nothing happened, and the next time it may. */
export const isWorthAnotherTry = (error: unknown): boolean => ['40001', '40P01'].includes(codeOf(error) ?? '');

/** A statement is not known by its name, or another one is: the connection is not the one that it was. */
export const isForeignName = (error: unknown): boolean => ['26000', '42P05'].includes(codeOf(error) ?? '');

/** Without a cause, whose fields may hold values. The messages of these classes may too. */
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
