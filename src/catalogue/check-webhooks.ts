// Checks of an entry's webhooks beyond their schema.

import { capturesOf } from '../domain/auth-modes.ts';
import type { Provider } from '../domain/provider.ts';
import type { WebhookConditions, WebhookEndpointDialect } from '../domain/webhook-dialect.ts';
import { parseExpression } from '../domain/webhook-template.ts';

/** What is known before the body is read. */
const BEFORE_BODY = ['method', 'url', 'header', 'query', 'params', 'client_id'];

/** Issues in words, each with its field. */
export function webhookIssues(provider: Provider): string[] {
  const captured = new Set(provider.auth.flatMap((auth) => capturesOf(auth)));
  const params = new Set([provider, ...provider.auth].flatMap((one) => Object.keys(one.connection_params)));
  const isKnown = (match: string) => {
    const [kind, name = ''] = match.split('.');
    return kind === 'account' || (kind === 'params' ? params : captured).has(name);
  };
  return Object.entries(provider.webhooks).flatMap(([name, endpoint]) => {
    const at = `webhooks.${name}`;
    const named = [...endpoint.deauthorization, ...endpoint.hold].map(({ connection = [] }) => connection);
    const locators = [endpoint.connection, ...named].flat();
    return [
      ...locators.filter(({ match }) => !isKnown(match)).map(({ match }) => `${at}.connection: nothing has ${match}`),
      ...endpointIssues(endpoint).map((issue) => `${at}.${issue}`),
    ];
  });
}

function endpointIssues({ when, verify, event, handshake }: WebhookEndpointDialect): string[] {
  return [
    ...Object.keys(when)
      .filter((expression) => !isBeforeBody(expression))
      .map((expression) => `when: ${expression} is in the body, which is read later`),
    ...('each' in verify && verify.each && event.batch.length === 0
      ? ['verify.each: there is no event.batch whose members are verified']
      : []),
    ...(verify.scheme === 'jwt' && verify.key === undefined && verify.jwks === undefined
      ? ['verify: needs a key or jwks']
      : []),
    ...handshake
      .filter(({ signed, answer, when: conditions }) => !signed && signsUnchecked(answer, conditions))
      .map(() => 'handshake: a challenge that is signed must have a pattern (matches), which no body fits'),
  ];
}

function isBeforeBody(expression: string): boolean {
  const parsed = parseExpression(expression);
  return !('issue' in parsed) && BEFORE_BODY.includes(parsed.source);
}

/** An object, a list, a form, an element. */
const BODIES = ['{"a":1}', '[1]', 'a=1', '<a></a>'];

/** Anybody can ask for such a signature: what is signed must not be what a body could be. */
function signsUnchecked(answer: object, conditions: WebhookConditions): boolean {
  const signed = [...JSON.stringify(answer).matchAll(/\{([^{}|]+)\|hmac:/g)].map(([, expression]) => expression!);
  return signed.some((expression) => {
    const condition = conditions[expression];
    const pattern = typeof condition === 'object' && 'matches' in condition ? condition.matches : undefined;
    return pattern === undefined || BODIES.some((body) => new RegExp(`^(?:${pattern})$`, 'u').test(body));
  });
}
