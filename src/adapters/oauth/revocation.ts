// Revokes tokens at the provider: RFC 7009, or the vendor's own request.
import * as client from 'openid-client';
import { toTextValues } from '../../domain/account.ts';
import { type CodeMode, isCode } from '../../domain/auth-modes.ts';
import { fill, fillAll, placeholders, type Values } from '../../domain/fields.ts';
import { isObject } from '../../domain/json.ts';
import { at } from '../../domain/json-path.ts';
import type { Target } from '../../domain/target.ts';
import type { Clock, ProviderFault, ProviderResult } from '../../ports/index.ts';
import type { Outbound, OutboundRequest } from '../outbound/outbound.ts';
import { clientSecrets } from './client-authentication.ts';
import type { Configurations } from './configurations.ts';
import { classifyErrorResponse, classifyProviderError, type ErrorContext } from './provider-errors.ts';
import { valuesWithClientSecret } from './token-request.ts';
import { oauthError } from './token-response.ts';

export interface Tokens {
  accessToken: string | null;
  refreshToken: string | null;
}

type Outcome = ProviderResult<'done' | 'unsupported'>;
type Hint = 'refresh_token' | 'access_token';
type VendorRequest = Extract<CodeMode['revocation'], { style: 'request' }>;

/** Not in RFC 7009, but in use: the token is no longer valid. */
const GONE_CODES = new Set(['invalid_token', 'invalid_grant', 'token_revoked', 'invalid_refresh_token']);

const done: Outcome = { ok: true, value: 'done' };
const unsupported: Outcome = { ok: true, value: 'unsupported' };

export interface Revocation {
  /** As `ProviderClient.revoke`. */
  revoke(target: Target, tokens: Tokens, captured: Record<string, unknown>): Promise<Outcome>;
}

interface Parts {
  outbound: Outbound;
  configurations: Configurations;
  clock: Clock;
}

export function createRevocation({ outbound, configurations, clock }: Parts): Revocation {
  const contextOf = (target: Target<CodeMode>, { accessToken, refreshToken }: Tokens): ErrorContext => ({
    what: 'revocation',
    secrets: [accessToken, refreshToken, ...clientSecrets(target)],
    now: clock.now(),
    errors: target.auth.errors,
  });

  /**
   * The refresh token first, since it can get new access tokens. Once it is revoked, so is the grant (RFC 7009 2.1), whatever
   * the provider says of the access token, which it may have revoked along with it.
   */
  async function revokeByStandard(target: Target<CodeMode>, tokens: Tokens): Promise<Outcome> {
    const configured = await configurations.get(target);
    if (!configured.ok) return configured;
    const { config, metadata } = configured.value;
    if (metadata.revocation_endpoint === undefined) return unsupported;
    const context = contextOf(target, tokens);
    const refreshOutcome = await revokeToken(config, tokens.refreshToken, 'refresh_token', context);
    if (isFault(refreshOutcome)) return { ok: false, fault: refreshOutcome };
    const accessOutcome = await revokeToken(config, tokens.accessToken, 'access_token', context);
    if (refreshOutcome === 'done') return done;
    if (isFault(accessOutcome)) return { ok: false, fault: accessOutcome };
    return (refreshOutcome ?? accessOutcome) === 'unsupported' ? unsupported : done;
  }

  async function revokeToken(config: client.Configuration, token: string | null, hint: Hint, context: ErrorContext) {
    if (token === null) return undefined;
    try {
      await client.tokenRevocation(config, token, { token_type_hint: hint });
      return 'done';
    } catch (error) {
      const classified = classifyProviderError(error, context);
      if (classified.code === 'unsupported_token_type') return 'unsupported';
      return GONE_CODES.has(classified.code) || classified.kind === 'grant_dead' ? 'done' : classified;
    }
  }

  /** The catalogue's request, with the tokens filled in. 404 means that the grant is gone already. */
  async function revokeByVendorRequest(
    target: Target<CodeMode>,
    spec: VendorRequest,
    tokens: Tokens,
    captured: Record<string, unknown>,
  ): Promise<Outcome> {
    const { accessToken, refreshToken } = tokens;
    const values = {
      ...toTextValues(captured),
      ...valuesWithClientSecret(target),
      ...(accessToken !== null && { access_token: accessToken }),
      ...(refreshToken !== null && { refresh_token: refreshToken }),
    };
    const { revocation } = target.endpoints;
    const url = revocation === undefined ? undefined : fill(revocation, values, encodeURIComponent);
    const request = vendorRequest(spec, target, values);
    if (url === undefined || request === undefined) return unsupported;
    const context = contextOf(target, tokens);
    try {
      const response = await outbound(url, request);
      const body: unknown = await response.json().catch(() => undefined);
      const success = spec.success === undefined || at(body, spec.success.path) === spec.success.equals;
      if ((response.ok && success) || response.status === 404) return done;
      const error = isObject(body)
        ? oauthError(body, { ...target.auth.token_answer, success: spec.success })
        : undefined;
      const why = classifyErrorResponse(response, error?.error as string, error?.error_description as string, context);
      const isGone = why.kind === 'grant_dead' || GONE_CODES.has(why.code) || spec.gone.includes(why.code);
      return isGone ? done : { ok: false, fault: why };
    } catch (error) {
      return { ok: false, fault: classifyProviderError(error, context) };
    }
  }

  return {
    async revoke(target, tokens, captured) {
      if (!isCode(target.auth)) return unsupported;
      const codeTarget = target as Target<CodeMode>;
      switch (target.auth.revocation.style) {
        case 'rfc7009':
          return revokeByStandard(codeTarget, tokens);
        case 'request':
          return revokeByVendorRequest(codeTarget, target.auth.revocation, tokens, captured);
        case 'none':
          return unsupported;
      }
    },
  };
}

const isFault = (outcome: ProviderFault | string | undefined): outcome is ProviderFault => typeof outcome === 'object';

const TOKEN_NAMES = ['access_token', 'refresh_token'];

/** Undefined when it needs a token that the connection does not have. */
function vendorRequest(spec: VendorRequest, target: Target, values: Values): OutboundRequest | undefined {
  // `fillAll` omits a field whose token is missing.
  const fields = fillAll(spec.fields, values);
  const named = Object.values(spec.fields).some((template) =>
    placeholders(template).some((name) => TOKEN_NAMES.includes(name)),
  );
  const given = Object.entries(spec.fields).some(
    ([name, template]) => name in fields && placeholders(template).some((hole) => TOKEN_NAMES.includes(hole)),
  );
  const inUrl = placeholders(target.endpoints.revocation ?? '').some((name) => TOKEN_NAMES.includes(name));
  if (named && !given && !inUrl) return undefined;
  const headers: Record<string, string> = { accept: 'application/json' };
  for (const [name, value] of Object.entries(fillAll(spec.headers, values))) headers[name.toLowerCase()] = value;
  if (spec.auth === 'bearer') {
    if (values.access_token === undefined) return undefined;
    headers.authorization = `Bearer ${values.access_token}`;
  }
  if (spec.auth === 'basic') {
    const credentials = Buffer.from(`${target.clientId}:${target.secrets.secret ?? ''}`).toString('base64');
    headers.authorization = `Basic ${credentials}`;
  }
  const { method, body } = spec;
  if (body === 'none') return { method, headers };
  if (body === 'form') return { method, headers, body: new URLSearchParams(fields) };
  return { method, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(fields) };
}
