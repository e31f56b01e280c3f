// Telling the provider that a grant is over: RFC 7009, or the vendor's own request.
import * as client from 'openid-client';
import type { Target } from '../../domain/target.ts';
import type { Clock, ProviderFault, ProviderResult } from '../../ports.ts';
import type { Outbound, OutboundRequest } from '../outbound.ts';
import type { Configure } from './configurations.ts';
import { answered, type Doing, judge } from './faults.ts';

export interface Tokens {
  accessToken: string | null;
  refreshToken: string | null;
}

type Outcome = ProviderResult<'done' | 'unsupported'>;
type Hint = 'refresh_token' | 'access_token';

const done: Outcome = { ok: true, value: 'done' };
const unsupported: Outcome = { ok: true, value: 'unsupported' };

export function createRevocation(parts: { outbound: Outbound; configure: Configure; clock: Clock }) {
  const { outbound, configure, clock } = parts;
  const doing = ({ clientSecret }: Target, { accessToken, refreshToken }: Tokens): Doing => ({
    what: 'revocation',
    secrets: [accessToken, refreshToken, clientSecret],
    now: clock.now(),
  });

  /** The refresh token first: it is what would bring new access tokens. */
  async function byStandard(target: Target, tokens: Tokens): Promise<Outcome> {
    const configured = await configure(target);
    if (!configured.ok) return configured;
    const { config, metadata } = configured.value;
    if (metadata.revocation_endpoint === undefined) return unsupported;
    const told = doing(target, tokens);
    const renewing = await one(config, tokens.refreshToken, 'refresh_token', told);
    if (isFault(renewing)) return { ok: false, fault: renewing };
    const serving = await one(config, tokens.accessToken, 'access_token', told);
    if (isFault(serving)) return { ok: false, fault: serving };
    // A provider may revoke refresh tokens only (RFC 7009 2): the access token then ends with its life.
    return (renewing ?? serving) === 'unsupported' ? unsupported : done;
  }

  async function one(config: client.Configuration, token: string | null, hint: Hint, told: Doing) {
    if (token === null) return undefined;
    try {
      await client.tokenRevocation(config, token, { token_type_hint: hint });
      return 'done';
    } catch (error) {
      const judged = judge(error, told);
      if (judged.code === 'unsupported_token_type') return 'unsupported';
      // Not of RFC 7009, and yet said: the token is not valid any more.
      return judged.code === 'invalid_token' ? 'done' : judged;
    }
  }

  /** The catalogue's request, with the tokens filled in. Not found means that it is gone already. */
  async function byRequest(target: Target, tokens: Tokens): Promise<Outcome> {
    const url = target.endpoints.revocation;
    const request = vendorRequest(target, tokens);
    if (url === undefined || request === undefined || !fills(url, tokens)) return unsupported;
    const told = doing(target, tokens);
    try {
      const response = await outbound(filled(url, target, tokens, encodeURIComponent), request);
      if (response.ok || response.status === 404) return done;
      return { ok: false, fault: answered(response, undefined, undefined, told) };
    } catch (error) {
      return { ok: false, fault: judge(error, told) };
    }
  }

  return (target: Target, tokens: Tokens): Promise<Outcome> =>
    target.auth.revocation.style === 'request' ? byRequest(target, tokens) : byStandard(target, tokens);
}

const isFault = (outcome: ProviderFault | string | undefined): outcome is ProviderFault => typeof outcome === 'object';

/** Undefined when it cannot be made of the tokens that there are. */
function vendorRequest(target: Target, tokens: Tokens): OutboundRequest | undefined {
  const { revocation } = target.auth;
  if (revocation.style !== 'request') return undefined;
  // A field for a token is left out where there is none.
  const given = Object.entries(revocation.fields).filter(([, value]) => fills(value, tokens));
  if (given.length === 0 && Object.keys(revocation.fields).length > 0) return undefined;
  const fields = Object.fromEntries(given.map(([name, value]) => [name, filled(value, target, tokens)]));
  const headers: Record<string, string> = { ...revocation.headers };
  if (revocation.client_auth === 'bearer_token') {
    if (tokens.accessToken === null) return undefined;
    headers.authorization = `Bearer ${tokens.accessToken}`;
  }
  if (revocation.client_auth === 'basic') {
    const credentials = Buffer.from(`${target.clientId}:${target.clientSecret ?? ''}`).toString('base64');
    headers.authorization = `Basic ${credentials}`;
  }
  const { method } = revocation;
  if (revocation.body === 'none') return { method, headers };
  if (revocation.body === 'form') return { method, headers, body: new URLSearchParams(fields) };
  return { method, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(fields) };
}

const fills = (template: string, { accessToken, refreshToken }: Tokens) =>
  (accessToken !== null || !template.includes('{access_token}')) &&
  (refreshToken !== null || !template.includes('{refresh_token}'));

const filled = (template: string, target: Target, tokens: Tokens, encode = (value: string) => value): string =>
  template.replace(/\{(client_id|access_token|refresh_token)\}/g, (_, name: string) => {
    if (name === 'client_id') return encode(target.clientId);
    return encode((name === 'access_token' ? tokens.accessToken : tokens.refreshToken) ?? '');
  });
