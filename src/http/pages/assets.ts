// The one static file of the pages, read once.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Hono } from 'hono';
import { etag } from 'hono/etag';
import { packaged } from '../../files.ts';

const css = readFileSync(packaged('src/http/pages/valetkey.css'), 'utf8');
const headers = {
  'Content-Type': 'text/css; charset=utf-8',
  'Cache-Control': 'public, max-age=3600',
  'X-Content-Type-Options': 'nosniff',
  ETag: `"${createHash('sha256').update(css).digest('base64url')}"`,
};

/** Serves `/assets/valetkey.css`; mount it at `/`. */
export const assets = new Hono().get('/assets/valetkey.css', etag(), (c) => c.body(css, 200, headers));
