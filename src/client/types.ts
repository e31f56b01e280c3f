// Generated from the broker's schemas by `npm run generate`.

/** What the broker says no with. */
export type ProblemCode =
  | 'ambiguous_connection'
  | 'connection_exists'
  | 'connection_revoked'
  | 'forbidden'
  | 'integration_in_use'
  | 'integration_misconfigured'
  | 'internal'
  | 'invalid_request'
  | 'not_found'
  | 'payload_too_large'
  | 'provider_unavailable'
  | 'rate_limited'
  | 'reauthorization_required'
  | 'store_unavailable'
  | 'too_many_requests'
  | 'unauthenticated'
  | 'unsupported_media_type';

export interface Token {
  connection_id: string;
  integration: string;
  owner: string;
  access_token: string;
  /**
   * How to send it: `Bearer`, `DPoP`, …
   */
  token_type: string;
  scopes: string[];
  /**
   * Null: it does not expire
   */
  expires_at: string | null;
  /**
   * Seconds
   */
  expires_in: number | null;
}

/**
 * The one request that the proof is for
 */
export interface DpopProofPost {
  method: string;
  /**
   * Of the request; its query and fragment do not count
   */
  url: string;
  /**
   * The API's last DPoP-Nonce header, where it sends one
   */
  nonce?: string;
}

export interface DpopProof {
  /**
   * For the DPoP header: a JWT, good for this request, once
   */
  proof: string;
  /**
   * The token that the proof names, for `Authorization: DPoP …`
   */
  access_token: string;
  token_type: string;
  /**
   * Seconds that the token lives
   */
  expires_in: number | null;
}

export interface ConnectSessionPost {
  /**
   * An integration's id
   */
  integration: string;
  /**
   * Whose account it is, in the caller's own words
   */
  owner: string;
  /**
   * Tells an owner's connections at one integration apart
   */
  label?: string;
  /**
   * Scopes, in the provider's words
   *
   * @maxItems 200
   */
  scopes?: string[];
  /**
   * What the provider asks of each connection; what is left out is asked in the browser
   */
  params?: {
    [k: string]: string;
  };
  /**
   * Whatever the caller wants to find there again; at most 8 kB as JSON
   */
  metadata?: {
    [k: string]: unknown;
  };
  /**
   * Where the browser ends, with `status` in its query; on an allowed origin
   */
  return_url?: string;
  /**
   * Renews that connection under its id
   */
  connection_id?: string;
}

export interface ConnectSessionCreated {
  id: string;
  /**
   * For the browser of the owner; it works once, for ten minutes
   */
  url: string;
  status: 'pending';
  expires_at: string;
}

export interface ConnectSession {
  id: string;
  status: 'pending' | 'completed' | 'failed' | 'expired';
  integration: string;
  owner: string;
  label: string | null;
  /**
   * Once it is completed, or where it renews one
   */
  connection_id?: string;
  /**
   * Why it failed
   */
  error?: string;
  created_at: string;
  expires_at: string;
}

export interface JwtVerify {
  /**
   * A JWT in the compact form
   */
  token: string;
  /**
   * The token must be of this issuer
   */
  issuer?: string;
  /**
   * One of these must be in `aud`; without it, one of those configured for the issuer
   */
  audience?: string | string[];
  /**
   * RFC 9068 section 4, OpenID Connect Core section 3.1.3.7, or OpenID Connect Back-Channel Logout section 2.6. Without it, a token that is explicitly something else than an access token or an ID token is refused
   */
  profile?: 'access_token' | 'id_token' | 'logout_token';
  /**
   * The header `typ`, whatever the case, with or without `application/`
   */
  typ?: string;
  /**
   * Neither absent nor null
   *
   * @maxItems 50
   */
  required_claims?: string[];
  /**
   * By name: the claim must be this value, or an array that has it as a member
   */
  claims?: {
    [k: string]: string | number | boolean;
  };
  /**
   * Seconds since `iat`, which is then required; of an ID token (`profile`) since `auth_time`
   */
  max_age?: number;
  /**
   * Of an ID token, only with that `profile`
   */
  nonce?: string;
}

export type JwtVerdict =
  | {
      active: true;
      issuer: string;
      claims: {
        [k: string]: unknown;
      };
      header: {
        [k: string]: unknown;
      };
    }
  | {
      active: false;
      /**
       * Stable. `malformed`: not a JWT that is signed, or one that breaks the format. `untrusted_issuer`: not an issuer of this deployment, or not the one that was asked for. `unsupported_algorithm`: symmetric, none, unknown, or not what the issuer announces. `unknown_key`: the issuer has no usable key of that name. `invalid_signature`: not signed by the issuer. `expired`, `not_yet_valid`: by `exp`; by `nbf`, `iat` or `auth_time`. `too_old`: older than `max_age`. `audience_mismatch`: not for the audience. `type_mismatch`: another kind of token. `missing_claim`, `claim_mismatch`: `claim` says which. `issuer_unavailable`: its keys cannot be had now; says nothing of the token.
       */
      reason:
        | 'malformed'
        | 'untrusted_issuer'
        | 'unsupported_algorithm'
        | 'unknown_key'
        | 'invalid_signature'
        | 'expired'
        | 'not_yet_valid'
        | 'too_old'
        | 'audience_mismatch'
        | 'type_mismatch'
        | 'missing_claim'
        | 'claim_mismatch'
        | 'issuer_unavailable';
      /**
       * The name of the claim, with `missing_claim` and `claim_mismatch`
       */
      claim?: string;
    };
