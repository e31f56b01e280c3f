// Telling the provider that a grant is over: RFC 7009, or the vendor's own request.
import * as client from 'openid-client';
import { type CodeMode, isCode } from '../../domain/auth-modes.ts';
import { fill, fillAll, holes, type Values } from '../../domain/fields.ts';
import type { Target } from '../../domain/target.ts';
import type { Clock, ProviderFault, ProviderResult } from '../../ports/index.ts';
import type { Outbound, OutboundRequest } from '../outbound/outbound.ts';
import { clientSecrets } from './client-authentication.ts';
import type { Configure } from './configurations.ts';
import { at, isObject } from './json-paths.ts';
import { answered, classifyProviderError, type Doing } from './provider-errors.ts';
import { textsOf } from './refresh-request.ts';
import { secretValues } from './token-request.ts';
import { oauthError } from './token-response.ts';

export interface Tokens {
  accessToken: string | null;
  refreshToken: string | null;
}

type Outcome = ProviderResult<'done' | 'unsupported'>;
type Hint = 'refresh_token' | 'access_token';
type VendorRequest = Extract<CodeMode['revocation'], { style: 'request' }>;

const done: Outcome = { ok: true, value: 'done' };
const unsupported: Outcome = { ok: true, value: 'unsupported' };

export function createRevocation(parts: { outbound: Outbound; configure: Configure; clock: Clock }) {
  const { outbound, configure, clock } = parts;
  const doing = (target: Target<CodeMode>, { accessToken, refreshToken }: Tokens): Doing => ({
    what: 'revocation',
    secrets: [accessToken, refreshToken, ...clientSecrets(target)],
    now: clock.now(),
    errors: target.auth.errors,
  });

  /** The refresh token first: it is what would bring new access tokens. */
  async function byStandard(target: Target<CodeMode>, tokens: Tokens): Promise<Outcome> {
    const configured = await configure(target);
    if (!configured.ok) return configured;
    const { config, metadata } = configured.value;
    if (metadata.revocation_endpoint === undefined) return unsupported;
    const told = doing(target, tokens);
    const renewing = await one(config, tokens.refreshToken, 'refresh_token', told);
    if (isFault(renewing)) return { ok: false, fault: renewing };
    const tokenCache = await one(config, tokens.accessToken, 'access_token', told);
    if (isFault(tokenCache)) return { ok: false, fault: tokenCache };
    // A provider may revoke refresh tokens only (RFC 7009 2): the access token then ends with its life.
    return (renewing ?? tokenCache) === 'unsupported' ? unsupported : done;
  }

  async function one(config: client.Configuration, token: string | null, hint: Hint, told: Doing) {
    if (token === null) return undefined;
    try {
      await client.tokenRevocation(config, token, { token_type_hint: hint });
      return 'done';
    } catch (error) {
      const judged = classifyProviderError(error, told);
      if (judged.code === 'unsupported_token_type') return 'unsupported';
      // Not of RFC 7009, and yet said: the token is not valid any more.
      return judged.code === 'invalid_token' ? 'done' : judged;
    }
  }

  /** The catalogue's request, with the tokens filled in. Not found means that it is gone already. */
  async function byRequest(
    target: Target<CodeMode>,
    asked: VendorRequest,
    tokens: Tokens,
    captured: Record<string, unknown>,
  ): Promise<Outcome> {
    const { accessToken, refreshToken } = tokens;
    const values = {
      ...textsOf(captured),
      ...secretValues(target),
      ...(accessToken !== null && { access_token: accessToken }),
      ...(refreshToken !== null && { refresh_token: refreshToken }),
    };
    const { revocation } = target.endpoints;
    const url = revocation === undefined ? undefined : fill(revocation, values, encodeURIComponent);
    const request = vendorRequest(asked, target, values);
    if (url === undefined || request === undefined) return unsupported;
    const told = doing(target, tokens);
    try {
      const response = await outbound(url, request);
      const body: unknown = await response.json().catch(() => undefined);
      const success = asked.success === undefined || at(body, asked.success.path) === asked.success.equals;
      if ((response.ok && success) || response.status === 404) return done;
      const said = isObject(body)
        ? oauthError(body, { ...target.auth.token_answer, success: asked.success })
        : undefined;
      const why = answered(response, said?.error as string, said?.error_description as string, told);
      return asked.gone.includes(why.code) ? done : { ok: false, fault: why };
    } catch (error) {
      return { ok: false, fault: classifyProviderError(error, told) };
    }
  }

  return async (target: Target, tokens: Tokens, captured: Record<string, unknown>): Promise<Outcome> => {
    if (!isCode(target.auth)) return unsupported;
    const asked = target as Target<CodeMode>;
    switch (target.auth.revocation.style) {
      case 'rfc7009':
        return byStandard(asked, tokens);
      case 'request':
        return byRequest(asked, target.auth.revocation, tokens, captured);
      case 'none':
        return unsupported;
    }
  };
}

const isFault = (outcome: ProviderFault | string | undefined): outcome is ProviderFault => typeof outcome === 'object';

const NEEDS = ['access_token', 'refresh_token'];

/** Undefined when it cannot be made of the tokens that there are. */
function vendorRequest(asked: VendorRequest, target: Target, values: Values): OutboundRequest | undefined {
  // A field for a token is left out where there is none.
  const fields = fillAll(asked.fields, values);
  const named = Object.values(asked.fields).some((template) => holes(template).some((name) => NEEDS.includes(name)));
  const given = Object.entries(asked.fields).some(
    ([name, template]) => name in fields && holes(template).some((hole) => NEEDS.includes(hole)),
  );
  const inUrl = holes(target.endpoints.revocation ?? '').some((name) => NEEDS.includes(name));
  if (named && !given && !inUrl) return undefined;
  const headers: Record<string, string> = { accept: 'application/json' };
  for (const [name, value] of Object.entries(fillAll(asked.headers, values))) headers[name.toLowerCase()] = value;
  if (asked.auth === 'bearer') {
    if (values.access_token === undefined) return undefined;
    headers.authorization = `Bearer ${values.access_token}`;
  }
  if (asked.auth === 'basic') {
    const credentials = Buffer.from(`${target.clientId}:${target.secrets.secret ?? ''}`).toString('base64');
    headers.authorization = `Basic ${credentials}`;
  }
  const { method, body } = asked;
  if (body === 'none') return { method, headers };
  if (body === 'form') return { method, headers, body: new URLSearchParams(fields) };
  return { method, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(fields) };
}
