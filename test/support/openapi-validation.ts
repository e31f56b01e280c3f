// Holds every answer against the description of the interface: `openapi.json`, which is what is served (drift.test.ts).
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

export interface Said {
  method: string;
  /** With its query, if it has one. */
  path: string;
  status: number;
  headers: Headers;
  text: string;
}

export interface Judge {
  /** Says what in an answer is not as it is described; undefined when all is. */
  (said: Said): string | undefined;
  /** The same for a value and the schema at a JSON pointer. */
  faultsIn(value: unknown, pointer: string[]): string | undefined;
}

export function createJudge(document: Description): Judge {
  const root = structuredClone(document);
  for (const schema of Object.values(root.components.schemas)) close(schema);
  close(root.paths);
  // What a problem has besides is closed by the schema of its code, of which this is a part.
  delete root.components.schemas.Problem?.additionalProperties;
  delete (root.components.schemas.Problem as { unevaluatedProperties?: boolean }).unevaluatedProperties;
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateSchema: false });
  formats.default(ajv);
  ajv.addSchema(root, 'valetkey');

  const compiled = new Map<string, ValidateFunction>();
  function faultsIn(value: unknown, pointer: string[]): string | undefined {
    const $ref = `valetkey#/${pointer.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;
    const validate = compiled.get($ref) ?? ajv.compile({ $ref });
    compiled.set($ref, validate);
    return validate(value) ? undefined : ajv.errorsText(validate.errors);
  }

  const routes = operationsOf(document).map(({ path, method, operation }) => ({
    path,
    method,
    operation,
    // Of a broker below a path, that comes after `/.well-known/…` (RFC 8414 3.1).
    pattern: new RegExp(
      `^${path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}${path.startsWith('/.well-known/') ? '(/.*)?' : ''}$`,
    ),
    holes: path.split('{').length,
  }));
  routes.sort((a, b) => a.holes - b.holes);

  const judge = ({ method, path, status, headers, text }: Said) => {
    // As the server reads it: `%2e%2e` leads up.
    const at = new URL(`http://broker${path}`).pathname;
    const asked = method === 'HEAD' ? 'GET' : method;
    const route = routes.find((one) => one.method.toUpperCase() === asked && one.pattern.test(at));
    if (!route) {
      // Whatever is not served is not found; of everything behind the callers' door, only for callers.
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
    if (name === 'default' && !toldByDefault(media, body)) return `${where}, which is not described: ${text}`;
    const pointer = ['paths', route.path, route.method, 'responses', name, 'content', type, 'schema'];
    const faults = faultsIn(body, pointer);
    return faults === undefined ? undefined : `${where}: ${faults}: ${text}`;
  };
  return Object.assign(judge, { faultsIn });
}

function answerOf({ responses }: Operation, status: number): [name: string, answer: Described] | undefined {
  const name = String(status) in responses ? String(status) : 'default';
  const answer = responses[name];
  return answer && [name, answer];
}

/** A status without a name of its own is for the few problems that any request may have: those of the examples. */
const toldByDefault = ({ examples = {} }: Media, body: unknown): boolean =>
  typeof body === 'object' && body !== null && 'code' in body && String(body.code) in examples;

/** No member is answered that is not described: in tests alone, since there may be more of them in a later version. */
function close(node: unknown, isMap = false): void {
  if (typeof node !== 'object' || node === null) return;
  const schema = node as Record<string, unknown>;
  if (!isMap && 'properties' in schema && !('additionalProperties' in schema)) schema.unevaluatedProperties = false;
  for (const [key, value] of Object.entries(schema))
    if (isMap || (key !== 'examples' && key !== 'example')) close(value, key === 'properties');
}

let ofFile: Judge | undefined;

/** Throws when an answer is not as `openapi.json` describes it. */
export function expectDescribed(said: Said): void {
  ofFile ??= createJudge(JSON.parse(readFileSync(new URL('../../openapi.json', import.meta.url), 'utf8')));
  const fault = ofFile(said);
  if (fault) throw new Error(`not as described in openapi.json (after a change of routes: npm run generate): ${fault}`);
}
