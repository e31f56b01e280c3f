// JWT verification for internal services.
import { createRoute } from '@hono/zod-openapi';
import { Verdict, VerifyPost } from '../../api.ts';
import type { Verify } from '../../broker/verify.ts';
import { granted } from '../problem.ts';
import { body, json, problems, router, SECURITY } from '../spec.ts';

const verifyRoute = createRoute({
  operationId: 'verifyJwt',
  method: 'post',
  path: '/v1/jwt/verify',
  tags: ['jwt'],
  summary: 'Verifies a JWT of a trusted issuer',
  security: SECURITY,
  request: { body: body(VerifyPost) },
  responses: { 200: json(Verdict, 'The verdict'), ...problems('forbidden') },
});

export function jwtRoutes({ verify }: { verify: Verify }) {
  return router().openapi(verifyRoute, async (c) =>
    c.json(granted(await verify(c.get('call'), c.req.valid('json'))), 200),
  );
}
