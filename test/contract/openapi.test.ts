// The description of the interface: it is what is served, and what is served is it.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Json } from '../support/broker.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';

/** The rows of the contract that machines use; the browser's and the description itself are not described. */
const CONTRACT = [
  'GET /healthz',
  'GET /metrics',
  'GET /readyz',
  'GET /v1/audit',
  'POST /v1/apply',
  'GET /v1/callers',
  'POST /v1/callers',
  'DELETE /v1/callers/{id}',
  'GET /v1/callers/{id}',
  'PUT /v1/callers/{id}',
  'GET /v1/whoami',
  'POST /v1/callers/{id}/keys',
  'DELETE /v1/callers/{id}/keys/{key_id}',
  'POST /v1/connect-sessions',
  'GET /v1/connect-sessions/{id}',
  'GET /v1/connections',
  'POST /v1/connections',
  'POST /v1/connections/revoke',
  'DELETE /v1/connections/{id}',
  'GET /v1/connections/{id}',
  'POST /v1/connections/{id}/dpop-proof',
  'POST /v1/connections/{id}/refresh',
  'GET /v1/connections/{id}/token',
  'GET /v1/integrations',
  'DELETE /v1/integrations/{id}',
  'GET /v1/integrations/{id}',
  'PUT /v1/integrations/{id}',
  'POST /v1/jwt/verify',
  'POST /v1/jwt/verify-batch',
  'GET /v1/providers',
  'GET /v1/providers/{id}',
  'GET /v1/token',
];

interface Operation {
  summary: string;
  security?: unknown[];
  responses: Record<string, { content?: Record<string, { schema: Json }> }>;
  parameters?: { name: string; in: string; required?: boolean }[];
}
interface Description {
  openapi: string;
  info: Json;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Json>; securitySchemes: Json };
}

let broker: TestBroker;
let description: Description;
let operations: [name: string, operation: Operation][];
beforeAll(async () => {
  broker = await startTestBroker();
  const response = await fetch(new URL('/openapi.json', broker.url));
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toMatch(/^application\/json\b/);
  description = (await response.json()) as Description;
  operations = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const),
  ) as typeof operations;
});
afterAll(() => broker.stop());

test('is OpenAPI 3.1', () => {
  expect(description.openapi).toMatch(/^3\.1\.\d+$/);
  expect(description.info).toMatchObject({ title: expect.any(String), version: expect.any(String) });
});

test('describes every row of the contract, and no other', () => {
  const described = operations.map(([name]) => name);
  expect(described.filter((name) => !/ \/(oauth2|\.well-known)\//.test(name)).sort()).toEqual([...CONTRACT].sort());
});

test('describes only what is served', async () => {
  for (const [name] of operations) {
    const [method = '', path = ''] = name.split(' ');
    const answer = await broker.ask(method, path.replaceAll(/\{\w+\}/g, 'x')).catch(() => undefined);
    expect(String(answer?.body.detail), name).not.toContain(`There is no ${method}`);
  }
});

test('says of each operation what it does, what it needs, and how it refuses', () => {
  for (const [name, { summary, security, responses, parameters = [] }] of operations) {
    expect(summary, name).toMatch(/./);
    expect(
      Object.keys(responses).some((status) => status.startsWith('2')),
      name,
    ).toBe(true);
    const standard = name.includes('/oauth2/');
    if (!name.includes('/.well-known/'))
      expect(responses.default?.content, name).toHaveProperty([
        standard ? 'application/json' : 'application/problem+json',
      ]);
    if (name.includes(' /v1/')) expect(security, name).toEqual([{ caller_key: [] }]);
    const [, path = ''] = name.split(' ');
    const holes = [...path.matchAll(/\{(\w+)\}/g)].map(([, hole]) => hole);
    const told = parameters.filter((p) => p.in === 'path');
    expect(told.map((p) => p.name).sort(), name).toEqual(holes.sort());
    for (const parameter of told) expect(parameter.required, name).toBe(true);
  }
  expect(description.components.securitySchemes).toHaveProperty('caller_key');
});

test('every schema that it refers to is there', () => {
  const referred = [...JSON.stringify(description).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(
    ([, n]) => n,
  );
  expect(referred.length).toBeGreaterThan(20);
  for (const name of referred) expect(Object.keys(description.components.schemas)).toContain(name);
});

test('tells the members of the main answers', () => {
  const required = (name: string) => description.components.schemas[name]?.required;
  expect(required('Token')).toEqual(
    expect.arrayContaining(['connection_id', 'access_token', 'token_type', 'expires_at', 'expires_in']),
  );
  expect(required('Problem')).toEqual(
    expect.arrayContaining(['type', 'title', 'status', 'detail', 'code', 'request_id']),
  );
  expect(required('Connection')).toEqual(expect.arrayContaining(['id', 'status', 'reason', 'generation', 'captured']));
});
