// JWTs that the broker signs, each of a type of its own, and the verification of its own access tokens.
import type { KeyObject } from 'node:crypto';
import type { JwtVerdict, JwtVerifier } from '../../ports/index.ts';
import type { CachedKeys } from './keys/cached-keys.ts';

/**
 * No type of JWT is taken for another (RFC 8725 3.11): access tokens (RFC 9068 2.1), answers of introspection (RFC 9701 5), client
 * assertions (draft-ietf-oauth-rfc7523bis 4).
 */
export type SignedJwtType = 'at+jwt' | 'token-introspection+jwt' | 'client-authentication+jwt';

/** A compact JWS. Rejects when the key is not one for the algorithm. */
export type SignJwt = (
  key: KeyObject,
  header: { alg: string; kid: string; typ: SignedJwtType },
  claims: Record<string, unknown>,
) => Promise<string>;

export interface JwtSigner {
  /** Signs these claims with the key that signs now. `iss` is the broker. Rejects with `StoreError`. */
  sign(
    typ: Exclude<SignedJwtType, 'client-authentication+jwt'>,
    claims: Readonly<Record<string, unknown>>,
  ): Promise<string>;
  /** Whether a JWT claims to be of this broker, unverified. */
  isOwn(token: string): boolean;
  /**
   * Verifies an access token that this broker has signed for one of these audiences, by default for itself (RFC 9068 4): with a
   * key that is published, and by nothing that a trusted issuer says. Rejects with `StoreError`.
   */
  verify(token: string, audiences?: readonly string[]): Promise<JwtVerdict>;
}

interface Parts {
  cache: Pick<CachedKeys, 'current' | 'published'>;
  signJwt: SignJwt;
  verifier: Pick<JwtVerifier, 'verify' | 'claimedIssuer'>;
  /** The issuer. */
  publicUrl: string;
}

export function createJwtSigner({ cache, signJwt, verifier, publicUrl }: Parts): JwtSigner {
  return {
    async sign(typ, claims) {
      const { privateKey, jwk } = await cache.current();
      return signJwt(privateKey, { alg: jwk.alg, kid: jwk.kid, typ }, { ...claims, iss: publicUrl });
    },

    isOwn: (token) => verifier.claimedIssuer(token) === publicUrl,

    async verify(token, audiences = [publicUrl]) {
      const jwks = await cache.published();
      const own = { issuer: publicUrl, audiences: [...audiences], clientIds: [], isListed: true, jwks };
      return verifier.verify(token, own, { audiences: [...audiences], profile: 'access_token' });
    },
  };
}
