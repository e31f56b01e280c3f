// JWTs, what may be expected of them, and what they are worth.
import { z } from '@hono/zod-openapi';
import { JWT_PROFILES, JWT_REASONS } from '../domain/jwt.ts';

const Token = z.string().min(1).max(65_536).openapi({ description: 'A JWT in the compact form' });
const Claim = z.string().min(1).max(256);
const Audience = z.string().min(1).max(2_048);
const MOST = 50;

const expectations = {
  issuer: z.string().max(2_048).optional().openapi({ description: 'The token must be of this issuer' }),
  audience: z
    .union([z.string().max(2_048), z.array(Audience).min(1).max(MOST)])
    .optional()
    .openapi({ description: 'One of these must be in `aud`; without it, one of those configured for the issuer' }),
  profile: z.enum(JWT_PROFILES).optional().openapi({
    description:
      'RFC 9068 section 4, OpenID Connect Core section 3.1.3.7, or OpenID Connect Back-Channel Logout section 2.6. Without it, a token that is explicitly something else than an access token or an ID token is refused',
  }),
  typ: z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/, 'a media type')
    .optional()
    .openapi({
      description: 'The header `typ`, whatever the case, with or without `application/`',
      example: 'at+jwt',
    }),
  required_claims: z.array(Claim).max(MOST).optional().openapi({ description: 'Neither absent nor null' }),
  claims: z
    .record(Claim, z.union([z.string().max(2_048), z.number(), z.boolean()]))
    .refine((claims) => Object.keys(claims).length <= MOST, `at most ${MOST}`)
    .optional()
    .openapi({ description: 'By name: the claim must be this value, or an array that has it as a member' }),
  max_age: z.int().min(0).optional().openapi({
    description: 'Seconds since `iat`, which is then required; of an ID token (`profile`) since `auth_time`',
  }),
  nonce: z.string().min(1).max(2_048).optional().openapi({ description: 'Of an ID token, only with that `profile`' }),
};

const misplacedNonce = ({ nonce, profile }: { nonce?: unknown; profile?: unknown }) =>
  nonce !== undefined && profile !== 'id_token';
const NONCE = { code: 'custom', message: 'only with the profile id_token' } as const;

const ASKED = {
  token: 'eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0.eyJzdWIiOiJ1c2VyXzQyIn0.c2ln',
  audience: 'https://api.acme.example',
};
const GOOD = {
  active: true,
  issuer: 'https://id.acme.example',
  claims: { iss: 'https://id.acme.example', sub: 'user_42', aud: 'https://api.acme.example', exp: 1_772_448_907 },
  header: { alg: 'RS256', kid: 'k1' },
};
const BAD = { active: false, reason: 'expired' };

export const VerifyPost = z
  .strictObject({ token: Token, ...expectations })
  .superRefine((wanted, context) => {
    if (misplacedNonce(wanted)) context.addIssue({ ...NONCE, path: ['nonce'] });
  })
  .openapi('JwtVerify', { example: ASKED });

export const VerifyBatchPost = z
  .strictObject({
    tokens: z
      .array(z.strictObject({ token: Token, ...expectations }))
      .min(1)
      .max(100)
      .openapi({ description: 'Each with what is expected of it alone' }),
    ...expectations,
  })
  .superRefine(({ tokens, ...all }, context) => {
    tokens.forEach((one, i) => {
      if (misplacedNonce({ ...all, ...one })) context.addIssue({ ...NONCE, path: ['tokens', i, 'nonce'] });
    });
  })
  .openapi('JwtVerifyBatch', {
    description: 'What stands beside `tokens` is expected of each token that does not say otherwise itself',
    example: {
      tokens: [{ token: ASKED.token }, { token: ASKED.token, profile: 'id_token' }],
      audience: ASKED.audience,
    },
  });

export const Verdict = z
  .discriminatedUnion('active', [
    z
      .object({
        active: z.literal(true),
        issuer: z.string(),
        claims: z.record(z.string(), z.unknown()),
        header: z.record(z.string(), z.unknown()),
      })
      .openapi({ title: 'It is good', example: GOOD }),
    z
      .object({
        active: z.literal(false),
        reason: z.enum(JWT_REASONS).openapi({
          description: [
            'Stable.',
            '`malformed`: not a JWT that is signed, or one that breaks the format.',
            '`untrusted_issuer`: not an issuer of this deployment, or not the one that was asked for.',
            '`unsupported_algorithm`: symmetric, none, unknown, or not what the issuer announces.',
            '`unknown_key`: the issuer has no usable key of that name.',
            '`invalid_signature`: not signed by the issuer.',
            '`expired`, `not_yet_valid`: by `exp`; by `nbf`, `iat` or `auth_time`.',
            '`too_old`: older than `max_age`.',
            '`audience_mismatch`: not for the audience.',
            '`type_mismatch`: another kind of token.',
            '`missing_claim`, `claim_mismatch`: `claim` says which.',
            '`issuer_unavailable`: its keys cannot be had now; says nothing of the token.',
          ].join(' '),
        }),
        claim: z
          .string()
          .optional()
          .openapi({ description: 'The name of the claim, with `missing_claim` and `claim_mismatch`' }),
      })
      .openapi({ title: 'It is not', example: BAD }),
  ])
  .openapi('JwtVerdict');

export const Verdicts = z
  .object({ verdicts: z.array(Verdict).openapi({ description: 'In the order of the tokens' }) })
  .openapi('JwtVerdicts', { example: { verdicts: [GOOD, BAD] } });
