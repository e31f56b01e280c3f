// The adapters of a broker: what reaches third parties, and what checks what they send.
import { signAssertion } from '../../adapters/jwt/sign.ts';
import { createJwtVerifier } from '../../adapters/jwt/verify.ts';
import { createProviderClient } from '../../adapters/oauth/provider-client.ts';
import { createResourceDiscovery } from '../../adapters/oauth/resource-discovery.ts';
import { checkUrl, createOutbound } from '../../adapters/outbound/outbound.ts';
import { createUpstreamClient } from '../../adapters/outbound/upstream-client.ts';
import { createWebhookSender } from '../../adapters/outbound/webhook-sender.ts';
import { createWebhookVerifier } from '../../adapters/webhooks/webhook-verifier.ts';
import type { ClientAssertions } from '../../ports/index.ts';
import { expectWork } from '../v8-flags.ts';
import type { Common } from './parts.ts';

/** `clientAssertions`: of the broker's rooms, which are put together after the adapters. */
export function createAdapters({ config, clock, tuning, log }: Common, clientAssertions: () => ClientAssertions) {
  const { https, http, resolves } = config.egress;
  // The origin: without credentials.
  if (https ?? http) log.info({ https: https?.origin, http: http?.origin, resolves }, 'egress proxy: in use');
  const outbound =
    tuning.outbound ?? createOutbound({ allow: config.outboundAllow, proxies: config.egress, onFirstUse: expectWork });
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
  const provider = createProviderClient({
    ...{ outbound, clock, verifyIdTokenSignature, signAssertion, refreshDeadlineMs },
    clientAssertions: {
      algorithm: () => clientAssertions().algorithm(),
      sign: (client) => clientAssertions().sign(client),
    },
  });
  const discovery = createResourceDiscovery({
    ...{ outbound, clock, deadlineMs: tuning.discoveryDeadlineMs },
    checkUrl: (url) => checkUrl(url, config.outboundAllow),
  });
  const webhookVerifier = createWebhookVerifier({ fetch: outbound, clock });
  const sender = createWebhookSender({ outbound, clock });
  return { outbound, upstream, verifier, provider, discovery, webhookVerifier, sender };
}

export type Adapters = ReturnType<typeof createAdapters>;
