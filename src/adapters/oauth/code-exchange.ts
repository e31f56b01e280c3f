// Exchanges a code for tokens (RFC 6749 4.1.3, OpenID Connect Core 3.1.3), then does what some providers want right after.
import * as client from 'openid-client';
import { accountOf } from '../../domain/account.ts';
import type { CodeMode } from '../../domain/auth-modes.ts';
import type { Identity } from '../../domain/connection.ts';
import { fillAll } from '../../domain/fields.ts';
import { at } from '../../domain/json-path.ts';
import { claimsOf } from '../../domain/jwt-claims.ts';
import { resolveUrl, type Target, usesDpop } from '../../domain/target.ts';
import type { Clock, ProviderClient, ProviderFault, ProviderResult, TokenResponse } from '../../ports/index.ts';
import type { Outbound, WholeResponse } from '../outbound/outbound.ts';
import { isOpenIdRequest } from './authorization-request.ts';
import { callbackUrl, checkAuthorizationResponse } from './authorization-response.ts';
import { confirmCallback } from './callback-confirmation.ts';
import { clientSecrets } from './client-authentication.ts';
import type { Configured } from './configurations.ts';
import type { DpopKeys } from './dpop.ts';
import { readableName, type VerifyIdTokenSignature } from './id-token.ts';
import { runLookups } from './lookups.ts';
import { classifyProviderError, type ErrorContext, fault, UNEXPECTED_ERROR } from './provider-errors.ts';
import { buildTokenRequest, valuesWithClientSecret } from './token-request.ts';
import { type Original, originalOf, parseScopes, receiveTokenResponse, toTokenResponse } from './token-response.ts';

type Expected = Parameters<ProviderClient['exchange']>[2];
type Result = ProviderResult<TokenResponse>;

interface Parts {
  outbound: Outbound;
  verifyIdTokenSignature: VerifyIdTokenSignature;
  dpopKeys: DpopKeys;
  clock: Clock;
}

const failed = (why: ProviderFault): { ok: false; fault: ProviderFault } => ({ ok: false, fault: why });

export interface CodeExchange {
  /**
   * Checks the authorization response, spends its code, and validates the ID token. A code is good for one request: no
   * failure is worth a retry with the same code.
   */
  exchange(
    target: Target<CodeMode>,
    configured: Configured,
    response: URLSearchParams,
    expected: Expected,
  ): Promise<Result>;
}

export function createCodeExchange({ outbound, verifyIdTokenSignature, dpopKeys, clock }: Parts): CodeExchange {
  const exchange: CodeExchange['exchange'] = async (target, configured, response, expected) => {
    const { auth } = target;
    const secrets = [response.get('code'), expected.verifier, expected.state, expected.nonce, ...clientSecrets(target)];
    const context: ErrorContext = { what: 'code exchange', secrets, now: clock.now(), errors: auth.errors };
    const rejected = checkAuthorizationResponse(target, configured, response, expected, context);
    if (rejected) return failed(rejected);
    const openid = isOpenIdRequest(target, expected.scopes);
    const binding = usesDpop(target) ? dpopKeys.bind(configured.config, expected.dpopKey) : undefined;
    let answer: Awaited<ReturnType<typeof client.authorizationCodeGrant>>;
    try {
      answer = await client.authorizationCodeGrant(
        configured.config,
        callbackUrl(target, response, expected.redirectUri),
        {
          expectedState: expected.state,
          idTokenExpected: openid,
          ...(openid ? { expectedNonce: expected.nonce } : {}),
          ...(auth.pkce !== 'none' ? { pkceCodeVerifier: expected.verifier } : {}),
        },
        fillAll(auth.token_request.params, {
          ...valuesWithClientSecret(target),
          ...repeatedParameters(auth, expected),
        }),
        binding?.options,
      );
    } catch (error) {
      return failed(classifyExchangeError(error, context));
    }
    const claims = answer.claims();
    const { id_token: idToken } = answer;
    const forged = idToken === undefined ? undefined : await signatureFault(target, configured, idToken);
    if (forged) return failed(forged);
    const original = originalOf(answer);
    const identity = claims
      ? { issuer: claims.iss, subject: claims.sub }
      : unverifiedIdentity(target, original, expected);
    const read = { idToken, identity, values: target.values, now: clock.now() };
    const short = toTokenResponse(original, auth, read);
    const long = await exchangeForLongLived(target, short, context);
    if (!long.ok) return long;
    const granted = auth.callback.scope && response.get(auth.callback.scope.param);
    const { accessToken } = long.value;
    const scopes = [...expected.scopes, ...(long.value.scopes ?? [])];
    const named = expected.captured ?? {};
    const told = { ...short.captured, ...long.value.captured };
    // A look-up is made whatever the callback names: its answer counts.
    const [unconfirmed, found] = await Promise.all([
      confirmCallback(outbound, target, { accessToken, scopes }, named),
      runLookups(outbound, target, accessToken, told, true),
    ]);
    const proved = { ...told, ...found.captured };
    const outcome = unconfirmed?.outcome ?? 'keep';
    const name = identity && readableName(claims ?? claimsOf(`${at(original.body, 'id_token')}`));
    const believed = outcome === 'keep' ? { ...named, ...proved } : proved;
    const account = accountOf(auth, { values: target.values, captured: believed, identity, name });
    return {
      ok: true,
      value: {
        ...long.value,
        ...(granted ? { scopes: parseScopes(granted, auth.callback.scope!.separator) } : {}),
        captured: outcome === 'fail' ? { ...named, ...proved } : believed,
        unconfirmed,
        account: account ?? (found.accountUnavailable ? 'unavailable' : undefined),
        dpopKey: binding?.key,
      },
    };
  };
  return { exchange };

  /** RFC 7515 5.2 with the provider's keys: openid-client does not verify the signature in the code flow. */
  async function signatureFault(target: Target, { metadata }: Configured, idToken: string) {
    const { jwks_uri: keys } = metadata;
    if (target.issuer === null || keys === undefined)
      return fault('invalid', 'invalid_id_token', 'the provider announces no keys to verify its ID token with');
    const verdict = await verifyIdTokenSignature(idToken, target.issuer, keys);
    if (verdict === 'valid') return undefined;
    return verdict === 'invalid'
      ? fault('invalid', 'invalid_id_token', 'the signature of the ID token is not valid')
      : fault('transient', 'keys_unavailable', 'the keys of the provider could not be had to verify its ID token');
  }

  /** Exchanges a short-lived token for a long-lived one, where the provider has both. A failure loses the short one. */
  async function exchangeForLongLived(
    target: Target<CodeMode>,
    short: TokenResponse,
    context: ErrorContext,
  ): Promise<Result> {
    const { token_exchange: exchange, token_answer: dialect } = target.auth;
    if (exchange === undefined) return { ok: true, value: short };
    const url = resolveUrl(target, exchange.url);
    if (url === undefined) return failed(fault('misconfigured', 'missing_endpoint', 'no URL to exchange the token at'));
    const values = { ...valuesWithClientSecret(target), access_token: short.accessToken };
    const exchangeContext = { ...context, what: 'token exchange', secrets: [...context.secrets, short.accessToken] };
    const { url: to, ...request } = buildTokenRequest(
      url,
      exchange.method,
      'form',
      JSON_ONLY,
      fillAll(exchange.params, values),
    );
    try {
      const normalized = await receiveTokenResponse(outbound(to, request), dialect, false);
      if (!normalized.ok) return failed(classifyExchangeError(await toProtocolError(normalized), exchangeContext));
      const original = originalOf((await normalized.json()) as Record<string, unknown>);
      const read = { idToken: short.idToken, identity: short.identity, values: target.values, now: clock.now() };
      const long = toTokenResponse(original, target.auth, read);
      return { ok: true, value: { ...long, scopes: long.scopes ?? short.scopes } };
    } catch (error) {
      return failed(classifyExchangeError(error, exchangeContext));
    }
  }
}

export const JSON_ONLY = { accept: 'application/json' };

/** Turns a normalized error response into the error that `classifyProviderError` expects. */
export async function toProtocolError(response: WholeResponse): Promise<unknown> {
  const body: unknown = await response.json().catch(() => undefined);
  const error = at(body, 'error');
  if (typeof error !== 'string') return new client.ClientError('not of the protocol', { cause: response });
  return new client.ResponseBodyError('refused', { cause: body as never, response: response.asResponse });
}

export const repeatedParameters = (
  auth: CodeMode,
  { scopes: list, redirectUri }: Pick<Expected, 'scopes' | 'redirectUri'>,
) => ({
  redirect_uri: redirectUri,
  ...(auth.scope_separator === 'none' || list.length === 0 ? {} : { scopes: list.join(auth.scope_separator) }),
});

/**
 * The identity in the ID token of a system that the catalogue does not describe as an OpenID Provider. The signature is
 * not verified: the token comes from the token endpoint itself (OpenID Connect Core 3.1.3.7, 6). It only serves to
 * distinguish accounts.
 */
function unverifiedIdentity(
  { auth, clientId }: Target<CodeMode>,
  { body }: Original,
  { scopes: asked }: Expected,
): Identity | undefined {
  if (auth.mode === 'oidc' || !asked.includes('openid')) return undefined;
  const token = at(body, 'id_token');
  const claims = typeof token === 'string' ? claimsOf(token) : undefined;
  const { iss, sub, aud } = claims ?? {};
  if (typeof iss !== 'string' || typeof sub !== 'string' || ![aud].flat().includes(clientId)) return undefined;
  return { issuer: iss, subject: sub };
}

function classifyExchangeError(error: unknown, context: ErrorContext): ProviderFault {
  const classified = classifyProviderError(error, context);
  // A code can be spent once: there is no retry after a response that makes no sense.
  if (classified.kind === 'transient' && classified.code === 'invalid_answer')
    return { ...classified, kind: 'invalid' };
  if (classified.kind !== 'invalid' || classified.code === UNEXPECTED_ERROR) return classified;
  // The authorization response is checked and the token response normalized: only the ID token can be invalid.
  const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : 'not valid';
  return fault('invalid', 'invalid_id_token', `the ID token was refused: ${why}`);
}
