// Lists that go on: the next request of a list, by how the provider's entry says that its lists go on.
import { linkOf, type Place, placeOf, urlOf } from './api-links.ts';
import { withParam } from './api-request.ts';
import { ValetkeyError } from './errors.ts';
import { at, isObject, type Json } from './json-path.ts';
import type { ApiDescription } from './types.ts';

export type Pagination = NonNullable<ApiDescription['pagination']>;
type Style<S extends Pagination['style']> = Extract<Pagination, { style: S }>;

export interface ListRequest extends Place {
  method: string;
  body: unknown;
}

export interface ListAnswer {
  body: unknown;
  headers: Headers;
}

export interface ListOptions {
  /** Where the list is in an answer: `data.items`. For GraphQL, the connection. Default: the only list that the answer has. */
  list?: string;
  /** The variable of a GraphQL query that takes the cursor. Default: `after`. */
  variable?: string;
}

interface Context extends ListOptions {
  api: Pick<ApiDescription, 'base_url' | 'other_hosts'>;
  request: ListRequest;
  answer: ListAnswer;
}

type NextOf<S extends Pagination['style']> = (pagination: Style<S>, context: Context) => ListRequest | undefined;

/** The request for the next page; undefined: this one was the last. Throws `pagination` where that cannot be told. */
export const nextRequest = (pagination: Pagination, context: Context): ListRequest | undefined =>
  (NEXT[pagination.style] as NextOf<Pagination['style']>)(pagination, context);

const NEXT: { [S in Pagination['style']]: NextOf<S> } = {
  next_url({ from, secret_params = [] }, context) {
    const link = at(context.answer.body, from);
    if (link === undefined || link === null || link === '' || link === false) return undefined;
    if (typeof link !== 'string') throw fault('unknown', `The answer has no URL at "${from}"`);
    return linked(link, secret_params, context);
  },

  link_header({ rel = 'next' }, context) {
    const link = linkOf(context.answer.headers.get('link'), rel);
    return link === undefined ? undefined : linked(link, [], context);
  },

  cursor({ in: place = 'query', param, from, last_item, more }, { request, answer }) {
    if (more !== undefined && at(answer.body, more) === false) return undefined;
    const found = at(answer.body, from);
    const cursor = cursorAt(
      last_item === undefined ? found : at(Array.isArray(found) ? found.at(-1) : null, last_item),
    );
    if (cursor === undefined) return undefined;
    // What is asked for with a body has its cursor there too.
    if (place === 'body' || (request.method !== 'GET' && isObject(request.body)))
      return { ...request, body: { ...jsonOf(request), [param]: cursor } };
    return { ...request, path: withParam(request.path, param, String(cursor)) };
  },

  page({ param, first = 1, size, more, last, pages_header }, context) {
    const { request, answer } = context;
    const number = numberOf(request, param) ?? first;
    const next = () => ({ ...request, path: withParam(request.path, param, String(number + 1)) });
    if (more !== undefined && typeof at(answer.body, more) === 'boolean')
      return at(answer.body, more) ? next() : undefined;
    if (last !== undefined && typeof at(answer.body, last) === 'boolean')
      return at(answer.body, last) ? undefined : next();
    const pages = pages_header === undefined ? null : answer.headers.get(pages_header);
    if (pages !== null && /^\d{1,9}$/.test(pages)) return number - first + 1 < Number(pages) ? next() : undefined;
    return isLast(context, size) ? undefined : next();
  },

  offset({ param, size }, context) {
    const { request } = context;
    if (isLast(context, size)) return undefined;
    const offset = (numberOf(request, param) ?? 0) + (listOf(context)?.length ?? 0);
    return { ...request, path: withParam(request.path, param, String(offset)) };
  },

  continue_call({ suffix, param, from, more }, { request, answer }) {
    if (more !== undefined && at(answer.body, more) !== true) return undefined;
    const cursor = cursorAt(at(answer.body, from));
    if (cursor === undefined) return undefined;
    const path = request.path.split('?', 1)[0]!;
    return { ...request, path: path.endsWith(suffix) ? path : path + suffix, body: { [param]: cursor } };
  },

  relay(_, { request, answer, list, variable = 'after' }) {
    const info = list === undefined ? pageInfoIn(answer.body) : at(answer.body, `${list}.pageInfo`);
    if (!isObject(info))
      throw fault('ambiguous_list', 'The answer has no pageInfo, or several: name the one that is meant with `list`');
    const cursor = info.hasNextPage === true ? cursorAt(info.endCursor) : undefined;
    if (cursor === undefined) return undefined;
    const body = jsonOf(request);
    const variables = isObject(body.variables) ? body.variables : {};
    return { ...request, body: { ...body, variables: { ...variables, [variable]: cursor } } };
  },

  by_caller({ note }) {
    throw fault('by_caller', `The caller pages through the lists of this API itself: ${note}`);
  },
};

/** Only to the API's own hosts. */
function linked(link: string, secrets: readonly string[], { api, request }: Context): ListRequest {
  const from = urlOf(api, request);
  const url = URL.canParse(link, from.href) ? new URL(link, from) : undefined;
  for (const name of secrets) if (url?.searchParams.has(name)) url.searchParams.delete(name);
  const place = url && placeOf(url, api);
  if (place) return { ...request, ...place };
  // Some APIs write them from their base URL on.
  if (url?.origin === from.origin && /^\/(?!\/)/.test(link)) return { ...request, path: url.pathname + url.search };
  throw fault(
    'foreign_link',
    `The next page is at ${url?.origin ?? 'no URL'}, which is not below the API: it was not asked for`,
  );
}

/** The list of an answer; undefined: it has none. */
export function listOf({ answer: { body }, list }: Pick<Context, 'answer' | 'list'>): readonly unknown[] | undefined {
  if (list !== undefined) {
    const found = at(body, list);
    if (Array.isArray(found)) return found;
    throw fault('ambiguous_list', `The answer has no list at "${list}"`);
  }
  if (Array.isArray(body)) return body;
  if (!isObject(body)) return undefined;
  const lists = Object.entries(body).filter(([name, value]) => Array.isArray(value) && !/^(?:_.*|links?)$/.test(name));
  if (lists.length > 1)
    throw fault(
      'ambiguous_list',
      `The answer has several lists (${lists.map(([name]) => name).join(', ')}): name the one that is meant with \`list\``,
    );
  return lists[0]?.[1] as unknown[] | undefined;
}

/** `size`: the parameter with the number of items of a page. */
function isLast(context: Context, size: string | undefined): boolean {
  const { length } = listOf(context) ?? [];
  const asked = size === undefined ? undefined : numberOf(context.request, size);
  return length === 0 || (asked !== undefined && length < asked);
}

function numberOf({ path }: ListRequest, param: string): number | undefined {
  const value = new URLSearchParams(path.split('?').slice(1).join('?')).get(param);
  return value !== null && /^\d{1,9}$/.test(value) ? Number(value) : undefined;
}

const cursorAt = (value: unknown): string | number | undefined =>
  (typeof value === 'string' && value !== '') || typeof value === 'number' ? value : undefined;

const jsonOf = ({ body }: ListRequest): Json => (isObject(body) ? body : {});

/** The only one that an answer has, at any depth. */
function pageInfoIn(body: unknown): unknown {
  const found: unknown[] = [];
  const visit = (value: unknown, depth: number): void => {
    if (!isObject(value) || depth > 8) return;
    for (const [name, member] of Object.entries(value)) {
      if (name === 'pageInfo') found.push(member);
      else visit(member, depth + 1);
    }
  };
  visit(body, 0);
  return found.length === 1 ? found[0] : undefined;
}

export const fault = (reason: string, detail: string): ValetkeyError =>
  new ValetkeyError({ code: 'pagination', status: 0, detail, reason });
