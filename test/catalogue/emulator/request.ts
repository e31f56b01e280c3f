// A request as the emulator looks at it, and what of it does not fit what the vendor's documentation says.
import type { IncomingMessage } from 'node:http';
import type { Wire } from './sigv4.ts';
import type { Call, Expected, Shape } from './vendor.ts';

export type Values = Record<string, string>;

export interface Request {
  method: string;
  /** The vendor's real one, without the query. */
  url: string;
  headers: Values;
  query: Values;
  /** Of a form or a JSON object; what is not a text is JSON. */
  fields: Values;
  /** `json`, `form`, or what else the header says; empty without a body. */
  type: string;
  /** Names that come more than once: nobody knows which one counts. */
  twice: string[];
  /** As it came. */
  wire: Wire;
}

export const paramsOf = ({ query, fields }: Request): Values => ({ ...query, ...fields });

/** Everything at `base` is brought back to where it really is. */
export async function readRequest(req: IncomingMessage, base: string, unmoved: (text: string) => string) {
  let body = '';
  for await (const chunk of req) body += chunk;
  const url = new URL(req.url ?? '', base);
  const type = (req.headers['content-type'] ?? '').replace(/;.*/, '').trim();
  const form = type === 'application/x-www-form-urlencoded' ? new URLSearchParams(body) : new URLSearchParams();
  const fields = type === 'application/json' ? jsonFields(body) : Object.fromEntries(form);
  const repeated = (params: URLSearchParams) =>
    [...new Set(params.keys())].filter((name) => params.getAll(name).length > 1);
  const texts = (values: Values): Values =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, unmoved(value)]));
  const headers: Values = Object.fromEntries(Object.entries(req.headers).map(([name, value]) => [name, String(value)]));
  const request: Request = {
    method: req.method ?? '',
    url: unmoved(url.origin + url.pathname),
    headers: texts(headers),
    query: texts(Object.fromEntries(url.searchParams)),
    fields: texts(fields),
    type: body === '' ? '' : (SHORT[type] ?? type),
    twice: [...repeated(url.searchParams), ...repeated(form)],
    wire: {
      method: req.method ?? '',
      host: req.headers.host ?? '',
      path: url.pathname,
      query: url.search.slice(1),
      headers,
      body,
    },
  };
  return request;
}

const SHORT: Values = { 'application/json': 'json', 'application/x-www-form-urlencoded': 'form' };

function jsonFields(body: string): Values {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return {};
  }
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  return Object.fromEntries(entries.map(([name, v]) => [name, typeof v === 'string' ? v : JSON.stringify(v)]));
}

/** `{name}` of what is known; what is not stays as it is. */
export const filled = (text: string, values: Values): string =>
  text.replace(/\{([a-z][a-z0-9_]*)\}/g, (hole, name: string) => values[name] ?? hole);

/** In words; undefined when it fits. */
function misfit(what: string, expected: Expected, value: string | undefined, values: Values): string | undefined {
  if (expected === null) return undefined;
  if (expected === false) return value === undefined ? undefined : `${what} must not be there (it is "${value}")`;
  if (value === undefined) return `${what} is missing`;
  if (expected === true) return undefined;
  if (expected instanceof RegExp) return expected.test(value) ? undefined : `${what} is "${value}", not ${expected}`;
  const exact = filled(expected, values);
  return value === exact ? undefined : `${what} is "${value}", not "${exact}"`;
}

/** Whatever is not named must not be there. */
export const misfits = (what: string, shape: Shape, given: Values, values: Values): string[] =>
  [...new Set([...Object.keys(shape), ...Object.keys(given)])].flatMap((name) => {
    const expected = Object.hasOwn(shape, name) ? shape[name]! : false;
    return misfit(`${what} ${name}`, expected, given[name], values) ?? [];
  });

export const headerMisfits = (shape: Shape, { headers }: Request, values: Values): string[] =>
  Object.entries(shape).flatMap(([name, expected]) => {
    return misfit(`header ${name}`, expected, headers[name.toLowerCase()], values) ?? [];
  });

/** Where its parameters stand, and that they stand nowhere else. */
export function placeMisfits({ method = 'POST', body }: Pick<Call, 'method' | 'body'>, request: Request): string[] {
  const place = body ?? (method === 'GET' ? 'query' : 'form');
  const { type, query, fields, twice } = request;
  const has = (values: Values) => Object.keys(values).length > 0;
  return [
    ...(request.method === method ? [] : [`the method is ${request.method}, not ${method}`]),
    ...((place === 'form' || place === 'json') && type !== place && !(type === '' && !has(fields))
      ? [`the body is "${type}", not ${place}`]
      : []),
    ...((place === 'query' || place === 'none') && has(fields) ? [`there is a body (${type})`] : []),
    ...(place !== 'query' && has(query) ? [`parameters are in the query: ${Object.keys(query).join(', ')}`] : []),
    ...twice.map((name) => `${name} is there twice`),
  ];
}

/** The method and the path; a query that the URL itself has must be there. */
export function isAt(request: Request, url: string, values: Values): boolean {
  const [path, query = ''] = filled(url, values).split('?');
  return (
    request.url === path && [...new URLSearchParams(query)].every(([name, value]) => request.query[name] === value)
  );
}
