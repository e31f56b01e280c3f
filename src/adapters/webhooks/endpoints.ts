// Which endpoint of a provider a request is for.
import type { ProviderWebhooks, WebhookEndpointDialect } from '../../domain/webhook-dialect.ts';
import type { WebhookScheme } from '../../domain/webhook-scheme.ts';
import { hold } from './conditions.ts';
import { expressionOf, type Scope } from './values.ts';

/** Those that this request may be for, whatever its method, in their order. */
export function endpointsFor(webhooks: ProviderWebhooks, scope: Scope): WebhookEndpointDialect[] {
  const { scheme } = scope.keys;
  return receiving(webhooks, scheme).filter(({ when }) => hold(when, scope));
}

/** Those that are received here; of options, the chosen one, or the first. */
export function receiving(webhooks: ProviderWebhooks, scheme: WebhookScheme | undefined): WebhookEndpointDialect[] {
  const all = Object.values(webhooks).filter(({ receiver }) => receiver === 'webhooks');
  const chosen = scheme?.scheme ?? all.find(({ option }) => option !== undefined)?.option;
  return all
    .filter(({ option }) => option === undefined || option === chosen)
    .map((endpoint) =>
      endpoint.option === undefined || scheme === undefined ? endpoint : withScheme(endpoint, scheme),
    );
}

/** The header, hash and encoding that the integration names. */
function withScheme(endpoint: WebhookEndpointDialect, scheme: WebhookScheme): WebhookEndpointDialect {
  const { verify } = endpoint;
  if (scheme.scheme !== 'hmac' || verify.scheme !== 'hmac') return endpoint;
  const signature = { ...verify.signature, in: `header:${scheme.header}`, encoding: scheme.encoding };
  return { ...endpoint, verify: { ...verify, hash: scheme.hash, signature } };
}

const ALWAYS_SECRET = ['authorization', 'proxy-authorization', 'cookie', 'x-webhook-token'];

const secretHeaders = new WeakMap<WebhookEndpointDialect, string[]>();

/** Headers that are not handed on: what authenticates, what signs, and what brings a key. */
export function secretHeadersOf(endpoint: WebhookEndpointDialect): string[] {
  const headers = secretHeaders.get(endpoint) ?? findSecretHeaders(endpoint);
  secretHeaders.set(endpoint, headers);
  return headers;
}

function findSecretHeaders({ verify, handshake }: WebhookEndpointDialect): string[] {
  const places = [
    ...('signature' in verify ? [verify.signature.in].flat() : []),
    ...('in' in verify ? [verify.in] : []),
    ...('token' in verify ? [verify.token.in] : []),
    ...handshake.flatMap(({ learns }) => learns ?? []),
  ];
  const named = places.flatMap((place) => {
    const { source, argument } = expressionOf(place);
    if (source !== 'header' || argument === undefined) return [];
    return argument.endsWith('#')
      ? Array.from({ length: 20 }, (_, i) => `${argument.slice(0, -1)}${i + 1}`)
      : [argument];
  });
  const prefixed = 'prefixes' in verify ? verify.prefixes.map((prefix) => `${prefix}signature`) : [];
  return [...new Set([...ALWAYS_SECRET, ...named, ...prefixed])];
}
