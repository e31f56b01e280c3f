// Problems in the OpenAPI document: turns the codes that a route names into responses by status, with a schema and an
// example for each code, all from the problem table.
import { exampleOf } from '../errors/problem.ts';
import { CODES, type Code, HEADERS, PROBLEMS, rowOf } from '../errors/problem-table.ts';
import type { Description, Example, Header, Operation, Response, Schema } from './document.ts';

const TYPE = 'application/problem+json';

/** Any URL may be malformed. */
const FOR_CALLERS: Code[] = [
  'invalid_request',
  'unauthenticated',
  'too_many_requests',
  'rate_limited',
  'store_unavailable',
];
/** Also examples of `default`, since a body may be sent to any operation. */
const WITH_BODY: Code[] = ['payload_too_large', 'unsupported_media_type'];

/** `connection_exists` → `ConnectionExistsProblem` */
const nameOf = (code: Code): string => `${code.replace(/(?:^|_)(.)/g, (_, letter) => letter.toUpperCase())}Problem`;

const schemaRef = (code: Code): string => `#/components/schemas/${nameOf(code)}`;

/** The codes that the route names, and those of every operation of its kind. */
function codesOf({ security, requestBody, responses }: Operation): Code[] {
  const named = (responses.default?.['x-problems'] ?? []) as Code[];
  const forCallers = isForCallers(security);
  const codes = new Set<Code>([
    ...named,
    'not_authentic',
    'internal',
    ...(forCallers ? FOR_CALLERS : []),
    ...(forCallers && requestBody ? WITH_BODY : []),
  ]);
  return CODES.filter((code) => codes.has(code));
}

const byNames = <T>(codes: readonly Code[], of: (code: Code) => T): Record<string, T> =>
  Object.fromEntries(codes.map((code) => [code, of(code)]));

function answerOf(codes: readonly Code[]): Response {
  const [only, ...others] = codes;
  const schema: Schema =
    others.length === 0
      ? { $ref: schemaRef(only!) }
      : {
          oneOf: codes.map((code) => ({ $ref: schemaRef(code) })),
          discriminator: { propertyName: 'code', mapping: byNames(codes, schemaRef) },
        };
  const headers = [...new Set(codes.flatMap((code) => rowOf(code).headers ?? []))];
  const always = (name: keyof typeof HEADERS) => codes.every((code) => rowOf(code).headers?.includes(name));
  return {
    description: codes.map((code) => PROBLEMS[code].title).join('; or: '),
    ...(headers.length > 0 && {
      headers: Object.fromEntries(headers.map((name) => [name, { ...HEADERS[name], required: always(name) }])),
    }),
    content: { [TYPE]: { schema, examples: examplesOf(codes) } },
  };
}

const examplesOf = (codes: readonly Code[]): Record<string, Example> =>
  byNames(codes, (code) => ({ $ref: `#/components/examples/${code}` }));

/** The error responses of an operation that answers with problems. `default` stands for all others. */
export function refusalsOf(operation: Operation): Record<string, Response> {
  if (operation.responses.default?.['x-problems'] === undefined) return {};
  const byStatus = Object.groupBy(codesOf(operation), (code) => String(PROBLEMS[code].status));
  return {
    ...Object.fromEntries(Object.entries(byStatus).map(([status, codes]) => [status, answerOf(codes!)])),
    default: {
      description: 'Any other problem (RFC 9457)',
      content: { [TYPE]: { schema: { $ref: '#/components/schemas/Problem' }, examples: examplesOf(WITH_BODY) } },
    },
  };
}

/** Headers of every response to a caller with a rate limit. */
export const limitHeaders = ({ security }: Operation): Record<string, Header> =>
  isForCallers(security) ? { RateLimit: HEADERS.RateLimit, 'RateLimit-Policy': HEADERS['RateLimit-Policy'] } : {};

const isForCallers = (security: Operation['security']) => security.some((scheme) => 'caller_key' in scheme);

/** The schema and the example of each code. */
export const problemComponents = (): Pick<Description['components'], 'schemas' | 'examples'> => ({
  schemas: Object.fromEntries(CODES.map((code) => [nameOf(code), schemaOf(code)])),
  examples: byNames(CODES, (code) => ({ summary: PROBLEMS[code].title, value: exampleOf(code) })),
});

function schemaOf(code: Code): Schema {
  const { status, title, members = {}, optional = [] } = rowOf(code);
  return {
    title,
    allOf: [{ $ref: '#/components/schemas/Problem' }],
    type: 'object',
    properties: { code: { const: code }, status: { const: status }, ...members },
    required: ['code', 'status', ...Object.keys(members).filter((name) => !optional.includes(name))],
  };
}
