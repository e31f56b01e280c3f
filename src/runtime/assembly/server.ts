// HTTP over the rooms of a broker.
import { hourlyHistoryReader } from '../../broker/counts/index.ts';
import {
  createMetricsState,
  gatherExplanations,
  keyUsageCounter,
  limitsReader,
  statusReader,
  systemReader,
} from '../../broker/maintenance/index.ts';
import { createAddressOf } from '../../http/client-address.ts';
import { createFailureLimits } from '../../http/middleware/failure-limits.ts';
import { createLimits } from '../../http/middleware/rate-limits.ts';
import { createHttp, type Http } from '../../http/server.ts';
import type { Foundation } from '../foundation.ts';
import { expectWork } from '../v8-flags.ts';
import { type Common, VERSION } from './parts.ts';
import type { Rooms } from './rooms.ts';

const PROBE = { row: 'readiness', column: 'probe' };

export function createServer(parts: Omit<Common, 'vault'> & Pick<Foundation, 'vault'> & Rooms): Http {
  const { config, store, vault, telemetry, clock, log, publicUrl, isStopping, siblings } = parts;
  const { audit, cache, integrations, callers, connections, refresh, tokens, jwt, webhooks, events, apply, proxy } =
    parts;
  const state = createMetricsState({
    ...{ store, vault, cache, clock },
    engine: refresh,
    refreshesPerSecond: config.refreshLimits.perSecond,
    auditBuffer: audit.buffer,
    upstream: proxy.upstreamState,
  });
  const explanations = gatherExplanations({
    ...{ store, targets: integrations.targets, catalogue: config.catalogue, engine: refresh, upstream: proxy, clock },
  });
  const failures = createFailureLimits(clock, siblings?.failures.tell);
  siblings?.failures.onTold(failures.note);
  return createHttp({
    tokens,
    jwt,
    connections: connections.connections,
    sessions: connections.sessions,
    agentSessions: parts.agents.sessions,
    sessionIntrospection: parts.agents.introspection,
    signer: parts.signing.signer,
    connectFlow: connections.flow,
    clientDocuments: parts.resources.documents,
    portal: parts.portal,
    revoker: connections.revocation,
    integrations: integrations.admin,
    themes: integrations.themes,
    requestedScopes: integrations.requestedScopes,
    receiving: webhooks.receiving,
    signals: webhooks.signals.admin,
    signalReceiving: webhooks.signals.receiving,
    callers: callers.admin,
    workloads: callers.workloadIdentity,
    webhooks: webhooks.admin,
    webhookReceiver: webhooks.receiver,
    inbox: webhooks.inbox,
    apply,
    webhookEndpoints: events.endpoints,
    deliveries: events.deliveries,
    webhookKeys: events.keys,
    signing: parts.signing,
    signingAlgorithm: config.signing.algorithm,
    eventFeed: events.feed,
    proxy,
    connectionCheck: proxy.check,
    captures: proxy.captures,
    console: parts.console,
    jobs: parts.jobs.admin,
    auditLog: audit.log,
    auditBuffer: audit.buffer,
    strangers: audit.strangers,
    callerCache: cache.callers,
    explanations,
    catalogue: config.catalogue,
    limits: createLimits(siblings?.counts),
    failures,
    addressOf: createAddressOf(config.trustedProxies),
    onFirstUse: expectWork,
    store,
    vault,
    renderMetrics: siblings
      ? siblings.metricsOfAll(async () => telemetry.collect(await state()))
      : async () => telemetry.render(await state()),
    readLimits: limitsReader({
      engine: refresh,
      apis: proxy.limitsState,
      deliveries: events.circuits,
      access: audit.access,
    }),
    readSystem: systemReader({
      ...{ store, vault, state, clock },
      keyUsage: keyUsageCounter({ store, clock, log }),
      access: audit.access,
      version: VERSION,
      database: config.databaseUrl.startsWith('postgres') ? 'PostgreSQL' : 'SQLite',
    }),
    readStatus: statusReader({ store, state, explanations, access: audit.access }),
    readHourlyHistory: hourlyHistoryReader({ store, access: audit.access }),
    version: VERSION,
    proveKeys: () => void vault.decrypt(vault.encrypt('ready', PROBE), PROBE),
    telemetry,
    clock,
    log,
    publicUrl,
    callersUrl: parts.listeners.internalUrl ?? publicUrl,
    hasInternalPort: parts.listeners.internalUrl !== undefined,
    appName: config.appName,
    isStopping,
    refreshing: refresh.refresher.inFlight,
  });
}
