// Presents what a vendor sends, and what an admin configures for it.
import type { WebhookEndpointDialect } from '../domain/webhook-dialect.ts';

const originOf = (key: object): 'secrets' | 'client_secret' =>
  'from' in key && key.from === 'client_secret' ? 'client_secret' : 'secrets';

export const presentWebhooks = (name: string, endpoint: WebhookEndpointDialect) => {
  const { verify, setup } = endpoint;
  const key = 'key' in verify ? verify.key : undefined;
  return {
    name,
    title: endpoint.title,
    path: `/${endpoint.receiver}/{integration}` as const,
    scheme: verify.scheme,
    option: endpoint.option ?? null,
    secret: key ? { what: key.what, where: key.where ?? null, from: originOf(key) } : null,
    needs_hook: verify.scheme === 'none',
    needs_handshake_window: endpoint.handshake.some(({ learns }) => learns !== undefined),
    names_account: endpoint.names_account,
    configure: setup,
    expiry: endpoint.expiry ?? null,
    ends_grants: endpoint.deauthorization.length > 0 || endpoint.receiver !== 'webhooks',
  };
};
