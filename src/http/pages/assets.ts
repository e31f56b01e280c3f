// The stylesheets of the pages, each read on the first request for it.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Context, Hono } from 'hono';
import { etag } from 'hono/etag';
import { packageFile } from '../../package-files.ts';

function stylesheet(name: string) {
  let ready: { css: string; headers: Record<string, string> } | undefined;
  const load = () => {
    const css = readFileSync(packageFile(`src/http/pages/${name}`), 'utf8');
    const headers = {
      'Content-Type': 'text/css; charset=utf-8',
      'Cache-Control': 'public, max-age=3600',
      'X-Content-Type-Options': 'nosniff',
      ETag: `"${createHash('sha256').update(css).digest('base64url')}"`,
    };
    return { css, headers };
  };
  return (c: Context) => {
    ready ??= load();
    return c.body(ready.css, 200, ready.headers);
  };
}

/** Serves `/assets/…`; mount it at `/`. */
export const assets = new Hono()
  .get('/assets/valetkey.css', etag(), stylesheet('valetkey.css'))
  .get('/assets/docs.css', etag(), stylesheet('docs.css'));
