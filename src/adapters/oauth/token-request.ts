// Turns standard token requests into the provider's dialect, as the catalogue describes it.

import { isCode, type TokenMode } from '../../domain/auth-modes.ts';
import { fillAll } from '../../domain/fields.ts';
import type { Target } from '../../domain/target.ts';
import type { OutboundRequest } from '../outbound/outbound.ts';

export interface TokenRequest extends OutboundRequest {
  url: string | URL;
}

/** `form`: the standard parameters and the catalogue's. */
export type ToDialect = (url: string | URL, headers: Record<string, string>, form: URLSearchParams) => TokenRequest;

/** What the catalogue changes of the token requests to a target, worked out once: a target has many of them. */
export function createTokenDialect(target: Target<TokenMode>): ToDialect {
  const { auth } = target;
  const { token_request: dialect } = auth;
  const own = lowerCaseNames(fillAll(dialect.headers, valuesWithClientSecret(target)));
  const withoutClientId = target.clientId === '' ? ['client_id'] : [];
  const ordinary = {
    omitted: new Set([...dialect.omit, ...withoutClientId]),
    method: dialect.method,
    to: undefined as string | undefined,
  };
  const refresh = isCode(auth) ? auth.refresh : undefined;
  const ofRefresh = refresh && {
    omitted: new Set([...ordinary.omitted, ...refresh.omit]),
    method: refresh.method ?? dialect.method,
    to: target.endpoints.refresh || undefined,
  };
  const isRenaming = Object.keys(dialect.rename).length > 0;

  return (url, headers, form) => {
    const {
      omitted,
      method,
      to = url,
    } = ofRefresh && form.get('grant_type') === refresh?.grant_type ? ofRefresh : ordinary;
    const sent = { ...headers, ...own };
    if (omitted.has('authorization')) delete sent.authorization;
    if (omitted.size === 0 && !isRenaming && method === 'POST' && dialect.body === 'form')
      return { url: to, method, headers: sent, body: form };
    const remaining = new URLSearchParams([...form].filter(([name]) => !omitted.has(name)));
    const parameters = Object.fromEntries(renameParameters(remaining, dialect.rename));
    return buildTokenRequest(to, method, dialect.body, sent, parameters);
  };
}

/** With the vendor's parameter names. */
export const renameParameters = (form: URLSearchParams, names: Record<string, string>): URLSearchParams =>
  new URLSearchParams([...form].map(([name, value]): [string, string] => [names[name] ?? name, value]));

/** A request with these parameters in the query (GET), as JSON or as a form. */
export function buildTokenRequest(
  url: string | URL,
  method: 'GET' | 'POST',
  body: 'form' | 'json',
  headers: Record<string, string>,
  parameters: Record<string, string>,
): TokenRequest {
  if (method === 'GET') {
    const to = new URL(url);
    for (const [name, value] of Object.entries(parameters)) to.searchParams.set(name, value);
    const { 'content-type': _, ...rest } = headers;
    return { url: to.href, method, headers: rest };
  }
  if (body === 'form') return { url, method, headers, body: new URLSearchParams(parameters) };
  const typed = { ...headers, 'content-type': 'application/json' };
  return { url, method, headers: typed, body: JSON.stringify(parameters) };
}

/** Template values with the client secret: only for requests to the provider's own endpoints. */
export const valuesWithClientSecret = ({ values, secrets }: Target): Record<string, string> =>
  secrets.secret === null ? values : { ...values, client_secret: secrets.secret };

const lowerCaseNames = (headers: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
