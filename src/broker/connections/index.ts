// The connections room: connect sessions and flow, connections as callers see them, import, revocation, housekeeping.
import type { Store } from '../../ports/index.ts';
import { type ConnectFlow, createConnectFlow } from './connect-flow/connect-flow.ts';
import type { FlowParts } from './connect-flow/steps.ts';
import { type ConnectSessionParts, type ConnectSessions, createConnectSessions } from './connect-sessions.ts';
import { type ConnectionResource, createConnectionResource } from './connections.ts';
import { startHousekeeping } from './housekeeping.ts';
import type { ImportParts } from './import.ts';
import { createRevoker, type Revoker, type RevokerParts } from './revocation.ts';

export type { ConnectFlow } from './connect-flow/connect-flow.ts';
export type { BrowserError, BrowserRequest, ConnectStep } from './connect-flow/steps.ts';
export type { ConnectSessionRequest, ConnectSessions } from './connect-sessions.ts';
export type { ConnectionResource } from './connections.ts';
export type { Revoker } from './revocation.ts';

export interface Connections {
  connections: ConnectionResource;
  sessions: ConnectSessions;
  flow: ConnectFlow;
  revocation: Revoker;
  /** Starts delivering revocations and deleting expired sessions and flows. */
  start(): void;
  /** Fulfilled when the current round is done. Deliveries that callers wait for may go on: see `revocation.drain`. */
  stop(): Promise<void>;
}

type Parts = ConnectSessionParts &
  FlowParts &
  RevokerParts &
  ImportParts & {
    store: Pick<Store, 'connections' | 'deleteExpired'>;
    /** How often due revocations are delivered, in ms. */
    deliverEveryMs?: number | undefined;
  };

export function createConnections(parts: Parts): Connections {
  const { store, clock, log, deliverEveryMs } = parts;
  const revocation = createRevoker(parts);
  let housekeeping: { stop(): Promise<void> } | undefined;
  return {
    connections: createConnectionResource(parts),
    sessions: createConnectSessions(parts),
    flow: createConnectFlow(parts),
    revocation,
    start() {
      housekeeping = startHousekeeping({ store, revoker: revocation, clock, log, deliverEveryMs });
    },
    async stop() {
      await housekeeping?.stop();
    },
  };
}
