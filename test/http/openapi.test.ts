// The OpenAPI document: describes exactly what is served.
import { createConfig, lintFromString } from '@redocly/openapi-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exampleOf } from '../../src/http/errors/problem.ts';
import { CODES, PROBLEMS } from '../../src/http/errors/problem-table.ts';
import {
  type Description,
  type Media,
  type Operation,
  operationsOf,
  resolved,
} from '../../src/http/openapi/document.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createResponseValidator, type ResponseValidator } from '../support/openapi-validation.ts';

/** All operations. */
const CONTRACT = [
  'GET /connect/sessions/{id}',
  'GET /connect/portal',
  'GET /connect/portal/connections/{id}',
  'POST /connect/portal/connections/{id}/disconnect',
  'POST /connect/portal/connections/{id}/reconnect',
  'GET /connect/portal/{secret}',
  'POST /connect/portal/{secret}',
  'GET /connect/{secret}',
  'GET /docs',
  'POST /connect/sessions/{id}',
  'POST /connect/{secret}',
  'GET /healthz',
  'GET /.well-known/oauth-authorization-server',
  'POST /oauth2/introspect',
  'GET /oauth2/jwks',
  'POST /oauth2/token',
  'POST /v1/jwt/verify-batch',
  'GET /metrics',
  'GET /oauth2/callback/{integration}',
  'GET /oauth2/callback/{integration}/{issuer}',
  'GET /oauth2/clients/{integration}.json',
  'GET /oauth2/clients/{integration}.private_key_jwt.json',
  'GET /oauth2/clients/{integration}/{issuer}.json',
  'GET /oauth2/clients/{integration}/{issuer}.private_key_jwt.json',
  'POST /oauth2/callback/{integration}',
  'POST /oauth2/callback/{integration}/{issuer}',
  'GET /openapi.json',
  'GET /readyz',
  'GET /v1/api',
  'GET /v1/audit',
  'POST /v1/apply',
  'GET /v1/callers',
  'POST /v1/callers',
  'DELETE /v1/callers/{id}',
  'GET /v1/callers/{id}',
  'PUT /v1/callers/{id}',
  'GET /v1/status',
  'GET /v1/whoami',
  'POST /v1/callers/{id}/keys',
  'DELETE /v1/callers/{id}/keys/{key_id}',
  'POST /v1/portal-sessions',
  'POST /v1/sessions',
  'GET /v1/sessions',
  'GET /v1/sessions/{id}',
  'DELETE /v1/sessions/{id}',
  'DELETE /v1/sessions',
  'POST /v1/console-links',
  'GET /v1/console-sessions',
  'DELETE /v1/console-sessions/{id}',
  'GET /v1/jobs',
  'POST /v1/jobs',
  'GET /v1/jobs/{id}',
  'DELETE /v1/jobs/{id}',
  'GET /v1/signing-keys',
  'POST /v1/signing-keys/rotate',
  'POST /v1/connect-sessions',
  'GET /v1/connect-sessions',
  'GET /v1/connect-sessions/{id}',
  'DELETE /v1/connect-sessions/{id}',
  'POST /v1/connect-sessions/{id}/finish',
  'GET /v1/connections',
  'POST /v1/connections',
  'POST /v1/connections/revoke',
  'DELETE /v1/connections/{id}',
  'GET /v1/connections/{id}',
  'POST /v1/connections/{id}/capture',
  'DELETE /v1/connections/{id}/capture',
  'GET /v1/connections/{id}/captures',
  'POST /v1/connections/{id}/check',
  'POST /v1/connections/{id}/dpop-proof',
  'POST /v1/connections/{id}/refresh',
  'POST /v1/connections/{id}/retry',
  'GET /v1/connections/{id}/api',
  'GET /v1/connections/{id}/token',
  'GET /v1/integrations',
  'DELETE /v1/integrations/{id}',
  'GET /v1/integrations/{id}',
  'PUT /v1/integrations/{id}',
  'POST /v1/jwt/verify',
  'GET /v1/providers',
  'GET /v1/providers/{id}',
  'GET /v1/token',
  ...['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].flatMap((method) => [
    `${method} /v1/connections/{id}/proxy/{path}`,
    `${method} /v1/proxy/{integration}/{path}`,
  ]),
  'GET /.well-known/webhook-keys',
  'GET /v1/deliveries',
  'GET /v1/events',
  'GET /v1/events/{id}',
  'GET /v1/deliveries/{id}',
  'POST /v1/deliveries/{id}/retry',
  'GET /v1/webhook-endpoints',
  'POST /v1/webhook-endpoints',
  'DELETE /v1/webhook-endpoints/{id}',
  'GET /v1/webhook-endpoints/{id}',
  'PATCH /v1/webhook-endpoints/{id}',
  'POST /v1/webhook-endpoints/{id}/replay',
  'POST /v1/webhook-endpoints/{id}/rotate-secret',
  'POST /v1/webhook-endpoints/{id}/test',
  'POST /signals/{integration}',
  'POST /logout/{integration}',
  'GET /v1/webhooks',
  'GET /v1/webhooks/{id}',
  'POST /v1/webhooks/{id}/process',
  'POST /v1/integrations/{id}/webhook-handshake',
];

let broker: TestBroker;
let description: Description;
let judge: ResponseValidator;
/** By name: `GET /v1/token`. */
let operations: [name: string, operation: Operation][];
beforeAll(async () => {
  broker = await startTestBroker();
  const response = await fetch(new URL('/openapi.json', broker.url));
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toMatch(/^application\/json\b/);
  description = (await response.json()) as Description;
  judge = createResponseValidator(description);
  operations = operationsOf(description).map(({ method, path, operation }) => [
    `${method.toUpperCase()} ${path}`,
    operation,
  ]);
});
afterAll(() => broker.stop());

test('OpenAPI document: version 3.1', () => {
  expect(description.openapi).toMatch(/^3\.1\.\d+$/);
  expect(description.info).toMatchObject({ title: expect.any(String), version: expect.any(String) });
});

test('operations: all of the contract, and no others', () => {
  const described = operations.map(([name]) => name);
  expect(described.sort()).toEqual([...CONTRACT].sort());
});

test('operations: all are served', async () => {
  for (const [name] of operations) {
    const [method = '', path = ''] = name.split(' ');
    const answer = await broker.ask(method, path.replaceAll(/\{\w+\}/g, 'x')).catch(() => undefined);
    expect(String(answer?.body.detail), name).not.toContain(`There is no ${method}`);
  }
});

describe('each operation', () => {
  test('has an id, a summary, a tag, security, and described parameters', () => {
    for (const [name, { operationId, summary, tags, security, parameters = [] }] of operations) {
      expect(operationId, `${name}: give the route an operationId: the name of a method`).toMatch(
        /^[a-z][A-Za-z0-9]+$/,
      );
      expect(summary, name).toMatch(/./);
      expect(
        description.tags.map((tag) => tag.name),
        `${name}: describe its tag in http/openapi/generate.ts`,
      ).toContain(tags[0]);
      if (name.includes(' /v1/')) expect(security, name).toEqual([{ caller_key: [] }]);
      const [, path = ''] = name.split(' ');
      const holes = [...path.matchAll(/\{(\w+)\}/g)].map(([, hole]) => hole);
      const inPath = parameters.filter((p) => p.in === 'path');
      expect(inPath.map((p) => p.name).sort(), name).toEqual(holes.sort());
      for (const parameter of inPath) expect(parameter.required, name).toBe(true);
      for (const parameter of parameters) {
        const { description: words, name: which } = parameter;
        expect(words, `${name}: describe the parameter ${which} with .openapi({ description })`).toMatch(/./);
      }
    }
    expect(description.components.securitySchemes).toHaveProperty('caller_key');
  });

  test('has a success response and its problems', () => {
    for (const [name, { responses, security, tags }] of operations) {
      const statuses = Object.keys(responses);
      expect(
        statuses.some((status) => /^[23]/.test(status)),
        name,
      ).toBe(true);
      // Browser pages have error pages, not problems; providers are refused as their specifications have it.
      if (tags.includes('browser') || tags.includes('signals')) continue;
      if (tags.includes('oauth')) {
        expect(responses.default?.content, name).toHaveProperty(['application/json']);
        continue;
      }
      const refuses = `${name}: name its problems in the responses of the route: ...problems('not_found', …)`;
      expect(responses.default?.content, refuses).toHaveProperty(['application/problem+json']);
      if (security.length > 0) expect(statuses, name).toEqual(expect.arrayContaining(['401', '429', '500', '503']));
    }
  });

  test('has an example of each body that matches its schema', () => {
    for (const [where, media, pointer] of bodies()) {
      const named = Object.values(media.examples ?? {});
      expect(
        named.length,
        `${where}: give its schema in src/api/ an example: .openapi(…, { example })`,
      ).toBeGreaterThan(0);
      for (const { value } of named.map((one) => resolved(description, one)))
        expect(judge.validateValue(value, [...pointer, 'schema']), where).toBeUndefined();
    }
  });
});

/** Every JSON body, in requests and responses. */
const bodies = (): [where: string, media: Media, pointer: string[]][] =>
  operationsOf(description).flatMap(({ path, method, operation }) => {
    const at = ['paths', path, method];
    const parts = [
      ...(operation.requestBody ? [[operation.requestBody.content, [...at, 'requestBody']] as const] : []),
      ...Object.entries(operation.responses).map(
        ([status, { content = {} }]) => [content, [...at, 'responses', status]] as const,
      ),
    ];
    return parts.flatMap(([content, pointer]) =>
      Object.entries(content)
        .filter(([type]) => type.includes('json'))
        .map(([type, media]): [string, Media, string[]] => [
          pointer.slice(1).join(' '),
          media,
          [...pointer, 'content', type],
        ]),
    );
  });

describe('problem', () => {
  test.each(CODES)('%s: has an example as in a real response', (code) => {
    const { status } = PROBLEMS[code];
    const mentioned = operations.flatMap(([, { responses }]) =>
      Object.values(responses).flatMap(({ content }) =>
        Object.keys(content?.['application/problem+json']?.examples ?? {}),
      ),
    );
    expect(mentioned, 'no operation has it').toContain(code);
    const { value } = description.components.examples[code]!;
    expect(value).toEqual(JSON.parse(JSON.stringify(exampleOf(code))));
    expect(value).toMatchObject({ code, status });
  });
});

test("OpenAPI document: passes the linter's recommended rules", { timeout: 30_000 }, async () => {
  // Examples are validated above, and more strictly: the linter takes longer for them than for everything else.
  const config = await createConfig({ extends: ['recommended'], rules: { 'no-invalid-media-type-examples': 'off' } });
  const found = await lintFromString({ source: JSON.stringify(description), config });
  const faults = found.map(({ severity, ruleId, message, location }) => [
    severity,
    ruleId,
    message,
    location[0]?.pointer,
  ]);
  // A browser that comes back from the provider, or has posted a form, is redirected: no code stays in its address bar, and
  // a reload posts nothing.
  const redirects = [
    '~1connect~1portal~1{secret}/post',
    '~1connect~1portal~1connections~1{id}~1disconnect/post',
    '~1connect~1portal~1connections~1{id}~1reconnect/post',
    '~1oauth2~1callback~1{integration}/get',
    '~1oauth2~1callback~1{integration}/post',
    '~1oauth2~1callback~1{integration}~1{issuer}/get',
    '~1oauth2~1callback~1{integration}~1{issuer}/post',
    '~1connect~1sessions~1{id}/post',
  ].map((operation) => [
    'warn',
    'operation-2xx-response',
    'Operation must have at least one `2XX` response.',
    `#/paths/${operation}/responses`,
  ]);
  expect(faults).toEqual(redirects);
});

test('schemas: every reference resolves', () => {
  const referred = [...JSON.stringify(description).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(
    ([, n]) => n,
  );
  expect(referred.length).toBeGreaterThan(20);
  for (const name of referred) expect(Object.keys(description.components.schemas)).toContain(name);
});

test('schemas: the main responses list their required members', () => {
  const required = (name: string) => description.components.schemas[name]?.required;
  expect(required('Token')).toEqual(
    expect.arrayContaining(['connection_id', 'access_token', 'token_type', 'expires_at', 'expires_in']),
  );
  expect(required('Problem')).toEqual(
    expect.arrayContaining(['type', 'title', 'status', 'detail', 'code', 'request_id']),
  );
  expect(required('Connection')).toEqual(expect.arrayContaining(['id', 'status', 'reason', 'generation', 'captured']));
});

describe('response validation in tests', () => {
  const token = { method: 'GET', path: '/v1/token?integration=slack&owner=user_42', status: 200 };
  const headers = (type = 'application/json') => new Headers({ 'content-type': type, 'www-authenticate': 'Bearer' });
  const example = () => {
    const { examples = {} } = description.paths['/v1/token']!.get!.responses['200']!.content!['application/json']!;
    return Object.values(examples)[0]!.value as object;
  };
  const faultOf = (said: { status?: number; type?: string; body?: unknown }) =>
    judge({
      ...token,
      status: said.status ?? 200,
      headers: headers(said.type),
      text: JSON.stringify(said.body ?? example()),
    });
  const problem = (status: number, body: object) => faultOf({ status, type: 'application/problem+json', body });

  test('accepts responses as described', () => {
    expect(faultOf({})).toBeUndefined();
    for (const code of ['unauthenticated', 'forbidden', 'ambiguous_connection', 'payload_too_large'] as const)
      expect(problem(PROBLEMS[code].status, exampleOf(code)), code).toBeUndefined();
  });

  test.each<[string, () => string | undefined]>([
    ['a member that is not described', () => faultOf({ body: { ...example(), refresh_token: 'x' } })],
    ['a member that is missing', () => faultOf({ body: { ...example(), expires_in: undefined } })],
    ['a member of another type', () => faultOf({ body: { ...example(), scopes: 'a b' } })],
    ['an invalid time', () => faultOf({ body: { ...example(), expires_at: 'tomorrow' } })],
    ['another status', () => faultOf({ status: 201 })],
    ['another content type', () => faultOf({ type: 'text/html' })],
    ['a problem that the operation does not have', () => problem(409, exampleOf('integration_in_use'))],
    ['a status that the operation does not have', () => problem(402, { ...exampleOf('forbidden'), status: 402 })],
    ['a problem with another status', () => problem(409, { ...exampleOf('ambiguous_connection'), status: 400 })],
    ['a problem with an unknown member', () => problem(403, { ...exampleOf('forbidden'), token: 'x' })],
    ['a problem without a required member', () => problem(403, { ...exampleOf('forbidden'), missing: undefined })],
    ['a path that is not described', () => judge({ ...token, path: '/v1/nothing', headers: headers(), text: '{}' })],
    ['a 429 without Retry-After', () => problem(429, exampleOf('too_many_requests'))],
  ])('rejects %s', (_, fault) => {
    expect(fault()).toBeTypeOf('string');
  });
});
