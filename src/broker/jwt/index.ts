// The JWT room: verifying JWTs of trusted issuers, one or many at a time.
import { type BatchVerification, createBatchVerification } from './batch-verification.ts';
import { createJwtVerification, type JwtVerification, type JwtVerificationParts } from './jwt-verification.ts';

export type { BatchVerification } from './batch-verification.ts';
export type { JwtVerification, VerifyRequest } from './jwt-verification.ts';

export interface Jwt {
  verification: JwtVerification;
  batch: BatchVerification;
}

export function createJwt(parts: JwtVerificationParts): Jwt {
  const verification = createJwtVerification(parts);
  return { verification, batch: createBatchVerification({ ...parts, verification }) };
}
