// OAuth 2.0 and OpenID Connect with third parties. All of openid-client stays in here and in `oauth/`.
import * as client from 'openid-client';
import type { Target } from '../domain/target.ts';
import type { Clock, ProviderClient, ProviderFault } from '../ports.ts';
import { ORIGINAL, toTokenAnswer } from './oauth/answers.ts';
import { type Configured, createConfigurations } from './oauth/configurations.ts';
import { createDiscovery } from './oauth/discovery.ts';
import { type Doing, denied, fault, judge } from './oauth/faults.ts';
import { judgeRefreshedIdToken, type VerifyIdTokenSignature } from './oauth/id-token.ts';
import { createRevocation } from './oauth/revocation.ts';
import type { Outbound } from './outbound.ts';

interface Parts {
  outbound: Outbound;
  verifyIdTokenSignature: VerifyIdTokenSignature;
  clock: Clock;
}

type Exchange = Parameters<ProviderClient['exchange']>;
type Expected = Exchange[2];

const failed = (why: ProviderFault): { ok: false; fault: ProviderFault } => ({ ok: false, fault: why });

/** Nonce and ID token belong to OpenID Connect, which a request without the scope does not speak (Core 3.1.2.1). */
const speaksOpenId = (target: Target, scopes: readonly string[]) =>
  target.auth.mode === 'oidc' && scopes.includes('openid');

/** An OpenID Provider that lists its scopes, and offline access not among them, may refuse to be asked for it. */
const askable = (target: Target, { scopes_supported: known }: Configured['metadata'], scopes: readonly string[]) =>
  target.auth.mode === 'oidc' && known !== undefined && !known.includes('offline_access')
    ? scopes.filter((scope) => scope !== 'offline_access')
    : scopes;

export function createProviderClient({ outbound, verifyIdTokenSignature, clock }: Parts): ProviderClient {
  const configure = createConfigurations(outbound, createDiscovery(outbound, clock));

  const authorizationUrl: ProviderClient['authorizationUrl'] = async (target, request) => {
    const configured = await configure(target);
    if (!configured.ok) return configured;
    const { config, metadata } = configured.value;
    const parameters: Record<string, string> = {
      ...target.auth.authorization_params,
      response_type: 'code',
      redirect_uri: request.redirectUri,
      state: request.state,
    };
    const scopes = askable(target, metadata, request.scopes);
    if (scopes.length > 0) parameters.scope = scopes.join(target.auth.scope_separator);
    if (speaksOpenId(target, scopes)) parameters.nonce = request.nonce;
    // OpenID Connect Core 11: without it, the request for offline access is to be ignored.
    if (speaksOpenId(target, scopes) && scopes.includes('offline_access')) parameters.prompt ??= 'consent';
    if (target.auth.pkce === 'S256') {
      parameters.code_challenge = await client.calculatePKCECodeChallenge(request.verifier);
      parameters.code_challenge_method = 'S256';
    }
    const secrets = [request.state, request.nonce, request.verifier, target.clientSecret];
    const doing: Doing = { what: 'authorization request', secrets, now: clock.now() };
    try {
      const url = metadata.require_pushed_authorization_requests
        ? await client.buildAuthorizationUrlWithPAR(config, parameters)
        : client.buildAuthorizationUrl(config, parameters);
      if (url.protocol === 'http:' && metadata.token_endpoint?.startsWith('https:'))
        return failed(fault('misconfigured', 'insecure_endpoint', 'the authorization endpoint must be an https URL'));
      return { ok: true, value: { url: url.href, issuer: target.issuer } };
    } catch (error) {
      return failed({ ...judge(error, doing), outcomeUnknown: false });
    }
  };

  const exchange: ProviderClient['exchange'] = async (target, response, expected) => {
    const secrets = [response.get('code'), expected.verifier, expected.state, expected.nonce, target.clientSecret];
    const doing: Doing = { what: 'code exchange', secrets, now: clock.now() };
    const configured = await configure(target);
    if (!configured.ok) return configured;
    const wrong = responseFault(target, configured.value, response, expected, doing);
    if (wrong) return failed(wrong);
    const openid = speaksOpenId(target, expected.scopes);
    let answer: Awaited<ReturnType<typeof client.authorizationCodeGrant>>;
    try {
      answer = await client.authorizationCodeGrant(
        configured.value.config,
        callbackUrl(target, response, expected.redirectUri),
        {
          expectedState: expected.state,
          idTokenExpected: openid,
          ...(openid ? { expectedNonce: expected.nonce } : {}),
          ...(target.auth.pkce === 'S256' ? { pkceCodeVerifier: expected.verifier } : {}),
        },
      );
    } catch (error) {
      return failed(exchangeFault(error, doing));
    }
    const claims = answer.claims();
    const { id_token: idToken } = answer;
    const forged = idToken === undefined ? undefined : await signatureFault(target, configured.value, idToken);
    if (forged) return failed(forged);
    const identity = claims && { issuer: claims.iss, subject: claims.sub };
    const value = toTokenAnswer(originalOf(answer), target.auth, { idToken, identity });
    return { ok: true, value: { ...value, captured: { ...value.captured, ...fromCallback(target, response) } } };
  };

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

  const refresh: ProviderClient['refresh'] = async (target, { refreshToken, identity }) => {
    const configured = await configure(target);
    // Nothing was sent: what discovery did not answer has spent nothing.
    if (!configured.ok) return configured;
    const { config, metadata } = configured.value;
    let answer: Awaited<ReturnType<typeof client.refreshTokenGrant>>;
    try {
      answer = await client.refreshTokenGrant(config, refreshToken);
    } catch (error) {
      return failed(judge(error, { what: 'refresh', secrets: [refreshToken, target.clientSecret], now: clock.now() }));
    }
    const original = originalOf(answer);
    const none = { idToken: undefined, identity: undefined };
    if (target.issuer === null || original.id_token === undefined)
      return { ok: true, value: toTokenAnswer(original, target.auth, none) };
    const expected = { issuer: target.issuer, clientId: target.clientId, jwksUri: metadata.jwks_uri, now: clock.now() };
    const judged = await judgeRefreshedIdToken(original.id_token, identity, expected, verifyIdTokenSignature);
    if (judged.verdict === 'other_identity')
      return failed(
        fault('identity_changed', 'identity_changed', 'the refresh answered for another issuer or subject'),
      );
    return { ok: true, value: toTokenAnswer(original, target.auth, judged.verdict === 'kept' ? judged : none) };
  };

  return { authorizationUrl, exchange, refresh, revoke: createRevocation({ outbound, configure, clock }) };
}

const originalOf = (answer: Record<string, unknown>) => answer[ORIGINAL] as Record<string, unknown>;

/**
 * Judges the authorization response before a code is spent. Errors must pass the issuer's check too: a response that
 * another server made up says nothing about this provider (RFC 9207 2.4).
 */
function responseFault(
  target: Target,
  { metadata }: Configured,
  response: URLSearchParams,
  expected: Expected,
  doing: Doing,
): ProviderFault | undefined {
  if (expected.issuer !== target.issuer)
    return fault('invalid', 'issuer_mismatch', 'the flow began at another issuer than the integration has now');
  for (const name of ['iss', 'state', 'code', 'error'])
    if (response.getAll(name).length > 1)
      return fault('invalid', 'invalid_response', `the authorization response holds ${name} more than once`);
  const issuer = response.get('iss');
  const announced = metadata.authorization_response_iss_parameter_supported === true;
  if (target.issuer !== null && (issuer === null ? announced : issuer !== target.issuer))
    return fault(
      'invalid',
      'issuer_mismatch',
      `the authorization response ${issuer === null ? 'lacks its' : 'names another'} issuer`,
    );
  if (response.get('state') !== expected.state)
    return fault('invalid', 'state_mismatch', 'the authorization response has another state than the request');
  const error = response.get('error');
  if (error) return denied(error, response.get('error_description'), doing);
  return response.get('code')
    ? undefined
    : fault('invalid', 'invalid_response', 'the authorization response has no code');
}

/** Only what openid-client is to judge again; the `iss` of a provider without issuer means nothing. */
function callbackUrl(target: Target, response: URLSearchParams, redirectUri: string): URL {
  const url = new URL(redirectUri);
  for (const name of target.issuer === null ? ['code', 'state'] : ['code', 'state', 'iss']) {
    const value = response.get(name);
    if (value !== null) url.searchParams.set(name, value);
  }
  return url;
}

function exchangeFault(error: unknown, doing: Doing): ProviderFault {
  const judged = judge(error, doing);
  // A code is spent once: an answer that makes no sense is not asked for again.
  if (judged.kind === 'transient' && judged.code === 'invalid_answer') return { ...judged, kind: 'invalid' };
  if (judged.kind !== 'invalid') return judged;
  // The response was checked before and the answer mended: what is left is the ID token (OpenID Connect Core 3.1.3.7).
  const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : 'not valid';
  return fault('invalid', 'invalid_id_token', `the ID token was refused: ${why}`);
}

const fromCallback = (target: Target, response: URLSearchParams): Record<string, unknown> =>
  Object.fromEntries(
    target.auth.callback_capture.flatMap((name) => (response.has(name) ? [[name, response.get(name)]] : [])),
  );
