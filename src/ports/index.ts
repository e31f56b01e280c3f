// The ports: what the broker needs from the world. Adapters and stores implement them.
export * from './audit-store.ts';
export * from './change-feed.ts';
export * from './clock.ts';
export * from './connection-store.ts';
export * from './data-migration.ts';
export * from './jwt.ts';
export * from './provider-client.ts';
export * from './reencryption.ts';
export * from './refresh-store.ts';
export * from './rescue.ts';
export * from './revocation-store.ts';
export * from './rows.ts';
export * from './secret-store.ts';
export * from './session-store.ts';
export * from './store.ts';
export * from './telemetry.ts';
export * from './vault.ts';
