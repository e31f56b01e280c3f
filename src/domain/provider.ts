// A catalogue entry: how one third-party system authenticates, as data. The schema is the whole vocabulary; the
// engine reads it and never asks which provider it is.
import { z } from 'zod';

const Slug = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and dashes, at most 63');
const Template = z.string().regex(/^(https:\/\/|\{)/, 'an https URL, or one that begins with a {parameter}');
const Seconds = z.int().positive();

/** Something that the deployment or a connection must tell: an issuer, a data centre, a subdomain. */
export const ParamField = z.strictObject({
  title: z.string(),
  description: z.string().optional(),
  /** A regular expression that the whole value matches. It guards what ends up in URLs. */
  pattern: z.string().refine(compiles, 'not a regular expression'),
  example: z.string().optional(),
  /** Used when nothing is given. */
  default: z.string().optional(),
  /** May be left out; a URL that names it is then absent too. */
  optional: z.boolean().default(false),
});
export type ParamField = z.infer<typeof ParamField>;
const Params = z.record(z.string().regex(/^[a-z][a-z0-9_]*$/), ParamField);

/** RFC 7009, or the vendor's own request; `{client_id}`, `{access_token}` and `{refresh_token}` are filled in. */
const Revocation = z.discriminatedUnion('style', [
  z.strictObject({ style: z.literal('rfc7009') }),
  z.strictObject({
    style: z.literal('request'),
    method: z.enum(['POST', 'DELETE']),
    url: Template,
    client_auth: z.enum(['basic', 'bearer_token', 'none']),
    body: z.enum(['json', 'form', 'none']),
    fields: z.record(z.string(), z.string()).default({}),
    headers: z.record(z.string(), z.string()).default({}),
  }),
]);

const code = {
  authorization_url: Template.optional(),
  token_url: Template.optional(),
  revocation_url: Template.optional(),
  userinfo_url: Template.optional(),
  /** Constant parameters of the authorization request. */
  authorization_params: z.record(z.string(), z.string()).default({}),
  /** RFC 7636. `none` only for systems that reject the parameters. */
  pkce: z.enum(['S256', 'none']).default('S256'),
  /** How the client authenticates at the token endpoint (OpenID Connect Core 9); by default as discovery says. */
  client_auth: z.enum(['client_secret_basic', 'client_secret_post', 'none']).optional(),
  scope_separator: z.enum([' ', ',']).default(' '),
  default_scopes: z.array(z.string()).default([]),
  /** Constant headers of token requests. */
  token_headers: z.record(z.string(), z.string()).default({}),
  token_answer: z
    .strictObject({
      scope_separator: z.enum([' ', ',']).default(' '),
      /** Name on the connection → dotted path in the answer. */
      capture: z.record(z.string(), z.string()).default({}),
    })
    .prefault({}),
  /** Query parameters of the callback that are kept on the connection. */
  callback_capture: z.array(z.string()).default([]),
  refresh: z
    .strictObject({
      supported: z.boolean().default(true),
      /** The refresh token dies when unused for so long. */
      idle_lifetime: Seconds.optional(),
    })
    .prefault({}),
  revocation: Revocation.default({ style: 'rfc7009' }),
};

/** OAuth 2.0 authorization code (RFC 6749 4.1), with endpoints by name. */
const OAuth2Code = z
  .strictObject({ mode: z.literal('oauth2_code'), ...code })
  .refine(
    (m) => m.authorization_url !== undefined && m.token_url !== undefined,
    'authorization_url and token_url are required without an issuer',
  );
/** OpenID Connect (authorization code flow): endpoints by discovery, and an ID token that is validated. */
const Oidc = z.strictObject({ mode: z.literal('oidc'), issuer: Template, ...code });

export const AuthMode = z.discriminatedUnion('mode', [OAuth2Code, Oidc]);
export type AuthMode = z.infer<typeof AuthMode>;

/** Milliseconds after which a grant dies that is not refreshed; undefined: not of idleness, as far as is known. */
export const idleLifetime = (auth: AuthMode | undefined): number | undefined =>
  auth?.refresh.idle_lifetime === undefined ? undefined : auth.refresh.idle_lifetime * 1_000;

export const Provider = z.strictObject({
  $schema: z.string().optional(),
  id: Slug,
  name: z.string(),
  category: z.string(),
  docs_url: z.url().optional(),
  /** `verified` against the live system, `documented` by the vendor, or `unverified`. */
  confidence: z.enum(['verified', 'documented', 'unverified']),
  /** What whoever sets it up should know. */
  notes: z.array(z.string()).default([]),
  /** What an integration must give. */
  params: Params.default({}),
  /** What each connection must give. */
  connection_params: Params.default({}),
  /** The first is used unless the integration's `params.mode` names another. */
  auth: z.array(AuthMode).min(1),
  api_base_url: Template.optional(),
});
export type Provider = z.infer<typeof Provider>;

function compiles(pattern: string): boolean {
  try {
    new RegExp(pattern, 'u');
    return true;
  } catch {
    return false;
  }
}
