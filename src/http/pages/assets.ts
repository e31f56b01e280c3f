// The stylesheets of the pages and the script of the console, each read on the first request for it.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Context, Hono } from 'hono';
import { etag } from 'hono/etag';
import { packageFile } from '../../package-files.ts';

/** `path`: below `src/http/`. */
function asset(path: string, type: 'text/css' | 'text/javascript') {
  let ready: { text: string; headers: Record<string, string> } | undefined;
  const load = () => {
    const text = readFileSync(packageFile(`src/http/${path}`), 'utf8');
    const headers = {
      'Content-Type': `${type}; charset=utf-8`,
      'Cache-Control': 'public, max-age=3600',
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

/** Serves `/assets/…`; mount it at `/`. */
export const assets = new Hono()
  .get('/assets/valetkey.css', etag(), asset('pages/valetkey.css', 'text/css'))
  .get('/assets/docs.css', etag(), asset('pages/docs.css', 'text/css'))
  .get('/assets/console.css', etag(), asset('console/console.css', 'text/css'))
  .get('/assets/console.js', etag(), asset('console/console.js', 'text/javascript'));
