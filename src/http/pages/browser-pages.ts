// What all pages for owners share: their security headers, who may ask for them, and how they are refused.
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { StoreError } from '../../ports/index.ts';
import type { Env } from '../env.ts';
import { boundedPairs, isForm } from '../middleware/form.ts';
import { ignoreHead, isNoNavigation } from '../middleware/navigation.ts';
import type { Site } from './layout.ts';
import { type BrowserCode, browserMessage } from './messages.ts';
import { refusedPage } from './refused.ts';
import type { RetryForm } from './retry.ts';
import { browserSecurity } from './security.ts';
import type { Sites } from './sites.ts';

/** Bytes. A document with a private key is the largest that is entered. */
export const FORM_LIMIT = 32_768;

export interface BrowserPages {
  /** Of the public URL: what every path of a page begins with. */
  base: string;
  /** In the language and with the look of what the request is about, as far as that is known. */
  siteOf(c: Context<Env>): Promise<Site>;
  refused(
    c: Context<Env>,
    code: BrowserCode,
    provider?: string | null,
    more?: { wanted?: string | undefined; retry?: RetryForm | undefined },
  ): Promise<Response>;
  /** Sets the headers of these paths, and refuses what no person has opened. To be called before their routes. */
  protect(routes: OpenAPIHono<Env>, paths: readonly string[]): void;
}

export function createBrowserPages({ publicUrl, sites }: { publicUrl: string; sites: Sites }): BrowserPages {
  const siteOf = (c: Context<Env>) => sites.siteFor(c.get('appearance'), c.req.header('accept-language'));

  async function refused(...[c, code, provider, more = {}]: Parameters<BrowserPages['refused']>): Promise<Response> {
    const site = await siteOf(c);
    const { status, ...words } = browserMessage(code, site.texts, provider ?? undefined);
    return c.html(refusedPage(site, { ...words, ...more, code, status, requestId: c.get('requestId') }), status);
  }

  /** What is posted to the redirect URI begins nothing: the GET that follows does. */
  const personsOnly: MiddlewareHandler<Env> = async (c, next) => {
    const isJudged = c.req.method === 'GET' || c.req.path.startsWith('/connect/');
    return isJudged && isNoNavigation((name) => c.req.header(name)) ? refused(c, 'not_a_navigation') : next();
  };

  return {
    base: sites.base,
    siteOf,
    refused,
    protect(routes, paths) {
      for (const path of paths) {
        routes.use(path, browserSecurity(publicUrl));
        routes.use(path, ignoreHead);
        routes.use(path, personsOnly);
      }
      routes.onError((error, c) => {
        c.get('logFailure')(error, c.get('requestId'));
        return refused(c, error instanceof StoreError ? 'unavailable' : 'internal');
      });
    },
  };
}

/** The fields that were filled in. Undefined: the body is not a form, or far too large a one. */
export async function filledIn(c: Context): Promise<Record<string, string> | undefined> {
  if (!isForm(c.req.header('content-type'))) return undefined;
  const form = boundedPairs(await c.req.text());
  return form && Object.fromEntries([...form].filter(([, value]) => value !== ''));
}
