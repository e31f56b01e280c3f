// Signing in to the console and out of it: by the OpenID integration of the configuration, or by a link.
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { html } from 'hono/html';
import type { Console, ConsoleVisit, SignInFailure } from '../../broker/console/index.ts';
import { signInTag } from '../../broker/console/index.ts';
import { newSecret } from '../../broker/secrets/index.ts';
import type { ConsoleSession } from '../../domain/console.ts';
import { secretIn } from '../middleware/cookie-scope.ts';
import { boundedPairs, isForm } from '../middleware/form.ts';
import { isFromElsewhere, isNoNavigation } from '../middleware/navigation.ts';
import type { PlainSite } from '../pages/layout.ts';
import type { ConsoleCookies } from './cookies.ts';
import type { ConsoleEnv } from './environment.ts';
import { entrancePage } from './layout.ts';

const FAILURES: Record<SignInFailure | 'link_over' | 'signed_out' | 'session_over' | 'link_again', string> = {
  sign_in_not_configured:
    'No one can sign in here yet: the integration for it is missing, or is no OpenID Provider. See "console" in docs/console.md.',
  sign_in_expired: 'The sign-in took too long, or began in another browser. Try again.',
  sign_in_denied: 'The sign-in was cancelled at the provider.',
  sign_in_unavailable: 'The provider that you sign in with does not answer now. Try again in a moment.',
  sign_in_failed: 'The provider that you sign in with gave an answer that cannot be accepted. The log says why.',
  other_user:
    'That was someone else than who is signed in here, so nothing was changed. Sign in with the same account, or sign out first.',
  no_role: 'You are signed in, but no role of the console is yours. Ask an admin.',
  link_over: 'This link was opened before, or its ten minutes are over. Make another one: valetkey console link',
  link_again:
    'What destroys something wants a sign-in of the last ten minutes. You came with a link: make another one (valetkey console link), open it, and try again.',
  signed_out: 'You are signed out.',
  session_over: 'Your session has ended, and nothing was changed. Sign in, and do it once more.',
};

/** The secret of a link's page, which its form has and nothing else. */
const PAGE_FIELD = 'page';
/** Bytes. */
const LINK_FORM_LIMIT = 1_024;

interface Parts {
  console: Console;
  cookies: ConsoleCookies;
  site: PlainSite;
}

/** Paths below `/console`. A path to go on to: of ours, never another site's, and fit for a header. */
const pathOf = (to: string | undefined): string => (to !== undefined && /^\/(?![/\\])\P{Cc}+$/u.test(to) ? to : '');

export function signInRoutes({ console: { sessions, signIn }, cookies, site }: Parts): Hono<ConsoleEnv> {
  const at = (path: string) => `${site.base}/console${path}`;
  const visitOf = (c: Context<ConsoleEnv>): ConsoleVisit => ({
    address: c.get('address'),
    requestId: c.get('requestId'),
    client: c.get('client'),
  });
  const current = async (c: Context): Promise<ConsoleSession | undefined> => {
    const secret = cookies.session(c);
    return secret === undefined ? undefined : sessions.authenticate(secret, true);
  };
  const entrance = (to: string, why?: keyof typeof FAILURES) => {
    const query = new URLSearchParams({ ...(to && { to }), ...(why && { why }) });
    return at(`/sign-in${query.size > 0 ? `?${query}` : ''}`);
  };
  /** On to the provider. `again`: whose sign-in it has to be. */
  async function begin(c: Context<ConsoleEnv>, to: string, again?: ConsoleSession): Promise<Response> {
    const step = await signIn.begin(to, again && { issuer: again.issuer, subject: again.subject });
    if (step.kind === 'failed') return c.redirect(entrance(to, step.why), 303);
    cookies.setSignIn(c, step.tag, step.cookie);
    return c.redirect(step.url, 303);
  }

  const routes = new Hono<ConsoleEnv>();

  routes.get('/console/sign-in', async (c) => {
    const to = pathOf(c.req.query('to'));
    const why = c.req.query('why') ?? '';
    const name = await signIn.provider();
    const start = at(`/sign-in/start${to ? `?${new URLSearchParams({ to })}` : ''}`);
    const body = html`
      ${Object.hasOwn(FAILURES, why) ? html`<p class="notice ${why === 'signed_out' ? '' : 'notice-failed'}" role="status">${FAILURES[why as keyof typeof FAILURES]}</p>` : ''}
      ${name === undefined ? '' : html`<p><a class="button" href="${start}">Sign in with ${name}</a></p>`}
      <p class="quiet">
        ${name === undefined ? 'Sign in with a link:' : 'No account there? An admin can make a link:'} run
        <code>valetkey console link</code> with the admin key, and open what it prints.
      </p>`;
    return c.html(entrancePage(site, { title: 'Sign in to the console', body }));
  });

  routes.get('/console/sign-in/start', async (c) => {
    if (isNoNavigation((name) => c.req.header(name))) return c.redirect(entrance(''));
    return begin(c, pathOf(c.req.query('to')));
  });

  /** Who is signed in does so once more, before something is destroyed. */
  routes.get('/console/sign-in/again', async (c) => {
    if (isNoNavigation((name) => c.req.header(name))) return c.redirect(entrance(''));
    const to = pathOf(c.req.query('to'));
    const session = await current(c);
    if (!session) return c.redirect(entrance(to), 303);
    // Who came by a link is no user of a provider: there, they would only turn out to be someone else.
    if (!(await signIn.isIssuer(session.issuer))) return c.redirect(entrance(to, 'link_again'), 303);
    return begin(c, to, session);
  });

  routes.get('/console/callback', async (c) => {
    const response = boundedPairs(new URL(c.req.url).search.slice(1));
    const state = response?.get('state');
    if (!response || !state) return c.redirect(entrance('', 'sign_in_expired'), 303);
    const ended = await signIn.complete(response, cookies.takeSignIn(c, signInTag(state)), visitOf(c));
    if (ended.kind === 'failed') return c.redirect(entrance(ended.to, ended.why), 303);
    const { secret } = await sessions.open(ended.user, visitOf(c), await current(c));
    cookies.setSession(c, secret);
    return c.redirect(at(ended.to), 303);
  });

  // Opening a link shows a page, whose button signs in: previews and scanners open links as well.
  routes.get('/console/link/:secret', async (c) => {
    if (!(await sessions.isLink(c.req.param('secret')))) return c.redirect(entrance('', 'link_over'), 303);
    const body = html`
      <p>This link signs you in, once.</p>
      <form method="post"><input type="hidden" name="${PAGE_FIELD}" value="${newSecret()}"><button class="button">Open the console</button></form>`;
    return c.html(entrancePage(site, { title: 'Open the console', body }));
  });
  const bounded = bodyLimit({ maxSize: LINK_FORM_LIMIT, onError: (c) => c.redirect(entrance(''), 303) });
  routes.post('/console/link/:secret', bounded, async (c) => {
    if (isFromElsewhere((name) => c.req.header(name))) return c.redirect(entrance(''), 303);
    const form = isForm(c.req.header('content-type')) ? boundedPairs(await c.req.text()) : undefined;
    const page = secretIn(form?.get(PAGE_FIELD) ?? undefined) ?? newSecret();
    const opened = await sessions.openLink(c.req.param('secret'), page, visitOf(c), await current(c));
    if (!opened) return c.redirect(entrance('', 'link_over'), 303);
    cookies.setSession(c, opened.secret);
    return c.redirect(at(''), 303);
  });
  return routes;
}
