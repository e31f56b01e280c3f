// What the public port serves when there is an internal one: what browsers, providers and senders of events need. The list is
// a promise to operators: docs/operations.md has it, for the rules of an ingress.

/** Path prefixes, and whole paths. */
export const PUBLISHED_PATHS = {
  prefixes: [
    '/connect/',
    '/oauth2/callback/',
    '/oauth2/clients/',
    '/webhooks/',
    '/signals/',
    '/logout/',
    '/.well-known/',
    '/assets/',
  ],
  exact: ['/oauth2/jwks', '/healthz', '/readyz'],
} as const;

/** `path`: as routes see it, so that nothing is published under another spelling. */
export const isPublished = (path: string): boolean =>
  PUBLISHED_PATHS.exact.some((exact) => path === exact) ||
  PUBLISHED_PATHS.prefixes.some((prefix) => path.startsWith(prefix) && path.length > prefix.length);
