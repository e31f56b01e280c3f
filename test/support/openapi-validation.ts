// Validates every response against `openapi.json`, which is what is served (drift.test.ts).
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

export interface ObservedResponse {
  method: string;
  /** With its query, if it has one. */
  path: string;
  status: number;
  headers: Headers;
  text: string;
}

export interface ResponseValidator {
  /** The difference from the document; undefined if there is none. */
  (response: ObservedResponse): string | undefined;
  /** The same for a value and the schema at a JSON pointer. */
  faultsIn(value: unknown, pointer: string[]): string | undefined;
}

export function createResponseValidator(document: Description): ResponseValidator {
  const root = structuredClone(document);
  for (const schema of Object.values(root.components.schemas)) close(schema);
  close(root.paths);
  // Additional members of a problem are checked by the schema of its code, which includes this one.
  delete root.components.schemas.Problem?.additionalProperties;
  delete (root.components.schemas.Problem as { unevaluatedProperties?: boolean }).unevaluatedProperties;
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateSchema: false });
  formats.default(ajv);
  ajv.addSchema(root, 'valetkey');

  const compiled = new Map<string, ValidateFunction>();
  function faultsIn(value: unknown, pointer: string[]): string | undefined {
    const $ref = `valetkey#/${pointer.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;
    const check = compiled.get($ref) ?? ajv.compile({ $ref });
    compiled.set($ref, check);
    return check(value) ? undefined : ajv.errorsText(check.errors);
  }

  const routes = operationsOf(document).map(({ path, method, operation }) => ({
    path,
    method,
    operation,
    // The path of the public URL, if any, comes after `/.well-known/…` (RFC 8414 3.1).
    pattern: new RegExp(
      `^${path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}${path.startsWith('/.well-known/') ? '(/.*)?' : ''}$`,
    ),
    holes: path.split('{').length,
  }));
  routes.sort((a, b) => a.holes - b.holes);

  const validate = ({ method, path, status, headers, text }: ObservedResponse) => {
    // Normalized as by the server: `%2e%2e` means `..`.
    const at = new URL(`http://broker${path}`).pathname;
    const asked = method === 'HEAD' ? 'GET' : method;
    const route = routes.find((one) => one.method.toUpperCase() === asked && one.pattern.test(at));
    if (!route) {
      // Unknown paths are 404; below /v1, only for authenticated callers.
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
    const found = answerOf(route.operation, status);
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
    if (name === 'default' && !coveredByDefault(media, body)) return `${where}, which is not described: ${text}`;
    const pointer = ['paths', route.path, route.method, 'responses', name, 'content', type, 'schema'];
    const faults = faultsIn(body, pointer);
    return faults === undefined ? undefined : `${where}: ${faults}: ${text}`;
  };
  return Object.assign(validate, { faultsIn });
}

function answerOf({ responses }: Operation, status: number): [name: string, answer: Described] | undefined {
  const name = String(status) in responses ? String(status) : 'default';
  const answer = responses[name];
  return answer && [name, answer];
}

/** `default` covers only the problems that any request may have: those of its examples. */
const coveredByDefault = ({ examples = {} }: Media, body: unknown): boolean =>
  typeof body === 'object' && body !== null && 'code' in body && String(body.code) in examples;

/** Rejects undescribed members. Only in tests, since a later version may add members. */
function close(node: unknown, isMap = false): void {
  if (typeof node !== 'object' || node === null) return;
  const schema = node as Record<string, unknown>;
  if (!isMap && 'properties' in schema && !('additionalProperties' in schema)) schema.unevaluatedProperties = false;
  for (const [key, value] of Object.entries(schema))
    if (isMap || (key !== 'examples' && key !== 'example')) close(value, key === 'properties');
}

let fileValidator: ResponseValidator | undefined;

/** Throws if a response differs from `openapi.json`. */
export function expectDescribed(response: ObservedResponse): void {
  fileValidator ??= createResponseValidator(
    JSON.parse(readFileSync(new URL('../../openapi.json', import.meta.url), 'utf8')),
  );
  const fault = fileValidator(response);
  if (fault) throw new Error(`not as described in openapi.json (after a change of routes: npm run generate): ${fault}`);
}
