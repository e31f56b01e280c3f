// The proxy room: calls to APIs on behalf of callers.
import type { Clock, Logger, SignAwsRequest, Telemetry, UpstreamClient } from '../../ports/index.ts';
import type { TokenCache } from '../cache/index.ts';
import type { Targets } from '../integrations/index.ts';
import type { TokenReader } from '../tokens/index.ts';
import { createAttempts } from './attempts.ts';
import { createCallObserver } from './call-observer.ts';
import { createCallPreparation } from './prepared-calls.ts';
import { createProxyCalls, type ProxyCalls } from './proxy.ts';
import { createRunningCalls, type RunningCalls, type RunningCallsParts } from './running-calls.ts';
import { createDpopSigner, type DpopSignerParts } from './sending/dpop.ts';
import { createRequestBuilder } from './sending/request.ts';

export type { ProxiedRequest, ProxiedResponse, ProxyCalls } from './proxy.ts';
export type { CallerBody } from './sending/kept-body.ts';

export interface ApiProxy extends ProxyCalls, Pick<RunningCalls, 'connectionsChanged' | 'stop'> {
  /** To be called for each change. Undefined: any integration may have changed. */
  integrationChanged(id: string | undefined): void;
}

interface Parts extends DpopSignerParts, RunningCallsParts {
  store: DpopSignerParts['store'] & RunningCallsParts['store'];
  upstream: Pick<UpstreamClient, 'send'>;
  reader: Pick<TokenReader, 'read' | 'refresh'>;
  tokenCache: Pick<TokenCache, 'ticket'>;
  targets: Targets;
  signAws: SignAwsRequest;
  telemetry: Pick<Telemetry, 'proxied'>;
  clock: Clock;
  random: () => number;
  log: Logger;
}

export function createProxy(parts: Parts): ApiProxy {
  const preparation = createCallPreparation(parts);
  const running = createRunningCalls(parts);
  const dpop = createDpopSigner(parts);
  const builder = createRequestBuilder({ ...parts, dpop });
  const attempts = createAttempts({ ...parts, preparation, builder, dpop });
  const observer = createCallObserver(parts);
  return {
    ...createProxyCalls({ ...parts, preparation, attempts, running, observer }),
    connectionsChanged: running.connectionsChanged,
    stop: running.stop,
    integrationChanged: preparation.integrationChanged,
  };
}
