// Checks of connections: whether a token works, and whose it is.
export {
  type CheckedConnection,
  type ConnectionCheck,
  type ConnectionCheckParts,
  createConnectionCheck,
} from './connection-check.ts';
export { type CredentialCheck, type CredentialCheckParts, createCredentialCheck } from './credential-check.ts';
