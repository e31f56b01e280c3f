// The manners of third-party systems, as fields of a catalogue entry's mode: how requests are made, answers read, grants
// renewed and ended. Durations are whole seconds.
import { z } from 'zod';
import { Params, Template, UrlTemplate } from './fields.ts';

const Seconds = z.int().positive();
const Texts = z.record(z.string(), Template);
/** Where in a JSON answer: `team.id`, `data[0].token`, `[].id` (of each), `accounts[is_default].base_uri` (the first where it is true). */
const Path = z.string().regex(/^[^.\s]+(?:\.[^.\s]+)*$/, 'a dotted path');
/** The first that is there. */
const Paths = z.array(Path).min(1);
const Captures = z.record(z.string().regex(/^[a-z][a-z0-9_]*$/), Path);
const Success = z.strictObject({ path: Path, equals: z.union([z.string(), z.number(), z.boolean()]) });
const Algorithm = z.enum(['RS256', 'RS384', 'RS512', 'PS256', 'ES256', 'EdDSA']);

/** How the token travels to the API. What names no `prefix` is sent bare. */
export const Send = z.strictObject({
  in: z.enum(['header', 'query', 'body', 'signature']).default('header'),
  /** Of the header, the query parameter, the body's field or the signing scheme. */
  name: z.string().default('Authorization'),
  prefix: z.string().default('Bearer '),
});
export type Send = z.infer<typeof Send>;

export const common = {
  /** Tells several entries of one mode apart; `params.mode` may name it. */
  variant: z
    .string()
    .regex(/^[a-z][a-z0-9_]*$/)
    .optional(),
  /** What it is for, in a few words. */
  title: z.string().optional(),
  notes: z.array(z.string()).default([]),
  /** Asked of the integration, besides what the provider asks for in every mode. */
  params: Params.default({}),
  /** Asked of each connection, besides. */
  connection_params: Params.default({}),
  send: Send.optional(),
  /** Where they differ from the provider's. */
  api_base_url: UrlTemplate.optional(),
  api_headers: Texts.default({}),
};

/** OpenID Connect Core 9, RFC 8705, and what is met in the field. */
export const ClientAuth = z.enum([
  'client_secret_basic',
  /** Basic without the form encoding that RFC 6749 2.3.1 asks for. */
  'client_secret_basic_raw',
  'client_secret_post',
  'client_secret_jwt',
  'private_key_jwt',
  'tls_client_auth',
  /** Basic with the secret as the user's name and no password. */
  'secret_as_username',
  'none',
]);
export type ClientAuth = z.infer<typeof ClientAuth>;

/** A JWT that is signed here (RFC 7523 3). `iat`, `exp` and `jti` are added. */
export const Assertion = z.strictObject({
  alg: Algorithm.default('RS256'),
  header: Texts.default({}),
  /** `{key_fingerprint}` is the base64 SHA-256 of the public key; `{now}` seconds since the epoch. */
  claims: Texts.default({}),
  /** Of the JWT; where it is the token itself, of the token. */
  lifetime: Seconds.default(300),
  /** For clocks that run behind ours. */
  backdate: z.int().min(0).default(0),
});

/** What token requests look like where they differ from RFC 6749. */
const TokenRequest = z.strictObject({
  method: z.enum(['POST', 'GET']).default('POST'),
  body: z.enum(['form', 'json']).default('form'),
  /** Constant parameters. */
  params: Texts.default({}),
  /** Standard name → the name that this system uses. */
  rename: z.record(z.string(), z.string()).default({}),
  /** Standard parameters that it refuses. */
  omit: z.array(z.string()).default([]),
  headers: Texts.default({}),
});

/** Where things are in answers of the token endpoint, where they differ from RFC 6749 5.1. */
const TokenAnswer = z.strictObject({
  /** A success that does not have this is an error, whatever its status. */
  success: Success.optional(),
  error: Paths.optional(),
  error_description: Paths.optional(),
  access_token: Paths.default(['access_token']),
  refresh_token: Paths.default(['refresh_token']),
  scope: Paths.default(['scope']),
  scope_separator: z.enum([' ', ',']).default(' '),
  expires: z
    .strictObject({
      /** Seconds from now; 0 and absent mean that it is not said. */
      in: Paths.default(['expires_in']),
      /** A moment: RFC 3339, or seconds or milliseconds since the epoch. */
      at: Paths.optional(),
      /** The access token is a JWT, whose `exp` counts. */
      jwt: z.boolean().default(false),
      /** Seconds, when nothing is said. Undefined: then it does not expire. */
      otherwise: z.union([Seconds, Template]).optional(),
    })
    .prefault({}),
  /** When the refresh token dies unless it is used (`idle`), and when it dies in any case (`end`). */
  refresh_expires: z
    .strictObject({
      idle_in: Paths.optional(),
      idle_at: Paths.optional(),
      end_in: Paths.optional(),
      end_at: Paths.optional(),
    })
    .prefault({}),
  /** Name on the connection → path in the answer. */
  capture: Captures.default({}),
});

/**
 * Codes of this system, besides the field's: what they mean for the grant, the moment and the client. Lower-cased, with
 * `_` for all that is no letter or digit; where one code means several things, the beginning of the description so written.
 */
export const Errors = z.strictObject({
  grant_dead: z.array(z.string()).default([]),
  transient: z.array(z.string()).default([]),
  misconfigured: z.array(z.string()).default([]),
});

export const tokenEndpoint = {
  token_url: UrlTemplate.optional(),
  /** The first that the integration has the secrets for; by default as discovery says. */
  client_auth: z.array(ClientAuth).min(1).optional(),
  /** The JWT of `private_key_jwt` and `client_secret_jwt` (RFC 7523 2.2). */
  client_assertion: z
    .strictObject({
      alg: Algorithm.optional(),
      /** `{token_url}` is the token endpoint, `{endpoint}` the one that is asked. */
      audience: Template.optional(),
      /** Names the certificate by its thumbprint (RFC 7515 4.1.8). */
      x5t: z.boolean().default(false),
    })
    .prefault({}),
  /** `none`: the scope is not sent, since the system knows none. */
  scope_separator: z.enum([' ', ',', 'none']).default(' '),
  default_scopes: z.array(z.string()).default([]),
  token_request: TokenRequest.prefault({}),
  token_answer: TokenAnswer.prefault({}),
  errors: Errors.prefault({}),
};

/** RFC 7009, the vendor's own request, or none. Templates may name tokens, the client and its secret. */
const Revocation = z.discriminatedUnion('style', [
  z.strictObject({ style: z.literal('rfc7009') }),
  z.strictObject({ style: z.literal('none') }),
  z.strictObject({
    style: z.literal('request'),
    method: z.enum(['POST', 'DELETE', 'GET']).default('POST'),
    url: UrlTemplate,
    /** `bearer`: with the access token; `basic`: client id and secret; `none`: as `headers` say. */
    auth: z.enum(['basic', 'bearer', 'none']).default('none'),
    body: z.enum(['json', 'form', 'none']).default('none'),
    fields: Texts.default({}),
    headers: Texts.default({}),
    success: Success.optional(),
    /** Error codes that say it is gone already. */
    gone: z.array(z.string()).default([]),
  }),
]);

const Rotation = z.enum(['never', 'sometimes', 'always', 'unknown']);

const Refresh = z.strictObject({
  supported: z.boolean().default(true),
  /** Where it is not the token endpoint. */
  url: UrlTemplate.optional(),
  method: z.enum(['POST', 'GET']).optional(),
  /** What is spent: the refresh token, or the access token, which renews itself. */
  spends: z.enum(['refresh_token', 'access_token']).default('refresh_token'),
  grant_type: z.string().default('refresh_token'),
  /** The parameter that carries what is spent. */
  token_param: z.string().default('refresh_token'),
  params: Texts.default({}),
  omit: z.array(z.string()).default([]),
  rotates: Rotation.default('unknown'),
  /** For so long a spent refresh token is still taken. */
  reuse_grace: z.int().min(0).optional(),
  /** The access token before dies with the refresh. */
  ends_access_token: z.boolean().default(false),
  /** It is refused for a token younger than this. */
  min_age: Seconds.optional(),
  /** The refresh token dies when unused for so long; each use begins it anew. */
  idle_lifetime: Seconds.optional(),
  /** So long after the owner's consent it dies in any case. */
  absolute_lifetime: Seconds.optional(),
});

/** A question asked after connecting: what it finds is captured. By default with the access token as Bearer. */
const Lookup = z.strictObject({
  method: z.enum(['GET', 'POST']).default('GET'),
  url: UrlTemplate,
  headers: Texts.default({}),
  capture: Captures,
});
export type Lookup = z.infer<typeof Lookup>;

/**
 * RFC 9449: on when it fills to `true`. Token requests then carry proofs of a key that is the connection's own, and the
 * tokens are of use only with more of them.
 */
export const Dpop = z.string().regex(/^(?:true|false|\{[a-z][a-z0-9_]*\})$/, 'true, false, or a {parameter}');

export const code = {
  ...common,
  ...tokenEndpoint,
  dpop: Dpop.default('false'),
  authorization_url: UrlTemplate.optional(),
  /** RFC 9126: where it is named, authorization requests are pushed. With an issuer, discovery says. */
  pushed_authorization_request_url: UrlTemplate.optional(),
  revocation_url: UrlTemplate.optional(),
  userinfo_url: UrlTemplate.optional(),
  /** Constant parameters of the authorization request. */
  authorization_params: Texts.default({}),
  /** Standard name → the name that this system uses. */
  authorization_rename: z.record(z.string(), z.string()).default({}),
  /** RFC 7636. `none` only for systems that reject the parameters. */
  pkce: z.enum(['S256', 'none']).default('S256'),
  callback: z
    .strictObject({
      /** Name on the connection → parameter. One that is named like a connection's param takes its place. */
      capture: z.record(z.string().regex(/^[a-z][a-z0-9_]*$/), z.string()).default({}),
      /** The scopes that were granted come in this parameter. */
      scope: z.strictObject({ param: z.string(), separator: z.enum([' ', ',']).default(' ') }).optional(),
      /** An HMAC of the other parameters, sorted, keyed with the client secret. */
      hmac: z
        .strictObject({
          param: z.string(),
          algorithm: z.enum(['sha256', 'sha512']),
          encoding: z.enum(['hex', 'base64']),
        })
        .optional(),
      /** Parameter → what it must be. */
      match: Texts.default({}),
    })
    .prefault({}),
  /** A short-lived token is swapped for a long-lived one before it is kept. */
  token_exchange: z
    .strictObject({ url: UrlTemplate, method: z.enum(['POST', 'GET']).default('POST'), params: Texts })
    .optional(),
  lookups: z.array(Lookup).default([]),
  refresh: Refresh.prefault({}),
  revocation: Revocation.default({ style: 'rfc7009' }),
};
