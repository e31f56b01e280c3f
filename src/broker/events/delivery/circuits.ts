// Circuit breakers of webhook endpoints: those of the refresh room, with an endpoint in place of an integration, and a delivery
// in place of a connection.
import type { CircuitView } from '../../../domain/limits-state.ts';
import type { WebhookEndpoint } from '../../../domain/webhook-endpoint.ts';
import type { ProviderFault, WebhookResponse } from '../../../ports/index.ts';

/** As `CircuitBreakers` of the refresh room. */
export interface DeliveryCircuits {
  capacity(endpoint: string): number;
  /** With `bypass`, a permit in any case. */
  admit(key: CircuitKey, bypass: true): CircuitPermit | { retryIn: number };
  report(permit: CircuitPermit, report: CircuitReport): void;
  release(permit: CircuitPermit): void;
  reset(endpoint: string): void;
  /** Those that are not closed. */
  views(): CircuitView[];
}

export interface CircuitPermit {
  probe: boolean;
}

interface CircuitKey {
  integration: { id: string; version: number; createdAt: number };
  endpoint: string;
  connection: string;
}

type CircuitReport = 'answered' | { cause: 'outage' | 'throttled'; fault: ProviderFault };

export const circuitKey = ({ id, url, createdAt }: WebhookEndpoint, delivery: string): CircuitKey => ({
  integration: { id, version: 1, createdAt },
  endpoint: url,
  connection: delivery,
});

/** What a response says of its endpoint: one that refuses an event works. */
export function circuitReport(response: WebhookResponse): CircuitReport {
  const status = response.status ?? 0;
  if (response.kind === 'answered' && status < 500 && status !== 429) return 'answered';
  const retryAfterMs = response.kind === 'answered' ? response.retryAfterMs : undefined;
  const code = response.kind === 'failed' ? response.code : `status_${status}`;
  const fault: ProviderFault = {
    kind: 'transient',
    code,
    detail: 'a webhook endpoint',
    retryAfter: retryAfterMs === undefined ? undefined : retryAfterMs / 1_000,
    outcomeUnknown: false,
  };
  return { cause: status === 429 ? 'throttled' : 'outage', fault };
}
