// From a target to the configuration that openid-client works with: endpoints, client authentication, transport.
import * as client from 'openid-client';
import { isCode, type TokenMode } from '../../domain/auth-modes.ts';
import type { Target } from '../../domain/target.ts';
import { REFRESH_DEADLINE_MS } from '../../domain/time-limits.ts';
import type { ProviderResult } from '../../ports/index.ts';
import { type Outbound, type OutboundRequest, WholeResponse } from '../outbound/outbound.ts';
import { authentication, ClientKeyError, methodOf } from './client-authentication.ts';
import type { Discover, Metadata } from './discovery.ts';
import { fault } from './provider-errors.ts';
import { inDialect, renamed } from './token-request.ts';
import { normalizeTokenResponse, withoutChallenge } from './token-response.ts';

export interface Configured {
  config: client.Configuration;
  /** Discovered, with the target's endpoints laid over. */
  metadata: Metadata;
}

export type Configure = (target: Target<TokenMode>) => Promise<ProviderResult<Configured>>;

export function createConfigurations(outbound: Outbound, discover: Discover): Configure {
  /** Whoever asks has one target for an integration and its parameters, as long as nothing changes. */
  const kept = new WeakMap<Target, Configured & { discovered: Metadata }>();

  return async (target) => {
    const found = target.issuer === null ? undefined : await discover(target.issuer);
    if (found && !found.ok) return found;
    const discovered = found ? found.value : NONE;
    const known = kept.get(target);
    if (known?.discovered === discovered) return { ok: true, value: known };
    try {
      const made = { ...(await configured(target, discovered, outbound)), discovered };
      kept.set(target, made);
      return { ok: true, value: made };
    } catch (error) {
      if (!(error instanceof ClientKeyError)) throw error;
      return { ok: false, fault: fault('misconfigured', 'invalid_client_key', error.message) };
    }
  };
}

/** Discovered of a provider that has no issuer. openid-client wants a name; no answer is ever compared with it. */
const NONE: Metadata = { issuer: 'https://no-issuer.invalid' };

/** openid-client wants a name of the client too; requests leave it out. */
const NO_CLIENT = 'none';

async function configured(target: Target<TokenMode>, discovered: Metadata, outbound: Outbound): Promise<Configured> {
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
  const mutualTls = methodOf(target, metadata) === 'tls_client_auth';
  const clientMetadata = mutualTls ? { use_mtls_endpoint_aliases: true } : undefined;
  const proof = await authentication(target, metadata);
  const config = new client.Configuration(metadata, target.clientId || NO_CLIENT, clientMetadata, proof);
  // The outbound decides what may be reached over http, and when to give up.
  client.allowInsecureRequests(config);
  config.timeout = 0;
  config[client.customFetch] = transport(target, outbound, mutualTls);
  return { config, metadata };
}

/** The guarded way out, with token requests in the provider's dialect and their odd answers mended. */
function transport(target: Target<TokenMode>, outbound: Outbound, mutualTls: boolean): client.CustomFetch {
  const { auth, secrets } = target;
  const tls =
    mutualTls && secrets.certificate !== null && secrets.privateKey !== null
      ? { cert: secrets.certificate, key: secrets.privateKey }
      : undefined;
  return async (url, { method, headers, body }) => {
    const form = body instanceof URLSearchParams ? body : undefined;
    const grantType = form?.get('grant_type');
    if (!form || !grantType) {
      const body = form?.has('response_type') && isCode(auth) ? renamed(form, auth.authorization_rename) : form;
      const request: OutboundRequest = { method, headers, body, tls };
      return lenient(withoutChallenge(await outbound(url, request)), form?.has('token') ?? false).asResponse;
    }
    const { url: to, ...request } = inDialect(target, url, headers, form);
    // A refreshed ID token is judged apart, since one that cannot be validated must not cost the grant; and systems
    // that are no OpenID Providers put all sorts of things there.
    const idToken = isCode(auth) && auth.mode === 'oidc' && grantType === 'authorization_code';
    // A refresh leaves room for asking again; a code, a mint and a revocation may take their time.
    const timeoutMs = isCode(auth) && grantType === auth.refresh.grant_type ? REFRESH_DEADLINE_MS : undefined;
    const response = await outbound(to, { ...request, tls, timeoutMs });
    return (await normalizeTokenResponse(response, auth.token_answer, idToken)).asResponse;
  };
}

/** Any success of a revocation is one: RFC 7009 2.2 says 200, systems in the field also 204 and 202. */
const lenient = (response: WholeResponse, isRevocation: boolean) =>
  isRevocation && response.ok && response.status !== 200 ? new WholeResponse('', 200) : response;
