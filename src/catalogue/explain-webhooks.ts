// Explains an entry's webhooks in words: what an admin configures at the vendor, and here.

import type { Provider } from '../domain/provider.ts';
import type { WebhookEndpointDialect } from '../domain/webhook-dialect.ts';

/** One line per fact; none when the vendor sends nothing. */
export function explainWebhooks({ webhooks }: Provider): string[] {
  return Object.values(webhooks).flatMap((endpoint) => [
    '',
    `${HEADS[endpoint.receiver]} ${endpoint.title}`,
    ...describe(endpoint).map((line) => `  ${line}`),
  ]);
}

const HEADS = { webhooks: 'Webhooks:', signals: 'Signals:', logout: 'Logout:' };

function describe(endpoint: WebhookEndpointDialect): string[] {
  const { verify, setup, receiver, option } = endpoint;
  const hook = verify.scheme === 'none' ? '/{hook}' : '';
  return [
    `URL: {public URL}/${receiver}/{integration}${hook}`,
    `Where: ${setup.url}`,
    ...(setup.events.length > 0 ? [`Events: ${setup.events.join(', ')}`] : []),
    ...secretLines(endpoint),
    `Verified by ${SCHEMES[verify.scheme]}.`,
    ...(option === undefined ? [] : [`Selected by webhook.scheme "${option}".`]),
    ...(endpoint.handshake.some(({ learns }) => learns !== undefined)
      ? ['The vendor sends the key: open the handshake window of the integration first.']
      : []),
    ...(endpoint.names_account ? [] : ['Nothing in it says which connection is meant.']),
    ...(endpoint.deauthorization.length > 0 ? ['Some of its events say that a grant has ended.'] : []),
    ...(endpoint.expiry === undefined ? [] : [`Lasts: ${endpoint.expiry}`]),
    ...setup.notes.map((note) => `- ${note}`),
  ];
}

function secretLines({ verify }: WebhookEndpointDialect): string[] {
  const key = 'key' in verify ? verify.key : undefined;
  if (!key) return [];
  const isClientSecret = 'from' in key && key.from === 'client_secret';
  const where = key.where === undefined ? '' : ` (${key.where})`;
  return [`Secret: ${key.what}${where}${isClientSecret ? '; the client secret of the integration is used' : ''}`];
}

const SCHEMES: Record<WebhookEndpointDialect['verify']['scheme'], string> = {
  hmac: 'an HMAC',
  ecdsa: 'an ECDSA signature',
  ed25519: 'an Ed25519 signature',
  rsa_x509: 'an RSA signature and its certificate',
  sns: 'an RSA signature and its certificate, of the topics that are listed as secrets',
  standard_webhooks: 'Standard Webhooks',
  jwt: 'a JWT',
  set: 'a security event token or logout token',
  signed_request: 'a signed request',
  sha256_concat: 'a SHA-256 of the secret and the text',
  params_signature: 'an HMAC of its parameters',
  shared_token: 'a token',
  body_token: 'a token in the body',
  basic: 'HTTP Basic',
  none: 'the hook in the URL alone, so that nothing ends before the provider has been asked',
};
