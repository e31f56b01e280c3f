// The framework's side of results and refusals: what handlers and middleware return.
import type { Context } from 'hono';
import { type Fault, Refusal } from '../../domain/errors.ts';
import { toResponse } from '../answer.ts';
import type { Env } from '../env.ts';
import { type PlainCode, problemOf, problemWith } from './problem.ts';

/**
 * The response to a use case's result: `present` for its value, a problem for its refusal. The framework's types check the
 * former; problems are each operation's `default` response, which these types do not know.
 */
export function respond<T, R extends Response>(
  c: Context<Env>,
  result: T | Refusal,
  present: (value: Exclude<T, Refusal>) => R,
): R {
  if (result instanceof Refusal) return problem(c, result.fault) as R;
  return present(result as Exclude<T, Refusal>);
}

export const problem = (c: Context<Env>, fault: Fault): Response => toResponse(c, problemOf(fault, c.get('requestId')));

/** A problem with a detail of our own. */
export const problemResponse = (c: Context<Env>, code: PlainCode, detail: string): Response =>
  toResponse(c, problemWith(code, detail, c.get('requestId')));
