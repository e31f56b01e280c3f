// Questions to the provider after connecting: which tenants, which data centre. What cannot be had now is asked for
// again with the next refresh; it never costs the grant.

import type { CodeMode } from '../../domain/auth-modes.ts';
import type { Lookup } from '../../domain/dialect.ts';
import { fill, fillAll } from '../../domain/fields.ts';
import { locate, type Target } from '../../domain/target.ts';
import { LOOKUP_DEADLINE_MS } from '../../domain/time-limits.ts';
import type { Outbound } from '../outbound/outbound.ts';
import { capture, type Json } from './json-paths.ts';

/** `known`: what was captured before, which is not asked for again. Never rejects. */
export async function lookUp(
  outbound: Outbound,
  target: Target<CodeMode>,
  accessToken: string,
  known: Json,
): Promise<Json> {
  const open = target.auth.lookups.filter((lookup) => Object.keys(lookup.capture).some((name) => !(name in known)));
  const found = await Promise.all(open.map((lookup) => ask(outbound, target, lookup, accessToken)));
  return Object.assign({}, ...found);
}

async function ask(outbound: Outbound, target: Target, lookup: Lookup, accessToken: string): Promise<Json> {
  const url = locate(target, lookup.url);
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
