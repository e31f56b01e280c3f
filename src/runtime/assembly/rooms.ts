// The rooms of a broker, put together.
import { signJwt, signProof } from '../../adapters/jwt/sign.ts';
import { signAwsRequest } from '../../adapters/outbound/aws-signature.ts';
import { checkUrl } from '../../adapters/outbound/outbound.ts';
import { type Agents, createAgents } from '../../broker/agents/index.ts';
import { type Apply, createApply } from '../../broker/apply/index.ts';
import { type Audit, createAudit } from '../../broker/audit/index.ts';
import { type Cache, createCache } from '../../broker/cache/index.ts';
import { type Callers, createCallers, mayNotDelegate } from '../../broker/callers/index.ts';
import { type Connections, createConnections } from '../../broker/connections/index.ts';
import { type Console, createConsole } from '../../broker/console/index.ts';
import { createEvents, type Events } from '../../broker/events/index.ts';
import { closeOutdated, createIntegrations, type Integrations } from '../../broker/integrations/index.ts';
import { createJobs, type Jobs, type KeyRotator } from '../../broker/jobs/index.ts';
import { createJwt, type Jwt } from '../../broker/jwt/index.ts';
import { createPortal, type Portal } from '../../broker/portal/index.ts';
import { type ApiProxy, createProxy } from '../../broker/proxy/index.ts';
import { circuitBreakers, createRefreshEngine, type RefreshEngine } from '../../broker/refresh/index.ts';
import { createResources, type Resources } from '../../broker/resources/index.ts';
import { createSigning, type Signing } from '../../broker/signing/index.ts';
import { createTokens, type Tokens } from '../../broker/tokens/index.ts';
import { createWebhooks, type Webhooks } from '../../broker/webhooks/index.ts';
import { permissionsOfRules } from '../../domain/console.ts';
import type { Config } from '../config.ts';
import type { Adapters } from './adapters.ts';
import type { Common } from './parts.ts';

/** The rooms of the broker. */
export interface Rooms {
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

/** Each room after those that it uses. */
export function createRooms(parts: Common & Adapters & { rotator: KeyRotator }): Rooms {
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
  const cache = createCache({ store, adminKey, rateLimit, size: config.tokenCache, clock, log });
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
    mayNotSignIn: (call, id) =>
      id === declared.console?.integration
        ? mayNotDelegate(access, call, permissionsOfRules(declared.console.roles))
        : undefined,
    checkUrl: (target) => checkUrl(target, outboundAllow),
    onChange: (id) => {
      webhooks.integrationChanged();
      proxy.integrationChanged(id);
      if (id === undefined) return;
      refresh.integrationChanged(id);
      void closeOutdated(revocationCircuits, targets, id);
    },
  });
  const { targets, trustedIssuers } = integrations;
  const callers = createCallers({ store, callerCache, untilApplied, trustedIssuers, verifier, access, clock });
  const resources = createResources({
    ...{ store, vault, discovery, targets, tokenCache, untilApplied, access, clock, log, publicUrl },
    clientAssertions: signing.clientAssertions,
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
    tombstoneDays: config.tombstoneDays,
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
    recordedRefreshes: config.auditRefreshes,
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
    storeWaitMs: tuning.limitsWaitMs,
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
