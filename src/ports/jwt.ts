// Verifying JWTs of trusted issuers, and signing DPoP proofs.
import type { JwtExpectations, JwtFault } from '../domain/jwt.ts';
import type { TrustedIssuer } from '../domain/trusted-issuer.ts';

export type { JwtExpectations, JwtReason } from '../domain/jwt.ts';
export type { TrustedIssuer } from '../domain/trusted-issuer.ts';

export type JwtVerdict =
  | {
      active: true;
      issuer: string;
      claims: Record<string, unknown>;
      header: Record<string, unknown>;
      /** With a token that is bound to a key (RFC 7800): it is valid only together with a proof, which was not checked. */
      cnf?: unknown;
    }
  | ({ active: false } & JwtFault);

/** Never rejects for anything about the token: that is a verdict with `active: false`. */
export interface JwtVerifier {
  /**
   * Checks the signature (RFC 7515, asymmetric only), `iss`, `aud`, the times, and what is expected. An issuer that is not
   * listed is trusted for the client ids of its integrations alone, whatever audiences are expected.
   */
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
