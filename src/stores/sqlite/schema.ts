// The SQLite tables. Columns have the names and types of the domain, so that a row is the domain's object.
// Every secret is encrypted, in a column of its own; times are integer milliseconds; lists and records are JSON text.
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
