// From a target to the configuration that openid-client works with: endpoints, client authentication, transport.
import * as client from 'openid-client';
import { REFRESH_DEADLINE_MS } from '../../domain/resilience.ts';
import type { Target } from '../../domain/target.ts';
import type { ProviderResult } from '../../ports.ts';
import { type Outbound, type OutboundRequest, WholeResponse } from '../outbound.ts';
import { mendTokenAnswer, withoutChallenge } from './answers.ts';
import type { Discover, Metadata } from './discovery.ts';

export interface Configured {
  config: client.Configuration;
  /** Discovered, with the target's endpoints laid over. */
  metadata: Metadata;
}

export type Configure = (target: Target) => Promise<ProviderResult<Configured>>;

export function createConfigurations(outbound: Outbound, discover: Discover): Configure {
  /** Whoever asks has one target for an integration and its parameters, as long as nothing changes. */
  const kept = new WeakMap<Target, Configured & { discovered: Metadata }>();

  return async (target) => {
    const found = target.issuer === null ? undefined : await discover(target.issuer);
    if (found && !found.ok) return found;
    const discovered = found ? found.value : NONE;
    const known = kept.get(target);
    if (known?.discovered === discovered) return { ok: true, value: known };
    const made = { ...configured(target, discovered, outbound), discovered };
    kept.set(target, made);
    return { ok: true, value: made };
  };
}

/** Discovered of a provider that has no issuer. openid-client wants a name; no answer is ever compared with it. */
const NONE: Metadata = { issuer: 'https://no-issuer.invalid' };

function configured(target: Target, discovered: Metadata, outbound: Outbound): Configured {
  const { authorization, token, revocation } = target.endpoints;
  const metadata: Metadata = {
    ...discovered,
    ...(authorization === undefined ? {} : { authorization_endpoint: authorization }),
    ...(token === undefined ? {} : { token_endpoint: token }),
    ...(revocation === undefined ? {} : { revocation_endpoint: revocation }),
  };
  const config = new client.Configuration(metadata, target.clientId, undefined, authentication(target, metadata));
  // The outbound decides what may be reached over http, and when to give up.
  client.allowInsecureRequests(config);
  config.timeout = 0;
  config[client.customFetch] = transport(target, outbound);
  return { config, metadata };
}

/** RFC 6749 2.3.1. `client_secret_basic` is the default of discovery (Discovery 1.0 3). */
function authentication({ auth, clientSecret }: Target, metadata: Metadata): client.ClientAuth {
  if (clientSecret === null || auth.client_auth === 'none') return client.None();
  const announced = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
  const onlyPost = announced.includes('client_secret_post') && !announced.includes('client_secret_basic');
  const method = auth.client_auth ?? (onlyPost ? 'client_secret_post' : 'client_secret_basic');
  return method === 'client_secret_post'
    ? client.ClientSecretPost(clientSecret)
    : client.ClientSecretBasic(clientSecret);
}

/** The guarded way out, with the catalogue's headers on token requests and their odd answers mended. */
function transport({ auth }: Target, outbound: Outbound): client.CustomFetch {
  const openid = auth.mode === 'oidc';
  const tokenHeaders = Object.entries(auth.token_headers).map(([name, value]) => [name.toLowerCase(), value]);
  return async (url, { method, headers, body }) => {
    const form = body instanceof URLSearchParams ? body : undefined;
    const grantType = form?.get('grant_type');
    const request: OutboundRequest = { method, headers, body: form };
    if (!grantType)
      return lenient(withoutChallenge(await outbound(url, request)), form?.has('token') ?? false).asResponse;
    const response = await outbound(url, {
      ...request,
      headers: { ...headers, ...Object.fromEntries(tokenHeaders) },
      timeoutMs: grantType === 'refresh_token' ? REFRESH_DEADLINE_MS : undefined,
    });
    return (await mendTokenAnswer(response, { grantType, openid })).asResponse;
  };
}

/** Any success of a revocation is one: RFC 7009 2.2 says 200, systems in the field also 204 and 202. */
const lenient = (response: WholeResponse, isRevocation: boolean) =>
  isRevocation && response.ok && response.status !== 200 ? new WholeResponse('', 200) : response;
