// Values of fields of a mode that more than its schema knows.

/** OpenID Connect Core 9, RFC 8705, and variants of vendors. */
export const CLIENT_AUTH = [
  'client_secret_basic',
  /** Basic without the form encoding that RFC 6749 2.3.1 requires. */
  'client_secret_basic_raw',
  'client_secret_post',
  'client_secret_jwt',
  'private_key_jwt',
  'tls_client_auth',
  /** Basic with the client secret as the user name and an empty password. */
  'secret_as_username',
  'none',
] as const;

/** RFC 7636. `none` only for vendors that reject the parameters. */
export const PKCE = ['S256', 'plain', 'none'] as const;

export const SIGNING_ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'ES256', 'EdDSA'] as const;
