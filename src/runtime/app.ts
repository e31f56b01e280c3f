// The only place where the parts meet: from a configuration to a running broker.

import { readFileSync } from 'node:fs';
import { createJwtVerifier } from '../adapters/jwt/verify.ts';
import { signAssertion, signProof } from '../adapters/jwt/sign.ts';
import { createProviderClient } from '../adapters/oauth/provider-client.ts';
import { checkUrl, createOutbound } from '../adapters/outbound/outbound.ts';
import type { RescueFile } from '../stores/sqlite/rescue-file.ts';
import { createTelemetry } from '../adapters/telemetry/telemetry.ts';
import { watchStore } from '../adapters/telemetry/instrumented-store.ts';
import { createAccess } from '../broker/audit/access.ts';
import { createCallers } from '../broker/callers/callers.ts';
import { createConnecting } from '../broker/connections/connect-flow.ts';
import { createConnections } from '../broker/connections/connections.ts';
import { createDeclare } from '../broker/apply/apply.ts';
import { createDirectory } from '../broker/cache/caller-cache.ts';
import { createEngine } from '../broker/refresh/index.ts';
import { createExchange } from '../broker/tokens/token-exchange.ts';
import { startFollowing } from '../broker/cache/invalidation.ts';
import { createIntegrations } from '../broker/integrations/integrations.ts';
import { createJournal } from '../broker/audit/audit-buffer.ts';
import { startOutbox } from '../broker/connections/housekeeping.ts';
import { createProofs } from '../broker/tokens/dpop-proofs.ts';
import { startPruning } from '../broker/audit/audit-retention.ts';
import type { RefreshPoint } from '../broker/refresh/refresher.ts';
import { createRevoker } from '../broker/connections/revocation.ts';
import { createServing } from '../broker/cache/token-cache.ts';
import { createSessions } from '../broker/connections/connect-sessions.ts';
import { stateOf } from '../broker/maintenance/metrics-state.ts';
import { createTargets } from '../broker/integrations/targets.ts';
import { createTokens } from '../broker/tokens/token-reader.ts';
import { createTrail } from '../broker/audit/audit-log.ts';
import { createTrust } from '../broker/integrations/trusted-issuers.ts';
import { createVerify } from '../broker/jwt/jwt-verification.ts';
import { createVerifyBatch } from '../broker/jwt/batch-verification.ts';
import { createWorkloads } from '../broker/callers/workload-identity.ts';
import type { Config } from './config.ts';
import { inWords } from './declarative-file.ts';
import { Refusal } from '../domain/errors.ts';
import { packaged } from '../package-files.ts';
import { createLimits } from '../http/middleware/rate-limits.ts';
import { type Listener, listen } from '../http/listener.ts';
import { quickPaths } from '../http/fast-path/index.ts';
import { declaredOf } from '../http/routes/apply.ts';
import { createHttp } from '../http/server.ts';
import { type KeyRing, openKeyRing, proveKeys, SetupError } from './keys.ts';
import type { Clock, Logger, Store } from '../ports/index.ts';
import { isPostgres, openRescueFile, openStore } from '../stores/open.ts';

export interface Running {
  url: string;
  publicUrl: string;
  /** Stops listening, finishes what has been spent, flushes, closes. */
  stop(): Promise<void>;
}

/** How long open requests may go on after a stop was asked for. */
const GRACE_MS = 10_000;

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

  const telemetry = createTelemetry({ version: VERSION, sealingKid: vault.sealingKid });
  const store = watchStore(unwatched.store, telemetry.storeError);
  const outbound = createOutbound({ allow });
  const jwts = createJwtVerifier({ fetch: outbound, clock });
  const provider = createProviderClient({
    outbound,
    clock,
    verifyIdTokenSignature: jwts.verifySignature,
    signAssertion,
  });
  const journal = createJournal({ store, log });
  const access = createAccess({ journal, clock });
  const serving = createServing();
  const targets = createTargets({ store, vault, catalogue });
  const configured = config.declared.trusted_issuers.map(({ jwks_uri, ...issuer }) => ({
    ...issuer,
    jwksUri: jwks_uri,
  }));
  const trust = createTrust({ store, targets, configured });
  const directory = createDirectory({ store, adminKey: config.adminKey, rateLimit: config.rateLimit });
  const callers = createCallers({ store, directory, trust, access, clock });
  const engine = createEngine({
    store,
    vault,
    provider,
    targets,
    serving,
    rescue,
    access,
    telemetry,
    clock,
    log,
    redirectUri,
    limits: config.refreshLimits,
    reached: tuning.reached,
    ahead: tuning.refreshAhead,
    mayGoBack: isPostgres(config.databaseUrl),
  });
  const { refresher } = engine;
  const integrationChanged = (id?: string) => {
    trust.changed();
    directory.forget();
    if (id !== undefined) engine.forget(id);
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
  const revoker = createRevoker({ store, vault, provider, targets, serving, access, telemetry, clock, log });

  const declare = createDeclare({
    store,
    integrations,
    directory,
    trust,
    access,
    clock,
    running: config.declared,
  });
  const applied = await declare.atStart(declaredOf(config.declared));
  if (applied instanceof Refusal) throw new SetupError(faultsOf(applied, config.declared));

  let stopping = false;
  const tokens = createTokens({ store, vault, serving, refresher, access, telemetry, clock });
  const verify = createVerify({ verifier: jwts, trust, access, clock });
  const sessions = createSessions({
    store,
    targets,
    access,
    clock,
    publicUrl,
    returnOrigins: config.declared.return_origins,
  });
  const app = createHttp({
    tokens,
    proofs: createProofs({ store, vault, tokens, signProof, clock }),
    connections: createConnections({ store, vault, targets, serving, access, clock }),
    revoker,
    sessions,
    connecting: createConnecting({
      store,
      vault,
      provider,
      targets,
      serving,
      access,
      telemetry,
      clock,
      log,
      publicUrl,
    }),
    integrations,
    callers,
    declare,
    verify,
    exchange: createExchange({
      verifier: jwts,
      trust,
      audiences: new Map(config.declared.trusted_issuers.map(({ issuer, audiences }) => [issuer, audiences])),
      tokens,
      sessions,
      store,
      access,
      clock,
      publicUrl,
    }),
    verifyBatch: createVerifyBatch({ verify, verifier: jwts, access }),
    trail: createTrail({ store, journal, access }),
    catalogue,
    directory,
    workloads: createWorkloads({ verifier: jwts, trust, directory, clock }),
    limits: createLimits(),
    journal,
    store,
    state: () => stateOf({ store, engine, journal, following, clock }),
    proveKeys: () => void vault.open(vault.seal('ready', PROBE), PROBE),
    telemetry,
    clock,
    log,
    publicUrl,
    isStopping: () => stopping,
  });
  const following = await startFollowing({
    store,
    serving,
    directory,
    integrationChanged,
    reread: tokens.reread,
    lookBack: engine.lookBack,
    log,
  });
  const { how, everyMs } = following;
  if (how === 'polled' && isPostgres(config.databaseUrl))
    log.warn({ every_ms: everyMs }, 'the database tells no news (LISTEN): it is asked for them');
  await engine.start();
  const quick = { tokens, verify, directory, journal, telemetry, clock, refreshing: refresher.inFlight };
  listener.handle(quickPaths(quick), app.fetch);
  const outbox = startOutbox({ store, revoker, clock, log, lookEveryMs: tuning.outboxEveryMs });
  const pruning = startPruning({ store, days: config.auditDays, clock, log });

  return {
    url,
    publicUrl,
    async stop() {
      stopping = true;
      await listener.stop(GRACE_MS);
      await outbox.stop();
      await pruning.stop();
      await following.stop();
      await engine.stop();
      await revoker.drain();
      await journal.flush();
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
