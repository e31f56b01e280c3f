// Integrations: the list, the set-up of a new one step by step, and each one's pages.
import { Hono } from 'hono';
import { paged } from '../../../paging.ts';
import { type Place, shown } from '../../answers.ts';
import type { ConsoleEnv } from '../../environment.ts';
import { consolePage } from '../../layout.ts';
import { integrationList } from './integration-list.ts';
import { type IntegrationPageParts, integrationRoutes } from './integration-routes.ts';
import { type NewIntegrationParts, newIntegrationRoutes } from './new-integration.ts';
import { type TryParts, tryRoutes } from './try-routes.ts';

export interface IntegrationViewParts extends NewIntegrationParts, IntegrationPageParts, TryParts {}

export function integrationViews(parts: IntegrationViewParts): Hono<ConsoleEnv> {
  const { integrations, catalogue, clock, site } = parts;
  const place: Place = { site, section: 'integrations' };
  const routes = new Hono<ConsoleEnv>();
  routes.get('/console/integrations', async (c) => {
    const visit = c.get('visit');
    const cursor = c.req.query('cursor');
    const found = await paged(c, { cursor }, (request) => integrations.list(visit.call, request));
    return shown(c, place, found, ({ data, next }) =>
      c.html(
        consolePage(site, visit, {
          title: 'Integrations',
          section: 'integrations',
          notice: c.req.query('done'),
          body: integrationList(site.base, visit, {
            rows: data,
            catalogue,
            query: new URLSearchParams(cursor === undefined ? {} : { cursor }),
            cursor: next === null ? null : c.get('cursors').encrypt(c.req.path, next),
            now: clock.now(),
          }),
        }),
      ),
    );
  });
  routes.route('/', newIntegrationRoutes(parts));
  routes.route('/', tryRoutes(parts));
  routes.route('/', integrationRoutes(parts));
  return routes;
}
