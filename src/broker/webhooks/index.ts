// The webhooks room: receives webhooks of third parties, finds the connections that they are about, acts, and hands them on.
import type { Provider } from '../../domain/provider.ts';
import type {
  Clock,
  Logger,
  ReceivedWebhookStore,
  SecurityEventVerifier,
  Store,
  Telemetry,
  Vault,
  WebhookVerifier,
} from '../../ports/index.ts';
import type { Access } from '../audit/index.ts';
import type { Cache } from '../cache/index.ts';
import type { IntegrationAdmin, Targets } from '../integrations/index.ts';
import { createInbox, type Inbox } from './inbox.ts';
import { createAccountHolds } from './processing/account-holds.ts';
import { createDeauthorizer } from './processing/deauthorization.ts';
import { createWebhookProcessing } from './processing/process-webhook.ts';
import { createProcessor } from './processing/processor.ts';
import { createAdmission } from './receiving/admission.ts';
import { createWebhookReceiver, type WebhookReceiver } from './receiving/receiver.ts';
import { createRefusals } from './receiving/refusals.ts';
import { createReceiverSettings } from './settings/receiver-settings.ts';
import { createReceivingAdmin, type ReceivingAdmin } from './settings/receiving-setup.ts';
import { createWebhookAdmin, type WebhookAdmin } from './settings/webhook-admin.ts';
import type { PostJson } from './signals/polling.ts';
import type { EndAgentSessions, EndUserSessions } from './signals/process-signal.ts';
import { createSignals, type Signals } from './signals/signals.ts';

export type { Inbox, ShownWebhook } from './inbox.ts';
export type { AdmittedWebhook, WebhookReceiver } from './receiving/receiver.ts';
export type { ReceivingAdmin } from './settings/receiving-setup.ts';
export type { WebhookAdmin, WebhookView } from './settings/webhook-admin.ts';
export type { SignalAnswer, SignalReceiving } from './signals/receiving.ts';
export type { SignalAdmin, SignalView } from './signals/signal-admin.ts';
export type { Signals } from './signals/signals.ts';

export interface Webhooks {
  receiver: WebhookReceiver;
  admin: WebhookAdmin;
  /** How integrations receive, set with them. */
  receiving: ReceivingAdmin;
  inbox: Inbox;
  signals: Pick<Signals, 'receiving' | 'admin'>;
  /** To be called when an integration may have changed, here or elsewhere. */
  integrationChanged(): void;
  start(): void;
  /** Fulfilled when what was claimed is settled. */
  stop(): Promise<void>;
}

interface Parts {
  store: Store & ReceivedWebhookStore;
  vault: Vault;
  targets: Targets;
  integrations: Pick<IntegrationAdmin, 'put'>;
  catalogue: ReadonlyMap<string, Provider>;
  tokenCache: Cache['tokens'];
  untilApplied: Cache['untilApplied'];
  access: Access;
  verifier: WebhookVerifier;
  eventVerifier: SecurityEventVerifier;
  /** For transmitters that are polled. */
  post: PostJson;
  checkUrl: (url: string) => string | undefined;
  /** Of those who sign out at their provider. */
  endUserSessions: EndUserSessions;
  /** Of an owner whose account is suspended, gone or signed out. */
  endAgentSessions: EndAgentSessions;
  /** How often they are polled, in ms. */
  pollEveryMs?: number | undefined;
  telemetry: Telemetry;
  clock: Clock;
  log: Logger;
  publicUrl: string;
  /** How long received webhooks are kept. */
  days: number;
  /** How many may wait. */
  maxOpen?: number | undefined;
}

export function createWebhooks(parts: Parts): Webhooks {
  const { store, access, clock, log } = parts;
  const settings = createReceiverSettings(parts);
  const refusals = createRefusals(parts);
  const integrationChanged = () => {
    settings.invalidate();
    receiver.invalidate();
    signals.integrationChanged();
  };
  const admin = createWebhookAdmin({ ...parts, settings, changed: integrationChanged });
  const deauthorizer = createDeauthorizer(parts);
  const holds = createAccountHolds(parts);
  const signals = createSignals({ ...parts, holds, verifier: parts.eventVerifier, onReceived: () => processor.wake() });
  const processor = createProcessor({
    store,
    processWebhook: createWebhookProcessing({ ...parts, deauthorizer, holds }),
    processSignal: signals.process,
    days: parts.days,
    clock,
    log,
  });
  const receiver = createWebhookReceiver({
    ...parts,
    settings,
    admin,
    admission: createAdmission(clock),
    refusals,
    onReceived: processor.wake,
  });
  return {
    receiver,
    admin,
    receiving: createReceivingAdmin({ ...parts, webhooks: admin, signals: signals.admin }),
    inbox: createInbox({ ...parts, access, wake: processor.wake }),
    signals,
    integrationChanged,
    start() {
      processor.start();
      signals.start();
    },
    async stop() {
      await signals.stop();
      await processor.stop();
      await refusals.drain();
    },
  };
}
