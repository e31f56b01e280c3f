// Puts a broker together: adapters, then the rooms of the broker, then HTTP. Nothing is started and nothing is read here.
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { signAssertion, signJwt, signProof } from '../adapters/jwt/sign.ts';
import { createJwtVerifier } from '../adapters/jwt/verify.ts';
import { createProviderClient } from '../adapters/oauth/provider-client.ts';
import { createResourceDiscovery } from '../adapters/oauth/resource-discovery.ts';
import { signAwsRequest } from '../adapters/outbound/aws-signature.ts';
import { checkUrl, createOutbound, type Outbound } from '../adapters/outbound/outbound.ts';
import { createUpstreamClient } from '../adapters/outbound/upstream-client.ts';
import { createWebhookSender } from '../adapters/outbound/webhook-sender.ts';
import { instrumentStore } from '../adapters/telemetry/instrumented-store.ts';
import { createMetrics } from '../adapters/telemetry/metrics.ts';
import { createWebhookVerifier } from '../adapters/webhooks/webhook-verifier.ts';
import { type Agents, createAgents } from '../broker/agents/index.ts';
import { type Apply, createApply } from '../broker/apply/index.ts';
import { type Audit, createAudit, refusedRows } from '../broker/audit/index.ts';
import { type Cache, createCache } from '../broker/cache/index.ts';
import { type Callers, createCallers } from '../broker/callers/index.ts';
import { type Connections, createConnections } from '../broker/connections/index.ts';
import { type Console, createConsole } from '../broker/console/index.ts';
import {
  countingTelemetry,
  createHourlyCounter,
  type HourlyCounter,
  hourlyHistoryReader,
} from '../broker/counts/index.ts';
import { createEvents, type Events } from '../broker/events/index.ts';
import { createIntegrations, type Integrations } from '../broker/integrations/index.ts';
import { createJobs, type Jobs, type KeyRotator } from '../broker/jobs/index.ts';
import { createJwt, type Jwt } from '../broker/jwt/index.ts';
import {
  createKeyUsage,
  createMetricsState,
  gatherExplanations,
  limitsReader,
  rotateKeys,
  secretsToReencrypt,
  statusReader,
  systemReader,
} from '../broker/maintenance/index.ts';
import { createPortal, type Portal } from '../broker/portal/index.ts';
import { type ApiProxy, createProxy } from '../broker/proxy/index.ts';
import {
  circuitBreakers,
  createRefreshEngine,
  type RefreshEngine,
  type RefreshPoint,
} from '../broker/refresh/index.ts';
import { createResources, type Resources } from '../broker/resources/index.ts';
import { authenticateStore, reportRefusals } from '../broker/secrets/index.ts';
import { createSigning, type Signing } from '../broker/signing/index.ts';
import { createTokens, type Tokens } from '../broker/tokens/index.ts';
import { createWebhooks, type Webhooks } from '../broker/webhooks/index.ts';
import { createAddressOf } from '../http/client-address.ts';
import { createFailureLimits } from '../http/middleware/failure-limits.ts';
import { createLimits } from '../http/middleware/rate-limits.ts';
import { createHttp, type Http } from '../http/server.ts';
import { packageFile } from '../package-files.ts';
import type { Clock, Logger, Store, Telemetry, UpstreamClient, Vault } from '../ports/index.ts';
import type { Config } from './config.ts';
import type { Foundation } from './foundation.ts';
import { systemClock } from './system-clock.ts';

/** What tests set: the clock, and how soon and how far background work goes. */
export interface Tuning {
  clock?: Clock;
  /** How often due revocations are delivered, in ms. */
  outboxEveryMs?: number;
  /** How often due deliveries of events are looked for besides, in ms. */
  deliverEveryMs?: number;
  /** How often new audit entries are sealed, in ms. */
  sealEveryMs?: number;
  /** How often grants that end and old events are looked for, and those who wait for events look for those of others, in ms. */
  eventsEveryMs?: number;
  /** How often transmitters without push are polled, in ms. */
  signalPollEveryMs?: number;
  /** How often what other replicas know of the limits of APIs is read, in ms. */
  limitsEveryMs?: number;
  /** False: nothing is refreshed ahead of its expiry. */
  refreshAhead?: boolean;
  /** When a refresh without a response is slow, when it is lost, and how long a shutdown waits for it, in ms. */
  refreshWait?: { slowMs: number; deadlineMs: number; graceMs: number };
  /** How long an API that is called through the proxy may take, in ms. */
  upstreamTimeouts?: { connectMs: number; firstByteMs: number; idleMs: number };
  /** How often due jobs are looked for, in ms. */
  jobsEveryMs?: number;
  /** How often it is looked whether a key that signs JWTs is due, in ms. */
  signingKeysEveryMs?: number;
  /** Called at the points of each refresh. */
  reached?: (point: RefreshPoint) => void;
}

interface Assembly extends Foundation {
  config: Config;
  log: Logger;
  tuning: Tuning;
  /** Whether the process has been asked to stop: it is not ready any more. */
  isStopping: () => boolean;
}

/** The rooms of the broker. */
interface Rooms {
  audit: Audit;
  cache: Cache;
  signing: Signing;
  integrations: Integrations;
  callers: Callers;
  resources: Resources;
  agents: Agents;
  connections: Connections;
  refresh: RefreshEngine;
  tokens: Tokens;
  jwt: Jwt;
  webhooks: Webhooks;
  apply: Apply;
  events: Events;
  proxy: ApiProxy;
  console: Console;
  portal: Portal;
  jobs: Jobs;
}

/** A broker that is put together and not started. */
export interface Broker extends Rooms {
  /** Counts its errors in the metrics. */
  store: Store;
  http: Http;
  outbound: Outbound;
  upstream: UpstreamClient;
  counter: HourlyCounter;
  publicUrl: string;
}

/** The version of this broker. */
const { version: VERSION }: { version: string } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8'));

const PROBE = { row: 'readiness', column: 'probe' };

export function assemble(assembly: Assembly): Broker {
  const { config, vault, listeners, tuning } = assembly;
  const clock = tuning.clock ?? systemClock;
  const publicUrl = config.publicUrl ?? listeners.url;
  const telemetry = createMetrics({ version: VERSION, encryptionKid: vault.encryptionKid });
  const counted = instrumentStore(assembly.store, telemetry.storeError);
  const { access } = createAudit({ store: counted, vault, clock, log: assembly.log });
  const refused = refusedRows({ store: counted, access, telemetry, log: assembly.log });
  const store = authenticateStore(counted, { vault, refused });
  const counter = createHourlyCounter({ store, clock, log: assembly.log });
  const common = {
    ...{ ...assembly, store, vault: reportRefusals(vault, refused), clock, publicUrl, counter },
    telemetry: countingTelemetry(telemetry, counter),
  };
  store.onEvents((types) => {
    for (const type of types) telemetry.event(type);
  });
  const adapters = createAdapters(common);
  // As for `valetkey keys rotate`: the rows as they are stored.
  const rotation = { store: counted, ring: vault, rescue: assembly.rescue, access, log: assembly.log, pause };
  const rotator: KeyRotator = {
    key: vault.encryptionKid,
    left: () => secretsToReencrypt(counted, vault.encryptionKid),
    rotate: (onBatch) => rotateKeys({ ...rotation, onBatch }),
  };
  const rooms = createRooms({ ...common, ...adapters, rotator });
  const { outbound, upstream } = adapters;
  // A cursor that does not decrypt is a caller's, and no row.
  const http = createServer({ ...common, vault, ...rooms });
  return { ...rooms, store, http, outbound, upstream, counter, publicUrl };
}

const listedIssuerOf = ({
  jwks_uri,
  max_age,
  exchange,
  owner,
  ...same
}: Config['declared']['trusted_issuers'][number]) => ({
  ...same,
  jwksUri: jwks_uri,
  maxAge: max_age,
  owner: exchange ? { claim: owner?.claim ?? 'sub', prefix: owner?.prefix ?? '' } : undefined,
});

interface Common extends Omit<Assembly, 'vault'> {
  vault: Vault;
  clock: Clock;
  telemetry: Telemetry;
  counter: HourlyCounter;
  publicUrl: string;
}

function createAdapters({ config, clock, tuning, log }: Common) {
  const { https, http, resolves } = config.egress;
  // The origin: without credentials.
  if (https ?? http) log.info({ https: https?.origin, http: http?.origin, resolves }, 'egress proxy: in use');
  const outbound = createOutbound({ allow: config.outboundAllow, proxies: config.egress });
  const upstream = createUpstreamClient({
    allow: config.outboundAllow,
    proxies: config.egress,
    timeouts: tuning.upstreamTimeouts,
  });
  const verifier = createJwtVerifier({
    fetch: outbound,
    clock,
    onFailure: (issuer, reason) => log.warn({ issuer, reason }, 'JWT: the keys of an issuer cannot be fetched'),
  });
  const verifyIdTokenSignature = verifier.verifySignature;
  const refreshDeadlineMs = tuning.refreshWait?.deadlineMs;
  const provider = createProviderClient({ outbound, clock, verifyIdTokenSignature, signAssertion, refreshDeadlineMs });
  const discovery = createResourceDiscovery(outbound, clock, (url) => checkUrl(url, config.outboundAllow));
  const webhookVerifier = createWebhookVerifier({ fetch: outbound, clock });
  const sender = createWebhookSender({ outbound, clock });
  return { outbound, upstream, verifier, provider, discovery, webhookVerifier, sender };
}

/** Each room after those that it uses. */
function createRooms(parts: Common & ReturnType<typeof createAdapters> & { rotator: KeyRotator }): Rooms {
  const { config, store, vault, rescue, discovery, verifier, webhookVerifier, outbound, upstream, sender } = parts;
  const { telemetry, clock, log, tuning, publicUrl } = parts;
  const { adminKey, rateLimit, catalogue, declared, outboundAllow } = config;

  const audit = createAudit({
    store,
    vault,
    clock,
    log,
    retentionDays: config.auditDays,
    sealEveryMs: tuning.sealEveryMs,
    onWritten: parts.counter.noteEntries,
  });
  const { access, strangers } = audit;
  const cache = createCache({ store, adminKey, rateLimit, clock, log });
  const { tokens: tokenCache, callers: callerCache, untilApplied } = cache;
  const signing = createSigning({
    ...{ store, vault, access, clock, log, verifier, signJwt, publicUrl, untilApplied },
    ...config.signing,
    everyMs: tuning.signingKeysEveryMs,
  });
  const integrations = createIntegrations({
    store,
    vault,
    catalogue,
    callerCache,
    untilApplied,
    access,
    clock,
    log,
    theme: declared.theme,
    listedIssuers: declared.trusted_issuers.map(listedIssuerOf),
    publicUrl,
    checkUrl: (target) => checkUrl(target, outboundAllow),
    onChange: (id) => {
      webhooks.integrationChanged();
      proxy.integrationChanged(id);
      if (id === undefined) return;
      refresh.integrationChanged(id);
      revocationCircuits.reset(id);
    },
  });
  const { targets, trustedIssuers } = integrations;
  const callers = createCallers({ store, callerCache, untilApplied, trustedIssuers, verifier, access, clock });
  const resources = createResources({
    ...{ store, vault, discovery, targets, tokenCache, untilApplied, access, clock, log, publicUrl },
    provider: parts.provider,
    appName: config.appName,
  });
  const provider = { ...parts.provider, refresh: resources.refresh };
  const agents = createAgents({
    ...{ store, callerCache, untilApplied, access, telemetry, clock, publicUrl },
    signer: signing.signer,
    callersChanged: () => proxy.callersChanged(),
  });
  const shared = { store, vault, provider, targets, tokenCache, access, telemetry, clock, log };
  const revocationCircuits = circuitBreakers({ clock, log, random: Math.random });
  const connections = createConnections({
    ...shared,
    ...resources,
    strangers,
    revocationCircuits,
    checkCredentials: (connection, credentials) => proxy.checkCredentials(connection, credentials),
    untilApplied,
    publicUrl,
    returnOrigins: declared.return_origins,
    deliverEveryMs: tuning.outboxEveryMs,
  });
  const portal = createPortal({
    ...shared,
    callerCache,
    connectSessions: connections.sessions,
    revoker: connections.revocation,
    publicUrl,
    returnOrigins: declared.return_origins,
  });
  const refresh = createRefreshEngine({
    ...shared,
    rescue,
    redirectUri: (integration) => `${publicUrl}/oauth2/callback/${integration}`,
    limits: config.refreshLimits,
    slowMs: tuning.refreshWait?.slowMs,
    graceMs: tuning.refreshWait?.graceMs,
    reached: tuning.reached,
    ahead: tuning.refreshAhead,
    mayLoseCommits: store.traits.mayLoseCommits,
  });
  const tokens = createTokens({
    ...shared,
    challenges: resources.challenges,
    refresher: refresh.refresher,
    verifier,
    trustedIssuers,
    sessions: connections.sessions,
    agentSessions: agents.sessions,
    signProof,
    publicUrl,
  });
  const webhooks = createWebhooks({
    ...shared,
    integrations: integrations.admin,
    untilApplied,
    catalogue,
    verifier: webhookVerifier,
    eventVerifier: verifier,
    post: (url, init) => outbound(url, { method: 'POST', ...init }),
    checkUrl: (url) => checkUrl(url, outboundAllow),
    endUserSessions: async ({ integration, ...user }) =>
      integration === declared.console?.integration ? console.sessions.endOf(user) : 0,
    endAgentSessions: agents.sessions.endByOwnerSignal,
    pollEveryMs: tuning.signalPollEveryMs,
    publicUrl,
    days: config.eventDays,
  });
  const jwt = createJwt({ verifier, trustedIssuers, access, clock });
  const apply = createApply({
    store,
    integrations,
    callerCache,
    receiving: webhooks.receiving,
    untilApplied,
    access,
    clock,
    running: declared,
  });
  const events = createEvents({
    ...{ store, vault, sender, access, telemetry, clock, log },
    callers: callerCache,
    circuits: circuitBreakers({ clock, log, random: Math.random }),
    random: Math.random,
    checkUrl: (target) => checkUrl(target, outboundAllow),
    everyMs: tuning.eventsEveryMs,
    days: config.eventDays,
  });
  const proxy = createProxy({
    ...shared,
    publicUrl,
    callerCache,
    untilApplied,
    reader: tokens.reader,
    upstream,
    signProof,
    signAws: signAwsRequest,
    circuits: (policy) => circuitBreakers({ clock, log, random: Math.random, policy }),
    everyMs: tuning.limitsEveryMs,
    random: Math.random,
  });
  const console = createConsole({
    ...shared,
    strangers: audit.strangers,
    callerCache,
    settings: declared.console,
    url: declared.console?.url ?? parts.listeners.internalUrl ?? publicUrl,
    publicUrl,
  });
  const jobs = createJobs({
    ...{ store, access, clock, log, rotator: parts.rotator },
    callers: callerCache,
    revoker: connections.revocation,
    endpoints: events.endpoints,
  });
  return {
    ...{ audit, cache, signing, integrations, callers, agents, resources, connections, refresh },
    ...{ tokens, jwt, webhooks, events, apply, proxy, portal, console, jobs },
  };
}

function createServer(parts: Omit<Common, 'vault'> & Pick<Foundation, 'vault'> & Rooms): Http {
  const { config, store, vault, telemetry, clock, log, publicUrl, isStopping } = parts;
  const { audit, cache, integrations, callers, connections, refresh, tokens, jwt, webhooks, events, apply, proxy } =
    parts;
  const state = createMetricsState({
    ...{ store, vault, cache, clock },
    engine: refresh,
    auditBuffer: audit.buffer,
    upstream: proxy.upstreamState,
  });
  const explanations = gatherExplanations({
    ...{ store, targets: integrations.targets, catalogue: config.catalogue, engine: refresh, upstream: proxy, clock },
  });
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
    limits: createLimits(),
    failures: createFailureLimits(clock),
    addressOf: createAddressOf(config.trustedProxies),
    store,
    vault,
    state,
    readLimits: limitsReader({
      engine: refresh,
      apis: proxy.limitsState,
      deliveries: events.circuits,
      access: audit.access,
    }),
    readSystem: systemReader({
      ...{ store, vault, state, clock },
      keyUsage: createKeyUsage({ store, clock, log }),
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
