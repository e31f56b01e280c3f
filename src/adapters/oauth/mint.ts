// Mints tokens from imported credentials: client credentials (RFC 6749 4.4), a signed assertion (RFC 7523), a self-signed
// JWT, or AWS's security token service. These requests are repeatable, so no outcome is ever unknown.
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import * as client from 'openid-client';
import type { MintedMode, TokenMode } from '../../domain/auth-modes.ts';
import { tokenTypeOf } from '../../domain/auth-modes.ts';
import { fillAll, type Values } from '../../domain/fields.ts';
import { parseStoredCredentials } from '../../domain/imported-credentials.ts';
import { type Target, usesDpop } from '../../domain/target.ts';
import type { Clock, ProviderFault, ProviderResult, RefreshRequest, TokenResponse } from '../../ports/index.ts';
import type { Outbound } from '../outbound/outbound.ts';
import { assumeRole } from './aws-sts.ts';
import { ClientKeyError, clientSecrets, readPrivateKey } from './client-authentication.ts';
import { JSON_ONLY, toProtocolError } from './code-exchange.ts';
import type { Configurations } from './configurations.ts';
import type { DpopKeys } from './dpop.ts';
import { classifyProviderError, type ErrorContext, fault } from './provider-errors.ts';
import { valuesWithClientSecret } from './token-request.ts';
import { EMPTY_TOKEN_RESPONSE, originalOf, receiveTokenResponse, toTokenResponse } from './token-response.ts';

/** A compact JWS (RFC 7515) of these claims; `iat`, `exp` and `jti` are added. */
export type SignAssertion = (
  key: ReturnType<typeof readPrivateKey>,
  assertion: { alg: string; header: Values; claims: Values; issuedAt: number; lifetime: number },
) => Promise<string>;

interface Parts {
  outbound: Outbound;
  configurations: Configurations;
  signAssertion: SignAssertion;
  dpopKeys: DpopKeys;
  clock: Clock;
}

type Result = ProviderResult<TokenResponse>;
type ClientCredentialsMode = Extract<MintedMode, { mode: 'oauth2_client_credentials' }>;
type JwtBearerMode = Extract<MintedMode, { mode: 'jwt_bearer' }>;
type SelfSignedJwtMode = Extract<MintedMode, { mode: 'self_signed_jwt' }>;
type AssumeRoleMode = Extract<MintedMode, { mode: 'aws_sts_assume_role' }>;
type AssertionMode = Extract<MintedMode, { assertion: unknown }>;

export interface TokenMint {
  /** As `ProviderClient.refresh`, for connections that were imported. `outcomeUnknown` of a fault is always false. */
  mint(target: Target<MintedMode>, request: RefreshRequest): Promise<Result>;
}

export function createTokenMint({ outbound, configurations, signAssertion, dpopKeys, clock }: Parts): TokenMint {
  const mint: TokenMint['mint'] = async (target, { credentials: stored, scopes: integrationScopes }) => {
    const { imported: credentials, dpopKey, scopes = integrationScopes } = parseStoredCredentials(stored.credentials);
    const context: ErrorContext = {
      what: 'token request',
      secrets: [
        ...clientSecrets(target),
        ...clientSecrets(withConnectionClient(target, credentials)),
        ...Object.values(credentials),
      ],
      now: clock.now(),
      errors: 'errors' in target.auth ? target.auth.errors : undefined,
    };
    const byConnection = authenticatesAsConnection(target, credentials);
    try {
      const minted = await mintByMode(target, credentials, dpopKey, scopes, context);
      return minted.ok ? minted : { ok: false, fault: withKnownOutcome(minted.fault, byConnection) };
    } catch (error) {
      const why =
        error instanceof ClientKeyError
          ? keyFault(error, 'private_key' in credentials)
          : classifyProviderError(error, context);
      return { ok: false, fault: withKnownOutcome(why, byConnection) };
    }
  };
  return { mint };

  async function mintByMode(
    target: Target<MintedMode>,
    credentials: Values,
    dpopKey: string | undefined,
    scopes: string[],
    context: ErrorContext,
  ): Promise<Result> {
    // Not a copy of the target: configurations are cached by it.
    switch (target.auth.mode) {
      case 'oauth2_client_credentials':
        return mintWithClientCredentials(
          withConnectionClient(target as Target<ClientCredentialsMode>, credentials),
          credentials,
          dpopKey,
          scopes,
        );
      case 'jwt_bearer':
        return mintWithAssertion(target as Target<JwtBearerMode>, credentials, scopes, context);
      case 'self_signed_jwt':
        return mintSelfSigned(target as Target<SelfSignedJwtMode>, credentials, scopes);
      case 'aws_sts_assume_role':
        return assumeRole(target as Target<AssumeRoleMode>, outbound, context);
    }
  }

  async function mintWithClientCredentials(
    target: Target<ClientCredentialsMode>,
    credentials: Values,
    dpopKey: string | undefined,
    scopes: string[],
  ): Promise<Result> {
    const configured = await configurations.get(target);
    if (!configured.ok) return configured;
    const { config } = configured.value;
    const binding = usesDpop(target) ? dpopKeys.bind(config, dpopKey) : undefined;
    const parameters = {
      ...scopeParameter(target.auth, scopes),
      ...fillAll(target.auth.token_request.params, { ...valuesWithClientSecret(target), ...credentials }),
    };
    const answer = await client.genericGrantRequest(config, target.auth.grant_type, parameters, binding?.options);
    return { ok: true, value: { ...toResponse(target, originalOf(answer)), dpopKey: binding?.key } };
  }

  async function mintWithAssertion(
    target: Target<JwtBearerMode>,
    credentials: Values,
    scopes: string[],
    context: ErrorContext,
  ): Promise<Result> {
    const assertion = await signConnectionAssertion(target, credentials, scopes);
    if (target.auth.presented === 'bearer') return mintWithBearerAssertion(target, assertion, context);
    const configured = await configurations.get(target);
    if (!configured.ok) return configured;
    const answer = await client.genericGrantRequest(configured.value.config, target.auth.grant_type, {
      assertion,
      ...(Object.hasOwn(target.auth.assertion.claims, 'scope') ? {} : scopeParameter(target.auth, scopes)),
      ...fillAll(target.auth.token_request.params, { ...valuesWithClientSecret(target), ...credentials }),
    });
    return { ok: true, value: toResponse(target, originalOf(answer)) };
  }

  async function mintWithBearerAssertion(
    target: Target<TokenMode>,
    assertion: string,
    context: ErrorContext,
  ): Promise<Result> {
    const { auth, endpoints } = target;
    if (endpoints.token === undefined)
      return { ok: false, fault: fault('misconfigured', 'missing_endpoint', 'no token endpoint') };
    const headers = { ...JSON_ONLY, ...fillAll(auth.token_request.headers, valuesWithClientSecret(target)) };
    const request = { method: 'POST', headers: { ...headers, authorization: `Bearer ${assertion}` } };
    const normalized = await receiveTokenResponse(outbound(endpoints.token, request), auth.token_answer, false);
    if (!normalized.ok) return { ok: false, fault: classifyProviderError(await toProtocolError(normalized), context) };
    return { ok: true, value: toResponse(target, originalOf((await normalized.json()) as Record<string, unknown>)) };
  }

  async function mintSelfSigned(
    target: Target<SelfSignedJwtMode>,
    credentials: Values,
    scopes: string[],
  ): Promise<Result> {
    const accessToken = await signConnectionAssertion(target, credentials, scopes);
    const { lifetime, backdate } = target.auth.assertion;
    const expiresIn = Math.max(1, lifetime - backdate);
    return {
      ok: true,
      value: { ...EMPTY_TOKEN_RESPONSE, accessToken, tokenType: tokenTypeOf(target.auth), expiresIn },
    };
  }

  async function signConnectionAssertion(
    target: Target<AssertionMode>,
    credentials: Values,
    scopes: string[],
  ): Promise<string> {
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

  function toResponse(target: Target<TokenMode>, original: Parameters<typeof toTokenResponse>[0]): TokenResponse {
    const read = { idToken: undefined, identity: undefined, values: target.values, now: clock.now() };
    // A refresh token is of no use here: the credentials get the next access token (RFC 6749 4.4.3).
    return { ...toTokenResponse(original, target.auth, read), refreshToken: undefined };
  }
}

/** Whether the connection's own client or secrets authenticate the request, not the integration's. */
function authenticatesAsConnection({ auth, secrets }: Target<MintedMode>, credentials: Values): boolean {
  if (auth.mode === 'oauth2_client_credentials' && credentials.client_id !== undefined) return true;
  return Object.keys(credentials).length > 0 && secrets.secret === null && secrets.privateKey === null;
}

/** The target with the client of the import in place of the integration's. */
function withConnectionClient<T extends Target>(target: T, credentials: Values): T {
  const { client_id: clientId, client_secret: secret, private_key: privateKey } = credentials;
  if (clientId === undefined && privateKey === undefined) return target;
  // A client id without a secret of its own authenticates with the integration's secrets.
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

const scopeParameter = ({ scope_separator: separator }: TokenMode, scopes: string[]): Values =>
  separator === 'none' || scopes.length === 0 ? {} : { scope: scopes.join(separator) };

const keyFault = (error: ClientKeyError, imported: boolean): ProviderFault =>
  fault(imported ? 'grant_dead' : 'misconfigured', 'invalid_private_key', error.message);

/**
 * Minting spends nothing. When the provider refuses credentials of the connection's own, the connection is at fault, not
 * the integration: its owner must import other ones.
 */
function withKnownOutcome(why: ProviderFault, byConnection: boolean): ProviderFault {
  const kind =
    why.kind === 'misconfigured' && byConnection && CLIENT_REFUSED_CODES.has(why.code) ? 'grant_dead' : why.kind;
  return { ...why, kind, outcomeUnknown: false };
}
const CLIENT_REFUSED_CODES = new Set([
  'invalid_client',
  'unauthorized_client',
  'invalid_client_key',
  'access_denied',
  'http_401',
]);

const usesFingerprint = (claims: Values): boolean => Object.values(claims).some((c) => c.includes('{key_fingerprint}'));

/** Base64 SHA-256 of the public key (SubjectPublicKeyInfo, DER). */
const fingerprint = (key: KeyObject): string =>
  createHash('sha256')
    .update(createPublicKey(key).export({ type: 'spki', format: 'der' }))
    .digest('base64');
