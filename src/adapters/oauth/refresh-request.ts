// Refreshes an access token: with the refresh token (RFC 6749 6), or with the access token where the vendor extends that.
import * as client from 'openid-client';
import { accountOf, isOtherAccount, toTextValues } from '../../domain/account.ts';
import type { CodeMode } from '../../domain/auth-modes.ts';
import type { Account } from '../../domain/connection.ts';
import { fillAll } from '../../domain/fields.ts';
import { parseStoredCredentials } from '../../domain/imported-credentials.ts';
import { at } from '../../domain/json-path.ts';
import { claimsOf } from '../../domain/jwt-claims.ts';
import { type Target, usesDpop } from '../../domain/target.ts';
import type { Clock, ProviderResult, RefreshRequest, TokenResponse } from '../../ports/index.ts';
import type { Outbound } from '../outbound/outbound.ts';
import { clientSecrets } from './client-authentication.ts';
import { repeatedParameters } from './code-exchange.ts';
import type { Configured } from './configurations.ts';
import type { DpopKeys } from './dpop.ts';
import { readableName, type VerifyIdTokenSignature, validateRefreshedIdToken } from './id-token.ts';
import { runLookups } from './lookups.ts';
import { classifyProviderError, fault } from './provider-errors.ts';
import { withSendGate } from './send-gate.ts';
import { valuesWithClientSecret } from './token-request.ts';
import { type Original, originalOf, toTokenResponse } from './token-response.ts';

interface Parts {
  outbound: Outbound;
  verifyIdTokenSignature: VerifyIdTokenSignature;
  dpopKeys: DpopKeys;
  clock: Clock;
}

const NO_ID_TOKEN = { idToken: undefined, identity: undefined };

export interface TokenRefresh {
  /** As `ProviderClient.refresh`, for connections that were made in a browser. Throws when the credentials have nothing to spend. */
  refresh(
    target: Target<CodeMode>,
    configured: Configured,
    request: RefreshRequest,
  ): Promise<ProviderResult<TokenResponse>>;
}

export function createTokenRefresh({ outbound, verifyIdTokenSignature, dpopKeys, clock }: Parts): TokenRefresh {
  const refresh: TokenRefresh['refresh'] = async (target, configured, request) => {
    const { auth } = target;
    const { spends, grant_type: grantType, token_param: name } = auth.refresh;
    const { accessToken, refreshToken } = request.credentials;
    const spent = spends === 'access_token' ? accessToken : refreshToken;
    if (spent === null) throw new Error('the connection has nothing to refresh with');
    const filled = {
      ...valuesWithClientSecret(target),
      ...toTextValues(request.captured),
      ...repeatedParameters(auth, request),
    };
    const given = { ...filled, [spends]: spent };
    const parameters = fillAll({ ...auth.token_request.params, ...auth.refresh.params }, given);
    // Look-ups that failed before are retried first, with the current access token: once the refresh token is spent, its
    // response must be committed before anything else happens.
    const found =
      accessToken === null ? {} : (await runLookups(outbound, target, accessToken, request.captured)).captured;
    // A refresh token that is bound to a key stays bound, whatever the integration says by now (RFC 9449 5).
    const { dpopKey } = parseStoredCredentials(request.credentials.credentials);
    const binding = dpopKey !== undefined || usesDpop(target) ? dpopKeys.bind(configured.config, dpopKey) : undefined;
    let original: Original;
    try {
      original =
        binding === undefined && configured.requestTokens !== undefined
          ? await configured.requestTokens(grantType, { ...parameters, [name]: spent }, request.mayStillSend)
          : originalOf(
              await withSendGate(request.mayStillSend, () =>
                client.genericGrantRequest(
                  configured.config,
                  grantType,
                  { ...parameters, [name]: spent },
                  binding?.options,
                ),
              ),
            );
    } catch (error) {
      const secrets = [spent, ...clientSecrets(target)];
      return {
        ok: false,
        fault: classifyProviderError(error, {
          what: 'refresh',
          secrets,
          now: clock.now(),
          errors: auth.errors,
          isRefresh: true,
        }),
      };
    }
    const { issuer } = target;
    const idToken = at(original.body, 'id_token');
    const checked =
      issuer === null || idToken === undefined || idToken === null
        ? NO_ID_TOKEN
        : await checkIdToken(target, issuer, configured, idToken, request);
    if (checked === 'other_identity') {
      const detail = 'the refresh answered for another issuer or subject';
      return { ok: false, fault: fault('identity_changed', 'identity_changed', detail) };
    }
    const value = toTokenResponse(original, auth, { ...checked, values: target.values, now: clock.now() });
    const captured = { ...found, ...value.captured };
    const account = accountIn(target, request, captured, checked);
    if (account === 'other') {
      const detail = 'the refresh answered for another account';
      return { ok: false, fault: fault('identity_changed', 'identity_changed', detail) };
    }
    return { ok: true, value: { ...value, captured, account, dpopKey: binding?.key } };
  };
  return { refresh };

  async function checkIdToken(
    { clientId }: Target,
    issuer: string,
    { metadata }: Configured,
    idToken: unknown,
    { identity }: RefreshRequest,
  ): Promise<Pick<TokenResponse, 'idToken' | 'identity'> | 'other_identity'> {
    const expected = { issuer, clientId, jwksUri: metadata.jwks_uri, now: clock.now() };
    const checked = await validateRefreshedIdToken(idToken, identity, expected, verifyIdTokenSignature);
    if (checked.verdict === 'other_identity') return checked.verdict;
    return checked.verdict === 'valid' ? checked : NO_ID_TOKEN;
  }
}

/** `other`: what was captured now says another account than what was captured before, or than the stored one there. */
function accountIn(
  { auth, values }: Target<CodeMode>,
  { captured: before, account: stored }: RefreshRequest,
  captured: Record<string, unknown>,
  { idToken, identity }: Pick<TokenResponse, 'idToken' | 'identity'>,
): Account | 'other' | undefined {
  const name = idToken === undefined ? undefined : readableName(claimsOf(idToken));
  const account = accountOf(auth, { values, captured: { ...before, ...captured }, identity, name });
  if (account === null) return undefined;
  const known = accountOf(auth, { values, captured: before, identity: null });
  // Of another issuer: the entry reads accounts in another way than it did then.
  const comparable = stored?.issuer === account.issuer ? stored : undefined;
  return isOtherAccount(known, account) || isOtherAccount(comparable, account) ? 'other' : account;
}
