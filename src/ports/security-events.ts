// Verifying security event tokens (RFC 8417) and logout tokens (OpenID Connect Back-Channel Logout 1.0).
import type { SetExpectations, SetRefusal } from '../domain/security-events.ts';

/** Who signs, and where its keys are. Without `jwksUri`, its metadata say (SSF, else OpenID Connect Discovery). */
export interface EventTransmitter {
  issuer: string;
  jwksUri?: string | undefined;
}

export type SetVerdict =
  | { kind: 'verified'; claims: Record<string, unknown>; jti: string; audiences: readonly string[] }
  | ({ kind: 'refused' } & SetRefusal)
  /** Its keys cannot be fetched now, which says nothing about the token. */
  | { kind: 'unavailable' };

/** Asymmetric signatures only (RFC 7515). Never rejects for anything about the token. */
export interface SecurityEventVerifier {
  /** `iss` is compared before anything is fetched. */
  verifySet(
    token: string,
    transmitter: EventTransmitter,
    expected: Omit<SetExpectations, 'issuer'>,
  ): Promise<SetVerdict>;
  /** `exp` and `iat` count. `audiences`: as of an ID token. */
  verifyLogoutToken(token: string, issuer: string, audiences: readonly string[]): Promise<SetVerdict>;
}
