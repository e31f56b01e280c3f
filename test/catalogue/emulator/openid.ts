// The endpoints of an OpenID Provider: discovery, keys, ID tokens.
import { SignJWT } from 'jose';
import { keyPair } from './identity.ts';
import { fillTemplate, type Values } from './request.ts';
import type { ClientAuthMethod, CodeRow, Json } from './vendor.ts';

const KID = 'signing';

const METHODS: Partial<Record<ClientAuthMethod, string>> = {
  post: 'client_secret_post',
  basic: 'client_secret_basic',
  basic_raw: 'client_secret_basic',
  client_secret_jwt: 'client_secret_jwt',
  private_key_jwt: 'private_key_jwt',
  id_only: 'none',
};

/** OpenID Connect Discovery 3, with the real URLs. */
export function discovery({ oidc, authorize, token, revoke, scopes = [] }: CodeRow, values: Values): Json {
  const at = (url: string) => fillTemplate(url, values);
  const issuer = at(oidc?.issuer ?? '');
  const methods = [token.clientAuth ?? 'post'].flat().flatMap((way) => METHODS[way] ?? []);
  return {
    issuer,
    authorization_endpoint: at(authorize.url),
    token_endpoint: at(token.url),
    ...(revoke && revoke.authorizedBy === undefined && { revocation_endpoint: at(revoke.url) }),
    jwks_uri: `${issuer.replace(/\/$/, '')}/jwks`,
    userinfo_endpoint: at(token.url).replace(/[^/]+$/, 'userinfo'),
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    scopes_supported: scopes,
    token_endpoint_auth_methods_supported: methods,
    ...(authorize.pkce !== 'refused' && { code_challenge_methods_supported: ['S256'] }),
    ...(oidc?.metadata ? (filledAll(oidc.metadata, values) as Json) : {}),
  };
}

export function keySet(): Json {
  return { keys: [{ ...keyPair('RS256').publicKey.export({ format: 'jwk' }), kid: KID, use: 'sig', alg: 'RS256' }] };
}

/** OpenID Connect Core 2. What it says of URLs is where the broker believes them to be. */
export function idToken(
  { issuer, claims = {} }: NonNullable<CodeRow['oidc']>,
  about: { clientId: string; nonce: string | undefined; toEmulator: (text: string) => string; values: Values },
): Promise<string> {
  const { clientId, nonce, toEmulator, values } = about;
  const own = JSON.parse(toEmulator(JSON.stringify(filledAll(claims, values)))) as Json;
  return new SignJWT({
    iss: toEmulator(fillTemplate(issuer, values)),
    sub: 'ada',
    aud: clientId,
    ...(nonce !== undefined && { nonce }),
    ...own,
  })
    .setProtectedHeader({ alg: 'RS256', kid: KID })
    .setIssuedAt()
    .setExpirationTime('5m')
    .sign(keyPair('RS256').privateKey);
}

const filledAll = (value: unknown, values: Values): unknown => JSON.parse(fillTemplate(JSON.stringify(value), values));
