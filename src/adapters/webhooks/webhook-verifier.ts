// The webhook verifier: by the data of a catalogue entry it answers handshakes, verifies a request over its raw bytes, and
// reads its events.
import type { ProviderWebhooks, WebhookEndpointDialect } from '../../domain/webhook-dialect.ts';
import type { Clock } from '../../ports/index.ts';
import type { WebhookKeys, WebhookRequest, WebhookVerdict, WebhookVerifier } from '../../ports/webhook-verifier.ts';
import type { Fetch } from '../jwt/cached-document.ts';
import { createIssuerKeys } from '../jwt/jwks.ts';
import { answerOf } from './answers.ts';
import { blankSecrets } from './blanked-secrets.ts';
import { endpointsFor, receiving, secretHeadersOf } from './endpoints.ts';
import { eventsOf } from './events.ts';
import { answerHandshake, handshakeMethods, mayBeHandshake } from './handshakes.ts';
import { keyBytes } from './keys.ts';
import { createCertificates } from './schemes/certificates.ts';
import { precheckScheme, verifyScheme } from './schemes/index.ts';
import { Sent } from './sent.ts';
import type { Scope } from './values.ts';
import type { RefusalReason } from './verification.ts';

export interface WebhookVerifierParts {
  /** The guarded outbound client. */
  fetch: Fetch;
  clock: Clock;
  /** PEM: what a vendor's certificate must chain up to. Those of Node by default. */
  roots?: readonly string[];
}

type Refusal = Extract<WebhookVerdict, { kind: 'refused' }>;
const refusal = (reason: RefusalReason): Refusal => ({
  kind: 'refused',
  status: reason === 'method' ? 405 : reason === 'too_large' ? 413 : 401,
  reason,
});

export function createWebhookVerifier({ fetch, clock, roots }: WebhookVerifierParts): WebhookVerifier {
  const published = { issuers: createIssuerKeys(fetch, clock), certificates: createCertificates(fetch, clock, roots) };

  async function verify(
    webhooks: ProviderWebhooks,
    request: WebhookRequest,
    keys: WebhookKeys,
  ): Promise<WebhookVerdict> {
    if (request.body.length > maxBody(webhooks)) return refusal('too_large');
    const sent = new Sent(request, request.body);
    const scope: Scope = { sent, keys };
    const endpoints = endpointsFor(webhooks, scope);
    for (const endpoint of endpoints) {
      if (!mayBeHandshake(endpoint, scope)) continue;
      const unverified = { ...withDocument(endpoint, scope), secret: firstKey(endpoint, keys) };
      const answered = await answerHandshake(endpoint, false, unverified, fetch);
      if (answered !== undefined) return typeof answered === 'string' ? refusal(answered) : answered;
    }
    const endpoint = endpoints.find(({ methods }) => (methods as string[]).includes(request.method));
    if (!endpoint) return missing(endpoints, request.method);
    return verifyAt(endpoint, scope);
  }

  async function verifyAt(endpoint: WebhookEndpointDialect, given: Scope): Promise<WebhookVerdict> {
    if (given.sent.body && given.sent.body.length > endpoint.max_body) return refusal('too_large');
    const early = precheckScheme(endpoint, given);
    if (early !== undefined) return refusal(early);
    if (given.sent.formatOf(endpoint.format) === 'form' && given.sent.hasTooManyFields) return refusal('too_large');
    // Nothing is parsed but for a scheme that has its signature in the body, or conditions on it.
    const unverified = withDocument(endpoint, given);
    const verification = await verifyScheme(endpoint, unverified, published);
    // Whether it was verified or not: conditions have not seen what is in it.
    if (given.sent.hasExcessiveJson) return refusal('too_large');
    if (!verification.ok) return refusal(verification.reason);
    given.sent.verified();
    const scope = { ...unverified, ...verification.scope };
    if (isLengthened(endpoint, scope) || isChallenge(endpoint, scope)) return refusal('malformed');
    const answered = await answerHandshake(endpoint, true, scope, fetch);
    if (answered !== undefined) return typeof answered === 'string' ? refusal(answered) : answered;
    const events = eventsOf(endpoint, scope);
    const answer = answerOf(endpoint.acknowledgement, { ...scope, type: events?.[0]?.type ?? null });
    if (events === undefined) return refusal('too_large');
    blankSecrets(endpoint, scope, [given.sent.body ?? new Uint8Array(), ...events.map(({ body }) => body)]);
    return {
      kind: 'verified',
      events,
      answer: answer ?? { status: endpoint.acknowledgement.status, headers: {}, body: null },
      isSenderAuthenticated: endpoint.authenticates && endpoint.verify.scheme !== 'none',
      secretHeaders: secretHeadersOf(endpoint),
    };
  }

  return {
    precheck(webhooks, request, keys) {
      const scope: Scope = { sent: new Sent(request), keys };
      const endpoints = endpointsFor(webhooks, scope);
      if (endpoints.some((endpoint) => mayBeHandshake(endpoint, scope))) return undefined;
      const endpoint = endpoints.find(({ methods }) => (methods as string[]).includes(request.method));
      if (!endpoint) return missing(endpoints, request.method);
      const reason = precheckScheme(endpoint, scope);
      return reason === undefined ? undefined : refusal(reason);
    },
    maxBody,
    verify,
  };
}

const maxBody = (webhooks: ProviderWebhooks): number =>
  Math.max(0, ...receiving(webhooks, undefined).map(({ max_body: bytes }) => bytes));

/** Of a handshake of this method that was wrong, a method that nothing takes, or headers that are of no endpoint. */
function missing(endpoints: readonly WebhookEndpointDialect[], method: string): Refusal {
  if (endpoints.length === 0) return refusal('no_endpoint');
  const handshakes = endpoints.flatMap(handshakeMethods);
  if (handshakes.includes(method)) return refusal('no_signature');
  const methods = [...endpoints.flatMap((endpoint) => endpoint.methods), ...handshakes];
  return { ...refusal('method'), allow: [...new Set(methods)].join(', ') };
}

/** What a challenge is signed with. */
const firstKey = ({ verify }: WebhookEndpointDialect, keys: WebhookKeys): Buffer | undefined =>
  'key' in verify && verify.key && 'encoding' in verify.key ? keyBytes(verify.key, keys)[0] : undefined;

/** The JSON of the body, which is parsed when a template first asks for it. */
function withDocument({ format, json_field: field }: WebhookEndpointDialect, scope: Scope): Scope {
  let read: { value: unknown } | undefined;
  const document = () => {
    read ??= { value: scope.sent.document(format, field) };
    return read.value;
  };
  return { ...scope, document };
}

/** The hash of a secret and a text also gives anybody that of a longer text, which is never JSON. */
const isLengthened = ({ verify }: WebhookEndpointDialect, { sent }: Scope): boolean =>
  verify.scheme === 'sha256_concat' && sent.body !== undefined && sent.body.length > 0 && sent.json === undefined;

/**
 * Anybody is given the signature of any challenge, by some with the key and in the form of deliveries. The catalogue has patterns
 * that no JSON object or list, form or element fits (`src/catalogue/check-webhooks.ts`): what is none of them may be a challenge.
 */
const isChallenge = ({ handshake }: WebhookEndpointDialect, { sent }: Scope): boolean =>
  handshake.some(({ signed, answer }) => !signed && JSON.stringify(answer).includes('|hmac')) &&
  !/[{[<=]/.test(sent.text ?? '');
