// Signals of providers: security events (RISC, CAEP) and back-channel logout, received, polled for, and acted on.
import type { Provider } from '../../../domain/provider.ts';
import type { Clock, Logger, SecurityEventVerifier, Store, Telemetry, Vault } from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';
import type { Cache, TokenCache } from '../../cache/index.ts';
import type { Targets } from '../../integrations/index.ts';
import type { AccountHolds } from '../processing/account-holds.ts';
import { createAdmission } from '../receiving/admission.ts';
import { createSignalActions } from './actions.ts';
import { createSignalPolling, type PostJson } from './polling.ts';
import {
  createSignalProcessing,
  type EndAgentSessions,
  type EndUserSessions,
  type ProcessSignal,
} from './process-signal.ts';
import { createSignalReceivers } from './receivers.ts';
import { createSignalReceiving, type SignalReceiving } from './receiving.ts';
import { createSignalAdmin, type SignalAdmin } from './signal-admin.ts';

export interface Signals {
  receiving: SignalReceiving;
  admin: SignalAdmin;
  /** Of what was received. */
  process: ProcessSignal;
  /** Polls the transmitters that do not push. */
  start(): void;
  /** Fulfilled when nothing is polled any more. */
  stop(): Promise<void>;
  /** To be called when an integration may have changed. */
  integrationChanged(): void;
}

interface Parts {
  store: Store;
  vault: Vault;
  catalogue: ReadonlyMap<string, Provider>;
  targets: Pick<Targets, 'find'>;
  tokenCache: Pick<TokenCache, 'invalidate'>;
  holds: AccountHolds;
  endUserSessions: EndUserSessions;
  endAgentSessions: EndAgentSessions;
  verifier: SecurityEventVerifier;
  post: PostJson;
  checkUrl: (url: string) => string | undefined;
  access: Access;
  untilApplied: Cache['untilApplied'];
  telemetry: Pick<Telemetry, 'signal' | 'signalProcessed'>;
  publicUrl: string;
  /** Called when something is due for processing. */
  onReceived: () => void;
  pollEveryMs?: number | undefined;
  clock: Clock;
  log: Logger;
}

export function createSignals(parts: Parts): Signals {
  const { clock } = parts;
  const receivers = createSignalReceivers(parts);
  const actions = createSignalActions(parts);
  const admission = createAdmission(clock);
  const receiving = createSignalReceiving({ ...parts, receivers, admission });
  const polling = createSignalPolling({ ...parts, receivers, receiving, everyMs: parts.pollEveryMs });
  return {
    receiving,
    admin: createSignalAdmin({ ...parts, receivers }),
    process: createSignalProcessing({ ...parts, receivers, actions }),
    start: polling.start,
    stop: polling.stop,
    integrationChanged: receivers.invalidate,
  };
}
