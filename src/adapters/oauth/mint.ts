// Tokens made of what an import brought: by the client's credentials (RFC 6749 4.4), by a signed assertion (RFC 7523),
// by a signature alone, or by AWS's security token service. Asking twice costs nothing: no outcome is ever in doubt.
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import * as client from 'openid-client';
import type { MintedMode, TokenMode } from '../../domain/auth-modes.ts';
import { tokenTypeOf } from '../../domain/auth-modes.ts';
import { fillAll, type Values } from '../../domain/fields.ts';
import { openCredentials } from '../../domain/imported-credentials.ts';
import { type Target, usesDpop } from '../../domain/target.ts';
import type { Clock, ProviderFault, ProviderResult, RefreshRequest, TokenResponse } from '../../ports/index.ts';
import type { Outbound } from '../outbound/outbound.ts';
import { assumeRole } from './aws-sts.ts';
import { ClientKeyError, clientSecrets, readPrivateKey } from './client-authentication.ts';
import { errorOf, JSON_ONLY } from './code-exchange.ts';
import type { Configure } from './configurations.ts';
import type { Bind } from './dpop.ts';
import { classifyProviderError, type Doing, fault } from './provider-errors.ts';
import { secretValues } from './token-request.ts';
import { BARE, normalizeTokenResponse, originalOf, toTokenResponse } from './token-response.ts';

/** A compact JWS (RFC 7515) of these claims; `iat`, `exp` and `jti` are added. */
export type SignAssertion = (
  key: ReturnType<typeof readPrivateKey>,
  assertion: { alg: string; header: Values; claims: Values; issuedAt: number; lifetime: number },
) => Promise<string>;

interface Parts {
  outbound: Outbound;
  configure: Configure;
  signAssertion: SignAssertion;
  bind: Bind;
  clock: Clock;
}

type Result = ProviderResult<TokenResponse>;
type ByClient = Extract<MintedMode, { mode: 'oauth2_client_credentials' }>;
type ByAssertion = Extract<MintedMode, { mode: 'jwt_bearer' }>;
type BySignature = Extract<MintedMode, { mode: 'self_signed_jwt' }>;
type ByRole = Extract<MintedMode, { mode: 'aws_sts_assume_role' }>;
type Signing = Extract<MintedMode, { assertion: unknown }>;

export function createMinting({ outbound, configure, signAssertion, bind, clock }: Parts) {
  return async (
    target: Target<MintedMode>,
    { credentials: stored, scopes: usual }: RefreshRequest,
  ): Promise<Result> => {
    const { brought: credentials, dpopKey, scopes = usual } = openCredentials(stored.credentials);
    const doing: Doing = {
      what: 'token request',
      secrets: [
        ...clientSecrets(target),
        ...clientSecrets(ofConnection(target, credentials)),
        ...Object.values(credentials),
      ],
      now: clock.now(),
      errors: 'errors' in target.auth ? target.auth.errors : undefined,
    };
    const theirs = isTheirs(target, credentials);
    try {
      const minted = await mint(target, credentials, dpopKey, scopes, doing);
      return minted.ok ? minted : { ok: false, fault: settled(minted.fault, theirs) };
    } catch (error) {
      const why =
        error instanceof ClientKeyError
          ? keyFault(error, 'private_key' in credentials)
          : classifyProviderError(error, doing);
      return { ok: false, fault: settled(why, theirs) };
    }
  };

  async function mint(
    target: Target<MintedMode>,
    credentials: Values,
    dpopKey: string | undefined,
    scopes: string[],
    doing: Doing,
  ): Promise<Result> {
    // Not a copy: what was configured for a target is kept with it.
    switch (target.auth.mode) {
      case 'oauth2_client_credentials':
        return byClient(ofConnection(target as Target<ByClient>, credentials), credentials, dpopKey, scopes);
      case 'jwt_bearer':
        return byAssertion(target as Target<ByAssertion>, credentials, scopes, doing);
      case 'self_signed_jwt':
        return bySignature(target as Target<BySignature>, credentials, scopes);
      case 'aws_sts_assume_role':
        return assumeRole(target as Target<ByRole>, outbound, doing);
    }
  }

  async function byClient(
    target: Target<ByClient>,
    credentials: Values,
    dpopKey: string | undefined,
    scopes: string[],
  ): Promise<Result> {
    const configured = await configure(target);
    if (!configured.ok) return configured;
    const { config } = configured.value;
    const binding = usesDpop(target) ? bind(config, dpopKey) : undefined;
    const parameters = {
      ...scopeOf(target.auth, scopes),
      ...fillAll(target.auth.token_request.params, { ...secretValues(target), ...credentials }),
    };
    const answer = await client.genericGrantRequest(config, target.auth.grant_type, parameters, binding?.options);
    return { ok: true, value: { ...answered(target, originalOf(answer)), dpopKey: binding?.key } };
  }

  async function byAssertion(
    target: Target<ByAssertion>,
    credentials: Values,
    scopes: string[],
    doing: Doing,
  ): Promise<Result> {
    const assertion = await signed(target, credentials, scopes);
    if (target.auth.presented === 'bearer') return byBearer(target, assertion, doing);
    const configured = await configure(target);
    if (!configured.ok) return configured;
    const answer = await client.genericGrantRequest(configured.value.config, target.auth.grant_type, {
      assertion,
      ...(Object.hasOwn(target.auth.assertion.claims, 'scope') ? {} : scopeOf(target.auth, scopes)),
      ...fillAll(target.auth.token_request.params, { ...secretValues(target), ...credentials }),
    });
    return { ok: true, value: answered(target, originalOf(answer)) };
  }

  async function byBearer(target: Target<TokenMode>, assertion: string, doing: Doing): Promise<Result> {
    const { auth, endpoints } = target;
    if (endpoints.token === undefined)
      return { ok: false, fault: fault('misconfigured', 'missing_endpoint', 'no token endpoint') };
    const headers = { ...JSON_ONLY, ...fillAll(auth.token_request.headers, secretValues(target)) };
    const request = { method: 'POST', headers: { ...headers, authorization: `Bearer ${assertion}` } };
    const mended = await normalizeTokenResponse(await outbound(endpoints.token, request), auth.token_answer, false);
    if (!mended.ok) return { ok: false, fault: classifyProviderError(await errorOf(mended), doing) };
    return { ok: true, value: answered(target, originalOf((await mended.json()) as Record<string, unknown>)) };
  }

  async function bySignature(target: Target<BySignature>, credentials: Values, scopes: string[]): Promise<Result> {
    const accessToken = await signed(target, credentials, scopes);
    const { lifetime, backdate } = target.auth.assertion;
    const expiresIn = Math.max(1, lifetime - backdate);
    return { ok: true, value: { ...BARE, accessToken, tokenType: tokenTypeOf(target.auth), expiresIn } };
  }

  async function signed(target: Target<Signing>, credentials: Values, scopes: string[]): Promise<string> {
    const { alg, header, claims, lifetime, backdate } = target.auth.assertion;
    const pem = credentials.private_key ?? target.secrets.privateKey;
    if (pem === null) throw new ClientKeyError('there is no private key to sign with');
    const key = readPrivateKey(pem);
    const now = Math.floor(clock.now() / 1_000);
    const values = {
      ...target.values,
      ...credentials,
      token_url: target.endpoints.token ?? '',
      now: String(now),
      ...(scopes.length > 0 && { scopes: scopes.join(' ') }),
      ...(usesFingerprint(claims) && { key_fingerprint: fingerprint(key) }),
    };
    const assertion = { alg, header: fillAll(header, values), claims: fillAll(claims, values), lifetime };
    return signAssertion(key, { ...assertion, issuedAt: now - backdate }).catch(() => {
      throw new ClientKeyError(`the private key is not one for ${alg}`);
    });
  }

  function answered(target: Target<TokenMode>, original: Parameters<typeof toTokenResponse>[0]): TokenResponse {
    const read = { idToken: undefined, identity: undefined, values: target.values, now: clock.now() };
    // A refresh token of such a grant is of no use: its credentials make the next one (RFC 6749 4.4.3).
    return { ...toTokenResponse(original, target.auth, read), refreshToken: undefined };
  }
}

/** Whether the connection proves who asks: with a client of its own, or with what it brought where we have nothing. */
function isTheirs({ auth, secrets }: Target<MintedMode>, credentials: Values): boolean {
  if (auth.mode === 'oauth2_client_credentials' && credentials.client_id !== undefined) return true;
  return Object.keys(credentials).length > 0 && secrets.secret === null && secrets.privateKey === null;
}

/** The client that an import brought takes the place of the integration's. */
function ofConnection<T extends Target>(target: T, credentials: Values): T {
  const { client_id: clientId, client_secret: secret, private_key: privateKey } = credentials;
  if (clientId === undefined && privateKey === undefined) return target;
  // An id without a secret of its own is proven with what the integration has.
  const shared = clientId === undefined || secret === undefined;
  return {
    ...target,
    clientId: clientId ?? target.clientId,
    values: {
      ...target.values,
      ...(clientId !== undefined && { client_id: clientId }),
      ...(credentials.key_id !== undefined && { key_id: credentials.key_id }),
    },
    secrets: {
      secret: secret ?? null,
      privateKey: privateKey ?? (shared ? target.secrets.privateKey : null),
      certificate: privateKey === undefined && shared ? target.secrets.certificate : null,
    },
  };
}

const scopeOf = ({ scope_separator: separator }: TokenMode, scopes: string[]): Values =>
  separator === 'none' || scopes.length === 0 ? {} : { scope: scopes.join(separator) };

const keyFault = (error: ClientKeyError, brought: boolean): ProviderFault =>
  fault(brought ? 'grant_dead' : 'misconfigured', 'invalid_private_key', error.message);

/**
 * Nothing was spent, whatever happened. A refusal of what the import brought is the connection's trouble, not the
 * integration's: its owner must bring something better.
 */
function settled(why: ProviderFault, theirs: boolean): ProviderFault {
  const kind = why.kind === 'misconfigured' && theirs && REFUSED.has(why.code) ? 'grant_dead' : why.kind;
  return { ...why, kind, outcomeUnknown: false };
}
const REFUSED = new Set(['invalid_client', 'unauthorized_client', 'invalid_client_key', 'access_denied', 'http_401']);

const usesFingerprint = (claims: Values): boolean => Object.values(claims).some((c) => c.includes('{key_fingerprint}'));

/** Base64 SHA-256 of the public key (SubjectPublicKeyInfo, DER). */
const fingerprint = (key: KeyObject): string =>
  createHash('sha256')
    .update(createPublicKey(key).export({ type: 'spki', format: 'der' }))
    .digest('base64');
