// Checks the authorization response before its code is spent. Errors must pass the issuer check too: a response that
// another server forged says nothing about this provider (RFC 9207 2.4).
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { CodeMode } from '../../domain/auth-modes.ts';
import { fillAll } from '../../domain/fields.ts';
import type { Target } from '../../domain/target.ts';
import type { ProviderClient, ProviderFault } from '../../ports/index.ts';
import type { Configured } from './configurations.ts';
import { authorizationDenied, type ErrorContext, fault } from './provider-errors.ts';

type Expected = Parameters<ProviderClient['exchange']>[2];

/** Why the response is rejected; undefined: the code may be exchanged. */
export function checkAuthorizationResponse(
  target: Target<CodeMode>,
  { metadata }: Configured,
  response: URLSearchParams,
  expected: Expected,
  context: ErrorContext,
): ProviderFault | undefined {
  if (expected.issuer !== target.issuer)
    return fault('invalid', 'issuer_mismatch', 'the integration names another issuer now than when the flow began');
  for (const name of ['iss', 'state', 'code', 'error'])
    if (response.getAll(name).length > 1)
      return fault('invalid', 'invalid_response', `the authorization response has ${name} more than once`);
  const issuer = response.get('iss');
  const announced = metadata.authorization_response_iss_parameter_supported === true;
  if (target.issuer !== null && (issuer === null ? announced : issuer !== target.issuer))
    return fault(
      'invalid',
      'issuer_mismatch',
      `the authorization response ${issuer === null ? 'has no' : 'names another'} issuer`,
    );
  if (response.get('state') !== expected.state)
    return fault('invalid', 'state_mismatch', 'the authorization response has another state than the request');
  const error = response.get('error');
  if (error) return authorizationDenied(error, response.get('error_description'), context);
  if (!response.get('code')) return fault('invalid', 'invalid_response', 'the authorization response has no code');
  return checkVendorCallback(target, response);
}

/** Checks what the catalogue requires of the callback: parameters that must match, and an HMAC over all of them. */
function checkVendorCallback(
  { auth, values, secrets }: Target<CodeMode>,
  response: URLSearchParams,
): ProviderFault | undefined {
  const { hmac, match } = auth.callback;
  for (const [param, value] of Object.entries(fillAll(match, values)))
    if (response.get(param) !== value)
      return fault('invalid', 'invalid_response', `the authorization response has another ${param} than the request`);
  if (hmac === undefined) return undefined;
  if (secrets.secret === null)
    return fault('misconfigured', 'missing_client_secret', 'a client secret is required to verify the callback');
  const given = Buffer.from(response.get(hmac.param) ?? '');
  const message = [...response]
    .filter(([name]) => name !== hmac.param)
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join('&');
  const computed = Buffer.from(createHmac(hmac.algorithm, secrets.secret).update(message).digest(hmac.encoding));
  return given.length === computed.length && timingSafeEqual(given, computed)
    ? undefined
    : fault('invalid', 'invalid_response', 'the signature of the authorization response is not valid');
}

/** Only the parameters that openid-client checks again; the `iss` of a provider without an issuer is ignored. */
export function callbackUrl(target: Target, response: URLSearchParams, redirectUri: string): URL {
  const url = new URL(redirectUri);
  for (const name of target.issuer === null ? ['code', 'state'] : ['code', 'state', 'iss']) {
    const value = response.get(name);
    if (value !== null) url.searchParams.set(name, value);
  }
  return url;
}
