// Portal sessions: links to the page on which an owner sees, renews and ends their own connections.
import { z } from '@hono/zod-openapi';
import { Owner, Slug, Time, Url } from './common.ts';
import { DisplayOwner, UiLocales } from './connect-sessions.ts';
import { EXAMPLE } from './examples.ts';

export const PortalSessionPost = z
  .strictObject({
    owner: Owner,
    return_url: Url.openapi({ description: 'Where the page leads back to. Must be on an allowed origin.' }),
    integrations: z.array(Slug).min(1).max(100).optional().openapi({
      description: 'Only connections of these are shown. Default: all that the grants of the caller cover',
    }),
    display_owner: DisplayOwner.optional().openapi({
      description: 'On whose behalf, as the pages say it: a name or an address that the owner knows',
    }),
    ui_locales: UiLocales.optional().openapi({ description: 'As of a connect session' }),
  })
  .openapi('CreatePortalSessionRequest', {
    example: { owner: EXAMPLE.owner, return_url: 'https://app.acme.example/settings/accounts' },
  });

export const PortalSessionCreated = z
  .object({
    id: z.string(),
    url: z.string().openapi({
      description:
        "The link for the owner's browser. Works once, within ten minutes; the page is then open for an hour.",
    }),
    expires_at: Time,
  })
  .openapi('CreatedPortalSession', {
    example: {
      id: EXAMPLE.portal,
      url: 'https://valetkey.acme.example/connect/portal/pR4nZ7qXv2mLc9bTs6wKd1yHg8fJu5eA0oIiV3xBkNU',
      expires_at: '2026-03-02T09:40:00.000Z',
    },
  });
