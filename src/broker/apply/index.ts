// The apply room: integrations and callers as a deployment declares them.
export { type Apply, createApply } from './apply.ts';
export type { Declared } from './declared.ts';
