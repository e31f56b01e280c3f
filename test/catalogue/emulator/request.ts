// A parsed request, and its validation against the vendor's documentation.
import type { IncomingMessage } from 'node:http';
import type { Wire } from './sigv4.ts';
import type { EndpointSpec, ParamMatcher, ParamSpec } from './vendor.ts';

export type Values = Record<string, string>;

export interface Request {
  method: string;
  /** The vendor's real URL, without the query. */
  url: string;
  headers: Values;
  query: Values;
  /** The fields of a form or a JSON object; values that are not strings are JSON. */
  fields: Values;
  /** `json`, `form`, or another content type; empty without a body. */
  type: string;
  /** Names of repeated parameters. */
  twice: string[];
  /** The raw request. */
  wire: Wire;
}

export const paramsOf = ({ query, fields }: Request): Values => ({ ...query, ...fields });

/** Maps URLs at `base` back to the real ones. */
export async function readRequest(req: IncomingMessage, base: string, fromEmulator: (text: string) => string) {
  let body = '';
  for await (const chunk of req) body += chunk;
  const url = new URL(req.url ?? '', base);
  const type = (req.headers['content-type'] ?? '').replace(/;.*/, '').trim();
  const form = type === 'application/x-www-form-urlencoded' ? new URLSearchParams(body) : new URLSearchParams();
  const fields = type === 'application/json' ? jsonFields(body) : Object.fromEntries(form);
  const repeated = (params: URLSearchParams) =>
    [...new Set(params.keys())].filter((name) => params.getAll(name).length > 1);
  const texts = (values: Values): Values =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, fromEmulator(value)]));
  const headers: Values = Object.fromEntries(Object.entries(req.headers).map(([name, value]) => [name, String(value)]));
  const request: Request = {
    method: req.method ?? '',
    url: fromEmulator(url.origin + url.pathname),
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

/** Fills `{name}` for known values; unknown ones stay. */
export const fillTemplate = (text: string, values: Values): string =>
  text.replace(/\{([a-z][a-z0-9_]*)\}/g, (hole, name: string) => values[name] ?? hole);

/** The fault in words; undefined when it matches. */
function valueFault(
  what: string,
  expected: ParamMatcher,
  value: string | undefined,
  values: Values,
): string | undefined {
  if (expected === null) return undefined;
  if (expected === false) return value === undefined ? undefined : `${what} must not be there (it is "${value}")`;
  if (value === undefined) return `${what} is missing`;
  if (expected === true) return undefined;
  if (expected instanceof RegExp) return expected.test(value) ? undefined : `${what} is "${value}", not ${expected}`;
  const exact = fillTemplate(expected, values);
  return value === exact ? undefined : `${what} is "${value}", not "${exact}"`;
}

/** Whatever is not named must not be there. */
export const paramFaults = (what: string, shape: ParamSpec, given: Values, values: Values): string[] =>
  [...new Set([...Object.keys(shape), ...Object.keys(given)])].flatMap((name) => {
    const expected = Object.hasOwn(shape, name) ? shape[name]! : false;
    return valueFault(`${what} ${name}`, expected, given[name], values) ?? [];
  });

export const headerFaults = (shape: ParamSpec, { headers }: Request, values: Values): string[] =>
  Object.entries(shape).flatMap(([name, expected]) => {
    return valueFault(`header ${name}`, expected, headers[name.toLowerCase()], values) ?? [];
  });

/** Parameters must be in the right place, and nowhere else. */
export function placementFaults(
  { method = 'POST', body }: Pick<EndpointSpec, 'method' | 'body'>,
  request: Request,
): string[] {
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
    ...twice.map((name) => `${name} is repeated`),
  ];
}

/** Whether the request's path is this URL's, with the query that the URL has. */
export function matchesUrl(request: Request, url: string, values: Values): boolean {
  const [path, query = ''] = fillTemplate(url, values).split('?');
  return (
    request.url === path && [...new URLSearchParams(query)].every(([name, value]) => request.query[name] === value)
  );
}
