// From a target to the configuration that openid-client works with: endpoints, client authentication, transport.
import * as client from 'openid-client';
import { isCode, protectedResourceOf, type TokenMode } from '../../domain/auth-modes.ts';
import { fill } from '../../domain/fields.ts';
import type { GrantSource } from '../../domain/grant-source.ts';
import type { ClientSecrets, Target } from '../../domain/target.ts';
import { REFRESH_DEADLINE_MS } from '../../domain/time-limits.ts';
import type { ClientAssertions, ProviderFault, ProviderResult } from '../../ports/index.ts';
import { type Outbound, type OutboundRequest, WholeResponse } from '../outbound/outbound.ts';
import { ownAssertion, ownKeysFault, usesOwnKeys } from './client-assertion.ts';
import { ClientKeyError, chooseAuthMethod, clientProof, toClientAuth } from './client-authentication.ts';
import type { Discovery, IssuerKind, Metadata } from './discovery.ts';
import { fault } from './provider-errors.ts';
import { currentSendGate } from './send-gate.ts';
import { createTokenRequests, createTokenSender, type RequestTokens, type SendTokenRequest } from './token-endpoint.ts';
import { renameParameters } from './token-request.ts';
import { receiveTokenResponse, stripChallenge } from './token-response.ts';

export interface Configured {
  config: client.Configuration;
  /** The discovered metadata, overlaid with the target's endpoints. */
  metadata: Metadata;
  /** Undefined: it has no token endpoint, or not one of a URL. */
  requestTokens: RequestTokens | undefined;
}

export interface Configurations {
  /**
   * The configuration for a target, cached by the target object and the discovered document. Fails as discovery does,
   * and as `misconfigured` when the client's private key or certificate cannot be used.
   */
  get(target: Target<TokenMode>): Promise<ProviderResult<Configured>>;
  /** The same at once, of a target that nothing is discovered for; undefined: `get` says. */
  known(target: Target<TokenMode>): Configured | undefined;
}

/** `refreshDeadlineMs`: of a request that spends a refresh token. */
export function createConfigurations(
  outbound: Outbound,
  discovery: Discovery,
  clientAssertions: ClientAssertions,
  refreshDeadlineMs: number = REFRESH_DEADLINE_MS,
): Configurations {
  /** Callers reuse one target object for an integration and its parameters until one of them changes. */
  const cache = new WeakMap<Target, Configured & { discovered: Metadata }>();

  return {
    known: (target) => (target.issuer === null && !target.source ? cache.get(target) : undefined),

    async get(target) {
      const found = target.source
        ? ({ ok: true, value: metadataOf(target.source) } as const)
        : target.issuer === null
          ? undefined
          : await discovery.metadata(target.issuer, issuerKind(target));
      if (found && !found.ok) return found;
      const discovered = found ? found.value : NO_METADATA;
      const cached = cache.get(target);
      if (cached?.discovered === discovered) return { ok: true, value: cached };
      const refused = secretFault(target) ?? (target.source && (await ownKeysFault(clientAssertions, target.source)));
      if (refused) return { ok: false, fault: refused };
      try {
        const parts = { outbound, clientAssertions, refreshDeadlineMs };
        const created = { ...(await createConfigured(target, discovered, parts)), discovered };
        cache.set(target, created);
        return { ok: true, value: created };
      } catch (error) {
        if (!(error instanceof ClientKeyError)) throw error;
        return { ok: false, fault: fault('misconfigured', 'invalid_client_key', error.message) };
      }
    },
  };
}

const issuerKind = ({ auth }: Target): IssuerKind =>
  auth.mode === 'oidc' ? 'openid_provider' : 'authorization_server';

/**
 * As it was found when the owner connected. PKCE was settled then. A registered client authenticates as it was registered for,
 * one with a metadata document not at all, or with the broker's own keys.
 */
function metadataOf({ server, client }: GrantSource): Metadata {
  const { code_challenge_methods_supported: _, ...metadata } = server;
  const method = client.kind === 'integration' ? undefined : (client.method ?? 'none');
  const settled = method === undefined ? {} : { token_endpoint_auth_methods_supported: [method] };
  const members = Object.entries({ ...metadata, ...settled }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(members) as Metadata;
}

/** The client secret is for the issuer that the integration names, and is sent to no other that granted something before. */
function secretFault({ auth, source, secrets, values }: Target): ProviderFault | undefined {
  const issuer = protectedResourceOf(auth)?.issuer;
  const pinned = issuer === undefined ? undefined : fill(issuer, values);
  if (source?.client.kind !== 'integration' || secrets.secret === null) return undefined;
  if (pinned === undefined || pinned === source.server.issuer) return undefined;
  const detail = `the grant is of ${source.server.issuer}, and the client secret is for ${pinned}: correct the issuer of the integration, or let the owner connect again`;
  return fault('misconfigured', 'issuer_mismatch', detail);
}

/** For a provider without an issuer: openid-client requires one, and never compares an answer with it. */
const NO_METADATA: Metadata = { issuer: 'https://no-issuer.invalid' };

/** openid-client requires a client id; requests omit this one. */
const NO_CLIENT_ID = 'none';

interface Parts {
  outbound: Outbound;
  clientAssertions: ClientAssertions;
  refreshDeadlineMs: number;
}

async function createConfigured(
  target: Target<TokenMode>,
  discovered: Metadata,
  { outbound, clientAssertions, refreshDeadlineMs }: Parts,
): Promise<Configured> {
  const { authorization, pushed, token, revocation } = target.endpoints;
  const metadata: Metadata = {
    ...discovered,
    ...(authorization === undefined ? {} : { authorization_endpoint: authorization }),
    ...(token === undefined ? {} : { token_endpoint: token }),
    ...(revocation === undefined ? {} : { revocation_endpoint: revocation }),
    ...(pushed === undefined
      ? {}
      : { pushed_authorization_request_endpoint: pushed, require_pushed_authorization_requests: true }),
  };
  const mutualTls = chooseAuthMethod(target, metadata) === 'tls_client_auth';
  const clientMetadata = mutualTls ? { use_mtls_endpoint_aliases: true } : undefined;
  const proof = usesOwnKeys(target.source)
    ? { headers: {}, toBody: ownAssertion(clientAssertions, target.source) }
    : await clientProof(target, metadata);
  const clientId = target.clientId || NO_CLIENT_ID;
  const config = new client.Configuration(metadata, clientId, clientMetadata, toClientAuth(proof));
  // The outbound client decides what is reachable over http, and sets the deadline.
  client.allowInsecureRequests(config);
  config.timeout = 0;
  const tls = mutualTls ? certificateOf(target.secrets) : undefined;
  const send = createTokenSender(target, outbound, tls, refreshDeadlineMs);
  config[client.customFetch] = transport(target.auth, outbound, tls, send);
  const { auth } = target;
  return { config, metadata, requestTokens: createTokenRequests({ auth, clientId, metadata, mutualTls, proof, send }) };
}

const certificateOf = ({ certificate, privateKey }: ClientSecrets): OutboundRequest['tls'] =>
  certificate !== null && privateKey !== null ? { cert: certificate, key: privateKey } : undefined;

/** The outbound client, with token requests in the provider's dialect and their responses normalized. */
function transport(
  auth: TokenMode,
  outbound: Outbound,
  tls: OutboundRequest['tls'],
  send: SendTokenRequest,
): client.CustomFetch {
  return async (url, { method, headers: { 'user-agent': _library, ...headers }, body }) => {
    const form = body instanceof URLSearchParams ? body : undefined;
    const grantType = form?.get('grant_type');
    if (!form || !grantType) {
      const body =
        form?.has('response_type') && isCode(auth) ? renameParameters(form, auth.authorization_rename) : form;
      const request: OutboundRequest = { method, headers, body, tls };
      return acceptAnyRevocationSuccess(stripChallenge(await outbound(url, request)), form?.has('token') ?? false)
        .asResponse;
    }
    // A refreshed ID token is validated separately, since an invalid one must not cost the grant. And systems that are
    // no OpenID Providers put arbitrary values there.
    const idToken = isCode(auth) && auth.mode === 'oidc' && grantType === 'authorization_code';
    const sent = send(url, headers, form, currentSendGate());
    return (await receiveTokenResponse(sent, auth.token_answer, idToken)).asResponse;
  };
}

/** Treats every 2xx of a revocation as success: RFC 7009 2.2 says 200, some systems answer 204 or 202. */
const acceptAnyRevocationSuccess = (response: WholeResponse, isRevocation: boolean) =>
  isRevocation && response.ok && response.status !== 200 ? new WholeResponse('', 200) : response;
