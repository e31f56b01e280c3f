export { type BatchVerification, createBatchVerification } from './batch-verification.ts';
export { createJwtVerification, type JwtVerification, mayVerify, type VerifyRequest } from './jwt-verification.ts';
