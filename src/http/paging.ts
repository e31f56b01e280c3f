// Pages of lists: from a query's `limit` and `cursor` to the rows, and to `{data, next_cursor}`.
import { type Refusal, refuse } from '../domain/errors.ts';
import type { Page, PageRequest } from '../ports/index.ts';
import type { Cursors } from './cursors.ts';

const DEFAULT_LIMIT = 100;

export interface PageQuery {
  limit?: number | undefined;
  cursor?: string | undefined;
}

/** What of a request's context they need, of the API or of the console. */
interface ListContext {
  req: { path: string };
  get(name: 'cursors'): Cursors;
}

/** Lists the page that the query asks for; a refusal when its cursor is not one of this list. */
export function paged<T>(
  c: ListContext,
  { limit = DEFAULT_LIMIT, cursor }: PageQuery,
  list: (request: PageRequest) => T,
): T | Refusal {
  const after = cursor === undefined ? undefined : c.get('cursors').decrypt(c.req.path, cursor);
  if (after === undefined && cursor !== undefined)
    return refuse({ code: 'invalid_request', detail: 'The cursor is not valid. Use a next_cursor of this list.' });
  return list({ limit, after });
}

/** A page of a list in memory that is sorted by id. */
export function sliceOf<T extends { id: string }>(sorted: readonly T[], { limit, after }: PageRequest): Page<T> {
  const rest = after === undefined ? sorted : sorted.filter(({ id }) => id > after);
  const data = rest.slice(0, limit);
  return { data, next: rest.length > limit ? (data.at(-1)?.id ?? null) : null };
}

export const page = <T, V>(c: ListContext, { data, next }: Page<T>, present: (item: T) => V) => ({
  data: data.map(present),
  next_cursor: next === null ? null : c.get('cursors').encrypt(c.req.path, next),
});
