// The authorization request (RFC 6749 4.1.1, RFC 7636, RFC 9126), with the provider's parameter names.
import * as client from 'openid-client';
import type { CodeMode } from '../../domain/auth-modes.ts';
import { fillAll } from '../../domain/fields.ts';
import type { Target } from '../../domain/target.ts';
import type { ProviderClient, ProviderResult } from '../../ports/index.ts';
import type { Configured } from './configurations.ts';
import { classifyProviderError, type ErrorContext, fault } from './provider-errors.ts';

type Request = Parameters<ProviderClient['authorizationUrl']>[1];

/** Whether to send a nonce and expect an ID token: only with the scope `openid` (OpenID Connect Core 3.1.2.1). */
export const isOpenIdRequest = (target: Target<CodeMode>, scopes: readonly string[]): boolean =>
  target.auth.mode === 'oidc' && scopes.includes('openid');

/**
 * What is asked for: each scope once, and `offline_access` only where the provider lists it or someone named it. Some
 * providers refuse it otherwise; others support it and do not list it (Discovery 1.0 3).
 */
function requestedScopes(
  { auth }: Target<CodeMode>,
  { scopes_supported: listed }: Configured['metadata'],
  { scopes, optionalScopes = [] }: Request,
): string[] {
  if (auth.scope_separator === 'none') return [];
  const unsupported =
    auth.mode === 'oidc' && listed !== undefined && !listed.includes('offline_access') ? 'offline_access' : undefined;
  return [...new Set(scopes)].filter((scope) => scope !== unsupported || !optionalScopes.includes(scope));
}

/** `plain` where the provider announces nothing better (RFC 8414 2); a provider that announces nothing gets S256. */
function pkceMethod({ auth }: Target<CodeMode>, { code_challenge_methods_supported: methods }: Configured['metadata']) {
  const onlyPlain = methods?.includes('plain') && !methods.includes('S256');
  return auth.pkce === 'S256' && onlyPlain ? 'plain' : auth.pkce;
}

export async function authorizationUrl(
  target: Target<CodeMode>,
  { config, metadata }: Configured,
  request: Request,
  context: ErrorContext,
): Promise<ProviderResult<{ url: string; issuer: string | null; scopes: string[] }>> {
  const { auth } = target;
  const scopes = requestedScopes(target, metadata, request);
  const openid = isOpenIdRequest(target, scopes);
  const parameters: Record<string, string> = {
    ...fillAll(auth.authorization_params, target.values),
    client_id: target.clientId,
    response_type: 'code',
    redirect_uri: request.redirectUri,
    state: request.state,
  };
  if (scopes.length > 0) parameters.scope = scopes.join(auth.scope_separator);
  if (openid) parameters.nonce = request.nonce;
  // OpenID Connect Core 11: without it, the provider must ignore `offline_access`.
  if (openid && scopes.includes('offline_access')) parameters.prompt ??= 'consent';
  const pkce = pkceMethod(target, metadata);
  if (pkce !== 'none') {
    parameters.code_challenge =
      pkce === 'plain' ? request.verifier : await client.calculatePKCECodeChallenge(request.verifier);
    parameters.code_challenge_method = pkce;
  }
  // An empty value is as if the parameter were absent (RFC 6749 3.1): it keeps a default from being sent.
  for (const [name, value] of Object.entries(parameters)) if (value === '') delete parameters[name];
  try {
    const url = metadata.require_pushed_authorization_requests
      ? await client.buildAuthorizationUrlWithPAR(config, parameters)
      : client.buildAuthorizationUrl(config, parameters);
    if (url.protocol === 'http:' && metadata.token_endpoint?.startsWith('https:')) {
      const detail = 'the authorization endpoint must be an https URL';
      return { ok: false, fault: fault('misconfigured', 'insecure_endpoint', detail) };
    }
    for (const [name, own] of Object.entries(auth.authorization_rename)) {
      const value = url.searchParams.get(name);
      if (value === null) continue;
      url.searchParams.delete(name);
      url.searchParams.set(own, value);
    }
    return { ok: true, value: { url: url.href, issuer: target.issuer, scopes } };
  } catch (error) {
    return { ok: false, fault: { ...classifyProviderError(error, context), outcomeUnknown: false } };
  }
}
