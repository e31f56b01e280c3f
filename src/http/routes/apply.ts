// Applying a declarative plan while the broker runs.
import { createRoute, type z } from '@hono/zod-openapi';
import { Applied, ApplyPost } from '../../api/index.ts';
import type { Apply } from '../../broker/apply/index.ts';
import { type Fault, refuse } from '../../domain/errors.ts';
import { respond } from '../errors/respond.ts';
import { body, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { declaredOf } from '../setups.ts';

const applyRoute = createRoute({
  operationId: 'applyDeclaration',
  tags: ['apply'],
  security: SECURITY,
  method: 'post',
  path: '/v1/apply',
  summary: 'Apply a declaration',
  description:
    'Creates and updates integrations and callers as declared, and deletes those that `delete` names, all in one transaction: while something still needs an integration that is to be deleted, nothing changes. What the declaration does not name is left unchanged. With `dry_run`, only reports what would change.',
  request: { body: body(ApplyPost) },
  responses: {
    200: json(Applied, 'The changes made, or, with `dry_run`, the changes that would be made'),
    ...problems('forbidden', 'integration_in_use'),
  },
});

/** Ignored, as other parameters that are not known, it would be applied. */
const DRY_RUN_IN_QUERY: Fault = {
  code: 'invalid_request',
  detail: 'Nothing was applied: dry_run is a member of the body, and no parameter of the query.',
  issues: [{ path: 'dry_run', message: 'belongs in the body' }],
};

export function applyRoutes({ apply }: { apply: Apply }) {
  return router().openapi(applyRoute, async (c) => {
    const { dry_run, delete: deleted, integrations, callers, ...settings } = c.req.valid('json');
    const declared = { ...declaredOf({ integrations, callers }), ...settings, deleted };
    const isMisplaced = c.req.query('dry_run') !== undefined;
    const result = isMisplaced ? refuse(DRY_RUN_IN_QUERY) : await apply.apply(c.get('call'), declared, dry_run);
    return respond(c, result, ({ changes, needsRestart }) =>
      c.json({ applied: !dry_run, changes, needs_restart: needsRestart } satisfies z.infer<typeof Applied>, 200),
    );
  });
}
