// JWT verification: expectations and results.
import { z } from '@hono/zod-openapi';
import { JWT_PROFILES, JWT_REASONS } from '../domain/jwt.ts';

const Token = z.string().min(1).max(65_536).openapi({ description: 'A JWT in compact serialization (RFC 7515 3.1)' });
const Claim = z.string().min(1).max(256);
const Audience = z.string().min(1).max(2_048);
const MOST = 50;

const expectations = {
  issuer: z.string().max(2_048).optional().openapi({ description: 'The required issuer' }),
  audience: z
    .union([z.string().max(2_048), z.array(Audience).min(1).max(MOST)])
    .optional()
    .openapi({
      description:
        '`aud` must contain one of these. Default: the audiences configured for the issuer. The issuer of an OpenID integration that is not listed in `trusted_issuers` is trusted for its client id alone.',
    }),
  profile: z.enum(JWT_PROFILES).optional().openapi({
    description:
      'The rules to apply: RFC 9068 section 4, OpenID Connect Core section 3.1.3.7, or OpenID Connect Back-Channel Logout section 2.6. Without a profile, a token that is explicitly neither an access token nor an ID token is rejected.',
  }),
  typ: z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/, 'a media type')
    .optional()
    .openapi({
      description: 'The required `typ` header, case-insensitive, with or without `application/`',
      example: 'at+jwt',
    }),
  required_claims: z
    .array(Claim)
    .max(MOST)
    .optional()
    .openapi({ description: 'Claims that must be present and not null' }),
  claims: z
    .record(Claim, z.union([z.string().max(2_048), z.number(), z.boolean()]))
    .refine((claims) => Object.keys(claims).length <= MOST, `at most ${MOST}`)
    .optional()
    .openapi({ description: 'Required claims by name: the claim must be this value, or an array that contains it' }),
  max_age: z.int().min(0).optional().openapi({
    description:
      'Maximum age in seconds, since `iat`, which is then required; with the profile `id_token`, since `auth_time`',
  }),
  nonce: z
    .string()
    .min(1)
    .max(2_048)
    .optional()
    .openapi({ description: 'The required nonce of an ID token. Only with the profile `id_token`.' }),
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
  .openapi('VerifyJwtRequest', { example: ASKED });

export const VerifyBatchPost = z
  .strictObject({
    tokens: z
      .array(z.strictObject({ token: Token, ...expectations }))
      .min(1)
      .max(100)
      .openapi({ description: 'The tokens, each with its own expectations' }),
    ...expectations,
  })
  .superRefine(({ tokens, ...all }, context) => {
    tokens.forEach((one, i) => {
      if (misplacedNonce({ ...all, ...one })) context.addIssue({ ...NONCE, path: ['tokens', i, 'nonce'] });
    });
  })
  .openapi('VerifyJwtsRequest', {
    description: 'Expectations beside `tokens` apply to each token that does not set its own.',
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
        cnf: z.unknown().optional().openapi({
          description:
            'The `cnf` of a token that is bound to a key (RFC 7800). It is no bearer token: check the proof of possession too (RFC 9449 7, RFC 8705 3).',
        }),
      })
      .openapi({ title: 'Active', example: GOOD }),
    z
      .object({
        active: z.literal(false),
        reason: z.enum(JWT_REASONS).openapi({
          description: [
            'Why the token is rejected. Stable.',
            '`malformed`: not a signed JWT, or one that violates the format.',
            '`untrusted_issuer`: not a trusted issuer of this deployment, or not the required one.',
            '`unsupported_algorithm`: symmetric, none, unknown, or not announced by the issuer.',
            '`unknown_key`: the issuer has no usable key with this `kid`.',
            '`invalid_signature`: not signed by the issuer.',
            '`expired`, `not_yet_valid`: by `exp`; by `nbf`, `iat` or `auth_time`.',
            '`too_old`: older than `max_age`.',
            '`audience_mismatch`: not for the required audience.',
            '`type_mismatch`: another kind of token.',
            '`missing_claim`, `claim_mismatch`: `claim` says which.',
            '`issuer_unavailable`: the keys of the issuer cannot be fetched at present; the token may be good.',
          ].join(' '),
        }),
        claim: z
          .string()
          .optional()
          .openapi({ description: 'The name of the claim. Only with `missing_claim` and `claim_mismatch`.' }),
        detail: z
          .string()
          .optional()
          .openapi({ description: 'Why the keys of the issuer cannot be fetched. Only with `issuer_unavailable`.' }),
      })
      .openapi({ title: 'Inactive', example: BAD }),
  ])
  .openapi('JwtVerdict');

export const Verdicts = z
  .object({ verdicts: z.array(Verdict).openapi({ description: 'One result for each token, in order' }) })
  .openapi('JwtVerdicts', { example: { verdicts: [GOOD, BAD] } });
