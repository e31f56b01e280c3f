// The apply room: integrations and callers as a deployment declares them.
export { type Apply, createApply, type Declared } from './apply.ts';
