// Generated from the broker's schemas by `npm run generate`.

/** The `code` of a problem (RFC 9457) that the broker answers with. */
export type ProblemCode =
  | 'ambiguous_connection'
  | 'check_unsupported'
  | 'connection_exists'
  | 'connection_on_hold'
  | 'connection_revoked'
  | 'forbidden'
  | 'identity_mismatch'
  | 'integration_in_use'
  | 'integration_misconfigured'
  | 'internal'
  | 'invalid_code_verifier'
  | 'invalid_finish_code'
  | 'invalid_path'
  | 'invalid_request'
  | 'not_authentic'
  | 'not_found'
  | 'not_ready'
  | 'owner_mismatch'
  | 'payload_too_large'
  | 'provider_unavailable'
  | 'rate_limited'
  | 'reauthorization_required'
  | 'session_expired'
  | 'step_up_exhausted'
  | 'store_unavailable'
  | 'too_many_requests'
  | 'unauthenticated'
  | 'unsupported_media_type'
  | 'upgrade_not_supported'
  | 'upstream_rate_limited'
  | 'upstream_timeout'
  | 'upstream_unavailable';

/**
 * The account at the provider: a user, or a tenant where the grant is the tenant's. Null: not told.
 */
export type Account = {
  /**
   * Where `id` is unique: an OpenID issuer, or an origin of the provider
   */
  issuer: string;
  id: string;
  /**
   * For people. It may change.
   */
  name: string | null;
} | null;

export interface Token {
  connection_id: string;
  integration: string;
  owner: string;
  access_token: string;
  /**
   * How to send the token: `Bearer`, `DPoP`, …
   */
  token_type: string;
  scopes: string[];
  /**
   * Scopes that the integration asks for and that were not granted: renew the connection to ask for them. Without `openid`, `profile`, `email` and `offline_access`, which providers do not list; empty where it is not known what was granted
   */
  missing_scopes: string[];
  /**
   * Null: the token does not expire
   */
  expires_at: string | null;
  /**
   * Remaining lifetime in seconds. Null: the token does not expire.
   */
  expires_in: number | null;
}

/**
 * The request that the proof is for.
 */
export interface CreateDpopProofRequest {
  method: string;
  /**
   * The URL of the request. Its query and fragment are ignored.
   */
  url: string;
  /**
   * The last `DPoP-Nonce` header of the API, if it sends one
   */
  nonce?: string;
}

export interface DpopProof {
  /**
   * The value of the `DPoP` header: a JWT, valid for this request, once
   */
  proof: string;
  /**
   * The token that the proof is bound to, for `Authorization: DPoP …`
   */
  access_token: string;
  token_type: string;
  /**
   * Remaining lifetime of the token, in seconds
   */
  expires_in: number | null;
}

export interface ApiDescription {
  connection_id: string;
  integration: string;
  provider: string;
  /**
   * What paths of the proxy are below, as this connection has it
   */
  base_url: string;
  /**
   * Base URLs of other hosts of the same system, by the alias for `Valetkey-Host`
   */
  other_hosts: {
    [k: string]: string;
  };
  /**
   * How lists go on. Null: it is not known.
   */
  pagination:
    | {
        style: 'next_url';
        from: string;
        secret_params?: string[];
      }
    | {
        style: 'link_header';
        rel?: string;
      }
    | {
        style: 'cursor';
        in?: 'query' | 'body';
        param: string;
        from: string;
        last_item?: string;
        more?: string;
      }
    | {
        style: 'page';
        param: string;
        first?: number;
        size?: string;
        more?: string;
        last?: string;
        pages_header?: string;
      }
    | {
        style: 'offset';
        param: string;
        size?: string;
      }
    | {
        style: 'continue_call';
        suffix: string;
        param: string;
        from: string;
        more?: string;
      }
    | {
        style: 'relay';
      }
    | {
        style: 'by_caller';
        note: string;
      }
    | null;
  /**
   * Where a key that makes a repeated request safe goes. Null: nowhere, or it is not known.
   */
  idempotency: {
    header?: string;
    body?: string;
    query?: string;
  } | null;
}

export interface CreateConnectSessionRequest {
  /**
   * Left out with `connection_id`: that of the connection
   */
  integration?: string;
  /**
   * Instead of `integration`: the owner chooses one of these in the browser. Not with `connection_id`, `scopes` and `params`.
   *
   * @minItems 1
   * @maxItems 20
   *
   * Items: The id of an integration
   */
  integrations?: string[];
  /**
   * Left out with `connection_id`: that of the connection
   */
  owner?: string;
  /**
   * Distinguishes several connections of one owner at one integration
   */
  label?: string;
  /**
   * Scopes, as the provider names them
   *
   * @maxItems 200
   */
  scopes?: string[];
  /**
   * A renewed connection is asked for the scopes that it has, too. True: it is asked for `scopes` alone, and gives up the others.
   */
  replace_scopes?: boolean;
  /**
   * Connection parameters of the provider. Missing ones are asked for in the browser.
   */
  params?: {
    [k: string]: string;
  };
  /**
   * Any JSON object, stored with the connection. At most 8 kB, and 1,000 members of each list and object.
   */
  metadata?: {
    [k: string]: unknown;
  };
  /**
   * Where the browser is sent at the end, with `status` in the query. Must be on an allowed origin.
   */
  return_url?: string;
  /**
   * Renews this connection; its id stays
   */
  connection_id?: string;
  /**
   * With `connection_id`: what the API has answered. The owner is asked for the scopes that were asked for before and those that it names, three times within an hour at most.
   */
  challenge?: {
    status: 401 | 403;
    /**
     * Its field `WWW-Authenticate`, as it is
     */
    www_authenticate: string;
  };
  /**
   * True: two-phase. Nothing is connected before `POST /v1/connect-sessions/{id}/finish`, in which you say who is signed in. Needs `return_url`, where the browser is sent with `status=confirm` and `finish_code`.
   */
  finish?: boolean;
  /**
   * On whose behalf, as the confirmation page says it: a name or an address that the owner knows
   */
  display_owner?: string;
  /**
   * RFC 7636, with `finish`: the session is finished only with the `code_verifier` of this challenge
   */
  code_challenge?: string;
  /**
   * The languages that the owner reads, in the order of preference (OpenID Connect Core 3.1.2.1). They precede those of the browser. There are de, en, es, fr, ja and pt-BR.
   */
  ui_locales?: string;
  /**
   * The link is opened in a pop-up by `@valetkey/connect`: the last page posts `{type: "valetkey", connect_session_id, status, error}` to the origin of `return_url`, and closes. Needs `return_url`.
   */
  display?: 'popup';
  /**
   * Default: `S256`
   */
  code_challenge_method?: 'S256';
}

export interface CreatedConnectSession {
  id: string;
  /**
   * The link for the owner's browser. Works once, within ten minutes.
   */
  url: string;
  status: 'pending';
  expires_at: string;
}

export interface ConnectSession {
  id: string;
  /**
   * `awaiting_finish`: the owner has consented, and `POST /v1/connect-sessions/{id}/finish` connects the account
   */
  status: 'pending' | 'awaiting_finish' | 'completed' | 'failed' | 'expired' | 'cancelled';
  /**
   * Null: the owner has not chosen one of `integrations` yet
   */
  integration: string | null;
  /**
   * Those that the owner chooses from
   */
  integrations?: string[];
  owner: string;
  label: string | null;
  finish: boolean;
  display_owner: string | null;
  /**
   * Present once completed, or when the session renews a connection
   */
  connection_id?: string;
  account: Account;
  /**
   * The error code, when failed
   */
  error?: string;
  created_at: string;
  expires_at: string;
}

export interface FinishConnectSessionRequest {
  /**
   * As it came to the `return_url`. It works within ten minutes.
   */
  finish_code: string;
  /**
   * Who is signed in now, in the browser that brought the code: never the owner of the session by itself
   */
  owner: string;
  /**
   * RFC 7636, if the session was created with a `code_challenge`
   */
  code_verifier?: string;
}

export interface FinishedConnectSession {
  status: 'completed';
  connection_id: string;
  account: Account;
}

export interface CreatePortalSessionRequest {
  /**
   * Whose account it is: an opaque identifier of the calling system
   */
  owner: string;
  /**
   * Where the page leads back to. Must be on an allowed origin.
   */
  return_url: string;
  /**
   * Only connections of these are shown. Default: all that the grants of the caller cover
   *
   * @minItems 1
   * @maxItems 100
   *
   * Items: The id of an integration
   */
  integrations?: string[];
  /**
   * On whose behalf, as the pages say it: a name or an address that the owner knows
   */
  display_owner?: string;
  /**
   * As of a connect session
   */
  ui_locales?: string;
}

export interface CreatedPortalSession {
  id: string;
  /**
   * The link for the owner's browser. Works once, within ten minutes; the page is then open for an hour.
   */
  url: string;
  expires_at: string;
}

export interface VerifyJwtRequest {
  /**
   * A JWT in compact serialization (RFC 7515 3.1)
   */
  token: string;
  /**
   * The required issuer
   */
  issuer?: string;
  /**
   * `aud` must contain one of these. Default: the audiences configured for the issuer. The issuer of an OpenID integration that is not listed in `trusted_issuers` is trusted for its client id alone.
   */
  audience?: string | string[];
  /**
   * The rules to apply: RFC 9068 section 4, OpenID Connect Core section 3.1.3.7, or OpenID Connect Back-Channel Logout section 2.6. Without a profile, a token that is explicitly neither an access token nor an ID token is rejected.
   */
  profile?: 'access_token' | 'id_token' | 'logout_token';
  /**
   * The required `typ` header, case-insensitive, with or without `application/`
   */
  typ?: string;
  /**
   * Claims that must be present and not null
   *
   * @maxItems 50
   */
  required_claims?: string[];
  /**
   * Required claims by name: the claim must be this value, or an array that contains it
   */
  claims?: {
    [k: string]: string | number | boolean;
  };
  /**
   * Maximum age in seconds, since `iat`, which is then required; with the profile `id_token`, since `auth_time`
   */
  max_age?: number;
  /**
   * The required nonce of an ID token. Only with the profile `id_token`.
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
      /**
       * The `cnf` of a token that is bound to a key (RFC 7800). It is no bearer token: check the proof of possession too (RFC 9449 7, RFC 8705 3).
       */
      cnf?: {
        [k: string]: unknown;
      };
    }
  | {
      active: false;
      /**
       * Why the token is rejected. Stable. `malformed`: not a signed JWT, or one that violates the format. `untrusted_issuer`: not a trusted issuer of this deployment, or not the required one. `unsupported_algorithm`: symmetric, none, unknown, or not announced by the issuer. `unknown_key`: the issuer has no usable key with this `kid`. `invalid_signature`: not signed by the issuer. `expired`, `not_yet_valid`: by `exp`; by `nbf`, `iat` or `auth_time`. `too_old`: older than `max_age`. `audience_mismatch`: not for the required audience. `type_mismatch`: another kind of token. `missing_claim`, `claim_mismatch`: `claim` says which. `issuer_unavailable`: the keys of the issuer cannot be fetched at present; the token may be good.
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
       * The name of the claim. Only with `missing_claim` and `claim_mismatch`.
       */
      claim?: string;
      /**
       * Why the keys of the issuer cannot be fetched. Only with `issuer_unavailable`.
       */
      detail?: string;
    };

/**
 * The connection, as it was when the event happened
 */
export interface EventConnection {
  id: string;
  integration: string;
  owner: string;
  label: string | null;
  /**
   * `needs_reauth`: the owner must connect again; `reason` says why. `on_hold`: the provider has suspended the account (`reason`: `account_disabled`); it is neither served nor refreshed until that is lifted. `revoked`: its credentials are deleted.
   */
  status: 'active' | 'needs_reauth' | 'on_hold' | 'revoked';
  /**
   * Why it is not active
   */
  reason: string | null;
  account: Account;
}

/**
 * Something that happened. More types, and more members of `data`, may come with later versions: ignore those that you do not know.
 */
export type Event =
  | {
      id: string;
      type:
        | 'connection.created'
        | 'connection.reconnected'
        | 'connection.reactivated'
        | 'connection.needs_reauth'
        | 'connection.on_hold'
        | 'connection.revoked'
        | 'connection.reauth_due'
        | 'connection.check_failed';
      timestamp: string;
      data: {
        /**
         * The same as the `id`, and the `webhook-id` of every delivery
         */
        event_id: string;
        connection: EventConnection;
        /**
         * Counts the events of the connection, from 1
         */
        sequence: number;
        [k: string]: unknown;
      };
    }
  | {
      id: string;
      type: 'integration.misconfigured' | 'integration.recovered';
      timestamp: string;
      data: {
        /**
         * The same as the `id`, and the `webhook-id` of every delivery
         */
        event_id: string;
        integration: {
          id: string;
        };
        [k: string]: unknown;
      };
    }
  | {
      id: string;
      type: 'webhook.received';
      timestamp: string;
      data: {
        /**
         * The same as the `id`, and the `webhook-id` of every delivery
         */
        event_id: string;
        integration: string;
        connection: EventConnection | null;
        /**
         * Counts the events of the connection, from 1
         */
        sequence?: number | null;
        [k: string]: unknown;
      };
    }
  | {
      id: string;
      type: 'webhook_endpoint.disabled';
      timestamp: string;
      data: {
        /**
         * The same as the `id`, and the `webhook-id` of every delivery
         */
        event_id: string;
        endpoint: {
          id: string;
          url: string;
          disabled_reason: string;
        };
        [k: string]: unknown;
      };
    }
  | {
      id: string;
      type: 'test.ping';
      timestamp: string;
      data: {
        /**
         * The same as the `id`, and the `webhook-id` of every delivery
         */
        event_id: string;
        endpoint: {
          id: string;
        };
        [k: string]: unknown;
      };
    };
