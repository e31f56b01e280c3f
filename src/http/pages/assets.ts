// The stylesheets of the pages, and the scripts of the console and of a pop-up, each read on the first request for it.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Context, Hono } from 'hono';
import { etag } from 'hono/etag';
import type { Themes } from '../../broker/integrations/index.ts';
import { packageFile } from '../../package-files.ts';

/** `path`: below `src/http/`. */
function asset(path: string, type: 'text/css' | 'text/javascript') {
  let ready: { text: string; headers: Record<string, string> } | undefined;
  const load = () => {
    const text = readFileSync(packageFile(`src/http/${path}`), 'utf8');
    const headers = {
      'Content-Type': `${type}; charset=utf-8`,
      // Asked for again with each page, which may be of another release (RFC 9111 5.2.2.4).
      'Cache-Control': 'public, no-cache',
      'X-Content-Type-Options': 'nosniff',
      ETag: `"${createHash('sha256').update(text).digest('base64url')}"`,
    };
    return { text, headers };
  };
  return (c: Context) => {
    ready ??= load();
    return c.body(ready.text, 200, ready.headers);
  };
}

/** Serves `/assets/…`, but for themes; mount it at `/`. */
export const assets = new Hono()
  .get('/assets/valetkey.css', etag(), asset('pages/valetkey.css', 'text/css'))
  .get('/assets/docs.css', etag(), asset('pages/docs.css', 'text/css'))
  .get('/assets/popup.js', etag(), asset('pages/popup.js', 'text/javascript'))
  .get('/assets/console.css', etag(), asset('console/console.css', 'text/css'))
  .get('/assets/console.js', etag(), asset('console/console.js', 'text/javascript'));

/** The stylesheets of themes: their names change with their content. */
export const themeAssets = ({ themes }: { themes: Pick<Themes, 'stylesheet'> }) =>
  new Hono().get('/assets/:name{theme-[0-9a-f]{20}\\.css}', async (c) => {
    const css = await themes.stylesheet(c.req.param('name'));
    if (css === undefined) return c.notFound();
    return c.body(css, 200, {
      'Content-Type': 'text/css; charset=utf-8',
      'Cache-Control': 'public, max-age=31536000, immutable',
      'X-Content-Type-Options': 'nosniff',
    });
  });
