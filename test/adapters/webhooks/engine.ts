// The engine of webhooks without a broker: its keys, and requests as senders make them.

import type * as z from 'zod';
import { createWebhookVerifier, type WebhookVerifierParts } from '../../../src/adapters/webhooks/webhook-verifier.ts';
import { ProviderWebhooks } from '../../../src/domain/webhook-dialect.ts';
import type { WebhookKeys, WebhookRequest, WebhookVerdict } from '../../../src/ports/webhook-verifier.ts';

/** The whole second in which the tests began: certificates of tests are valid for an hour. */
export const NOW = Math.floor(Date.now() / 1_000) * 1_000;
export const URL_CALLED = 'https://broker.example/webhooks/acme';

export const noFetch: WebhookVerifierParts['fetch'] = () => Promise.reject(new Error('nothing is fetched'));
const clock = { now: () => NOW, monotonic: () => 0 };
export const createEngine = (parts: Partial<WebhookVerifierParts> = {}) =>
  createWebhookVerifier({ fetch: noFetch, clock, ...parts });

export const keysOf = (given: Partial<WebhookKeys> = {}): WebhookKeys => ({
  secrets: [],
  clientId: 'client-1',
  clientSecret: null,
  params: {},
  hasHook: false,
  mayLearnKey: false,
  ...given,
});

export interface Given extends Partial<Omit<WebhookRequest, 'body' | 'headers'>> {
  headers?: Record<string, string>;
  body?: string | Uint8Array;
}

export const requestOf = ({ headers = {}, body = '', ...given }: Given): WebhookRequest => ({
  method: 'POST',
  url: URL_CALLED,
  receivedAt: NOW,
  ...given,
  headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
  body: typeof body === 'string' ? Buffer.from(body) : body,
});

/** An endpoint with what is left out by default. */
export const endpointOf = (
  given: Omit<z.input<typeof ProviderWebhooks>[string], 'title' | 'setup'>,
): ProviderWebhooks => ProviderWebhooks.parse({ endpoint: { title: 'Test', setup: { url: 'nowhere' }, ...given } });

export const reasonOf = (verdict: WebhookVerdict): string =>
  verdict.kind === 'refused' ? verdict.reason : verdict.kind;
