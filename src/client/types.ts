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
  token_type: string;
  scopes: string[];
  expires_at: string | null;
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
   * @maxItems 200
   */
  scopes?: string[];
  params?: {
    [k: string]: string;
  };
  metadata?: {
    [k: string]: unknown;
  };
  return_url?: string;
  /**
   * Renews that connection under its id
   */
  connection_id?: string;
}

export interface ConnectSessionCreated {
  id: string;
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
  connection_id?: string;
  error?: string;
  created_at: string;
  expires_at: string;
}

export interface JwtVerify {
  token: string;
  issuer?: string;
  audience?: string;
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
      reason: string;
    };
