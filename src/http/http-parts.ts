// What the HTTP server is made of, and the handlers that it makes of it.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AgentSessions, SessionIntrospection } from '../broker/agents/index.ts';
import type { Apply } from '../broker/apply/index.ts';
import type { AuditBuffer, AuditLog } from '../broker/audit/index.ts';
import type { CallerAdmin } from '../broker/callers/index.ts';
import type { ConnectFlow, ConnectionResource, ConnectSessions, Revoker } from '../broker/connections/index.ts';
import type { Console } from '../broker/console/index.ts';
import type { ReadHourlyHistory } from '../broker/counts/index.ts';
import type { Deliveries, EventFeed, WebhookEndpoints, WebhookKeys } from '../broker/events/index.ts';
import type { IntegrationAdmin, RequestedScopes, Themes } from '../broker/integrations/index.ts';
import type { JobAdmin } from '../broker/jobs/index.ts';
import type { Jwt } from '../broker/jwt/index.ts';
import type { Explanations, ReadLimits, ReadStatus, ReadSystem } from '../broker/maintenance/index.ts';
import type { Portal } from '../broker/portal/index.ts';
import type { ApiDescriptions, CallCaptures, ConnectionCheck, ProxyCalls } from '../broker/proxy/index.ts';
import type { ClientDocuments } from '../broker/resources/index.ts';
import type { Signing } from '../broker/signing/index.ts';
import type { Tokens } from '../broker/tokens/index.ts';
import type {
  Inbox,
  ReceivingAdmin,
  SignalAdmin,
  SignalReceiving,
  WebhookAdmin,
  WebhookReceiver,
} from '../broker/webhooks/index.ts';
import type { Provider } from '../domain/provider.ts';
import type { SigningAlgorithm } from '../domain/signing-key.ts';
import type { Clock, Logger, Store, Telemetry, Vault } from '../ports/index.ts';
import type { AddressOf } from './client-address.ts';
import type { AuthenticationParts } from './middleware/authentication.ts';

export interface HttpParts extends AuthenticationParts {
  tokens: Tokens;
  jwt: Jwt;
  connections: ConnectionResource;
  revoker: Revoker;
  sessions: ConnectSessions;
  agentSessions: AgentSessions;
  sessionIntrospection: SessionIntrospection;
  connectFlow: ConnectFlow;
  clientDocuments: ClientDocuments;
  portal: Portal;
  integrations: IntegrationAdmin;
  themes: Themes;
  requestedScopes: RequestedScopes;
  signals: SignalAdmin;
  signalReceiving: SignalReceiving;
  callers: CallerAdmin;
  webhooks: WebhookAdmin;
  receiving: ReceivingAdmin;
  webhookReceiver: WebhookReceiver;
  inbox: Inbox;
  apply: Apply;
  webhookEndpoints: WebhookEndpoints;
  deliveries: Deliveries;
  jobs: JobAdmin;
  webhookKeys: WebhookKeys;
  signing: Pick<Signing, 'signer' | 'admin' | 'published'>;
  /** Of the JWTs that are signed, as they are announced. */
  signingAlgorithm: SigningAlgorithm;
  eventFeed: EventFeed;
  connectionCheck: ConnectionCheck;
  captures: CallCaptures;
  proxy: ProxyCalls & ApiDescriptions;
  console: Console;
  auditLog: AuditLog;
  catalogue: ReadonlyMap<string, Provider>;
  auditBuffer: AuditBuffer;
  store: Pick<Store, 'ping'>;
  vault: Pick<Vault, 'encrypt' | 'decrypt'>;
  renderMetrics: () => Promise<string>;
  readStatus: ReadStatus;
  explanations: Explanations;
  readHourlyHistory: ReadHourlyHistory;
  readLimits: ReadLimits;
  readSystem: ReadSystem;
  version: string;
  proveKeys: () => void;
  telemetry: Telemetry;
  clock: Clock;
  log: Logger;
  publicUrl: string;
  /** Where callers reach the broker. */
  callersUrl: string;
  /** Callers have a port of their own, and the public one serves only what is published. */
  hasInternalPort: boolean;
  /** Who asks owners to connect, on pages. */
  appName: string;
  isStopping: () => boolean;
  addressOf: AddressOf;
  /** Refreshes in flight. */
  refreshing: () => number;
  /** Called with the first request that is no probe. */
  onFirstUse: () => void;
}

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** By port: one that serves everything, and one that serves only what is published. */
export type Framework = Record<'everything' | 'published', RequestHandler>;
