// Look-ups after connecting: API requests whose answers are captured (which tenants, which data centre). A failed one is
// retried with the next refresh; it never costs the grant.

import type { CodeMode } from '../../domain/auth-modes.ts';
import type { Lookup } from '../../domain/dialect.ts';
import { fill, fillAll } from '../../domain/fields.ts';
import { resolveUrl, type Target } from '../../domain/target.ts';
import { LOOKUP_DEADLINE_MS } from '../../domain/time-limits.ts';
import type { Outbound } from '../outbound/outbound.ts';
import { capture, type Json } from './json-paths.ts';

/** Runs the look-ups whose captures are not all in `known`, and returns what they find. Never rejects. */
export async function runLookups(
  outbound: Outbound,
  target: Target<CodeMode>,
  accessToken: string,
  known: Json,
): Promise<Json> {
  const pending = target.auth.lookups.filter((lookup) => Object.keys(lookup.capture).some((name) => !(name in known)));
  const found = await Promise.all(pending.map((lookup) => runLookup(outbound, target, lookup, accessToken)));
  return Object.assign({}, ...found);
}

async function runLookup(outbound: Outbound, target: Target, lookup: Lookup, accessToken: string): Promise<Json> {
  const url = resolveUrl(target, lookup.url);
  if (url === undefined) return {};
  const values = { ...target.values, access_token: accessToken };
  const headers = {
    accept: 'application/json',
    authorization: fill('Bearer {access_token}', values)!,
    ...Object.fromEntries(
      Object.entries(fillAll(lookup.headers, values)).map(([name, value]) => [name.toLowerCase(), value]),
    ),
  };
  try {
    const response = await outbound(url, { method: lookup.method, headers, timeoutMs: LOOKUP_DEADLINE_MS });
    return response.ok ? capture(await response.json(), lookup.capture) : {};
  } catch {
    return {};
  }
}
