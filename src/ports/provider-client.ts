// OAuth 2.0 and OpenID Connect with third parties: what is asked of them, and what they answer.
import type { Account, Connection, Credentials, Identity } from '../domain/connection.ts';
import type { CallbackConfirmation } from '../domain/dialect.ts';
import type { GrantSource } from '../domain/grant-source.ts';
import type { Target } from '../domain/target.ts';

/** The answer of a token endpoint, in one form for all providers (RFC 6749 5.1). Undefined: the answer does not say. */
export interface TokenResponse {
  accessToken: string;
  tokenType: string;
  /** Undefined: the stored one stays valid. */
  refreshToken: string | undefined;
  idToken: string | undefined;
  /** Undefined: as requested (RFC 6749 5.1). */
  scopes: string[] | undefined;
  /** Seconds from the arrival of the answer, with decimals: what it says, less the time since the request for it began. */
  expiresIn: number | undefined;
  /** Seconds until the refresh token expires unless it is used. */
  idleIn: number | undefined;
  /** Seconds until the grant ends, whatever is done. */
  endsIn: number | undefined;
  /** Seconds until the refresh token expires, where nothing says whether a refresh extends that. */
  refreshExpiresIn?: number | undefined;
  /** From the validated ID token. */
  identity: Identity | undefined;
  captured: Record<string, unknown>;
  /**
   * Why what the callback names is not confirmed, and what becomes of it; undefined: confirmed, or not to be. With `fail`, the grant
   * is not to be stored: the callback's values are in `captured` for its revocation alone, and say no account.
   */
  unconfirmed?: { why: 'denied' | 'unavailable'; outcome: CallbackConfirmation['if_denied' | 'otherwise'] } | undefined;
  /** As the catalogue reads it. `unavailable`: the request that tells failed, and may succeed later. */
  account: Account | 'unavailable' | undefined;
  /** The key that the request proved possession of (RFC 9449): PKCS #8, PEM. Undefined: the stored one stays. */
  dpopKey: string | undefined;
  /** Where it comes from, where that was found by a protected resource. Undefined: the stored one stays. */
  source?: GrantSource | undefined;
}

/** Why a provider did not grant a request, classified. */
export interface ProviderFault {
  /**
   * - `denied`: the owner, or the provider for them, refused (authorization response)
   * - `grant_dead`: `invalid_grant` and its kin: terminal
   * - `misconfigured`: the client, its secret, a redirect URI or a scope is wrong: not the owner's doing
   * - `transient`: 429, 5xx, network, timeout: try again
   * - `invalid`: an answer that must not be trusted (wrong `iss`, nonce, signature, state, not the protocol)
   * - `identity_changed`: a refresh answered for another account (OpenID Connect Core 12.2)
   */
  kind: 'denied' | 'grant_dead' | 'misconfigured' | 'transient' | 'invalid' | 'identity_changed';
  /** The provider's error code, or ours: `[a-z0-9_]+`, safe to show. */
  code: string;
  /** One line for engineers, without secrets. */
  detail: string;
  /** Seconds that the provider asked to wait. */
  retryAfter: number | undefined;
  /** The request was sent and no answer came: the refresh token may or may not be spent. */
  outcomeUnknown: boolean;
  /** What a 2xx of a token endpoint brought, when no token was found in it. */
  unreadable?: UnreadableBody | undefined;
}

/** The body may hold tokens of any form: it is never logged or shown, only kept encrypted for diagnosis. */
export interface UnreadableBody {
  status: number;
  contentType: string | null;
  /** The end is missing. */
  isPartial: boolean;
  /** A function, so that nothing that serializes a fault shows it. */
  read(): Promise<string>;
}

export type ProviderResult<T> = { ok: true; value: T } | { ok: false; fault: ProviderFault };

/** The connection before it is refreshed. Where each token is requested from scratch, `scopes` are those to request. */
export interface RefreshRequest extends Pick<Connection, 'identity' | 'scopes' | 'captured'> {
  /** As it is stored. */
  account?: Account | null;
  credentials: Credentials;
  /** Sent again where the provider asks for it. */
  redirectUri: string;
  /**
   * Asked at the last moment, when the bytes of a token request are about to leave, each time. Synchronous. False: nothing is
   * sent, and the fault has the code `withheld`. Undefined: it may always be sent.
   */
  mayStillSend?: (() => boolean) | undefined;
}

/** Never rejects for anything that a provider does: that is a `ProviderFault`. */
export interface ProviderClient {
  /**
   * The URL to redirect the browser to (RFC 6749 4.1.1, 7636; 9126 where the metadata requires it), and the scopes that it
   * asks for. `optionalScopes` are those that no one named: they are left out where the provider does not support them.
   * `account` is the one that is wanted, which a provider may be told. With `choose`, the owner is to choose an account
   * (`select`), or to sign in again (`login`), where the catalogue says how; `accountPrompt` is the `prompt` sent for it.
   */
  authorizationUrl(
    target: Target,
    request: {
      state: string;
      nonce: string;
      verifier: string;
      redirectUri: string;
      scopes: string[];
      optionalScopes?: readonly string[] | undefined;
      account?: Account | null | undefined;
      choose?: 'select' | 'login' | undefined;
    },
  ): Promise<ProviderResult<{ url: string; issuer: string | null; scopes: string[]; accountPrompt: string | null }>>;
  /**
   * Checks the authorization response (`iss`, `error`), exchanges the code, validates the whole ID token, and has what the callback
   * names confirmed where the catalogue says how.
   */
  exchange(
    target: Target,
    response: URLSearchParams,
    expected: {
      state: string;
      nonce: string;
      verifier: string;
      redirectUri: string;
      scopes: string[];
      issuer: string | null;
      /** Captured from the authorization response. */
      captured?: Record<string, string>;
      /** The key that the tokens are to be bound to, where they are; undefined: a new one. */
      dpopKey?: string | undefined;
    },
  ): Promise<ProviderResult<TokenResponse>>;
  /**
   * Does what `refresh` needs and can be done before anything is claimed (discovery), so that little is left to do between
   * the claim and the request. A fault: `refresh` would end with it, without having sent anything. Undefined: there is nothing to
   * be done.
   */
  prepare(target: Target): Promise<ProviderFault | undefined> | undefined;
  /**
   * Runs the look-ups of the catalogue with an access token that was obtained elsewhere: what they capture, and whose it
   * is. Never rejects.
   */
  lookUp(
    target: Target,
    accessToken: string,
    captured: Record<string, unknown>,
  ): Promise<Pick<TokenResponse, 'captured' | 'account'>>;
  /**
   * Spends the refresh token (RFC 6749 6), or requests a new token with the stored credentials (RFC 6749 4.4, RFC 7523).
   * An ID token that cannot be validated is left out of the result; one of another identity is a fault. Precondition:
   * `isRenewable`.
   */
  refresh(target: Target, request: RefreshRequest): Promise<ProviderResult<TokenResponse>>;
  /**
   * The identity in an ID token that this client was issued some time ago, expired or not. Undefined: its signature or its
   * claims are not valid, the keys of the provider could not be had, or it was not issued with the access token, if one is given.
   */
  identityOf(target: Target, idToken: string, accessToken?: string): Promise<Identity | undefined>;
  /**
   * Where the provider tells whose a token is (OpenID Connect Core 5.3): as the catalogue or the integration says, or by
   * discovery. Undefined: it has no such endpoint. Fails as discovery does.
   */
  userinfoEndpoint(target: Target): Promise<ProviderResult<string | undefined>>;
  /**
   * The claims about whom a token is of (OpenID Connect Core 5.3.2); none where the provider has no such endpoint. Those of another
   * subject are refused as `invalid`.
   */
  userinfo(
    target: Target,
    accessToken: string,
    subject: string,
  ): Promise<ProviderResult<Readonly<Record<string, unknown>>>>;
  /** RFC 7009, the refresh token first, then the access token; or the vendor's own form. */
  revoke(
    target: Target,
    tokens: { accessToken: string | null; refreshToken: string | null },
    captured: Record<string, unknown>,
  ): Promise<ProviderResult<'done' | 'unsupported'>>;
}
