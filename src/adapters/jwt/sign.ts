// Signs JWTs: assertions for token endpoints (RFC 7523), self-signed access tokens, DPoP proofs for APIs (RFC 9449), and what the
// broker says itself.
import { createPrivateKey, createPublicKey, hash, type KeyObject, randomUUID } from 'node:crypto';
import { type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose';
import type { SignProof } from '../../ports/index.ts';

interface Assertion {
  alg: string;
  header: Record<string, string>;
  claims: Record<string, string>;
  /** Seconds since the epoch. */
  issuedAt: number;
  /** Seconds. */
  lifetime: number;
}

/** A compact JWS (RFC 7515) of these claims. Rejects when the key is not one for the algorithm. */
export const signJwt = (key: KeyObject, header: JWTHeaderParameters, claims: JWTPayload): Promise<string> =>
  new SignJWT(claims).setProtectedHeader(header).sign(key);

/** A compact JWS (RFC 7515), with a `jti` of its own. Rejects when the key is not one for the algorithm. */
export const signAssertion = (
  key: KeyObject,
  { alg, header, claims, issuedAt, lifetime }: Assertion,
): Promise<string> =>
  signJwt(
    key,
    { alg, typ: 'JWT', ...header },
    { jti: randomUUID(), ...claims, iat: issuedAt, exp: issuedAt + lifetime },
  );

export const signProof: SignProof = async (pem, { method, url, accessToken, nonce, issuedAt }) => {
  const key = createPrivateKey(pem);
  const { origin, pathname } = new URL(url);
  const request = { htm: method, htu: origin + pathname, ath: hash('sha256', accessToken, 'base64url') };
  return new SignJWT({ jti: randomUUID(), ...request, ...(nonce !== undefined && { nonce }) })
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: createPublicKey(key).export({ format: 'jwk' }) })
    .setIssuedAt(issuedAt)
    .sign(key);
};
