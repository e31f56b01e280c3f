// The public shapes: what is sent to the broker over HTTP and what it answers, as schemas, by resource.
export * from './api/audit.ts';
export * from './api/callers.ts';
export * from './api/common.ts';
export * from './api/connections.ts';
export * from './api/declared.ts';
export * from './api/examples.ts';
export * from './api/integrations.ts';
export * from './api/jwt.ts';
export * from './api/oauth.ts';
export * from './api/operations.ts';
export * from './api/providers.ts';
export * from './api/sessions.ts';
export * from './api/tokens.ts';
