export { type BrowserError, type ConnectFlow, createConnectFlow, type Step, type Visit } from './connect-flow.ts';
export { createSessions, type Invitation, type Sessions } from './connect-sessions.ts';
export { type Connections, createConnections } from './connections.ts';
export { startHousekeeping } from './housekeeping.ts';
export { createRevoker, type Revoker } from './revocation.ts';
