// The connections room: connect sessions and flow, connections as callers see them, import, revocation, housekeeping.
import type { Store } from '../../ports/index.ts';
import { type BoundedLookups, withBoundedLookups } from './connect-flow/bounded-lookups.ts';
import { type ConnectFlow, createConnectFlow } from './connect-flow/connect-flow.ts';
import { createEndedCandidates, type EndedCandidatesParts } from './connect-sessions/ended-candidates.ts';
import { type ConnectSessionParts, type ConnectSessions, createConnectSessions } from './connect-sessions/sessions.ts';
import { type ConnectionResource, createConnectionResource } from './connections.ts';
import { type HousekeepingParts, startHousekeeping } from './housekeeping.ts';
import type { ImportParts } from './import.ts';
import { createRevoker, type Revoker, type RevokerParts } from './revocation.ts';
import { createRevocationOutbox, type OutboxParts, type RevocationOutbox } from './upstream-revocation/outbox.ts';

export type { ConnectFlow } from './connect-flow/connect-flow.ts';
export type { AskedCredentials, BrowserError, BrowserRequest, ConnectStep, PopupStep } from './connect-flow/steps.ts';
export { type ConnectSessionRequest, creatorOf } from './connect-sessions/create-session.ts';
export { returnUrlIssues } from './connect-sessions/return-url.ts';
export type { ConnectSessions } from './connect-sessions/sessions.ts';
export type { ConnectionResource } from './connections.ts';
export type { ConnectionImport } from './import.ts';
export type { Revoker } from './revocation.ts';

export interface Connections {
  connections: ConnectionResource;
  sessions: ConnectSessions;
  flow: ConnectFlow;
  revocation: Revoker;
  outbox: Pick<RevocationOutbox, 'drain'>;
  /** Starts delivering revocations and deleting expired sessions and flows. */
  start(): void;
  /** Begins nothing more; fulfilled when what it claims is claimed. Deliveries may go on: see `outbox.drain`. */
  stop(): Promise<void>;
}

type FlowParts = Parameters<typeof createConnectFlow>[0];

type Parts = ConnectSessionParts &
  Omit<FlowParts, 'store'> & { store: Omit<FlowParts['store'], keyof BoundedLookups> } & RevokerParts &
  OutboxParts &
  ImportParts &
  EndedCandidatesParts &
  Pick<HousekeepingParts, 'tombstoneDays'> & {
    store: Pick<Store, 'connections' | 'countConnections'> & HousekeepingParts['store'];
    /** How often background work looks for something to do, in ms. */
    deliverEveryMs?: number | undefined;
  };

export function createConnections(parts: Parts): Connections {
  const { store, deliverEveryMs } = parts;
  const outbox = createRevocationOutbox(parts);
  const endedCandidates = createEndedCandidates(parts);
  let housekeeping: { stop(): Promise<void> } | undefined;
  return {
    connections: createConnectionResource(parts),
    sessions: createConnectSessions({ ...parts, endedCandidates }),
    flow: createConnectFlow({ ...parts, store: withBoundedLookups(store) }),
    revocation: createRevoker({ ...parts, outbox, endedCandidates }),
    outbox,
    start() {
      housekeeping = startHousekeeping({ ...parts, store, endedCandidates, everyMs: deliverEveryMs });
      outbox.start(deliverEveryMs);
    },
    async stop() {
      await Promise.all([housekeeping?.stop(), outbox.stop()]);
    },
  };
}
