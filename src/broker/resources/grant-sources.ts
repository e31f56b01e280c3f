// Grant sources: which authorization server grants access to a protected resource, and as which client the broker asks it.
import { LRUCache } from 'lru-cache';
import { protectedResourceOf } from '../../domain/auth-modes.ts';
import { upTo } from '../../domain/cache-bounds.ts';
import { fill } from '../../domain/fields.ts';
import type { GrantSource, ServerMetadata, SourceClient } from '../../domain/grant-source.ts';
import type { Target } from '../../domain/target.ts';
import { DISCOVERY_WINDOW_MS, RESOURCE_METADATA_TTL_MS } from '../../domain/time-limits.ts';
import type {
  ClientAssertions,
  Clock,
  FoundResource,
  ProviderFault,
  ProviderResult,
  ResourceChallenge,
  ResourceDiscovery,
} from '../../ports/index.ts';
import type { ResolvedIntegration } from '../integrations/index.ts';
import { createChallengedIssuers } from './challenged-issuers.ts';
import { type DocumentMethod, isPerIssuer, type RedirectUris } from './clients/redirect-uris.ts';
import type { Registrations } from './clients/registrations.ts';
import { createRecentCounts } from './recent-counts.ts';

export interface FoundSource {
  /** Its `asked` is empty. */
  source: GrantSource;
  /** To be asked for where no one names others. */
  scopes: string[];
}

export interface GrantSources {
  /**
   * The source of a new grant, found at the resource now or a minute ago at most; its client is registered if it has to be.
   * Undefined: the provider's endpoints are known otherwise. Rejects with `StoreError`.
   */
  find(
    found: ResolvedIntegration,
    target: Target,
    wanted: Freshness & { owner: string },
  ): Promise<ProviderResult<FoundSource | undefined>>;
  /** Only what the resource and its authorization server say. Precondition: the target has a resource. */
  discover(found: ResolvedIntegration, target: Target, freshness?: Freshness): Promise<ProviderResult<FoundResource>>;
  /** The issuer that it leads to after a challenge; by then all that was known of the resource is out of date. */
  challengedIssuer(
    found: ResolvedIntegration,
    target: Target,
    challenge: ResourceChallenge,
  ): Promise<ProviderResult<{ issuer: string }>>;
}

/** `since`: what was found before (ms since the epoch) is not used. */
interface Freshness {
  since?: number | undefined;
}

const MAX_RESOURCES = 1_000;
/** For one owner within `DISCOVERY_WINDOW_MS`: who has a link may name server after server. */
const MOST_DISCOVERIES = 60;

interface Parts {
  discovery: Pick<ResourceDiscovery, 'discover'>;
  registrations: Pick<Registrations, 'clientFor'>;
  clientAssertions: Pick<ClientAssertions, 'algorithm'>;
  uris: RedirectUris;
  clock: Pick<Clock, 'now' | 'monotonic'>;
}

const keyOf = ({ integration }: ResolvedIntegration, { resource }: Target): string =>
  JSON.stringify([integration.id, integration.version, integration.createdAt, resource]);

export function createGrantSources({ discovery, registrations, clientAssertions, uris, clock }: Parts): GrantSources {
  const cache = new LRUCache<string, { found: FoundResource; at: number }>(upTo(MAX_RESOURCES));
  const inFlight = new Map<string, Promise<ProviderResult<FoundResource>>>();
  const challenged = createChallengedIssuers({ discovery, clock });
  const discoveries = createRecentCounts(clock, DISCOVERY_WINDOW_MS);

  async function read(key: string, target: Target): Promise<ProviderResult<FoundResource>> {
    const answer = await discovery.discover(target);
    if (answer.ok) cache.set(key, { found: answer.value, at: clock.now() });
    return answer;
  }

  async function discover(
    found: ResolvedIntegration,
    target: Target,
    { since = 0 }: Freshness = {},
    owner?: string,
  ): Promise<ProviderResult<FoundResource>> {
    const key = keyOf(found, target);
    const known = cache.get(key);
    const notBefore = Math.max(since, clock.now() - RESOURCE_METADATA_TTL_MS);
    if (known && known.at >= notBefore && known.at <= clock.now()) return { ok: true, value: known.found };
    const running = inFlight.get(key);
    if (running) return running;
    if (owner !== undefined) {
      const counted = JSON.stringify([found.integration.id, owner]);
      const waitMs = discoveries.waitOf(counted, MOST_DISCOVERIES);
      if (waitMs !== undefined) return { ok: false, fault: tooManyDiscoveries(waitMs) };
      discoveries.count(counted);
    }
    const work = read(key, target).finally(() => inFlight.delete(key));
    inFlight.set(key, work);
    return work;
  }

  async function clientAt(
    found: ResolvedIntegration,
    { values, auth }: Target,
    server: ServerMetadata,
    redirectUri: string,
    owner: string,
  ): Promise<ProviderResult<SourceClient>> {
    const { id: integration, clientId, clientSecret } = found.integration;
    const rule = protectedResourceOf(auth);
    if (clientId !== '') {
      const pinned = rule?.issuer === undefined ? undefined : fill(rule.issuer, values);
      if (clientSecret !== null && pinned === undefined) return { ok: false, fault: noIssuer(server) };
      return { ok: true, value: { kind: 'integration' } };
    }
    const hosted = rule?.client_metadata_url;
    const elsewhere = hosted === undefined ? undefined : fill(hosted, values);
    const documentOf = (method: DocumentMethod) => elsewhere ?? uris.documentUrl(found, server.issuer, method);
    const takesDocuments = server.client_id_metadata_document_supported === true;
    if (takesDocuments && isClientId(documentOf('none'))) {
      const alg = wantsAssertion(server) ? await clientAssertions.algorithm() : undefined;
      if (alg === undefined) return { ok: true, value: { kind: 'document', id: documentOf('none') } };
      const accepted = server.token_endpoint_auth_signing_alg_values_supported ?? [alg];
      const method = 'private_key_jwt';
      if (accepted.includes(alg)) return { ok: true, value: { kind: 'document', id: documentOf(method), method } };
      if (!takesSecrets(server)) return { ok: false, fault: noAlgorithm(server, alg, accepted) };
    }
    if (server.registration_endpoint !== undefined)
      return registrations.clientFor({ integration, server, redirectUri, owner });
    const byHand = handMade(isPerIssuer(found) ? undefined : redirectUri);
    return {
      ok: false,
      fault: takesDocuments ? notHttps(server, documentOf('none'), byHand) : noClient(server, byHand),
    };
  }

  return {
    discover,
    challengedIssuer(found, target, challenge) {
      const key = keyOf(found, target);
      return challenged.read(key, target, challenge, () => cache.delete(key));
    },
    async find(found, target, { owner, since }) {
      if (protectedResourceOf(found.auth) === undefined) return { ok: true, value: undefined };
      const answer = await discover(found, target, { since }, owner);
      if (!answer.ok) return answer;
      const { resource, server, scopes } = answer.value;
      const redirectUri = uris.redirectUri(found, server.issuer);
      const client = await clientAt(found, target, server, redirectUri, owner);
      if (!client.ok) return client;
      const source: GrantSource = { resource, server, client: client.value, redirectUri, asked: [] };
      return { ok: true, value: { source, scopes } };
    },
  };
}

/** Its URL is a client id only over https: a broker without a public address registers. */
const isClientId = (document: string): boolean => document.startsWith('https:');

/** A public client is not enough there: the broker proves who it is. */
const wantsAssertion = ({ token_endpoint_auth_methods_supported: methods = ['none'] }: ServerMetadata): boolean =>
  methods.includes('private_key_jwt') && !methods.includes('none');

/** It registers clients that do not sign. */
const takesSecrets = ({ registration_endpoint, token_endpoint_auth_methods_supported: methods }: ServerMetadata) =>
  registration_endpoint !== undefined && methods?.some((method) => /^client_secret_(?:basic|post)$/.test(method));

const tooManyDiscoveries = (waitMs: number): ProviderFault => ({
  kind: 'transient',
  code: 'too_many_discoveries',
  detail: 'too many servers were asked for this owner within an hour',
  retryAfter: Math.ceil(waitMs / 1_000),
  outcomeUnknown: false,
});

/** Of an integration that was set up before the issuer was required. */
const noIssuer = ({ issuer }: ServerMetadata): ProviderFault => ({
  kind: 'misconfigured',
  code: 'issuer_required',
  detail: `the integration has a client_secret and does not say for which authorization server: set params.issuer, which is ${issuer} if that is where the client is registered`,
  retryAfter: undefined,
  outcomeUnknown: false,
});

const noAlgorithm = ({ issuer }: ServerMetadata, alg: string, accepted: readonly string[]): ProviderFault => ({
  kind: 'misconfigured',
  code: 'signing_alg_unsupported',
  detail: `the authorization server ${issuer} takes no client assertions that are signed with ${alg}, only with ${accepted.join(', ').slice(0, 100) || 'none'}`,
  retryAfter: undefined,
  outcomeUnknown: false,
});

/** Without a redirect URI: a client that is registered by hand is one of an integration of this server alone. */
const handMade = (redirectUri: string | undefined): string =>
  redirectUri === undefined
    ? 'register a client there by hand, for an integration of this server alone, with the redirect URI and the client_id of that one'
    : `register a client there by hand, with the redirect URI ${redirectUri}, and set the integration's client_id`;

const noClient = ({ issuer }: ServerMetadata, byHand: string): ProviderFault => ({
  kind: 'misconfigured',
  code: 'client_not_registered',
  detail: `the authorization server ${issuer} takes neither client id metadata documents nor registrations: ${byHand}`,
  retryAfter: undefined,
  outcomeUnknown: false,
});

const notHttps = ({ issuer }: ServerMetadata, document: string, byHand: string): ProviderFault => ({
  kind: 'misconfigured',
  code: 'public_url_not_https',
  detail: `the authorization server ${issuer} takes no registrations, only client id metadata documents at an https URL, and that of this broker is ${document}: set VALETKEY_PUBLIC_URL to an https URL that the server reaches, or ${byHand}`,
  retryAfter: undefined,
  outcomeUnknown: false,
});
