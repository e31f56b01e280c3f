// The public schemas: requests and responses of the HTTP API, by resource.
export * from './audit.ts';
export * from './callers.ts';
export * from './common.ts';
export * from './connect-sessions.ts';
export * from './connections.ts';
export * from './declarative-file.ts';
export * from './event-feed.ts';
export * from './event-types.ts';
export * from './examples.ts';
export * from './integrations.ts';
export * from './jwt.ts';
export * from './oauth.ts';
export * from './operations.ts';
export * from './providers.ts';
export * from './tokens.ts';
export * from './webhook-endpoints.ts';
export * from './webhooks.ts';
