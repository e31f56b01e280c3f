// Verifying JWTs of trusted issuers, and signing DPoP proofs.
import type { JwtExpectations, JwtFault } from '../domain/jwt.ts';

export type { JwtExpectations, JwtReason } from '../domain/jwt.ts';

export type JwtVerdict =
  | { active: true; issuer: string; claims: Record<string, unknown>; header: Record<string, unknown> }
  | ({ active: false } & JwtFault);

export interface TrustedIssuer {
  /** A URL, or a SPIFFE trust domain (`spiffe://example.org`), whose keys are then named here. */
  issuer: string;
  /** Accepted when the request names none; empty: the request must name one. */
  audiences: string[];
  /** Where its keys are published. Without this and `jwks`, its metadata say (OpenID Connect Discovery 4, RFC 8414 3). */
  jwksUri?: string | undefined;
  /** Its public keys themselves. */
  jwks?: { keys: Record<string, unknown>[] } | undefined;
}

/** Never rejects for anything about the token: that is a verdict with `active: false`. */
export interface JwtVerifier {
  /** Checks the signature (RFC 7515, asymmetric only), `iss`, `aud`, the times, and what is expected. */
  verify(token: string, trusted: TrustedIssuer, expected: JwtExpectations): Promise<JwtVerdict>;
  /**
   * Whether the token names, by its `kid`, a key that its issuer has: any other forgery is told by that alone. Fetches the
   * issuer's keys at the same limited rate as `verify`.
   */
  namesKnownKey(token: string, trusted: TrustedIssuer): Promise<boolean>;
  /**
   * The issuer that the token claims, unverified: `iss`, or the trust domain of `sub` (JWT-SVIDs have no `iss`).
   * Undefined when it is not a JWT, or names none.
   */
  claimedIssuer(token: string): string | undefined;
}

/** A request to an API, and the token that it is sent with. */
export interface DpopRequest {
  method: string;
  /** Query and fragment are left out of the proof. */
  url: string;
  accessToken: string;
  /** As the API asked for it (RFC 9449 9). */
  nonce: string | undefined;
  /** Seconds since the epoch. */
  issuedAt: number;
}

/** Signs a DPoP proof (RFC 9449 4.2) for one request. `key`: PKCS #8, PEM. Rejects when the key is not of P-256. */
export type SignProof = (key: string, request: DpopRequest) => Promise<string>;
