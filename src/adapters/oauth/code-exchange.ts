// The code for tokens (RFC 6749 4.1.3, OpenID Connect Core 3.1.3), and what some providers want done right after it.
import * as client from 'openid-client';
import type { CodeMode } from '../../domain/auth-modes.ts';
import type { Identity } from '../../domain/connection.ts';
import { fillAll } from '../../domain/fields.ts';
import { locate, type Target, usesDpop } from '../../domain/target.ts';
import type { Clock, ProviderClient, ProviderFault, ProviderResult, TokenResponse } from '../../ports/index.ts';
import type { Outbound, WholeResponse } from '../outbound/outbound.ts';
import { speaksOpenId } from './authorization-request.ts';
import { callbackUrl, responseFault } from './authorization-response.ts';
import { clientSecrets } from './client-authentication.ts';
import type { Configured } from './configurations.ts';
import type { Bind } from './dpop.ts';
import { payload, type VerifyIdTokenSignature } from './id-token.ts';
import { at } from './json-paths.ts';
import { lookUp } from './lookups.ts';
import { classifyProviderError, type Doing, fault } from './provider-errors.ts';
import { asked, secretValues } from './token-request.ts';
import { normalizeTokenResponse, type Original, originalOf, scopes, toTokenResponse } from './token-response.ts';

type Expected = Parameters<ProviderClient['exchange']>[2];
type Result = ProviderResult<TokenResponse>;

interface Parts {
  outbound: Outbound;
  verifyIdTokenSignature: VerifyIdTokenSignature;
  bind: Bind;
  clock: Clock;
}

const failed = (why: ProviderFault): { ok: false; fault: ProviderFault } => ({ ok: false, fault: why });

export function createCodeExchange({ outbound, verifyIdTokenSignature, bind, clock }: Parts) {
  return async (
    target: Target<CodeMode>,
    configured: Configured,
    response: URLSearchParams,
    expected: Expected,
  ): Promise<Result> => {
    const { auth } = target;
    const secrets = [response.get('code'), expected.verifier, expected.state, expected.nonce, ...clientSecrets(target)];
    const doing: Doing = { what: 'code exchange', secrets, now: clock.now(), errors: auth.errors };
    const wrong = responseFault(target, configured, response, expected, doing);
    if (wrong) return failed(wrong);
    const openid = speaksOpenId(target, expected.scopes);
    const binding = usesDpop(target) ? bind(configured.config, undefined) : undefined;
    let answer: Awaited<ReturnType<typeof client.authorizationCodeGrant>>;
    try {
      answer = await client.authorizationCodeGrant(
        configured.config,
        callbackUrl(target, response, expected.redirectUri),
        {
          expectedState: expected.state,
          idTokenExpected: openid,
          ...(openid ? { expectedNonce: expected.nonce } : {}),
          ...(auth.pkce === 'S256' ? { pkceCodeVerifier: expected.verifier } : {}),
        },
        fillAll(auth.token_request.params, { ...secretValues(target), ...sentAgain(auth, expected) }),
        binding?.options,
      );
    } catch (error) {
      return failed(exchangeFault(error, doing));
    }
    const claims = answer.claims();
    const { id_token: idToken } = answer;
    const forged = idToken === undefined ? undefined : await signatureFault(target, configured, idToken);
    if (forged) return failed(forged);
    const original = originalOf(answer);
    const identity = claims ? { issuer: claims.iss, subject: claims.sub } : spokenIdentity(target, original, expected);
    const read = { idToken, identity, values: target.values, now: clock.now() };
    const short = toTokenResponse(original, auth, read);
    const long = await longLived(target, short, doing);
    if (!long.ok) return long;
    const granted = auth.callback.scope && response.get(auth.callback.scope.param);
    const captured = await lookUp(outbound, target, long.value.accessToken, {});
    return {
      ok: true,
      value: {
        ...long.value,
        ...(granted ? { scopes: scopes(granted, auth.callback.scope!.separator) } : {}),
        captured: { ...short.captured, ...long.value.captured, ...captured },
        dpopKey: binding?.key,
      },
    };
  };

  /** RFC 7515 5.2 with the provider's keys, which openid-client leaves out of the code flow. */
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

  /** Swaps a short-lived token for a long-lived one, where the provider has two. The short one is lost with a failure. */
  async function longLived(target: Target<CodeMode>, short: TokenResponse, doing: Doing): Promise<Result> {
    const { token_exchange: swap, token_answer: form } = target.auth;
    if (swap === undefined) return { ok: true, value: short };
    const url = locate(target, swap.url);
    if (url === undefined) return failed(fault('misconfigured', 'missing_endpoint', 'no URL to exchange the token at'));
    const values = { ...secretValues(target), access_token: short.accessToken };
    const told = { ...doing, what: 'token exchange', secrets: [...doing.secrets, short.accessToken] };
    const { url: to, ...request } = asked(url, swap.method, 'form', JSON_ONLY, fillAll(swap.params, values));
    try {
      const mended = await normalizeTokenResponse(await outbound(to, request), form, false);
      if (!mended.ok) return failed(exchangeFault(await errorOf(mended), told));
      const original = originalOf((await mended.json()) as Record<string, unknown>);
      const read = { idToken: short.idToken, identity: short.identity, values: target.values, now: clock.now() };
      const long = toTokenResponse(original, target.auth, read);
      return { ok: true, value: { ...long, scopes: long.scopes ?? short.scopes } };
    } catch (error) {
      return failed(exchangeFault(error, told));
    }
  }
}

export const JSON_ONLY = { accept: 'application/json' };

/** Of a mended answer that is an error, in the form that `judge` knows. */
export async function errorOf(response: WholeResponse): Promise<unknown> {
  const body: unknown = await response.json().catch(() => undefined);
  const error = at(body, 'error');
  if (typeof error !== 'string') return new client.ClientError('not of the protocol', { cause: response });
  return new client.ResponseBodyError('refused', { cause: body as never, response: response.asResponse });
}

export const sentAgain = (auth: CodeMode, { scopes: list, redirectUri }: Pick<Expected, 'scopes' | 'redirectUri'>) => ({
  redirect_uri: redirectUri,
  ...(auth.scope_separator === 'none' || list.length === 0 ? {} : { scopes: list.join(auth.scope_separator) }),
});

/**
 * Who it is, as the ID token says that some systems send along without being set up as OpenID Providers here: it came
 * from the token endpoint itself (OpenID Connect Core 3.1.3.7, 6), and serves to tell accounts apart, nothing else.
 */
function spokenIdentity(
  { auth, clientId }: Target<CodeMode>,
  { body }: Original,
  { scopes: asked }: Expected,
): Identity | undefined {
  if (auth.mode === 'oidc' || !asked.includes('openid')) return undefined;
  const token = at(body, 'id_token');
  const claims = typeof token === 'string' ? payload(token) : undefined;
  const { iss, sub, aud } = claims ?? {};
  if (typeof iss !== 'string' || typeof sub !== 'string' || ![aud].flat().includes(clientId)) return undefined;
  return { issuer: iss, subject: sub };
}

function exchangeFault(error: unknown, doing: Doing): ProviderFault {
  const judged = classifyProviderError(error, doing);
  // A code is spent once: an answer that makes no sense is not asked for again.
  if (judged.kind === 'transient' && judged.code === 'invalid_answer') return { ...judged, kind: 'invalid' };
  if (judged.kind !== 'invalid') return judged;
  // The response was checked before and the answer mended: what is left is the ID token (OpenID Connect Core 3.1.3.7).
  const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : 'not valid';
  return fault('invalid', 'invalid_id_token', `the ID token was refused: ${why}`);
}
