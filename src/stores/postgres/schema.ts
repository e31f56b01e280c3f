// The PostgreSQL tables: the same rows as in SQLite (a test compares the types), and `replicas`. Every secret is encrypted,
// in a column of its own; times are integer milliseconds; lists and records are JSON.
export * from './agent-session-schema.ts';
export * from './audit-schema.ts';
export * from './caller-schema.ts';
export * from './capture-schema.ts';
export * from './connect-session-schema.ts';
export * from './connection-schema.ts';
export * from './console-schema.ts';
export * from './counter-schema.ts';
export * from './event-schema.ts';
export * from './integration-schema.ts';
export * from './job-schema.ts';
export * from './process-schema.ts';
export * from './resource-schema.ts';
