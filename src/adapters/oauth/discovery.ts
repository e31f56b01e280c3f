// OpenID Connect Discovery 1.0, kept per issuer: one request at a time, and the last good document while it is down.
import { LRUCache } from 'lru-cache';
import * as client from 'openid-client';
import { METADATA_RETRY_MS, METADATA_TTL_MS } from '../../domain/time-limits.ts';
import type { Clock, ProviderResult } from '../../ports/index.ts';
import type { Outbound } from '../outbound/outbound.ts';
import { classifyProviderError, fault } from './provider-errors.ts';

export type Metadata = client.ServerMetadata;
export type Discover = (issuer: string) => Promise<ProviderResult<Metadata>>;

const MAX_ISSUERS = 500;

/** A document whose `issuer` is not exactly the one asked for is a fault, never metadata (Discovery 1.0 4.3). */
export function createDiscovery(outbound: Outbound, clock: Clock): Discover {
  const known = new LRUCache<string, { metadata: Metadata; freshUntil: number }>({ max: MAX_ISSUERS });
  const flights = new Map<string, Promise<ProviderResult<Metadata>>>();

  async function refreshed(issuer: string): Promise<ProviderResult<Metadata>> {
    const result = await read(issuer, outbound, clock);
    if (result.ok) {
      known.set(issuer, { metadata: result.value, freshUntil: clock.monotonic() + METADATA_TTL_MS });
      return result;
    }
    const stale = known.get(issuer);
    if (stale === undefined) return result;
    stale.freshUntil = clock.monotonic() + METADATA_RETRY_MS;
    return { ok: true, value: stale.metadata };
  }

  return async (issuer) => {
    const kept = known.get(issuer);
    if (kept && clock.monotonic() < kept.freshUntil) return { ok: true, value: kept.metadata };
    const flying = flights.get(issuer);
    if (flying) return flying;
    const flight = refreshed(issuer).finally(() => flights.delete(issuer));
    flights.set(issuer, flight);
    return flight;
  };
}

async function read(issuer: string, outbound: Outbound, clock: Clock): Promise<ProviderResult<Metadata>> {
  const what = `discovery of ${issuer}`;
  const url = URL.parse(issuer);
  if (url === null) return { ok: false, fault: fault('misconfigured', 'invalid_issuer', `${what}: not a URL`) };
  try {
    // The client is of no account here: only the document is kept.
    const found = await client.discovery(url, 'discovery', undefined, client.None(), {
      [client.customFetch]: async (to, { method, headers }) => (await outbound(to, { method, headers })).asResponse,
      execute: [client.allowInsecureRequests],
      timeout: 0,
    });
    const metadata = found.serverMetadata();
    if (metadata.issuer === issuer) return { ok: true, value: metadata };
    return {
      ok: false,
      fault: fault('misconfigured', 'issuer_mismatch', `${what}: the document names another issuer`),
    };
  } catch (error) {
    const judged = classifyProviderError(error, { what, secrets: [], now: clock.now() });
    const mismatch = error instanceof client.ClientError && error.code === 'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED';
    const found = mismatch
      ? fault('misconfigured', 'issuer_mismatch', `${what}: the document names another issuer`)
      : // Nothing was spent by asking.
        {
          ...judged,
          kind: judged.kind === 'invalid' ? ('misconfigured' as const) : judged.kind,
          outcomeUnknown: false,
        };
    return { ok: false, fault: found };
  }
}
