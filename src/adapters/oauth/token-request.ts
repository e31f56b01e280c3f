// Token requests in the provider's own dialect: what openid-client says by the standard, said as the catalogue tells.

import { isCode, type TokenMode } from '../../domain/auth-modes.ts';
import { fillAll } from '../../domain/fields.ts';
import type { Target } from '../../domain/target.ts';
import type { OutboundRequest } from '../outbound/outbound.ts';

export interface TokenRequest extends OutboundRequest {
  url: string;
}

/** `form`: the standard parameters, with those of the catalogue added. */
export function inDialect(
  target: Target<TokenMode>,
  url: string,
  headers: Record<string, string>,
  form: URLSearchParams,
): TokenRequest {
  const { auth } = target;
  const { token_request: manner } = auth;
  const refresh = isCode(auth) && form.get('grant_type') === auth.refresh.grant_type ? auth.refresh : undefined;
  const unnamed = target.clientId === '' ? ['client_id'] : [];
  const omitted = new Set([...manner.omit, ...(refresh?.omit ?? []), ...unnamed]);
  const kept = new URLSearchParams([...form].filter(([name]) => !omitted.has(name)));
  const parameters = Object.fromEntries(renamed(kept, manner.rename));
  const sent = { ...headers, ...lowerCased(fillAll(manner.headers, secretValues(target))) };
  if (omitted.has('authorization')) delete sent.authorization;
  const to = (refresh && target.endpoints.refresh) || url;
  return asked(to, refresh?.method ?? manner.method, manner.body, sent, parameters);
}

/** In the system's own names. */
export const renamed = (form: URLSearchParams, names: Record<string, string>): URLSearchParams =>
  new URLSearchParams([...form].map(([name, value]): [string, string] => [names[name] ?? name, value]));

/** The request that carries these parameters in the query, as JSON or as a form. */
export function asked(
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

/** With the client's secret: for what goes to the provider's own endpoints. */
export const secretValues = ({ values, secrets }: Target): Record<string, string> =>
  secrets.secret === null ? values : { ...values, client_secret: secrets.secret };

const lowerCased = (headers: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
