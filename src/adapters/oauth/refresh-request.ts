// Renewing a grant: with its refresh token (RFC 6749 6), or with the access token where that renews itself.
import * as client from 'openid-client';
import type { CodeMode } from '../../domain/auth-modes.ts';
import { fillAll } from '../../domain/fields.ts';
import { openCredentials } from '../../domain/imported-credentials.ts';
import { type Target, usesDpop } from '../../domain/target.ts';
import type { Clock, ProviderResult, RefreshRequest, TokenResponse } from '../../ports/index.ts';
import type { Outbound } from '../outbound/outbound.ts';
import { clientSecrets } from './client-authentication.ts';
import { sentAgain } from './code-exchange.ts';
import type { Configured } from './configurations.ts';
import type { Bind } from './dpop.ts';
import { type VerifyIdTokenSignature, validateRefreshedIdToken } from './id-token.ts';
import { at } from './json-paths.ts';
import { lookUp } from './lookups.ts';
import { classifyProviderError, fault } from './provider-errors.ts';
import { secretValues } from './token-request.ts';
import { type Original, originalOf, toTokenResponse } from './token-response.ts';

interface Parts {
  outbound: Outbound;
  verifyIdTokenSignature: VerifyIdTokenSignature;
  bind: Bind;
  clock: Clock;
}

export function createRefreshRequest({ outbound, verifyIdTokenSignature, bind, clock }: Parts) {
  return async (
    target: Target<CodeMode>,
    configured: Configured,
    renewal: RefreshRequest,
  ): Promise<ProviderResult<TokenResponse>> => {
    const { auth } = target;
    const { spends, grant_type: grantType, token_param: name } = auth.refresh;
    const { accessToken, refreshToken } = renewal.credentials;
    const spent = spends === 'access_token' ? accessToken : refreshToken;
    if (spent === null) throw new Error('the grant has nothing that renews it');
    const filled = { ...secretValues(target), ...textsOf(renewal.captured), ...sentAgain(auth, renewal) };
    const given = { ...filled, [spends]: spent };
    const parameters = fillAll({ ...auth.token_request.params, ...auth.refresh.params }, given);
    // What a look-up could not tell before is asked first, with the token that is to be renewed: once something is spent,
    // its answer must be kept before anything else is done.
    const found = accessToken === null ? {} : await lookUp(outbound, target, accessToken, renewal.captured);
    // A grant that is bound to a key stays so, whatever the integration says by now (RFC 9449 5).
    const { dpopKey } = openCredentials(renewal.credentials.credentials);
    const binding = dpopKey !== undefined || usesDpop(target) ? bind(configured.config, dpopKey) : undefined;
    let answer: Awaited<ReturnType<typeof client.genericGrantRequest>>;
    try {
      answer =
        grantType === 'refresh_token' && name === 'refresh_token'
          ? await client.refreshTokenGrant(configured.config, spent, parameters, binding?.options)
          : await client.genericGrantRequest(
              configured.config,
              grantType,
              { ...parameters, [name]: spent },
              binding?.options,
            );
    } catch (error) {
      const secrets = [spent, ...clientSecrets(target)];
      return {
        ok: false,
        fault: classifyProviderError(error, { what: 'refresh', secrets, now: clock.now(), errors: auth.errors }),
      };
    }
    const original = originalOf(answer);
    const judged = await judgedIdToken(target, configured, original, renewal);
    if (judged === 'other_identity') {
      const detail = 'the refresh answered for another issuer or subject';
      return { ok: false, fault: fault('identity_changed', 'identity_changed', detail) };
    }
    const value = toTokenResponse(original, auth, { ...judged, values: target.values, now: clock.now() });
    return { ok: true, value: { ...value, captured: { ...found, ...value.captured }, dpopKey: binding?.key } };
  };

  async function judgedIdToken(
    target: Target,
    { metadata }: Configured,
    { body }: Original,
    { identity }: RefreshRequest,
  ): Promise<Pick<TokenResponse, 'idToken' | 'identity'> | 'other_identity'> {
    const none = { idToken: undefined, identity: undefined };
    const idToken = at(body, 'id_token');
    if (target.issuer === null || idToken === undefined || idToken === null) return none;
    const expected = { issuer: target.issuer, clientId: target.clientId, jwksUri: metadata.jwks_uri, now: clock.now() };
    const judged = await validateRefreshedIdToken(idToken, identity, expected, verifyIdTokenSignature);
    if (judged.verdict === 'other_identity') return judged.verdict;
    return judged.verdict === 'kept' ? judged : none;
  }
}

export const textsOf = (captured: Record<string, unknown>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(captured).flatMap(([name, value]) =>
      ['string', 'number', 'boolean'].includes(typeof value) ? [[name, String(value)]] : [],
    ),
  );
