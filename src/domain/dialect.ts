// Dialects: what a vendor does differently from the standards, as fields of a catalogue entry's mode (token requests, token
// responses, errors, refresh, revocation). Durations are whole seconds.
import { z } from 'zod';
import { CLIENT_AUTH, PKCE, SIGNING_ALGORITHMS } from './client-auth-values.ts';
import { CallPath, Name, Params, Template, UrlTemplate } from './fields-schema.ts';

const Seconds = z.int().positive();
const Templates = z.record(z.string(), Template);
/** A path in a JSON response: `team.id`, `data[0].token`, `[].id` (of each), `accounts[is_default].base_uri` (of the first whose `is_default` is true). */
export const Path = z.string().regex(/^[^.\s]+(?:\.[^.\s]+)*$/, 'a dotted path');
/** The first path that has a value counts. */
const Paths = z.array(Path).min(1);
export const Captures = z.record(z.string().regex(/^[a-z][a-z0-9_]*$/), Path);
const Success = z.strictObject({ path: Path, equals: z.union([z.string(), z.number(), z.boolean()]) });
const Algorithm = z.enum(SIGNING_ALGORITHMS);
const Separator = z.enum([' ', ',', ';']);
export const Pkce = z.enum(PKCE);

/** Fields of a mode that a param of the integration may set. */
const SettableField = z.enum([
  'client_auth',
  'client_assertion.alg',
  'pkce',
  'scope_separator',
  'authorization_params',
  'token_request.params',
  'token_answer.expires',
  'errors',
]);
export type SettableField = z.infer<typeof SettableField>;

/** How the token is sent to the API. */
export const Send = z.strictObject({
  in: z.enum(['header', 'query', 'body', 'signature']).default('header'),
  /** The name of the header, the query parameter, the body's field or the signing scheme. */
  name: z.string().default('Authorization'),
  prefix: z.string().default('Bearer '),
});
export type Send = z.infer<typeof Send>;

export const commonFields = {
  /** Distinguishes several entries of one mode; `params.mode` may name it. */
  variant: z
    .string()
    .regex(/^[a-z][a-z0-9_]*$/)
    .optional(),
  /** What this mode is for, in a few words. */
  title: z.string().optional(),
  notes: z.array(z.string()).default([]),
  /** Where owners find the credentials of this mode. Without it, the provider's `docs_url`. */
  help_url: z.url({ protocol: /^https$/ }).optional(),
  /** Parameters of an integration in this mode, besides the provider's. */
  params: Params.default({}),
  /** Parameters of each connection in this mode, besides the provider's. */
  connection_params: Params.default({}),
  send: Send.optional(),
  /** Replaces the provider's `api_base_url` in this mode. */
  api_base_url: UrlTemplate.optional(),
  api_headers: Templates.default({}),
};

export const ClientAuth = z.enum(CLIENT_AUTH);
export type ClientAuth = z.infer<typeof ClientAuth>;

/** A JWT that the broker signs (RFC 7523 3). It adds `iat`, `exp` and `jti`. */
export const Assertion = z.strictObject({
  alg: Algorithm.default('RS256'),
  header: Templates.default({}),
  /** `{key_fingerprint}` is the base64 SHA-256 of the public key; `{now}` is in seconds since the epoch. */
  claims: Templates.default({}),
  /** The lifetime of the JWT in seconds. */
  lifetime: Seconds.default(300),
  /** Seconds to subtract from `iat` and `exp`, for servers whose clocks are slow. */
  backdate: z.int().min(0).default(0),
});

/** How token requests differ from RFC 6749. */
const TokenRequest = z.strictObject({
  method: z.enum(['POST', 'GET']).default('POST'),
  body: z.enum(['form', 'json']).default('form'),
  /** Constant parameters. */
  params: Templates.default({}),
  /** Standard parameter name → the vendor's name. */
  rename: z.record(z.string(), z.string()).default({}),
  /** Standard parameters that the vendor rejects; `authorization` omits that header. */
  omit: z.array(z.string()).default([]),
  headers: Templates.default({}),
});

/** The schema of `token_answer`, the token response. How token responses differ from RFC 6749 5.1: where each value is. */
const TokenAnswer = z.strictObject({
  /** A response without this value is an error, whatever its status. */
  success: Success.optional(),
  error: Paths.optional(),
  error_description: Paths.optional(),
  access_token: Paths.default(['access_token']),
  refresh_token: Paths.default(['refresh_token']),
  scope: Paths.default(['scope']),
  scope_separator: Separator.default(' '),
  expires: z
    .strictObject({
      /** Seconds from now; 0 counts as absent. */
      in: Paths.default(['expires_in']),
      /** A point in time: RFC 3339, or seconds or milliseconds since the epoch. */
      at: Paths.optional(),
      /** The access token is a JWT: its `exp` is used. */
      jwt: z.boolean().default(false),
      /** Seconds, when the response has no expiry. Without it, such a token does not expire. */
      otherwise: z.union([Seconds, Template]).optional(),
    })
    .prefault({}),
  /** When the refresh token expires unless it is used (`idle`), and when it expires in any case (`end`). */
  refresh_expires: z
    .strictObject({
      idle_in: Paths.optional(),
      idle_at: Paths.optional(),
      end_in: Paths.optional(),
      end_at: Paths.optional(),
    })
    .prefault({}),
  /** Name on the connection → path in the response. */
  capture: Captures.default({}),
});

/**
 * The vendor's error codes, besides the standard ones, by what they mean: the grant is dead, the failure is transient, or
 * the client is misconfigured. Written in lower case, with `_` for every run of other characters than letters and digits.
 * For a code that means several things, write the beginning of its description in the same way.
 */
export const Errors = z.strictObject({
  grant_dead: z.array(z.string()).default([]),
  transient: z.array(z.string()).default([]),
  misconfigured: z.array(z.string()).default([]),
  /** In the authorization response: the owner cancelled. `access_denied` always says so (RFC 6749 4.1.2.1). */
  cancelled: z.array(z.string()).default([]),
});

export type Errors = z.infer<typeof Errors>;

export const tokenEndpointFields = {
  token_url: UrlTemplate.optional(),
  /** The first method that the integration has the secrets for is used. By default as discovery says. */
  client_auth: z.array(ClientAuth).min(1).optional(),
  /** The JWT of `private_key_jwt` and `client_secret_jwt` (RFC 7523 2.2). */
  client_assertion: z
    .strictObject({
      alg: Algorithm.optional(),
      /** `{token_url}` is the token endpoint, `{endpoint}` the endpoint of the request. */
      audience: Template.optional(),
      /** Adds the certificate's thumbprint (`x5t#S256`, RFC 7515 4.1.8). */
      x5t: z.boolean().default(false),
    })
    .prefault({}),
  /** `none`: the vendor has no scopes, and the parameter is not sent. */
  scope_separator: z.enum([...Separator.options, 'none']).default(' '),
  default_scopes: z.array(z.string()).default([]),
  token_request: TokenRequest.prefault({}),
  token_answer: TokenAnswer.prefault({}),
  errors: Errors.prefault({}),
  /** Field of this mode → the param of the integration that sets it, where that is given (`src/domain/param-settings.ts`). */
  settings: z.partialRecord(SettableField, Name).default({}),
};

/** Revocation: by RFC 7009, by the vendor's own request, or none. Templates may name tokens, the client and its secret. */
const Revocation = z.discriminatedUnion('style', [
  z.strictObject({ style: z.literal('rfc7009') }),
  z.strictObject({ style: z.literal('none') }),
  z.strictObject({
    style: z.literal('request'),
    method: z.enum(['POST', 'DELETE', 'GET']).default('POST'),
    url: UrlTemplate,
    /** `bearer`: the access token; `basic`: client id and secret; `none`: only what `headers` has. */
    auth: z.enum(['basic', 'bearer', 'none']).default('none'),
    body: z.enum(['json', 'form', 'none']).default('none'),
    fields: Templates.default({}),
    headers: Templates.default({}),
    success: Success.optional(),
    /** Error codes that mean the grant is gone already. */
    gone: z.array(z.string()).default([]),
  }),
]);

const Rotation = z.enum(['never', 'sometimes', 'always', 'unknown']);

const Refresh = z.strictObject({
  supported: z.boolean().default(true),
  /** When it is not the token endpoint. */
  url: UrlTemplate.optional(),
  method: z.enum(['POST', 'GET']).optional(),
  /** What a refresh spends: the refresh token, or the access token where that is extended. */
  spends: z.enum(['refresh_token', 'access_token']).default('refresh_token'),
  grant_type: z.string().default('refresh_token'),
  /** The parameter that carries what is spent. */
  token_param: z.string().default('refresh_token'),
  params: Templates.default({}),
  omit: z.array(z.string()).default([]),
  rotates: Rotation.default('unknown'),
  /** Seconds for which a spent refresh token is still accepted; or a template, where the integration must say it. */
  reuse_grace: z.union([z.int().min(0), Template]).optional(),
  /** A refresh ends the previous access token. */
  ends_access_token: z.boolean().default(false),
  /** A refresh is refused when the access token is younger than this. */
  min_age: Seconds.optional(),
  /** The refresh token expires when it is unused for this time. */
  idle_lifetime: Seconds.optional(),
  /** The refresh token expires this time after the owner's consent, even when it is used. */
  absolute_lifetime: Seconds.optional(),
});

/**
 * An API request after connecting, whose response is captured. It sends the access token as Bearer by default. Without a
 * `url` it is `userinfo_url`.
 */
const Lookup = z.strictObject({
  method: z.enum(['GET', 'POST']).default('GET'),
  url: UrlTemplate.optional(),
  headers: Templates.default({}),
  /** Sent as JSON, as it is: a GraphQL query. */
  json: z.record(z.string(), z.string()).optional(),
  capture: Captures,
});
export type Lookup = z.infer<typeof Lookup>;

/**
 * A GET with the new access token, sent before anything is stored: the provider answers 2xx only if the token may use what the
 * callback names. It sends the access token as Bearer by default. It is not sent when the callback names nothing of it.
 */
const CallbackConfirmation = z.strictObject({
  /** Below the API's base URL, with captured values of the callback that have a pattern in `captured_patterns`. */
  path: CallPath,
  headers: Templates.default({}),
  /** The grant needs one of them, or it is not asked (`otherwise`). */
  any_scope: z.array(z.string()).min(1).optional(),
  /** Statuses that say that the token may not use it. */
  denied: z.array(z.int().min(400).max(499)).min(1),
  /** `fail`: nothing is connected, and the grant is revoked. `drop`: the connection is made without the callback's values. */
  if_denied: z.enum(['fail', 'drop']),
  /** After any other answer, or none after a second try: whether the callback's values are believed. */
  otherwise: z.enum(['drop', 'keep']),
});
export type CallbackConfirmation = z.infer<typeof CallbackConfirmation>;

/**
 * Whose grant it is, in templates of captured values and parameters. It is compared whenever the grant is renewed, so `id`
 * never changes for the same account: no email address, no default that people choose. Without it, the ID token tells.
 */
const AccountRule = z.strictObject({
  /** Where `id` is unique, in parameters alone. When it cannot be filled, the rule does not apply. */
  issuer: Template,
  /** The first that can be filled counts: the user, or the tenant where the grant is the tenant's. */
  id: z.array(Template).min(1),
  /** A regular expression: its first group is the id. */
  id_pattern: z.string().optional(),
  name: z.array(Template).default([]),
});

/**
 * DPoP (RFC 9449), when this fills to `true`: token requests carry a proof, and tokens are bound to a key of the
 * connection.
 */
export const Dpop = z.string().regex(/^(?:true|false|\{[a-z][a-z0-9_]*\})$/, 'true, false, or a {parameter}');

export const codeFields = {
  ...commonFields,
  ...tokenEndpointFields,
  dpop: Dpop.default('false'),
  authorization_url: UrlTemplate.optional(),
  /** RFC 9126: authorization requests are pushed to it. With an issuer, by discovery. */
  pushed_authorization_request_url: UrlTemplate.optional(),
  revocation_url: UrlTemplate.optional(),
  userinfo_url: UrlTemplate.optional(),
  /** Constant parameters of the authorization request. */
  authorization_params: Templates.default({}),
  /** Standard parameter name → the vendor's name. */
  authorization_rename: z.record(z.string(), z.string()).default({}),
  /**
   * Parameters of the authorization request of a renewal that say which account is wanted: `{account}` is its readable name,
   * `{account_id}` its id at the provider. One that cannot be filled is left out.
   */
  account_hint: Templates.default({}),
  /**
   * Parameters with which the provider has the owner choose an account, sent when another one came than is connected. A
   * `prompt` is added to the one that is sent anyway.
   */
  choose_account: Templates.default({}),
  pkce: Pkce.default('S256'),
  callback: z
    .strictObject({
      /**
       * Name on the connection → parameter of the callback. It replaces a connection parameter of the same name. Without an
       * `hmac`, the browser can write what it likes there, within `captured_patterns`: what webhooks are matched by, or an
       * account's `id` has, needs `confirm`.
       */
      capture: z.record(z.string().regex(/^[a-z][a-z0-9_]*$/), z.string()).default({}),
      confirm: CallbackConfirmation.optional(),
      /** The parameter with the granted scopes. */
      scope: z.strictObject({ param: z.string(), separator: z.enum([' ', ',']).default(' ') }).optional(),
      /** An HMAC of the other parameters, sorted, with the client secret as its key. */
      hmac: z
        .strictObject({
          param: z.string(),
          algorithm: z.enum(['sha256', 'sha512']),
          encoding: z.enum(['hex', 'base64']),
        })
        .optional(),
      /** Parameter → its required value. */
      match: Templates.default({}),
    })
    .prefault({}),
  /** Exchanges a short-lived token for a long-lived one right after connecting. */
  token_exchange: z
    .strictObject({ url: UrlTemplate, method: z.enum(['POST', 'GET']).default('POST'), params: Templates })
    .optional(),
  lookups: z.array(Lookup).default([]),
  account: AccountRule.optional(),
  /** Granted on its own, and refused when asked for: not asked for again when a connection is renewed. */
  scopes_not_asked: z.array(z.string()).default([]),
  refresh: Refresh.prefault({}),
  revocation: Revocation.default({ style: 'rfc7009' }),
  /**
   * What ends when a token is revoked. `token`: that token, and what was issued with it. `grant`: all tokens of the account
   * for this client, other connections' included. May be a template. Without it, it is not known: what a reconnect has
   * replaced is then not revoked.
   */
  revocation_ends: z.union([z.enum(['token', 'grant']), z.string().regex(/^\{[a-z][a-z0-9_]*\}$/)]).optional(),
};
