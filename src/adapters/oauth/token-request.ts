// Turns the standard token requests of openid-client into the provider's dialect, as the catalogue describes it.

import { isCode, type TokenMode } from '../../domain/auth-modes.ts';
import { fillAll } from '../../domain/fields.ts';
import type { Target } from '../../domain/target.ts';
import type { OutboundRequest } from '../outbound/outbound.ts';

export interface TokenRequest extends OutboundRequest {
  url: string;
}

/** `form`: the standard parameters and the catalogue's. */
export function toDialectRequest(
  target: Target<TokenMode>,
  url: string,
  headers: Record<string, string>,
  form: URLSearchParams,
): TokenRequest {
  const { auth } = target;
  const { token_request: dialect } = auth;
  const refresh = isCode(auth) && form.get('grant_type') === auth.refresh.grant_type ? auth.refresh : undefined;
  const withoutClientId = target.clientId === '' ? ['client_id'] : [];
  const omitted = new Set([...dialect.omit, ...(refresh?.omit ?? []), ...withoutClientId]);
  const remaining = new URLSearchParams([...form].filter(([name]) => !omitted.has(name)));
  const parameters = Object.fromEntries(renameParameters(remaining, dialect.rename));
  const sent = { ...headers, ...lowerCaseNames(fillAll(dialect.headers, valuesWithClientSecret(target))) };
  if (omitted.has('authorization')) delete sent.authorization;
  const to = (refresh && target.endpoints.refresh) || url;
  return buildTokenRequest(to, refresh?.method ?? dialect.method, dialect.body, sent, parameters);
}

/** With the vendor's parameter names. */
export const renameParameters = (form: URLSearchParams, names: Record<string, string>): URLSearchParams =>
  new URLSearchParams([...form].map(([name, value]): [string, string] => [names[name] ?? name, value]));

/** A request with these parameters in the query (GET), as JSON or as a form. */
export function buildTokenRequest(
  url: string,
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
