// The proxy room: calls to APIs on behalf of callers.

import type { Connection } from '../../domain/connection.ts';
import type { CircuitView, LimitsMet, LimitView } from '../../domain/limits-state.ts';
import type { Clock, Logger, MetricsState, SignAwsRequest, Telemetry, UpstreamClient } from '../../ports/index.ts';
import type { CallerCache, TokenCache } from '../cache/index.ts';
import { closeOutdated, type Targets } from '../integrations/index.ts';
import type { TokenReader } from '../tokens/index.ts';
import { createAttempts } from './attempts.ts';
import { createUpstreamBreakers, type UpstreamBreakersParts } from './breaker/index.ts';
import { createCallObserver } from './call-observer.ts';
import {
  type CallCaptures,
  type CallCapturesParts,
  createCallCaptures,
  createRecorder,
  type RecorderParts,
} from './capture/index.ts';
import {
  type ConnectionCheck,
  type ConnectionCheckParts,
  type CredentialCheck,
  type CredentialCheckParts,
  createConnectionCheck,
  createCredentialCheck,
} from './check/index.ts';
import { type ApiDescriptions, createApiDescriptions } from './description/described-api.ts';
import { createCallGuard } from './guard/guarded-calls.ts';
import { blockedUntil, createUpstreamLimits, type UpstreamLimitsParts } from './limits/index.ts';
import { createCallPreparation } from './prepared-calls.ts';
import { createProxyCalls, type ProxyCalls } from './proxy.ts';
import { createRunningCalls, type RunningCalls, type RunningCallsParts } from './running-calls.ts';
import { createDpopSigner, type DpopSignerParts } from './sending/dpop.ts';
import { createRequestBuilder } from './sending/request.ts';

export type { CallCaptures, CapturedCall } from './capture/index.ts';
export type { CheckedConnection, ConnectionCheck } from './check/index.ts';
export type { ApiDescriptions, DescribedApi } from './description/described-api.ts';
export type { ProxiedRequest, ProxiedResponse, ProxyCalls } from './proxy.ts';
export type { CallerBody } from './sending/kept-body.ts';

export interface ApiProxy
  extends ProxyCalls,
    ApiDescriptions,
    Pick<RunningCalls, 'connectionsChanged' | 'callersChanged'> {
  /** To be called for each change. Undefined: any integration may have changed. */
  integrationChanged(id: string | undefined): void;
  /** Which connections have their calls captured may have changed. Rejects with `StoreError`. */
  capturesChanged(): Promise<void>;
  check: ConnectionCheck;
  /** For credentials that are not stored yet. */
  checkCredentials: CredentialCheck;
  captures: CallCaptures;
  /** For metrics. */
  upstreamState(): Pick<MetricsState, 'upstreamWaiting' | 'upstreamBreakers'>;
  /** Until when the API of a connection has asked not to be called, as replicas have told; null: it has not. */
  limitedUntil(connection: Pick<Connection, 'id' | 'integration'>): Promise<number | null>;
  /** For operators: the limits that matter most, how often limits were met, and what is not called. */
  limitsState(): { limits: LimitView[]; met: LimitsMet[]; circuits: CircuitView[] };
  /** The first thing at shutdown: calls that wait for a limit are refused. */
  stopWaiting(): void;
  /** Whether grants have ended is looked at no more. */
  stop(): Promise<void>;
}

/** That operators are shown. */
const MAX_LIMITS = 100;

type CheckParts = Omit<ConnectionCheckParts & CredentialCheckParts, 'builder' | 'preparation' | 'dpop' | 'guard'>;

interface Parts extends DpopSignerParts, RunningCallsParts, CheckParts, UpstreamBreakersParts {
  vault: DpopSignerParts['vault'] & CallCapturesParts['vault'] & RecorderParts['vault'];
  access: CheckParts['access'] & CallCapturesParts['access'];
  store: CallCapturesParts['store'] &
    RecorderParts['store'] &
    DpopSignerParts['store'] &
    RunningCallsParts['store'] &
    UpstreamLimitsParts['store'] &
    CheckParts['store'];
  upstream: Pick<UpstreamClient, 'send'>;
  reader: Pick<TokenReader, 'read' | 'refresh'>;
  tokenCache: Pick<TokenCache, 'ticket' | 'invalidate'>;
  callerCache: Pick<CallerCache, 'callerOf'>;
  targets: Targets;
  signAws: SignAwsRequest;
  /** How often what other replicas have blocked is read, in ms. */
  everyMs?: number | undefined;
  /** How long a call waits for the store's tokens before this process counts alone, in ms. */
  storeWaitMs?: number | undefined;
  telemetry: Pick<Telemetry, 'proxied' | 'upstreamLimited'> & CheckParts['telemetry'];
  clock: Clock;
  random: () => number;
  log: Logger;
}

export function createProxy(parts: Parts): ApiProxy {
  const preparation = createCallPreparation(parts);
  const running = createRunningCalls(parts);
  const dpop = createDpopSigner(parts);
  const builder = createRequestBuilder({ ...parts, dpop });
  const limits = createUpstreamLimits(parts);
  const breakers = createUpstreamBreakers(parts);
  const guard = createCallGuard({ ...parts, limits, breakers });
  const attempts = createAttempts({ ...parts, guard, preparation, builder, dpop });
  const observer = createCallObserver(parts);
  const recorder = createRecorder(parts);
  return {
    ...createProxyCalls({ ...parts, preparation, attempts, running, observer, recorder }),
    check: createConnectionCheck({ ...parts, preparation, builder, dpop, guard }),
    checkCredentials: createCredentialCheck({ ...parts, preparation, builder, dpop, guard }),
    captures: createCallCaptures({ ...parts, recorder }),
    ...createApiDescriptions(parts),
    connectionsChanged: running.connectionsChanged,
    callersChanged: running.callersChanged,
    capturesChanged: recorder.reload,
    integrationChanged(id) {
      preparation.integrationChanged(id);
      if (id !== undefined && breakers.concerns(id))
        void closeOutdated({ reset: breakers.integrationChanged }, parts.targets, id);
    },
    upstreamState: () => ({ upstreamWaiting: limits.waiting(), upstreamBreakers: breakers.states() }),
    limitedUntil: async ({ id, integration }) => blockedUntil(parts, integration, id),
    limitsState: () => ({ limits: limits.views(MAX_LIMITS), met: limits.met(), circuits: breakers.views() }),
    stopWaiting: limits.stopWaiting,
    async stop() {
      running.stop();
      await limits.stop();
      await recorder.stop();
    },
  };
}
