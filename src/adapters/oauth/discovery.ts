// OpenID Connect Discovery 1.0, and RFC 8414 for plain authorization servers: cached per issuer, one request at a time, and
// stale while the issuer is down.
import { LRUCache } from 'lru-cache';
import * as client from 'openid-client';
import { upTo } from '../../domain/cache-bounds.ts';
import { METADATA_RETRY_MS, METADATA_TTL_MS } from '../../domain/time-limits.ts';
import type { Clock, ProviderFault, ProviderResult } from '../../ports/index.ts';
import type { Outbound } from '../outbound/outbound.ts';
import { classifyProviderError, fault, isUrlError } from './provider-errors.ts';

export type Metadata = client.ServerMetadata;

export interface Discovery {
  /**
   * The issuer's metadata, at the well-known URLs of an OpenID Provider or of an authorization server: cached for an hour, and the last good document for as long as the issuer cannot be reached. A
   * document whose `issuer` is not exactly this one is a fault, never metadata (Discovery 1.0 4.3).
   */
  metadata(issuer: string, kind: IssuerKind): Promise<ProviderResult<Metadata>>;
}

export type IssuerKind = 'openid_provider' | 'authorization_server';

const MAX_ISSUERS = 500;

export function createDiscovery(outbound: Outbound, clock: Clock): Discovery {
  const cache = new LRUCache<string, { metadata: Metadata; freshUntil: number }>(upTo(MAX_ISSUERS));
  const inFlight = new Map<string, Promise<ProviderResult<Metadata>>>();

  async function reload(key: string, issuer: string, kind: IssuerKind): Promise<ProviderResult<Metadata>> {
    const result = await fetchMetadata(issuer, kind, outbound, clock);
    if (result.ok) {
      cache.set(key, { metadata: result.value, freshUntil: clock.monotonic() + METADATA_TTL_MS });
      return result;
    }
    const stale = cache.get(key);
    if (stale === undefined) return result;
    stale.freshUntil = clock.monotonic() + METADATA_RETRY_MS;
    return { ok: true, value: stale.metadata };
  }

  return {
    async metadata(issuer, kind) {
      const key = `${kind} ${issuer}`;
      const cached = cache.get(key);
      if (cached && clock.monotonic() < cached.freshUntil) return { ok: true, value: cached.metadata };
      const running = inFlight.get(key);
      if (running) return running;
      const request = reload(key, issuer, kind).finally(() => inFlight.delete(key));
      inFlight.set(key, request);
      return request;
    },
  };
}

/** Paths in the order in which they are tried. RFC 8414 3.1 inserts the well-known part before the issuer's own path. */
function metadataUrls(issuer: URL, kind: IssuerKind): URL[] {
  const own = issuer.pathname.replace(/\/$/, '');
  const at = (path: string) => new URL(`${issuer.origin}${path}`);
  const openid = at(`${own}/.well-known/openid-configuration`);
  if (kind === 'openid_provider') return [openid];
  const inserted = at(`/.well-known/openid-configuration${own}`);
  return [at(`/.well-known/oauth-authorization-server${own}`), openid, ...(own === '' ? [] : [inserted])];
}

/** The first document that is this issuer's. Without one, the fault of an outage, since that may pass, or the first. */
async function fetchMetadata(
  issuer: string,
  kind: IssuerKind,
  outbound: Outbound,
  clock: Clock,
): Promise<ProviderResult<Metadata>> {
  const what = `discovery of ${issuer}`;
  const url = URL.parse(issuer);
  if (url === null) return { ok: false, fault: fault('misconfigured', 'invalid_issuer', `${what}: not a URL`) };
  const faults: ProviderFault[] = [];
  for (const to of metadataUrls(url, kind)) {
    const found = await fetchDocument(issuer, to, outbound, clock);
    if (found.ok) return found;
    faults.push(found.fault);
    // All URLs are of one origin: what is silent at one is silent at the others.
    if (found.fault.code === 'timeout') break;
  }
  return { ok: false, fault: faults.find((one) => one.kind === 'transient') ?? faults[0]! };
}

async function fetchDocument(
  issuer: string,
  url: URL,
  outbound: Outbound,
  clock: Clock,
): Promise<ProviderResult<Metadata>> {
  const what = `discovery of ${issuer}`;
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
