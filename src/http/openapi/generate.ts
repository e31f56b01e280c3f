// The description of the interface (OpenAPI 3.1), generated from the routes that are served. Made when somebody asks.
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Env } from '../env.ts';
import { type Description, operationsOf, type Schema } from './document.ts';
import { exemplify } from './examples.ts';
import { type OAuthCase, oauthRefusalsOf } from './oauth-errors.ts';
import { limitHeaders, problemComponents, refusalsOf } from './problems.ts';

const DESCRIPTION =
  'Keeps OAuth and OpenID Connect grants alive and serves always-valid access tokens to internal services.\n\nTimes are RFC 3339 in UTC, durations whole seconds, ids opaque strings. Refusals are problems (RFC 9457) with a stable `code`. Every answer has its `X-Request-Id`, and those that hold a secret are not to be stored by anybody on the way.';

/** In the order that they are shown in. */
const TAGS = {
  tokens: 'Access tokens that are valid now: what internal services ask for all day.',
  connections: "An owner's grant at an integration, kept alive by the broker.",
  'connect sessions': 'Invitations for a browser to create or renew one connection.',
  integrations: 'Providers that are set up in this deployment.',
  providers: 'The catalogue: how each third-party system authenticates, and what it needs.',
  callers: 'Internal services, their keys, and what they may do.',
  jwt: 'What a JWT of a trusted issuer is worth.',
  audit: 'Who did what to which connection.',
  apply: 'A whole deployment at once, as a file declares it.',
  'standard interfaces':
    'The same jobs over the standard interfaces of OAuth, for clients that know nothing of this broker: forms in, JSON out, refusals as in RFC 6749 5.2.',
  browser: "The steps that an owner's browser takes. Each answer is a page, or leads on.",
  operations: 'What operators, their machines and readers of this description ask.',
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
    description: "A caller's id and one of its keys (RFC 6749 2.3.1)",
  });
  const generated = app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Valetkey',
      version: '1',
      description: DESCRIPTION,
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    servers: [{ url: '/', description: 'Where this description was read' }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
  });
  const document = JSON.parse(JSON.stringify(generated), modern) as Description;
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
 * What the generator writes in the manner of OpenAPI 3.0, or as JavaScript does: an example of a schema is one of a list,
 * and a pattern has no flags (of ours, only `u` occurs, in which JSON Schema reads all of them).
 */
function modern(this: unknown, key: string, value: unknown): unknown {
  if (key === 'pattern' && typeof value === 'string') return value.replace(/(?<!\\)\/u$/, '');
  if (!isSchema(value) || !('example' in value)) return value;
  const { example, ...schema } = value;
  return { ...schema, examples: [example] };
}

/** Schemas are told from what else has an `example` by their type; an example itself has none that is one. */
const isSchema = (value: unknown): value is Schema => {
  if (typeof value !== 'object' || value === null) return false;
  const { type, oneOf, anyOf, allOf } = value as Schema;
  return [oneOf, anyOf, allOf].some(Array.isArray) || TYPES.has(String(Array.isArray(type) ? type[0] : type));
};
const TYPES = new Set(['object', 'array', 'string', 'integer', 'number', 'boolean', 'null']);
