// Look-ups after connecting: API requests whose answers are captured (which tenants, which data centre). A failed one is
// retried with the next refresh; it never costs the grant.

import { accountCaptures } from '../../domain/account.ts';
import type { CodeMode } from '../../domain/auth-modes.ts';
import type { Lookup } from '../../domain/dialect.ts';
import { fill, fillAll, type Values } from '../../domain/fields.ts';
import type { Json } from '../../domain/json.ts';
import { pendingLookups, resolveUrl, type Target } from '../../domain/target.ts';
import { LOOKUP_DEADLINE_MS } from '../../domain/time-limits.ts';
import type { Outbound } from '../outbound/outbound.ts';
import { capture } from './json-paths.ts';

export interface LookedUp {
  captured: Json;
  /** A look-up that says whose account it is failed, and may succeed later. */
  accountUnavailable: boolean;
}

/**
 * Runs the look-ups whose captures are not all in `known`, and returns what they find. Never rejects. With
 * `persists`, those that say whose account it is are tried a second time.
 */
export async function runLookups(
  outbound: Outbound,
  target: Target<CodeMode>,
  accessToken: string,
  known: Json,
  persists = false,
): Promise<LookedUp> {
  const pending = pendingLookups(target, known);
  if (pending.length === 0) return { captured: {}, accountUnavailable: false };
  const naming = new Set(accountCaptures(target.auth));
  // No captured values: the token is sent only where the catalogue and the admin say.
  const values = { ...target.values, access_token: accessToken };
  const found = await Promise.all(
    pending.map(async (lookup) => {
      const isNaming = Object.keys(lookup.capture).some((name) => naming.has(name));
      const first = await runLookup(outbound, target, lookup, values);
      const last =
        first === 'unavailable' && isNaming && persists ? await runLookup(outbound, target, lookup, values) : first;
      return last === 'unavailable' ? { captured: {}, accountUnavailable: isNaming } : { captured: last };
    }),
  );
  return {
    captured: Object.assign({}, ...found.map(({ captured }) => captured)),
    accountUnavailable: found.some(({ accountUnavailable }) => accountUnavailable),
  };
}

async function runLookup(
  outbound: Outbound,
  target: Target,
  lookup: Lookup,
  values: Values,
): Promise<Json | 'unavailable'> {
  const url = lookup.url === undefined ? target.endpoints.userinfo : resolveUrl({ ...target, values }, lookup.url);
  if (url === undefined) return {};
  const type = lookup.json && { 'content-type': 'application/json' };
  const headers = { ...type, ...tokenHeaders(lookup.headers, values) };
  try {
    const body = lookup.json && JSON.stringify(lookup.json);
    const response = await outbound(url, { method: lookup.method, headers, body, timeoutMs: LOOKUP_DEADLINE_MS });
    if (response.ok) return capture(await response.json(), fillAll(lookup.capture, values));
    return response.status >= 500 || response.status === 429 ? 'unavailable' : {};
  } catch {
    return 'unavailable';
  }
}

/** The access token as Bearer, unless the catalogue says otherwise. */
export const tokenHeaders = (headers: Values, values: Values): Values => ({
  accept: 'application/json',
  authorization: fill('Bearer {access_token}', values)!,
  ...Object.fromEntries(Object.entries(fillAll(headers, values)).map(([name, value]) => [name.toLowerCase(), value])),
});
