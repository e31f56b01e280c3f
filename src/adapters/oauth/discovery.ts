// OpenID Connect Discovery 1.0: cached per issuer, one request at a time, and stale while the issuer is down.
import { LRUCache } from 'lru-cache';
import * as client from 'openid-client';
import { METADATA_RETRY_MS, METADATA_TTL_MS } from '../../domain/time-limits.ts';
import type { Clock, ProviderResult } from '../../ports/index.ts';
import type { Outbound } from '../outbound/outbound.ts';
import { classifyProviderError, fault, isUrlError } from './provider-errors.ts';

export type Metadata = client.ServerMetadata;

export interface Discovery {
  /**
   * The issuer's metadata: cached for an hour, and the last good document for as long as the issuer cannot be reached. A
   * document whose `issuer` is not exactly this one is a fault, never metadata (Discovery 1.0 4.3).
   */
  metadata(issuer: string): Promise<ProviderResult<Metadata>>;
}

const MAX_ISSUERS = 500;

export function createDiscovery(outbound: Outbound, clock: Clock): Discovery {
  const cache = new LRUCache<string, { metadata: Metadata; freshUntil: number }>({ max: MAX_ISSUERS });
  const inFlight = new Map<string, Promise<ProviderResult<Metadata>>>();

  async function reload(issuer: string): Promise<ProviderResult<Metadata>> {
    const result = await fetchMetadata(issuer, outbound, clock);
    if (result.ok) {
      cache.set(issuer, { metadata: result.value, freshUntil: clock.monotonic() + METADATA_TTL_MS });
      return result;
    }
    const stale = cache.get(issuer);
    if (stale === undefined) return result;
    stale.freshUntil = clock.monotonic() + METADATA_RETRY_MS;
    return { ok: true, value: stale.metadata };
  }

  return {
    async metadata(issuer) {
      const cached = cache.get(issuer);
      if (cached && clock.monotonic() < cached.freshUntil) return { ok: true, value: cached.metadata };
      const running = inFlight.get(issuer);
      if (running) return running;
      const request = reload(issuer).finally(() => inFlight.delete(issuer));
      inFlight.set(issuer, request);
      return request;
    },
  };
}

async function fetchMetadata(issuer: string, outbound: Outbound, clock: Clock): Promise<ProviderResult<Metadata>> {
  const what = `discovery of ${issuer}`;
  const url = URL.parse(issuer);
  if (url === null) return { ok: false, fault: fault('misconfigured', 'invalid_issuer', `${what}: not a URL`) };
  try {
    // The client does not matter here: only the document is used.
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
    const classified = classifyProviderError(error, { what, secrets: [], now: clock.now() });
    const mismatch =
      isUrlError(error) ||
      (error instanceof client.ClientError && error.code === 'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED');
    const found = mismatch
      ? fault('misconfigured', 'issuer_mismatch', `${what}: the document names another issuer`)
      : // Discovery spends nothing.
        {
          ...classified,
          kind: classified.kind === 'invalid' ? ('misconfigured' as const) : classified.kind,
          outcomeUnknown: false,
        };
    return { ok: false, fault: found };
  }
}
