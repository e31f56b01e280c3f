// The framework as Node's server calls it. Its adapter loads Node's classes of `fetch` (25 ms, 6 MB), which probes and reads of
// tokens do not need.
import { getRequestListener } from '@hono/node-server';
import type { App } from './framework.ts';
import type { Framework } from './http-parts.ts';

export function createRequestListeners(fetch: App): Framework {
  // HTTP/1.0 requires no `Host` (HAProxy's health checks send none); the framework needs one to build a URL.
  const options = { hostname: 'localhost' };
  const everything = getRequestListener(fetch, options);
  const published = getRequestListener((request, env) => fetch(request, { ...env, isPublic: true }), options);
  return {
    everything: (request, response) => void everything(request, response),
    published: (request, response) => void published(request, response),
  };
}
