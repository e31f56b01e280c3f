// Generates the OpenAPI 3.1 document from the routes that are served, on the first request for it.
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Env } from '../env.ts';
import { type Description, operationsOf, type Schema } from './document.ts';
import { exemplify } from './examples.ts';
import { type OAuthCase, oauthRefusalsOf } from './oauth-errors.ts';
import { limitHeaders, problemComponents, refusalsOf } from './problems.ts';

const DESCRIPTION =
  'A token broker: keeps OAuth and OpenID Connect grants alive and serves valid access tokens to internal services.\n\nTimes are RFC 3339 in UTC, durations are whole seconds, ids are opaque strings. Errors are problems (RFC 9457) with a stable `code`. Responses have an `X-Request-Id` header, calls through the proxy `Valetkey-Request-Id`, and what senders of webhooks are answered neither; responses with secrets are sent with `Cache-Control: no-store`.';

/** In display order. */
const TAGS = {
  tokens: 'Get and refresh access tokens.',
  proxy: 'Call the API of a connection without having its token.',
  connections: "Manage connections. A connection is an owner's grant at an integration, kept alive by the broker.",
  'connect sessions': "Create single-use links with which an owner's browser creates or renews a connection.",
  'portal sessions': 'Create links to the page on which owners see, renew and end their own connections.',
  sessions: 'Make agent sessions: narrow, short-lived credentials for a process that should not hold a caller key.',
  integrations: 'Manage integrations: providers configured in this deployment.',
  providers: 'Read the provider catalogue: how each third-party system authenticates, and which parameters it needs.',
  callers: 'Manage callers: internal services, their keys and their permissions.',
  jwt: 'Verify JWTs of trusted issuers.',
  events: 'Learn what happens to connections: the event feed, and the webhook endpoints that events are sent to.',
  webhooks: 'Look at webhooks that providers have sent, process them again, and wait for a handshake.',
  audit: 'Read the audit log: who did what to which connection.',
  apply: 'Apply a declarative file of integrations and callers.',
  oauth:
    'Token exchange, introspection and metadata over standard OAuth interfaces, for generic clients. Requests are forms, responses JSON, errors as in RFC 6749 5.2.',
  signals:
    'What providers send: security events (RFC 8417, RFC 8935) and back-channel logout. Authenticated by their signatures; refusals without a body, or as their specifications have them.',
  browser: "The steps of the connect flow in an owner's browser. Each response is a page or a redirect.",
  jobs: 'Long work that any replica goes on with: bulk revocation, replays, key rotation.',
  'signing keys': 'See and rotate the keys of the JWTs that the broker signs.',
  console: 'Links that sign in to the browser console, and who is signed in.',
  operations: 'Health checks, metrics and API documentation.',
};

export function describe(app: OpenAPIHono<Env>): Description {
  app.openAPIRegistry.registerComponent('securitySchemes', 'caller_key', {
    type: 'http',
    scheme: 'bearer',
    description: 'A caller key: `Authorization: Bearer vk_…`',
  });
  app.openAPIRegistry.registerComponent('securitySchemes', 'caller_basic', {
    type: 'http',
    scheme: 'basic',
    description: 'The id and a key of a caller (RFC 6749 2.3.1)',
  });
  const generated = app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Valetkey',
      version: '1',
      description: DESCRIPTION,
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    servers: [{ url: '/', description: 'The server of this document' }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
  });
  const document = JSON.parse(JSON.stringify(generated), toOpenApi31) as Description;
  const { schemas, examples } = problemComponents();
  document.components = { ...document.components, schemas: { ...document.components.schemas, ...schemas }, examples };
  for (const { operation } of operationsOf(document)) {
    for (const parameter of operation.parameters ?? []) {
      const [example] = parameter.schema.examples ?? [];
      if (example !== undefined) parameter.example ??= example;
    }
    for (const { content = {} } of [operation.requestBody ?? {}, ...Object.values(operation.responses)])
      for (const [type, media] of Object.entries(content)) if (hasExamples(type)) exemplify(document, media);
    for (const [status, answer] of Object.entries(operation.responses)) {
      const headers = { ...answer.headers, ...limitHeaders(operation) };
      if (status.startsWith('2') && Object.keys(headers).length > 0) answer.headers = headers;
    }
    Object.assign(operation.responses, refusalsOf(operation));
    const { default: others } = operation.responses;
    if (others?.['x-oauth-errors']) {
      Object.assign(operation.responses, oauthRefusalsOf(others['x-oauth-errors'] as OAuthCase[]));
      delete others['x-oauth-errors'];
    }
  }
  return document;
}

const hasExamples = (type: string) => type === 'application/json' || type === 'application/x-www-form-urlencoded';

/**
 * Converts what the generator writes as OpenAPI 3.0 or JavaScript: `example` of a schema becomes `examples`, and patterns
 * lose their flags (ours only have `u`, which JSON Schema implies).
 */
function toOpenApi31(this: unknown, key: string, value: unknown): unknown {
  if (key === 'pattern' && typeof value === 'string') return value.replace(/(?<!\\)\/u$/, '');
  if (!isSchema(value) || !('example' in value)) return value;
  const { example, ...schema } = value;
  return { ...schema, examples: [example] };
}

/** Other objects may have an `example` as well; only schemas have a JSON Schema `type`, or alternatives. */
const isSchema = (value: unknown): value is Schema => {
  if (typeof value !== 'object' || value === null) return false;
  const { type, oneOf, anyOf, allOf } = value as Schema;
  return [oneOf, anyOf, allOf].some(Array.isArray) || TYPES.has(String(Array.isArray(type) ? type[0] : type));
};
const TYPES = new Set(['object', 'array', 'string', 'integer', 'number', 'boolean', 'null']);
