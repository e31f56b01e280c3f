// What a caller is told where a resource or its authorization server cannot be used.
import { type Refusal, refuse } from '../../domain/errors.ts';
import { DISCOVERY_RETRY_MS } from '../../domain/time-limits.ts';
import type { ProviderFault } from '../../ports/index.ts';

/** An outage passes; everything else is for the admin, and says at which step and URL. */
export function refusalOf(integration: string, { kind, code, detail, retryAfter }: ProviderFault): Refusal {
  if (kind === 'transient')
    return refuse({
      code: 'provider_unavailable',
      integration,
      detail,
      retryAfter: retryAfter ?? DISCOVERY_RETRY_MS / 1_000,
    });
  return refuse({ code: 'integration_misconfigured', integration, detail, reason: code });
}
