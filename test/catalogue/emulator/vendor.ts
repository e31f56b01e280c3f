// The description of a vendor's authentication, from its documentation: the rows that the emulator implements.
//
// A row is written from the vendor's documentation and never from the catalogue's entry, or it would prove nothing. It
// has the vendor's real URLs: the suite maps all URLs to the emulator and back. In each text, `{…}` is filled with values
// of the emulator: `client_id`, `client_secret`, `redirect_uri`, `thumbprint` (of the client's certificate, SHA-256), the
// grant's `access_token` and `refresh_token`, `token` (the one in the request), and the row's `params` and `connection`.
import type { Scope } from './sigv4.ts';
import type { VendorWebhook } from './webhook.ts';

export type Json = Record<string, unknown>;

/**
 * The value of a parameter or header: exactly this text, or one that matches. `true`: any value; `false`: absent; `null`:
 * optional. Other parameters are refused, other headers are ignored.
 */
export type ParamMatcher = string | RegExp | boolean | null;
export type ParamSpec = Record<string, ParamMatcher>;

/** A response that is more than a JSON body with status 200. */
export class Reply {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Record<string, string>;
  constructor(status: number, body: unknown, headers: Record<string, string>) {
    this.status = status;
    this.body = body;
    this.headers = headers;
  }
}
/** Objects and arrays are sent as JSON, `URLSearchParams` form-encoded, strings as they are. */
export const reply = (status: number, body: unknown = '', headers: Record<string, string> = {}): Reply =>
  new Reply(status, body, headers);
/** A `Reply`, or the JSON of a 200. */
export type Answer = Reply | Json | unknown[];

/** Tokens that were just issued, for the vendor's response. */
export interface IssuedTokens {
  /** A response by RFC 6749 5.1: spread it and change what differs. */
  body: Json;
  access: string;
  /** Undefined where the vendor issues none. */
  refresh: string | undefined;
  scopes: string[];
  /** When the access token expires; undefined: never. */
  expiresAt: Date | undefined;
  grant: 'code' | 'refresh' | 'swap' | 'minted';
  /** The parameters of the request, by the vendor's names. */
  sent: Record<string, string>;
}

/**
 * How the client authenticates. `basic` accepts the pair with and without form encoding, as long as it decodes to the
 * same; `basic_raw` does not decode. `id_only`: the id and no secret; `none`: neither.
 */
export type ClientAuthMethod =
  | 'post'
  | 'basic'
  | 'basic_raw'
  | 'secret_as_username'
  | 'client_secret_jwt'
  | 'private_key_jwt'
  | 'id_only'
  | 'none'
  /** AWS Signature Version 4, with the client's id and secret as keys, for the `signatureScope`. */
  | 'signature';

/** A JWT that the broker signs: its signature, times and claims are verified. */
export interface JwtSpec {
  alg?: string;
  header?: ParamSpec;
  /** `iat`, `exp` and `jti` are always allowed. */
  claims?: ParamSpec;
  /** Maximum of `exp - iat`, in seconds; 3600 by default. */
  maxLifetime?: number;
}

/** One request that the vendor accepts. Any other gets its error response, and is reported to the test. */
export interface EndpointSpec {
  url: string;
  method?: 'GET' | 'POST' | 'DELETE' | 'PUT';
  /** Where parameters are: `form` by default, `query` for GET. */
  body?: 'form' | 'json' | 'query' | 'none';
  /** One method, or any of several. */
  clientAuth?: ClientAuthMethod | ClientAuthMethod[];
  /** For `private_key_jwt` and `client_secret_jwt`; `iss` and `sub` are the client's id. `aud` is the URL by default. */
  clientAssertion?: JwtSpec;
  /** For `signature`. */
  signatureScope?: Scope;
  /** Override the standard ones, by the vendor's names. */
  params?: ParamSpec;
  headers?: ParamSpec;
}

/** Error responses; by default as in RFC 6749 5.2. */
export interface ErrorReplies {
  /** The refresh token (or what is spent in its place) is dead. By default 400 `invalid_grant`. */
  deadGrant?: Reply;
  /** Client authentication failed. By default 401 `invalid_client`. */
  invalidClient?: Reply;
  /** The request does not match the documentation. By default 400 `invalid_request`. */
  invalidRequest?: Reply;
  /** Too many requests. By default 429 with `Retry-After`. */
  rateLimited?: Reply;
}

export interface TokenEndpointSpec extends EndpointSpec {
  respond?: (fresh: IssuedTokens) => Answer;
  errors?: ErrorReplies;
}

/** A resource of the vendor's API. */
export interface Resource {
  url: string;
  method?: 'GET' | 'POST';
  /**
   * How the token is sent, as in the API's `token_type`: the scheme (`Bearer` by default, `Basic`, `Zoho-oauthtoken`), or
   * `header:X-API-Key`, `query:key`, `body:token`; several when any of them is accepted. `AWS4-HMAC-SHA256`: requests are
   * signed with the keys in the token, for the `signatureScope`.
   */
  tokenType?: string | string[];
  signatureScope?: Scope;
  headers?: ParamSpec;
  /** An empty object by default. */
  answer?: Answer;
  /** The response without a valid token; 401 by default. */
  unauthorized?: Reply;
  /** The URL is not below the entry's `api_base_url`. */
  outsideApiBase?: boolean;
}

interface Common {
  /** `params.mode` of the integration: the variant or the mode of the entry. */
  mode: string;
  /** Distinguishes this row from others of the same mode, in a word or two: a data centre, a kind of app. */
  variant?: string;
  /** The integration's params besides `mode`. */
  params?: Record<string, string>;
  /** The connection's params, in its connect session or import. */
  connection?: Record<string, string>;
  /** Additional params of an import, for values that a callback would have. */
  importParams?: Record<string, string>;
  /** Generated by default. */
  client?: {
    id?: string;
    secret?: string;
    keyId?: string;
    /** The kind of the private key; RS256 by default. */
    key?: KeyKind;
    /** What the integration is configured with; `client_id` and `client_secret` by default. */
    configuredAs?: ('client_id' | 'client_secret' | 'private_key' | 'key_id' | 'certificate')[];
  };
  /** Standard parameter name → the vendor's, in all requests: `{ client_id: 'client_key' }`. */
  renames?: Record<string, string>;
  /** The prefixes of the vendor's tokens. `jwt`: access tokens are JWTs with an `exp`. */
  tokens?: { access?: string; refresh?: string; jwt?: boolean };
  /** All scopes that the integration requests; none by default. */
  scopes?: string[];
  /** The granted scopes, when they differ from the requested ones. */
  granted?: string[];
  /** The lifetime of access tokens in seconds; null: they do not expire. 3600 by default. */
  lifetime?: number | null;
  /** The API, and how the token is sent to it. */
  api: Resource;
  /** Whose grant the connection must say it is. Absent: whom the ID token names, or no one. */
  account?: { issuer: string; id: string; name: string | null } | undefined;
  /** Values that the connection must have captured. */
  captured?: Json;
  /**
   * Expected members of the connection, where they differ from `scopes`, `lifetime` and the first `api.tokenType`.
   * `reauthDueIn`: seconds from connecting to `reauth_due_at`, when the vendor's grants end in any case.
   */
  expects?: { scopes?: string[]; lifetime?: number | null; tokenType?: string; reauthDueIn?: number };
}

export type KeyKind = 'RS256' | 'ES256' | 'EdDSA';

/** The authorization code flow: RFC 6749 4.1, or OpenID Connect. */
export interface CodeRow extends Common {
  flow: 'code';
  authorize: {
    url: string;
    /** Override `response_type`, `client_id`, `redirect_uri`, `state` (all required), `scope` and PKCE's. */
    params?: ParamSpec;
    /** RFC 7636: required, accepted (the default), or refused as unknown. */
    pkce?: 'required' | 'taken' | 'refused';
    /** The separator of scopes, a space by default. Null: the vendor has no scope parameter. */
    separator?: ' ' | ',' | null;
    /** Parameters of the callback besides `code` and `state`. */
    callback?: (about: {
      code: string;
      state: string;
      clientId: string;
      clientSecret: string;
      scopes: string[];
    }) => Record<string, string>;
    /** Parameters of the callback that the broker must verify: when one is altered, the flow fails and no code is spent. */
    verifiedParams?: string[];
  };
  /** Spends the code. `clientAuth` is `post` by default, here and in the requests below. */
  token: TokenEndpointSpec;
  /** Exchanges the short-lived token for a long-lived one, without which the API refuses it. Its `params` have `{access_token}`. */
  exchange?: TokenEndpointSpec & { lifetime: number | null };
  /** Absent: no refresh. Defaults are those of `token`. */
  refresh?: Partial<TokenEndpointSpec> & {
    /**
     * `single_use`: a new refresh token each time; reuse of an old one ends the grant. `grace`: a new one each time, old
     * ones stay valid. `same`: the response repeats it. `omitted`: the response omits it. `sometimes`: a new one every
     * second time.
     */
    rotation: 'single_use' | 'grace' | 'same' | 'omitted' | 'sometimes';
    /** What a refresh spends; the refresh token by default. */
    spends?: 'refresh_token' | 'access_token';
    /** A refresh ends the previous access token. */
    endsAccess?: boolean;
    /** The minimum age of an access token to be refreshed, in seconds. */
    minAge?: number;
  };
  lookups?: Resource[];
  /**
   * Absent: no revocation. By default RFC 7009 with the client authentication of `token`; `params` replace all of it.
   * `authorizedBy`: the token itself authorizes the request, not the client.
   */
  revoke?: EndpointSpec & {
    authorizedBy?: string;
    answer?: Answer;
    /**
     * `grant`: ends every token of that consent. `token`: only the named one. By default `grant` for a refresh token, and
     * `token` for an access token (RFC 7009 2.1). `account`: names no token, and ends all grants of the owner.
     */
    ends?: 'grant' | 'token' | 'account';
    /** Only refreshing ends: access tokens stay valid until they expire. */
    keepsAccess?: boolean;
  };
  /** An OpenID Provider: serves discovery, keys and ID tokens. */
  oidc?: {
    issuer: string;
    /** Overrides of the discovery document. */
    metadata?: Json;
    /** Overrides of `iss`, `sub`, `aud`, `iat`, `exp` and `nonce` of the ID token. */
    claims?: Json;
  };
}

/**
 * Tokens without an owner: RFC 6749 4.4, RFC 7523, or a self-signed JWT. For temporary AWS keys, `access` is both the
 * secret and the session token.
 */
export interface MintedRow extends Common {
  flow: 'minted';
  /** Absent when the assertion is itself the token, which `api` verifies. */
  token?: TokenEndpointSpec;
  /** `parameter` (the default): as `assertion`; `bearer`: in the Authorization header of the token request. */
  assertion?: JwtSpec & { sentAs?: 'parameter' | 'bearer' };
  /** The imported credentials. */
  credentials?: Credentials;
}

/** Imported credentials that are served unchanged: an API key, Basic, AWS keys (`served` is then their JSON). */
export interface StaticRow extends Common {
  flow: 'static';
  credentials: Credentials;
  /** The access token: by default the only credential, and for Basic the encoded `username` and `password`. */
  served?: string | ((secrets: Secrets) => string);
}

export type Credentials = Record<string, string> | ((secrets: Secrets) => Record<string, string>);

/** The generated secrets of a row's client. Keys are PEM, PKCS #8. */
export interface Secrets {
  clientId: string;
  clientSecret: string;
  privateKey: string;
  publicKey: string;
  keyId: string;
}

export type Row = CodeRow | MintedRow | StaticRow;

/** The call that tells whether a token works and whose it is, as the vendor documents it. */
export interface VendorCheck extends Omit<Resource, 'url' | 'answer' | 'outsideApiBase'> {
  /** The modes whose tokens it takes; all by default. */
  modes?: string[];
  /** That the grant must have. */
  scope?: string;
  /** Any of several. `*` stands for anything but a slash, `**` for anything. */
  url: string | string[];
  /** Parameters that must be sent; others are ignored. */
  params?: Record<string, string>;
  answer: unknown;
  /** The id that the broker must tell, where the connection has no account. */
  account?: string;
}

/** An answer that refuses a request because of a limit, at the time `LIMITED_AT`. */
export interface VendorLimit {
  answer: Reply;
  /** Seconds until the next request is welcome. Where the vendor does not say, at least 1. */
  wait: number;
  /** Whose calls are limited, where this answer says so. */
  scope?: 'integration' | 'connection';
}

/** 2026-11-29T00:00:00Z: resets in the answers of `VendorLimit` count from there. */
export const LIMITED_AT = 1_795_910_400_000;

export interface Vendor {
  /** The id of the catalogue entry. */
  provider: string;
  rows: Row[];
  /** What it sends to us. */
  webhooks?: VendorWebhook[];
  /** What calls of its API meet. */
  calls: { checks: VendorCheck[]; limits: VendorLimit[] };
}
