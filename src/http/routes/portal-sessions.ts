// Portal sessions: a link to the page of an owner's connections.
import { createRoute } from '@hono/zod-openapi';
import { PortalSessionCreated, PortalSessionPost } from '../../api/index.ts';
import type { Portal } from '../../broker/portal/index.ts';
import { respond } from '../errors/respond.ts';
import { body, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { time } from '../presenters/times.ts';

const create = createRoute({
  tags: ['portal sessions'],
  security: SECURITY,
  operationId: 'createPortalSession',
  method: 'post',
  path: '/v1/portal-sessions',
  summary: 'Create a portal session',
  description:
    "Creates a single-use link to the page on which an owner sees, renews and ends their own connections: those that the caller's grants cover with `connections:write`. The page ends after an hour, and with the caller or its key.",
  request: { body: body(PortalSessionPost) },
  responses: {
    201: json(PortalSessionCreated, 'The portal session. Send the owner to `url`, which only this response shows'),
    ...problems('forbidden', 'not_found', 'integration_misconfigured'),
  },
});

export function portalSessionRoutes({ portal }: { portal: Portal }) {
  return router().openapi(create, async (c) => {
    const { owner, return_url, integrations, display_owner, ui_locales } = c.req.valid('json');
    const wanted = {
      owner,
      returnUrl: return_url,
      integrations,
      displayOwner: display_owner,
      uiLocales: ui_locales,
    };
    return respond(c, await portal.sessions.create(c.get('call'), wanted), ({ id, url, expiresAt }) =>
      c.json({ id, url, expires_at: time(expiresAt) }, 201),
    );
  });
}
