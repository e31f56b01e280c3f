// The browser console (`/console`): who is signed in, and the views. Rendered here, and usable without its script.
import { type Context, Hono, type MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { html } from 'hono/html';
import type { Console } from '../../broker/console/index.ts';
import { consolePrincipal } from '../../domain/console.ts';
import { CONSOLE_FRESH_MS } from '../../domain/time-limits.ts';
import { type Clock, StoreError } from '../../ports/index.ts';
import type { Cursors } from '../cursors.ts';
import { ignoreHead, isNoNavigation } from '../middleware/navigation.ts';
import type { PlainSite } from '../pages/layout.ts';
import { createConsoleCookies } from './cookies.ts';
import type { ConsoleEnv } from './environment.ts';
import { FORM_LIMIT, formToken, postedForm } from './forms.ts';
import { consolePage, entrancePage } from './layout.ts';
import { consoleSecurity } from './security.ts';
import { signInRoutes } from './sign-in.ts';
import { type AgentSessionsViewParts, agentSessionsView } from './views/agent-sessions.ts';
import { type AuditViewParts, auditViews } from './views/audit/index.ts';
import { callerViews } from './views/callers/caller-routes.ts';
import type { CallerViewParts } from './views/callers/frame.ts';
import { type ConnectionsParts, connectionsView } from './views/connections/index.ts';
import { type EventViewParts, eventViews } from './views/events/index.ts';
import { type HomeParts, homeView } from './views/home.ts';
import { type IntegrationViewParts, integrationViews } from './views/integrations/index.ts';
import { type LimitsViewParts, limitsView } from './views/limits.ts';
import { type SystemViewParts, systemViews } from './views/system/index.ts';

type ViewParts = HomeParts &
  IntegrationViewParts &
  CallerViewParts &
  AgentSessionsViewParts &
  AuditViewParts &
  EventViewParts &
  LimitsViewParts &
  ConnectionsParts &
  SystemViewParts;

export interface ConsoleParts extends Omit<ViewParts, 'site' | 'clock'> {
  console: Console;
  cursors: Cursors;
  clock: Clock;
  site: PlainSite;
}

export function consoleRoutes(parts: ConsoleParts): Hono<ConsoleEnv> {
  const { console: room, clock, cursors, site } = parts;
  const cookies = createConsoleCookies(room.url, site.base);
  const entranceOf = (c: Context): string => {
    const { pathname, search } = new URL(c.req.url);
    const path = `${pathname}${search}`.slice('/console'.length);
    const query = c.req.method === 'GET' ? { to: path } : { why: path === '/sign-out' ? 'signed_out' : 'session_over' };
    return `${site.base}/console/sign-in${path === '' ? '' : `?${new URLSearchParams(query)}`}`;
  };

  const signedIn: MiddlewareHandler<ConsoleEnv> = async (c, next) => {
    const secret = cookies.session(c);
    const isPerson = !isNoNavigation((name) => c.req.header(name));
    const session = secret === undefined ? undefined : await room.sessions.authenticate(secret, isPerson);
    if (secret === undefined || !session) return c.redirect(entranceOf(c), 303);
    const from = { address: c.get('address'), requestId: c.get('requestId'), client: c.get('client') };
    c.set('cursors', cursors);
    c.set('visit', {
      session,
      call: { principal: consolePrincipal(session), ...from },
      token: formToken(secret),
      isFresh: clock.now() - (session.openedAt ?? 0) < CONSOLE_FRESH_MS,
    });
    return next();
  };
  const fromOurPages: MiddlewareHandler<ConsoleEnv> = async (c, next) => {
    if (c.req.method !== 'POST') return next();
    const form = await postedForm(c);
    if (!form) return formRefused(c);
    c.set('form', form);
    return next();
  };
  const formRefused = (c: Context<ConsoleEnv>) =>
    c.html(
      consolePage(site, c.get('visit'), {
        title: 'This form is not valid any more',
        section: '',
        body: html`<p class="card">It was on a page of another session, or of another site, or was too large. Nothing was changed. Go back, reload the page, and send it again.</p>`,
      }),
      403,
    );

  const routes = new Hono<ConsoleEnv>();
  for (const paths of ['/console', '/console/*']) {
    routes.use(paths, consoleSecurity(room.url));
    routes.use(paths, ignoreHead);
  }
  routes.route('/', signInRoutes({ console: room, cookies, site }));
  for (const paths of ['/console', '/console/*']) {
    routes.use(paths, signedIn);
    routes.use(paths, bodyLimit({ maxSize: FORM_LIMIT, onError: (c) => formRefused(c as Context<ConsoleEnv>) }));
    routes.use(paths, fromOurPages);
  }
  routes.post('/console/sign-out', async (c) => {
    const { call, session } = c.get('visit');
    await room.sessions.signOut(call, session.id);
    cookies.clearSession(c);
    return c.redirect(`${site.base}/console/sign-in?why=signed_out`, 303);
  });
  routes.route('/', homeView(parts));
  routes.route('/', integrationViews(parts));
  routes.route('/', eventViews(parts));
  routes.route('/', callerViews(parts));
  routes.route('/', agentSessionsView(parts));
  routes.route('/', auditViews(parts));
  routes.route('/', limitsView(parts));
  routes.route('/', connectionsView(parts));
  routes.route('/', systemViews(parts));
  routes.all('/console/*', (c) =>
    c.html(
      consolePage(site, c.get('visit'), {
        title: 'There is nothing here',
        section: '',
        body: html`<p class="card">The console has no such page.</p>`,
      }),
      404,
    ),
  );
  routes.onError((error, c) => {
    const requestId = c.get('requestId');
    c.get('logFailure')(error, requestId);
    const isStore = error instanceof StoreError;
    const title = isStore ? 'The database does not answer' : 'Something went wrong';
    const body = html`
      <p>${isStore ? 'It is away, or too busy. Nothing of this request was stored.' : 'The log says what.'} Try again in a moment.</p>
      <p class="quiet">Reference: <code>${requestId}</code></p>`;
    return c.html(entrancePage(site, { title, body }), isStore ? 503 : 500);
  });
  return routes;
}
