// JWT verification for internal services.
import { createRoute, type z } from '@hono/zod-openapi';
import { Verdict, Verdicts, VerifyBatchPost, VerifyPost } from '../../api/index.ts';
import type { Jwt, VerifyRequest } from '../../broker/jwt/index.ts';
import { respond } from '../errors/respond.ts';
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

export function jwtRoutes({ verification, batch }: Jwt) {
  return router()
    .openapi(verifyRoute, async (c) => {
      const result = await verification.verify(c.get('call'), requestOf(c.req.valid('json')));
      return respond(c, result, (verdict) => c.json(verdict, 200));
    })
    .openapi(batchRoute, async (c) => {
      const { tokens, ...defaults } = c.req.valid('json');
      const requests = tokens.map((one) => requestOf({ ...defaults, ...one }));
      return respond(c, await batch.verify(c.get('call'), requests), (verdicts) => c.json({ verdicts }, 200));
    });
}

const requestOf = ({ required_claims, max_age, ...same }: z.infer<typeof VerifyPost>): VerifyRequest => ({
  ...same,
  requiredClaims: required_claims,
  maxAge: max_age,
});
