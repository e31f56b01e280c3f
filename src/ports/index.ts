// What the broker needs from the world. Adapters implement these; each comment says what failure means.
import type {
  Ciphertext,
  Connection,
  ConnectionStatus,
  Credentials,
  Identity,
  UpstreamRevocation,
} from '../domain/connection.ts';
import type { JwtExpectations, JwtFault } from '../domain/jwt.ts';
import type { Target } from '../domain/target.ts';

export type { JwtExpectations, JwtReason } from '../domain/jwt.ts';
export * from './data-migration.ts';
export * from './rows.ts';
export * from './store.ts';

export interface Clock {
  /** Milliseconds since the epoch: for what is stored and shown. It may jump. */
  now(): number;
  /** Milliseconds that never run backwards: for waits and deadlines in this process. */
  monotonic(): number;
}

/** What is sealed belongs to one column of one row: elsewhere it does not open. */
export interface EncryptionContext {
  /** `connections/con_…`, `integrations/slack`, `flows/<state digest>`. */
  row: string;
  column: string;
}

export interface Vault {
  encrypt(plaintext: string, context: EncryptionContext): Ciphertext;
  /** Throws `VaultError` when the key is not in the ring, or the text is damaged or of another row or column. */
  decrypt(sealed: Ciphertext, context: EncryptionContext): string;
}

export class VaultError extends Error {
  override name = 'VaultError';
  readonly code: 'unknown_key' | 'not_openable' | 'malformed';
  constructor(code: VaultError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** What a token endpoint answered, in one form for all providers (RFC 6749 5.1). */
export interface TokenResponse {
  accessToken: string;
  tokenType: string;
  /** Undefined: the answer had none, the old one stays. */
  refreshToken: string | undefined;
  idToken: string | undefined;
  /** Undefined: the answer had none (RFC 6749 5.1: as requested). */
  scopes: string[] | undefined;
  /** Seconds; undefined: not said. */
  expiresIn: number | undefined;
  /** Seconds until the refresh token dies unless it is used; undefined: not said. */
  idleIn: number | undefined;
  /** Seconds until the grant ends in any case; undefined: not said. */
  endsIn: number | undefined;
  /** From the validated ID token. */
  identity: Identity | undefined;
  captured: Record<string, unknown>;
  /** The key that the request proved to have (RFC 9449): PKCS #8, PEM. Undefined: none, the old one stays. */
  dpopKey: string | undefined;
}

/** Why a provider did not give what was asked, judged. */
export interface ProviderFault {
  /**
   * - `denied`: the owner, or the provider for them, said no (authorization response)
   * - `grant_dead`: `invalid_grant` and its kin: surely terminal
   * - `misconfigured`: the client, its secret, a redirect URI or a scope is wrong: nothing of the owner's doing
   * - `transient`: 429, 5xx, network, timeout: try again
   * - `invalid`: an answer that must not be trusted (wrong `iss`, nonce, signature, state, not the protocol)
   * - `identity_changed`: a refresh answered for another `iss` or `sub` (OpenID Connect Core 12.2)
   */
  kind: 'denied' | 'grant_dead' | 'misconfigured' | 'transient' | 'invalid' | 'identity_changed';
  /** The provider's error code, or ours: `[a-z0-9_]+`, safe to show. */
  code: string;
  /** A sentence for engineers, without secrets. */
  detail: string;
  /** Seconds that the provider asked to wait. */
  retryAfter: number | undefined;
  /** The request was sent and no answer came: the token may or may not be spent. */
  outcomeUnknown: boolean;
}

export type ProviderResult<T> = { ok: true; value: T } | { ok: false; fault: ProviderFault };

/** The connection as it is before it is renewed; where a token is made anew, `scopes` are those to ask for. */
export interface RefreshRequest extends Pick<Connection, 'identity' | 'scopes' | 'captured'> {
  grant: Credentials;
  /** Sent again where the provider asks for it. */
  redirectUri: string;
}

/** Speaks OAuth 2.0 and OpenID Connect with third parties. Never throws for what a provider does. */
export interface ProviderClient {
  /** The URL to send the browser to (RFC 6749 4.1.1, 7636, 9126 where the metadata requires it). */
  authorizationUrl(
    target: Target,
    request: { state: string; nonce: string; verifier: string; redirectUri: string; scopes: string[] },
  ): Promise<ProviderResult<{ url: string; issuer: string | null }>>;
  /** Checks the authorization response (`iss`, `error`) and exchanges the code; validates the ID token wholly. */
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
    },
  ): Promise<ProviderResult<TokenResponse>>;
  /**
   * Spends what renews the grant (RFC 6749 6), or makes a new token of its credentials (RFC 6749 4.4, RFC 7523). An ID
   * token in the answer that cannot be validated costs nothing; another identity is a fault. Expects `isRenewable`.
   */
  refresh(target: Target, request: RefreshRequest): Promise<ProviderResult<TokenResponse>>;
  /** RFC 7009, the refresh token first, then the access token; or the vendor's own way. */
  revoke(
    target: Target,
    tokens: { accessToken: string | null; refreshToken: string | null },
    captured: Record<string, unknown>,
  ): Promise<ProviderResult<'done' | 'unsupported'>>;
}

/** A request to an API, and the token that it is sent with. */
export interface DpopRequest {
  method: string;
  /** Query and fragment are left out. */
  url: string;
  accessToken: string;
  /** As the API asked for it (RFC 9449 9). */
  nonce: string | undefined;
  /** Seconds since the epoch. */
  issuedAt: number;
}

/** A DPoP proof (RFC 9449 4.2), good for one request. `key`: PKCS #8, PEM; rejects when it is not of P-256. */
export type SignProof = (key: string, request: DpopRequest) => Promise<string>;

export type JwtVerdict =
  | { active: true; issuer: string; claims: Record<string, unknown>; header: Record<string, unknown> }
  | ({ active: false } & JwtFault);

export interface TrustedIssuer {
  /** A URL, or a SPIFFE trust domain (`spiffe://example.org`), which has keys of its own here. */
  issuer: string;
  /** Accepted when the request names none; empty: the request must name one. */
  audiences: string[];
  /** Where its keys are. Neither this nor `jwks`: its metadata say (OpenID Connect Discovery 4, RFC 8414 3). */
  jwksUri?: string | undefined;
  /** Its keys themselves: public ones. */
  jwks?: { keys: Record<string, unknown>[] } | undefined;
}

export interface JwtVerifier {
  /** Signature (RFC 7515, asymmetric only), `iss`, `aud`, times, and what is expected. Never throws for what the token is. */
  verify(token: string, trusted: TrustedIssuer, expected: JwtExpectations): Promise<JwtVerdict>;
  /**
   * The issuer that the token claims, unverified: `iss`, or the trust domain of `sub` (JWT-SVIDs have no `iss`);
   * undefined when it is not a JWT, or names none.
   */
  claimedIssuer(token: string): string | undefined;
}

/** What is counted. Labels are ids and codes, never secrets. */
export interface Telemetry {
  request(route: string, method: string, status: number, seconds: number): void;
  /** `lifeLeft`: seconds that the token still had; null when it does not expire. */
  refresh(integration: string, outcome: string, lifeLeft: number | null): void;
  cache(outcome: 'hit' | 'miss'): void;
  /** `outcome`: `ok`, or why the owner was turned away. */
  connect(integration: string, outcome: string): void;
  /** One try at a provider; `pending`: it is tried again. */
  revocation(integration: string, outcome: UpstreamRevocation): void;
  /** A store operation that failed, by its name. */
  storeError(operation: string): void;
  /** Prometheus text, with how things stand now. */
  render(state: MetricsState): Promise<string>;
}

export interface MetricsState {
  connections: { integration: string; status: ConnectionStatus; count: number }[];
  /** Refreshes whose time has come; `oldestMs`: for how long the oldest has been due. */
  due: { integration: string; count: number; oldestMs: number }[];
  /** Refreshes that hold a turn. */
  inFlight: number;
  /** 0 closed, 0.5 probing, 1 open. */
  circuitBreakers: { integration: string; state: 0 | 0.5 | 1 }[];
  /** Whether it can be written to. */
  storeUp: boolean;
  /** For so long nobody has looked with success for what others have changed. */
  changeFeedLagMs: number;
  /** Answers of providers that lie beside the store. */
  rescued: number;
  /** Audit entries that are not written yet; and those that were given up since the start. */
  audit: { waiting: number; lost: number };
}

export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
