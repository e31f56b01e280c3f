// Trusted issuers of JWTs, and where their keys are.
import { z } from '@hono/zod-openapi';
import { isTrustDomain } from '../domain/spiffe.ts';
import { plain, textUpTo, Url } from './common.ts';

/** Members that only private keys have (RFC 7518 6.2.2, 6.3.2, 6.4.1). */
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];
/** 2048 bits in base64url characters (RFC 7518 3.3). */
const MIN_MODULUS_LENGTH = 342;
const CURVES: Record<string, readonly string[]> = { EC: ['P-256', 'P-384', 'P-521'], OKP: ['Ed25519'] };

const Text = z.string().optional();
const Jwk = z
  .looseObject({ kty: z.string(), kid: Text, use: Text, alg: Text, crv: Text, n: Text, e: Text, x: Text, y: Text })
  .superRefine((key, context) => {
    const fault = (message: string) => context.addIssue({ code: 'custom', message });
    const found = PRIVATE.filter((name) => Object.hasOwn(key, name));
    if (key.kty === 'oct') fault('is a symmetric key: anyone who can verify with it can sign with it');
    else if (found.length > 0) fault(`is a private key (${found.join(', ')}): only the public key belongs here`);
    else if (key.kty === 'RSA' && (key.n ?? '').length < MIN_MODULUS_LENGTH) fault('is shorter than 2048 bits');
  });

/** Other keys are ignored (RFC 7517 5): a set may hold encryption keys, and key types of the future. */
const canVerify = ({ kty, use = 'sig', crv = '', n, e, x, y }: z.infer<typeof Jwk>): boolean => {
  if (use !== 'sig' && use !== 'jwt-svid') return false;
  if (kty === 'RSA') return n !== undefined && e !== undefined;
  return (CURVES[kty] ?? []).includes(crv) && x !== undefined && (kty !== 'EC' || y !== undefined);
};

/** RFC 7517 5. */
const Jwks = z.looseObject({
  keys: z
    .array(Jwk)
    .refine((keys) => keys.length === 0 || keys.some(canVerify), 'none of them can verify a signature')
    .min(1),
});

/** A year, and a day. */
export const MAX_MAX_AGE_S = 366 * 24 * 60 * 60;

const FETCHED = /^https?:\/\//i;

/** Registered claims (RFC 7519 4.1) that name no user. */
const NO_OWNERS = ['iss', 'aud', 'exp', 'nbf', 'iat', 'jti'];

const OwnerMapping = z
  .strictObject({
    claim: textUpTo(128)
      .min(1)
      .refine((claim) => !NO_OWNERS.includes(claim), 'does not name a user')
      .openapi({ description: 'The claim that names the owner: one text, such as `sub`' }),
    prefix: plain(200).optional().openapi({
      description: 'Put before it, so that two issuers never name the same owner, such as `acme:`',
    }),
  })
  .openapi({ description: 'How a subject token names the owner in a token exchange' });

export const TrustedIssuer = z
  .strictObject({
    issuer: Url.openapi({ description: 'Exactly as its tokens have it in `iss`' }),
    audiences: z.array(z.string().min(1)).default([]).openapi({
      description: 'Accepted when a request names no audience; and, beside the public URL, in a token exchange',
    }),
    exchange: z.boolean().optional().openapi({
      description:
        'Whether its tokens say who the owner is in a token exchange: it can then name any owner that `owner` can form. Default: false',
    }),
    owner: OwnerMapping.optional(),
    max_age: z.int().min(1).max(MAX_MAX_AGE_S).optional().openapi({
      description:
        'The most seconds since `iat` for a token that is used as a credential: by a workload, or in a token exchange. Default: two days',
    }),
    jwks_uri: z
      .url({ protocol: /^https?$/, error: 'an http or https URL' })
      .max(2_048, { abort: true })
      .optional(),
    jwks: Jwks.optional(),
  })
  .superRefine(({ issuer, jwks_uri, jwks }, context) => {
    if (/[{}]|%7[bd]/i.test(issuer))
      context.addIssue({
        code: 'custom',
        path: ['issuer'],
        message: 'is a template: list the issuer of each tenant that you trust',
      });
    const fault = (at: string, message: string) => context.addIssue({ code: 'custom', path: [at], message });
    if (jwks_uri !== undefined && jwks !== undefined) fault('jwks', 'either this or jwks_uri');
    if (/^spiffe:/i.test(issuer) && !isTrustDomain(issuer))
      fault('issuer', 'must be a trust domain only: spiffe://example.org');
    const discoverable = !URL.canParse(issuer) || FETCHED.test(issuer);
    if (jwks_uri === undefined && jwks === undefined && !discoverable)
      fault('issuer', 'needs jwks_uri or jwks: its keys cannot be discovered');
  });
