// The authorization request (RFC 6749 4.1.1, RFC 7636, RFC 9126), with the provider's parameter names.
import * as client from 'openid-client';
import { readableName } from '../../domain/account.ts';
import type { CodeMode } from '../../domain/auth-modes.ts';
import { fillAll } from '../../domain/fields.ts';
import type { Target } from '../../domain/target.ts';
import type { ProviderClient } from '../../ports/index.ts';
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

/**
 * Adds what has the owner choose an account, and returns the `prompt` that was added. A provider that lists its prompts
 * without `select_account`, or has refused it, is asked for a sign-in instead: every OpenID Provider has `login`
 * (OpenID Connect Core 3.1.2.1).
 */
function chooseAccount(
  { auth, values }: Target<CodeMode>,
  metadata: Configured['metadata'],
  { choose }: Request,
  parameters: Record<string, string>,
): string | null {
  if (choose === undefined) return null;
  const { prompt, ...others } = fillAll(auth.choose_account, values);
  Object.assign(parameters, others);
  if (prompt === undefined) return null;
  const listed = metadata.prompt_values_supported;
  const isUnsupported = Array.isArray(listed) && !listed.includes(prompt);
  const added = prompt === 'select_account' && (choose === 'login' || isUnsupported) ? 'login' : prompt;
  const already = (parameters.prompt ?? '').split(' ').filter((one) => one !== '' && one !== 'none' && one !== added);
  parameters.prompt = [added, ...already].join(' ');
  return added;
}

export async function authorizationUrl(
  target: Target<CodeMode>,
  { config, metadata }: Configured,
  request: Request,
  context: ErrorContext,
): ReturnType<ProviderClient['authorizationUrl']> {
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
  const { account } = request;
  const name = account && readableName(account);
  const known = { ...(name && { account: name }), ...(account && { account_id: account.id }) };
  Object.assign(parameters, fillAll(auth.account_hint, { ...target.values, ...known }));
  if (scopes.length > 0) parameters.scope = scopes.join(auth.scope_separator);
  if (openid) parameters.nonce = request.nonce;
  // OpenID Connect Core 11: without it, the provider must ignore `offline_access`. A server that was found may be one, too.
  if ((openid || target.source) && scopes.includes('offline_access')) parameters.prompt ??= 'consent';
  const accountPrompt = chooseAccount(target, metadata, request, parameters);
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
    return { ok: true, value: { url: url.href, issuer: target.issuer, scopes, accountPrompt } };
  } catch (error) {
    return { ok: false, fault: { ...classifyProviderError(error, context), outcomeUnknown: false } };
  }
}
