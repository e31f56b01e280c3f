// Discovery that begins at a protected resource: its challenge (RFC 6750 3), its metadata (RFC 9728), and those of the
// authorization server that it names (RFC 8414). Everything is checked before anything of it is used.
import { protectedResourceOf } from '../../domain/auth-modes.ts';
import { fill } from '../../domain/fields.ts';
import { OFFLINE_ACCESS, ServerMetadata, usedOf } from '../../domain/grant-source.ts';
import type { Json } from '../../domain/json.ts';
import {
  type BearerChallenge,
  fitsRequest,
  isResourceOf,
  isScopeToken,
  parseBearerChallenge,
  resourceMetadataUrls,
  serverMetadataUrls,
} from '../../domain/protected-resource.ts';
import type { Target } from '../../domain/target.ts';
import type { FoundResource, ResourceChallenge, ResourceDiscovery } from '../../ports/index.ts';
import type { WholeResponse } from '../outbound/outbound.ts';
import { createClientRegistration } from './client-registration.ts';
import {
  type DiscoveryRequests,
  type DiscoveryRequestsParts,
  discoveryRequests,
  orFault,
  refusedAt,
  type Step,
} from './discovery-requests.ts';

/** Of a URL that a third party names. */
const MOST_CHARACTERS = 2_048;

/** Why a URL may not be requested, in words; undefined when it may. */
type CheckUrl = (url: string) => string | undefined;

interface Parts extends DiscoveryRequestsParts {
  checkUrl: CheckUrl;
}

export function createResourceDiscovery({ checkUrl, ...parts }: Parts): ResourceDiscovery {
  return {
    async discover(target, challenge) {
      const requests = discoveryRequests(parts);
      return orFault(() => find(requests, checkUrl, target, challenge));
    },
    register: createClientRegistration(parts).register,
  };
}

async function find(
  requests: DiscoveryRequests,
  checkUrl: CheckUrl,
  target: Target,
  given: ResourceChallenge | undefined,
): Promise<FoundResource> {
  const { resource: url, values, auth } = target;
  const rule = protectedResourceOf(auth);
  if (url === null || rule === undefined) throw new Error('the target has no protected resource');
  const challenge = given ? usable(given, url) : undefined;
  const asked = challenge ? { challenge, isOpen: false } : await challengeOf(requests, target, url);
  const { document, step } = await resourceMetadata(requests, url, asked);
  const resource = document.resource;
  if (typeof resource !== 'string' || resource.length > MOST_CHARACTERS || !isResourceOf(resource, url))
    throw refusedAt(step, 'resource_mismatch', 'its "resource" is not one for the URL of the server');
  const servers = textsIn(document.authorization_servers);
  const pinned = rule.issuer === undefined ? undefined : fill(rule.issuer, values);
  const issuer = pinned === undefined ? servers[0] : servers.find((one) => one === pinned);
  if (issuer === undefined && servers.length > 0)
    throw refusedAt(step, 'issuer_mismatch', `it names other authorization servers than ${pinned}`);
  if (issuer === undefined)
    throw refusedAt(step, 'no_authorization_server', 'it names no authorization server ("authorization_servers")');
  // It is stored with each client and each grant, and is in the audit log.
  if (issuer.length > MOST_CHARACTERS)
    throw refusedAt(
      step,
      'issuer_mismatch',
      `it names an authorization server with more than ${MOST_CHARACTERS} characters`,
    );
  const server = await serverMetadata(requests, checkUrl, issuer);
  const isAssumed = rule.pkce !== undefined && fill(rule.pkce, values) === 'assumed';
  if (!isAssumed && !server.code_challenge_methods_supported?.includes('S256'))
    throw refusedAt(
      { name: METADATA_OF_SERVER, url: issuer },
      'pkce_unsupported',
      'it does not announce S256 in "code_challenge_methods_supported"; where it supports it nevertheless, the integration may say that it is assumed',
    );
  const named = asked.challenge?.scopes ?? textsIn(document.scopes_supported).filter(isScopeToken);
  // Of too many none is chosen: the server grants what it thinks fit (RFC 6749 3.3), and challenges for more.
  const scopes = fitsRequest(named) ? named : [];
  const isOffline = server.scopes_supported?.includes(OFFLINE_ACCESS) === true;
  return { resource, server, scopes: [...new Set([...scopes, ...(isOffline ? [OFFLINE_ACCESS] : [])])] };
}

/**
 * A challenge that a caller has been given by the resource. What it names at another origin is not asked: the resource is
 * asked itself then.
 */
function usable({ wwwAuthenticate }: ResourceChallenge, url: string): BearerChallenge | undefined {
  const challenge = parseBearerChallenge(wwwAuthenticate);
  const named = challenge?.resourceMetadata;
  if (named !== undefined && URL.parse(named)?.origin !== new URL(url).origin) return undefined;
  return challenge;
}

interface Asked {
  challenge: BearerChallenge | undefined;
  /** It answers without a token. */
  isOpen: boolean;
}

async function challengeOf(requests: DiscoveryRequests, { auth }: Target, url: string): Promise<Asked> {
  const step: Step = { name: 'the request without a token', url };
  let response: WholeResponse | undefined;
  for (const { method, headers, json } of protectedResourceOf(auth)!.challenge) {
    const typed = json === undefined ? headers : { 'content-type': 'application/json', ...headers };
    response = await requests.ask(step, {
      method,
      headers: typed,
      body: json === undefined ? null : JSON.stringify(json),
    });
    if (response.status !== 400) break;
  }
  const field = response?.status === 401 || response?.status === 403 ? response.headers.get('www-authenticate') : null;
  return { challenge: field === null ? undefined : parseBearerChallenge(field), isOpen: response?.ok === true };
}

const METADATA_OF_RESOURCE = 'the metadata of the protected resource';
const METADATA_OF_SERVER = 'the metadata of the authorization server';

/** Where the challenge names a URL, only that one. */
async function resourceMetadata(
  requests: DiscoveryRequests,
  url: string,
  { challenge, isOpen }: Asked,
): Promise<{ document: Json; step: Step }> {
  const named = challenge?.resourceMetadata;
  const urls = named === undefined ? resourceMetadataUrls(url) : [named];
  for (const one of urls) {
    const step: Step = { name: METADATA_OF_RESOURCE, url: one };
    const document = await requests.read(step);
    if (document !== undefined) return { document, step };
  }
  const step: Step = { name: METADATA_OF_RESOURCE, url: urls.at(-1)! };
  throw isOpen
    ? refusedAt(step, 'not_protected', 'there is none, and the server answers without a token: it needs no connection')
    : refusedAt(step, 'no_resource_metadata', 'there is none (RFC 9728)');
}

async function serverMetadata(
  requests: DiscoveryRequests,
  checkUrl: CheckUrl,
  issuer: string,
): Promise<ServerMetadata> {
  const parsed = URL.parse(issuer);
  const named: Step = { name: METADATA_OF_SERVER, url: issuer };
  // RFC 8414 2: no query and no fragment.
  if (parsed === null || !/^https?:$/.test(parsed.protocol) || /[?#]/.test(issuer))
    throw refusedAt(named, 'issuer_mismatch', 'the resource names an authorization server that is no issuer');
  for (const url of serverMetadataUrls(issuer)) {
    const step: Step = { name: METADATA_OF_SERVER, url };
    const document = await requests.read(step);
    if (document === undefined) continue;
    // RFC 8414 3.3: compared as text.
    if (document.issuer !== issuer)
      throw refusedAt(step, 'issuer_mismatch', 'its "issuer" is not the one that the resource names');
    const metadata = ServerMetadata.safeParse(document);
    if (!metadata.success)
      throw refusedAt(step, 'invalid_metadata', `not valid: ${metadata.error.issues[0]?.path.join('.') ?? ''}`);
    const faulty = ENDPOINTS.find((name) => !isEndpoint(metadata.data[name], parsed));
    if (faulty !== undefined) throw refusedAt(step, 'invalid_metadata', `its "${faulty}" is not an https URL`);
    // Before the owner is asked for a consent that could not be used.
    for (const name of REQUESTED) {
      const endpoint = metadata.data[name];
      const why = endpoint && checkUrl(endpoint);
      if (why) throw refusedAt({ name: `the "${name}"`, url: endpoint }, 'outbound_refused', why);
    }
    return usedOf(metadata.data);
  }
  throw refusedAt(named, 'no_server_metadata', 'there are none (RFC 8414)');
}

/** By the broker. */
const REQUESTED = [
  'token_endpoint',
  'registration_endpoint',
  'revocation_endpoint',
  'pushed_authorization_request_endpoint',
] as const;
const ENDPOINTS = ['authorization_endpoint', ...REQUESTED] as const;

/** Browsers are sent to one of them: nothing but https, or http where the issuer is reached over it too. */
function isEndpoint(endpoint: string | undefined, issuer: URL): boolean {
  if (endpoint === undefined) return true;
  if (endpoint.length > MOST_CHARACTERS) return false;
  const url = URL.parse(endpoint);
  if (url === null || url.hash !== '') return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && issuer.protocol === 'http:');
}

const textsIn = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string' && one !== '') : [];
