// JWT verification for internal services.
import { createRoute, type z } from '@hono/zod-openapi';
import { Verdict, Verdicts, VerifyBatchPost, VerifyPost } from '../../api/index.ts';
import type { BatchVerification, JwtVerification, VerifyRequest } from '../../broker/jwt/index.ts';
import { granted } from '../errors/problem.ts';
import { body, json, problems, router, SECURITY } from '../openapi/route-parts.ts';

const verifyRoute = createRoute({
  operationId: 'verifyJwt',
  method: 'post',
  path: '/v1/jwt/verify',
  tags: ['jwt'],
  summary: 'Verify a JWT',
  description:
    'Verifies the signature and the claims of a JWT of a trusted issuer. A token that fails is not a problem: the response says why.',
  security: SECURITY,
  request: { body: body(VerifyPost) },
  responses: { 200: json(Verdict, 'The verification result'), ...problems('forbidden') },
});

const batchRoute = createRoute({
  operationId: 'verifyJwts',
  method: 'post',
  path: '/v1/jwt/verify-batch',
  tags: ['jwt'],
  summary: 'Verify JWTs',
  description: 'Verifies up to 100 JWTs, each independently.',
  security: SECURITY,
  request: { body: body(VerifyBatchPost) },
  responses: { 200: json(Verdicts, 'A verification result for each token, in order'), ...problems('forbidden') },
});

export function jwtRoutes({ verify, verifyBatch }: { verify: JwtVerification; verifyBatch: BatchVerification }) {
  return router()
    .openapi(verifyRoute, async (c) =>
      c.json(granted(await verify(c.get('call'), requestOf(c.req.valid('json')))), 200),
    )
    .openapi(batchRoute, async (c) => {
      const { tokens, ...all } = c.req.valid('json');
      const requests = tokens.map((one) => requestOf({ ...all, ...one }));
      return c.json({ verdicts: granted(await verifyBatch(c.get('call'), requests)) }, 200);
    });
}

const requestOf = ({ required_claims, max_age, ...same }: z.infer<typeof VerifyPost>): VerifyRequest => ({
  ...same,
  requiredClaims: required_claims,
  maxAge: max_age,
});
