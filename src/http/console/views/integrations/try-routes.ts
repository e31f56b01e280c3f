// A try of an integration: a connect session for a test owner, its link, and what came of it.
import { Hono } from 'hono';
import { Owner } from '../../../../api/index.ts';
import type { ConnectSessions } from '../../../../broker/connections/index.ts';
import { refuse } from '../../../../domain/errors.ts';
import type { Clock } from '../../../../ports/index.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { type Place, refusedPage, shown } from '../../answers.ts';
import type { ConsoleEnv, Visit } from '../../environment.ts';
import { field } from '../../forms.ts';
import { consolePage } from '../../layout.ts';
import { onlyFor } from '../../roles.ts';
import { outcomePage, TEST_OWNER, tryLinkPage } from './set-up.ts';

export interface TryParts {
  sessions: ConnectSessions;
  clock: Clock;
  site: PlainSite;
}

export function tryRoutes({ sessions, clock, site }: TryParts): Hono<ConsoleEnv> {
  const place: Place = { site, section: 'integrations' };
  const path = `${site.base}/console/integrations`;
  const page = (visit: Visit, id: string, body: Html) =>
    consolePage(site, visit, {
      title: `Try ${id}`,
      section: 'integrations',
      crumbs: [
        { href: path, text: 'Integrations' },
        { href: `${path}/${id}`, text: id },
        { href: `${path}/${id}/set-up`, text: 'Set-up' },
      ],
      body,
    });

  const routes = new Hono<ConsoleEnv>();
  routes.post('/console/integrations/:id/try', onlyFor('connections:write', place), async (c) => {
    const visit = c.get('visit');
    const owner = field(c.get('form'), 'owner') ?? TEST_OWNER;
    if (!Owner.safeParse(owner).success)
      return refusedPage(
        c,
        place,
        refuse({
          code: 'invalid_request',
          detail: 'An owner has 1 to 255 characters, without control characters and *.',
        }),
      );
    const created = await sessions.create(visit.call, { integration: c.req.param('id'), owner });
    return shown(c, place, created, (one) => c.html(page(visit, one.session.integration, tryLinkPage(site.base, one))));
  });
  routes.get('/console/integrations/:id/try/:session', async (c) => {
    const visit = c.get('visit');
    const session = await sessions.get(visit.call, c.req.param('session'));
    return shown(c, place, session, (one) =>
      c.html(page(visit, one.integration, outcomePage(site.base, one, clock.now()))),
    );
  });
  return routes;
}
