// What a vendor's documentation says of how it is authenticated with: the rows that the emulator plays.
//
// A row is written from the vendor's documentation and never from the catalogue's entry, or it would prove nothing. It
// names the vendor's real URLs: the suite moves the whole internet to the emulator and back. In each text, `{…}` is
// filled in with what the emulator knows: `client_id`, `client_secret`, `redirect_uri`, `thumbprint` (of the client's certificate, SHA-256), the grant's `access_token` and
// `refresh_token`, `token` (the one that the request names), and the row's `params` and `connection`.
import type { Scope } from './sigv4.ts';

export type Json = Record<string, unknown>;

/**
 * What a parameter or header must be: exactly this text, or one that fits. `true`: there, whatever it is; `false`: not
 * there; `null`: either. Parameters that are not named are refused, headers are not looked at.
 */
export type Expected = string | RegExp | boolean | null;
export type Shape = Record<string, Expected>;

/** An answer that is more than a JSON body with status 200. */
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
/** Objects and arrays are sent as JSON, `URLSearchParams` form-encoded, texts as they are. */
export const say = (status: number, body: unknown = '', headers: Record<string, string> = {}): Reply =>
  new Reply(status, body, headers);
/** A `Reply`, or the JSON of a 200. */
export type Said = Reply | Json | unknown[];

/** Tokens that were just made, for the vendor's answer. */
export interface Fresh {
  /** What RFC 6749 5.1 answers with: spread it and change what differs. */
  body: Json;
  access: string;
  /** Undefined where the vendor issues none. */
  refresh: string | undefined;
  scopes: string[];
  /** When the access token dies; undefined: it does not. */
  expiresAt: Date | undefined;
  grant: 'code' | 'refresh' | 'swap' | 'minted';
  /** What the request said, parameters by the vendor's names. */
  sent: Record<string, string>;
}

/**
 * How the client says who it is. `basic` takes the pair with and without form encoding, as long as it decodes to the
 * same; `basic_raw` does not decode. `id_only`: the id and no secret; `none`: neither.
 */
export type ClientWay =
  | 'post'
  | 'basic'
  | 'basic_raw'
  | 'secret_as_username'
  | 'client_secret_jwt'
  | 'private_key_jwt'
  | 'id_only'
  | 'none'
  /** AWS Signature Version 4, with the client's id and secret as keys, for what `signs` says. */
  | 'signature';

/** A JWT that is signed at our side: its signature, times and claims are really verified. */
export interface Signed {
  alg?: string;
  header?: Shape;
  /** `iat`, `exp` and `jti` may always be there. */
  claims?: Shape;
  /** Refused when `exp - iat` is more. Seconds, 3600 by default. */
  longest?: number;
}

/** One request that the vendor takes. Anything else is answered in its error shape, and told to the test. */
export interface Call {
  url: string;
  method?: 'GET' | 'POST' | 'DELETE' | 'PUT';
  /** Where parameters stand. `form` by default; `query` for GET. */
  body?: 'form' | 'json' | 'query' | 'none';
  /** One way, or any of several. */
  client?: ClientWay | ClientWay[];
  /** Of `private_key_jwt` and `client_secret_jwt`; `iss` and `sub` are the client's id. `aud` is the URL by default. */
  clientAssertion?: Signed;
  /** Of `signature`. */
  signs?: Scope;
  /** Laid over the standard ones, by the vendor's names. */
  params?: Shape;
  headers?: Shape;
}

/** What is answered when it goes wrong; what is left out is as RFC 6749 5.2 says. */
export interface Troubles {
  /** The refresh token (or what is spent in its place) is dead: 400 `invalid_grant`. */
  dead?: Reply;
  /** The client is not who it says: 401 `invalid_client`. */
  client?: Reply;
  /** The request is not what the documentation says: 400 `invalid_request`. */
  request?: Reply;
  /** Too many requests: 429 with `Retry-After`. */
  busy?: Reply;
}

export interface TokenCall extends Call {
  answer?: (fresh: Fresh) => Said;
  troubles?: Troubles;
}

/** Something of the vendor's that a token opens. */
export interface Resource {
  url: string;
  method?: 'GET' | 'POST';
  /**
   * How the token travels, in the words of the contract's `token_type`: the scheme (`Bearer` by default, `Basic`,
   * `Zoho-oauthtoken`), or `header:X-API-Key`, `query:key`, `body:token`; several where any of them is taken.
   * `AWS4-HMAC-SHA256`: requests are signed with the keys that the token holds, for what `signs` says.
   */
  takes?: string | string[];
  signs?: Scope;
  headers?: Shape;
  /** An empty object by default. */
  answer?: Said;
  /** Where no token is accepted; 401 by default. */
  refusal?: Reply;
  /** This URL is not below the entry's `api_base_url`. */
  apart?: boolean;
}

interface Common {
  /** `params.mode` of the integration: the variant or the mode of the entry. */
  mode: string;
  /** What tells this row from another one of the same mode, in a word or two: a data centre, an app's kind. */
  flavour?: string;
  /** What the integration gives besides `mode`. */
  params?: Record<string, string>;
  /** What the connection gives, at its session or import. */
  connection?: Record<string, string>;
  /** What an import must give besides, since a browser's callback would have told it. */
  imports?: Record<string, string>;
  /** Made up unless given. */
  client?: {
    id?: string;
    secret?: string;
    keyId?: string;
    /** Of the private key. RS256 by default. */
    key?: KeyKind;
    /** What the integration is set up with: `client_id` and `client_secret` by default. */
    gives?: ('client_id' | 'client_secret' | 'private_key' | 'key_id' | 'certificate')[];
  };
  /** Standard name → the vendor's, for all calls: `{ client_id: 'client_key' }`. */
  names?: Record<string, string>;
  /** How tokens begin, in the vendor's manner. `jwt`: they are JWTs with an `exp`. */
  tokens?: { access?: string; refresh?: string; jwt?: boolean };
  /** What the integration asks for, all of it, as the vendor spells it. None by default. */
  scopes?: string[];
  /** What the vendor grants, where it is not what was asked for. */
  granted?: string[];
  /** Seconds that access tokens live; null: they do not die. 3600 by default. */
  lifetime?: number | null;
  /** The API, and how the token opens it. */
  api: Resource;
  /** What the connection must have captured, at least. */
  captured?: Json;
  /**
   * What the connection must say, where it differs from `scopes`, `lifetime` and the first of `api.takes`.
   * `reauthDueIn`: seconds from connecting to `reauth_due_at`, where the vendor says that grants end in any case.
   */
  expects?: { scopes?: string[]; lifetime?: number | null; tokenType?: string; reauthDueIn?: number };
}

export type KeyKind = 'RS256' | 'ES256' | 'EdDSA';

/** A browser asks an owner: RFC 6749 4.1, or OpenID Connect. */
export interface CodeRow extends Common {
  flow: 'code';
  authorize: {
    url: string;
    /** Laid over `response_type`, `client_id`, `redirect_uri`, `state` (all required), `scope` and PKCE's. */
    params?: Shape;
    /** RFC 7636: must be sent, may be sent (the default), or is refused as unknown. */
    pkce?: 'required' | 'taken' | 'refused';
    /** Between scopes, a space by default. Null: the vendor knows no scope parameter. */
    separator?: ' ' | ',' | null;
    /** What the callback brings besides `code` and `state`. */
    callback?: (about: {
      code: string;
      state: string;
      clientId: string;
      clientSecret: string;
      scopes: string[];
    }) => Record<string, string>;
    /** Parameters of the callback that the broker must check: altered, the flow fails and no code is spent. */
    guards?: string[];
  };
  /** The code is spent here. `client` is `post` by default, here and (as here) in the calls below. */
  token: TokenCall;
  /** A short-lived token is swapped for the one to keep, or the API refuses it. Its `params` name `{access_token}`. */
  swap?: TokenCall & { lifetime: number | null };
  /** Left out: nothing is ever refreshed. What is not told is as for `token`. */
  refresh?: Partial<TokenCall> & {
    /**
     * `single_use`: a new one each time, and the old one, used again, ends the grant. `grace`: a new one each time, the
     * old one goes on. `same`: answered again. `omitted`: not answered again. `sometimes`: a new one every other time.
     */
    rotation: 'single_use' | 'grace' | 'same' | 'omitted' | 'sometimes';
    /** What is spent; `access_token` where it renews itself. */
    spends?: 'refresh_token' | 'access_token';
    /** The access token before dies with it. */
    endsAccess?: boolean;
    /** Seconds that an access token must be old to be renewed. */
    minAge?: number;
  };
  lookups?: Resource[];
  /**
   * Left out: the vendor has none. RFC 7009 unless told otherwise, with the client as at `token`; `params` are then the
   * whole of it. `takes`: the token itself opens it, in place of the client.
   */
  revoke?: Call & {
    takes?: string;
    answer?: Said;
    /**
     * `grant`: all that came of that consent. `token`: only the one that is named. By default `grant` for a refresh
     * token, and `token` for an access token (RFC 7009 2.1). `account`: it names no token, and ends all of the owner's.
     */
    ends?: 'grant' | 'token' | 'account';
    /** Only renewing ends: access tokens go on until they expire, named or not. */
    leavesAccess?: boolean;
  };
  /** An OpenID Provider: discovery, keys and ID tokens are served. */
  oidc?: {
    issuer: string;
    /** Laid over the discovery document. */
    metadata?: Json;
    /** Laid over `iss`, `sub`, `aud`, `iat`, `exp` and `nonce` of the ID token. */
    claims?: Json;
  };
}

/**
 * What the client, or an assertion that it signs, gets without an owner: RFC 6749 4.4, RFC 7523; or a JWT of its own.
 * Of temporary AWS keys, `access` is both the secret and the session token.
 */
export interface MintedRow extends Common {
  flow: 'minted';
  /** Left out where the assertion is itself the token: then `api` verifies it. */
  token?: TokenCall;
  /** `parameter` (by default): as `assertion`; `bearer`: in the Authorization header of the token request. */
  assertion?: Signed & { presents?: 'parameter' | 'bearer' };
  /** What the import brings. */
  credentials?: Credentials;
}

/** What an import brings is served as it is: an API key, Basic, AWS keys (`serves` is then their JSON). */
export interface GivenRow extends Common {
  flow: 'given';
  credentials: Credentials;
  /** What is served: the only credential by default, and for Basic the encoded `username` and `password`. */
  serves?: string | ((secrets: Secrets) => string);
}

export type Credentials = Record<string, string> | ((secrets: Secrets) => Record<string, string>);

/** What the emulator made up for a row's client. PEM: PKCS #8. */
export interface Secrets {
  clientId: string;
  clientSecret: string;
  privateKey: string;
  publicKey: string;
  keyId: string;
}

export type Row = CodeRow | MintedRow | GivenRow;

export interface Vendor {
  /** The catalogue's entry. */
  provider: string;
  rows: Row[];
}
