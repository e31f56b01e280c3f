// The only place where the parts meet: from a configuration to a running broker.

import { readFileSync } from 'node:fs';
import { signAssertion, signProof } from '../adapters/jwt/sign.ts';
import { createJwtVerifier } from '../adapters/jwt/verify.ts';
import { createProviderClient } from '../adapters/oauth/provider-client.ts';
import { checkUrl, createOutbound } from '../adapters/outbound/outbound.ts';
import { instrumentStore } from '../adapters/telemetry/instrumented-store.ts';
import { createMetrics } from '../adapters/telemetry/metrics.ts';
import { createApply } from '../broker/apply/index.ts';
import { createAudit } from '../broker/audit/index.ts';
import { createCallerCache, createTokenCache, startInvalidation } from '../broker/cache/index.ts';
import { createCallers, createWorkloadIdentity } from '../broker/callers/index.ts';
import {
  createConnectFlow,
  createConnections,
  createRevoker,
  createSessions,
  startHousekeeping,
} from '../broker/connections/index.ts';
import { createIntegrations, createTargets, createTrustedIssuers } from '../broker/integrations/index.ts';
import { createJwt } from '../broker/jwt/index.ts';
import { metricsState } from '../broker/maintenance/index.ts';
import type { RefreshPoint } from '../broker/refresh/index.ts';
import { createRefreshEngine } from '../broker/refresh/index.ts';
import { createTokens } from '../broker/tokens/index.ts';
import { Refusal } from '../domain/errors.ts';
import { SHUTDOWN_GRACE_MS } from '../domain/time-limits.ts';
import { type Listener, listen } from '../http/listener.ts';
import { createLimits } from '../http/middleware/rate-limits.ts';
import { declaredOf } from '../http/routes/apply.ts';
import { createHttp } from '../http/server.ts';
import { packaged } from '../package-files.ts';
import type { Clock, Logger, Store } from '../ports/index.ts';
import { isPostgres, openRescueFile, openStore } from '../stores/open.ts';
import type { RescueFile } from '../stores/sqlite/rescue-file.ts';
import type { Config } from './config.ts';
import { inWords } from './declarative-file.ts';
import { type KeyRing, openKeyRing, proveKeys, SetupError } from './keys.ts';

export interface Running {
  url: string;
  publicUrl: string;
  /** Stops listening, finishes what has been spent, flushes, closes. */
  stop(): Promise<void>;
}

/** What tells the time of day, and what the broker does of itself, how soon; a test sets them. */
export interface Tuning {
  clock?: Clock;
  outboxEveryMs?: number;
  /** False: nothing is refreshed ahead of its expiry. */
  refreshAhead?: boolean;
  /** Told how far each refresh has come. */
  reached?: (point: RefreshPoint) => void;
}

/** Of this broker. */
const { version: VERSION }: { version: string } = JSON.parse(readFileSync(packaged('package.json'), 'utf8'));

const systemClock: Clock = { now: () => Date.now(), monotonic: () => performance.now() };

/** Rejects with `SetupError`, `StoreError` or the error of the socket; then nothing is left open. */
export async function start(config: Config, log: Logger, tuning: Tuning = {}): Promise<Running> {
  const vault = openKeyRing(config, log);
  const store = await openStore(config, log);
  let rescue: RescueFile | undefined;
  let listener: Listener | undefined;
  try {
    rescue = openRescueFile(config);
    await proveKeys(store, vault);
    listener = await listen(config.host, config.port);
    return await assemble({ config, log, store, vault, listener, tuning, rescue });
  } catch (error) {
    await listener?.stop(0);
    await store.close();
    rescue?.close();
    throw error;
  }
}

interface Foundation {
  config: Config;
  log: Logger;
  store: Store;
  vault: KeyRing;
  listener: Listener;
  tuning: Tuning;
  rescue: RescueFile;
}

async function assemble({ log, config, vault, listener, tuning, rescue, ...unwatched }: Foundation): Promise<Running> {
  const { catalogue, outboundAllow: allow } = config;
  const { clock = systemClock } = tuning;
  const { url } = listener;
  const publicUrl = config.publicUrl ?? url;

  const redirectUri = (integration: string) => `${publicUrl}/oauth2/callback/${integration}`;

  const telemetry = createMetrics({ version: VERSION, encryptionKid: vault.sealingKid });
  const store = instrumentStore(unwatched.store, telemetry.storeError);
  const outbound = createOutbound({ allow });
  const jwts = createJwtVerifier({ fetch: outbound, clock });
  const provider = createProviderClient({
    outbound,
    clock,
    verifyIdTokenSignature: jwts.verifySignature,
    signAssertion,
  });
  const audit = createAudit({ store, clock, log, retentionDays: config.auditDays });
  const { access, buffer: auditBuffer } = audit;
  const tokenCache = createTokenCache();
  const targets = createTargets({ store, vault, catalogue });
  const configured = config.declared.trusted_issuers.map(({ jwks_uri, ...issuer }) => ({
    ...issuer,
    jwksUri: jwks_uri,
  }));
  const trustedIssuers = createTrustedIssuers({ store, targets, configured });
  const callerCache = createCallerCache({ store, adminKey: config.adminKey, rateLimit: config.rateLimit });
  const callers = createCallers({ store, callerCache, trustedIssuers, access, clock });
  const engine = createRefreshEngine({
    store,
    vault,
    provider,
    targets,
    tokenCache,
    rescue,
    access,
    telemetry,
    clock,
    log,
    redirectUri,
    limits: config.refreshLimits,
    reached: tuning.reached,
    ahead: tuning.refreshAhead,
    mayLoseCommits: isPostgres(config.databaseUrl),
  });
  const { refresher } = engine;
  const integrationChanged = (id?: string) => {
    trustedIssuers.invalidate();
    callerCache.invalidateWorkloads();
    if (id !== undefined) engine.resetCircuit(id);
  };
  const integrations = createIntegrations({
    store,
    vault,
    catalogue,
    access,
    clock,
    changed: integrationChanged,
    checkUrl: (target) => checkUrl(target, allow),
  });
  const revoker = createRevoker({ store, vault, provider, targets, tokenCache, access, telemetry, clock, log });

  const apply = createApply({
    store,
    integrations,
    callerCache,
    trustedIssuers,
    access,
    clock,
    running: config.declared,
  });
  const applied = await apply.atStart(declaredOf(config.declared));
  if (applied instanceof Refusal) throw new SetupError(faultsOf(applied, config.declared));

  let stopping = false;
  const sessions = createSessions({
    store,
    targets,
    access,
    clock,
    publicUrl,
    returnOrigins: config.declared.return_origins,
  });
  const tokens = createTokens({
    store,
    vault,
    tokenCache,
    refresher,
    verifier: jwts,
    trustedIssuers,
    audiences: new Map(config.declared.trusted_issuers.map(({ issuer, audiences }) => [issuer, audiences])),
    sessions,
    signProof,
    access,
    telemetry,
    clock,
    publicUrl,
  });
  const http = createHttp({
    tokens,
    jwt: createJwt({ verifier: jwts, trustedIssuers, access, clock }),
    connections: createConnections({ store, vault, targets, tokenCache, access, clock }),
    revoker,
    sessions,
    connectFlow: createConnectFlow({
      store,
      vault,
      provider,
      targets,
      tokenCache,
      access,
      telemetry,
      clock,
      log,
      publicUrl,
    }),
    integrations,
    callers,
    apply,
    auditLog: audit.log,
    catalogue,
    callerCache,
    workloads: createWorkloadIdentity({ verifier: jwts, trustedIssuers, callerCache, clock }),
    limits: createLimits(),
    auditBuffer,
    store,
    state: () => metricsState({ store, engine, auditBuffer, invalidation, clock }),
    proveKeys: () => void vault.decrypt(vault.encrypt('ready', PROBE), PROBE),
    telemetry,
    clock,
    log,
    publicUrl,
    isStopping: () => stopping,
    refreshing: refresher.inFlight,
  });
  const invalidation = await startInvalidation({
    store,
    tokenCache,
    callerCache,
    integrationChanged,
    reread: tokens.reader.readRow,
    lookBack: engine.recommitLost,
    log,
  });
  const { delivery, everyMs } = invalidation;
  if (delivery === 'polled' && isPostgres(config.databaseUrl))
    log.warn({ every_ms: everyMs }, 'the database tells no news (LISTEN): it is asked for them');
  await engine.start();
  listener.handle(http);
  const housekeeping = startHousekeeping({ store, revoker, clock, log, lookEveryMs: tuning.outboxEveryMs });
  audit.start();

  return {
    url,
    publicUrl,
    async stop() {
      stopping = true;
      await listener.stop(SHUTDOWN_GRACE_MS);
      await housekeeping.stop();
      await audit.stop();
      await invalidation.stop();
      await engine.stop();
      await revoker.drain();
      await auditBuffer.flush();
      await outbound.close();
      await store.close();
      rescue.close();
    },
  };
}

/** Why the declarative file was not applied, in words. */
const faultsOf = ({ fault }: Refusal, declared: Config['declared']): string[] =>
  fault.code === 'invalid_request' && fault.issues
    ? fault.issues.map(({ path, message }) => `VALETKEY_CONFIG: ${inWords(path, declared)}: ${message}`)
    : [`VALETKEY_CONFIG: ${fault.code}`];

const PROBE = { row: 'readiness', column: 'probe' };
