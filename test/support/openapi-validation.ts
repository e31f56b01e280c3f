// Validates responses against `openapi.json`, which is also what the broker serves (drift.test.ts).
import { readFileSync } from 'node:fs';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import {
  type Response as Described,
  type Description,
  type Media,
  type Operation,
  operationsOf,
} from '../../src/http/openapi/document.ts';

export interface RecordedResponse {
  method: string;
  /** With its query, if it has one. */
  path: string;
  status: number;
  headers: Headers;
  text: string;
}

export interface ResponseValidator {
  /** How a response differs from its description; undefined when it matches. */
  (recorded: RecordedResponse): string | undefined;
  /** How a value differs from the schema at a JSON pointer; undefined when it matches. */
  validateValue(value: unknown, pointer: string[]): string | undefined;
}

export function createResponseValidator(document: Description): ResponseValidator {
  const root = structuredClone(document);
  for (const schema of Object.values(root.components.schemas)) forbidUnknownMembers(schema);
  forbidUnknownMembers(root.paths);
  // Additional members of a problem are limited by the schema of its code, which includes this one.
  delete root.components.schemas.Problem?.additionalProperties;
  delete (root.components.schemas.Problem as { unevaluatedProperties?: boolean }).unevaluatedProperties;
  // A component is compiled once, and called where it is referred to.
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateSchema: false, inlineRefs: false });
  formats.default(ajv);
  ajv.addSchema(root, 'valetkey');

  /** By the text of the schema: most responses are described by one that others have too. */
  const compiled = new Map<string, ValidateFunction>();
  const validators = new Map<string, ValidateFunction>();
  function validatorAt(pointer: string[]): ValidateFunction {
    const $ref = `valetkey#/${pointer.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;
    const known = validators.get($ref);
    if (known) return known;
    const text = JSON.stringify(
      pointer.reduce((node, part) => (node as Record<string, unknown>)[part], root as unknown),
    );
    const validate = compiled.get(text) ?? ajv.compile({ $ref });
    compiled.set(text, validate);
    validators.set($ref, validate);
    return validate;
  }
  function validateValue(value: unknown, pointer: string[]): string | undefined {
    const validate = validatorAt(pointer);
    return validate(value) ? undefined : ajv.errorsText(validate.errors);
  }

  const routes = operationsOf(document).map(({ path, method, operation }) => ({
    path,
    method,
    operation,
    // For a broker below a path, that path follows `/.well-known/…` (RFC 8414 3.1).
    pattern: new RegExp(
      `^${path
        .replaceAll('.', '\\.')
        .replace('{path}', '.*')
        .replaceAll(/\{\w+\}/g, '[^/]+')}${path.startsWith('/.well-known/') ? '(/.*)?' : ''}$`,
    ),
    holes: path.split('{').length,
  }));
  routes.sort((a, b) => a.holes - b.holes);

  const validateResponse = ({ method, path, status, headers, text }: RecordedResponse) => {
    // The response of an API that was called through the proxy: whatever it says.
    if (headers.has('valetkey-attempts')) return undefined;
    // As the server parses it: `%2e%2e` is a parent path, but in calls through the proxy, which are refused as they came.
    const isProxied = /^\/v1\/(?:proxy|connections\/[^/]+\/proxy)(?:\/|$)/.test(path);
    const at = isProxied ? path.split('?')[0]! : new URL(`http://broker${path}`).pathname;
    const servedMethod = method === 'HEAD' ? 'GET' : method;
    const route = routes.find((one) => one.method.toUpperCase() === servedMethod && one.pattern.test(at));
    if (!route) {
      // Unknown paths are 404, and 401 or 413 before that where callers must authenticate.
      const code = (text.startsWith('{') && JSON.parse(text).code) || undefined;
      const known = [
        'not_found',
        'unauthenticated',
        'too_many_requests',
        'payload_too_large',
        'unsupported_media_type',
      ];
      return known.includes(code) ? undefined : `${method} ${at} is not described, and answers ${status}`;
    }
    const where = `${route.operation.operationId} answers ${status}`;
    const found = describedResponse(route.operation, status);
    if (!found) return `${where}, which is not described`;
    const [name, answer] = found;
    const missing = Object.entries(answer.headers ?? {}).filter(([header, of]) => of.required && !headers.has(header));
    if (missing.length > 0) return `${where} without the header ${missing.map(([header]) => header).join()}`;
    if (method === 'HEAD') return undefined;
    const type = headers.get('content-type')?.split(';')[0];
    if (answer.content === undefined) return text === '' ? undefined : `${where} with a body, and none is described`;
    const media = type === undefined ? undefined : answer.content[type];
    if (!type || !media) return `${where} as ${type}, which is not described`;
    if (!/json/.test(type)) return undefined;
    const body: unknown = JSON.parse(text);
    if (name === 'default' && !isCommonProblem(media, body)) return `${where}, which is not described: ${text}`;
    const pointer = ['paths', route.path, route.method, 'responses', name, 'content', type, 'schema'];
    const faults = validateValue(body, pointer);
    return faults === undefined ? undefined : `${where}: ${faults}: ${text}`;
  };
  return Object.assign(validateResponse, { validateValue });
}

function describedResponse({ responses }: Operation, status: number): [name: string, answer: Described] | undefined {
  const name = String(status) in responses ? String(status) : 'default';
  const answer = responses[name];
  return answer && [name, answer];
}

/** The `default` response is only for the problems that any request may have: those of its examples. */
const isCommonProblem = ({ examples = {} }: Media, body: unknown): boolean =>
  typeof body === 'object' && body !== null && 'code' in body && String(body.code) in examples;

/** Forbids members that are not described. Only in tests: a later version may add members. */
function forbidUnknownMembers(node: unknown, isMap = false): void {
  if (typeof node !== 'object' || node === null) return;
  const schema = node as Record<string, unknown>;
  if (!isMap && 'properties' in schema && !('additionalProperties' in schema)) schema.unevaluatedProperties = false;
  for (const [key, value] of Object.entries(schema))
    if (isMap || (key !== 'examples' && key !== 'example')) forbidUnknownMembers(value, key === 'properties');
}

let defaultValidator: ResponseValidator | undefined;

/** Throws when a response does not match `openapi.json`. */
export function expectMatchesOpenApi(recorded: RecordedResponse): void {
  defaultValidator ??= createResponseValidator(
    JSON.parse(readFileSync(new URL('../../openapi.json', import.meta.url), 'utf8')),
  );
  const fault = defaultValidator(recorded);
  if (fault) throw new Error(`not as described in openapi.json (after a change of routes: npm run generate): ${fault}`);
}
