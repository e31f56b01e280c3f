// Generates requests for an operation of openapi.json, from valid to nonsense, and sends them unchanged.
import { Agent, request as send } from 'node:http';
import fc, { type Arbitrary } from 'fast-check';
import type { Description, Operation, Parameter } from '../../../src/http/openapi/document.ts';
import type { RecordedResponse } from '../../support/openapi-validation.ts';
import { nearly, oddText, type Pools, valid, wild } from './values.ts';

export interface Request {
  method: string;
  /** As in the request line: encoded or not. */
  path: string;
  headers: Record<string, string>;
  body: string | undefined;
}

interface Wanted {
  document: Description;
  path: string;
  method: string;
  operation: Operation;
  pools: Pools;
  /** Keys to authenticate with; the first has every permission. */
  keys: readonly string[];
}

export function requestOf({ document, path, method, operation, pools, keys }: Wanted): Arbitrary<Request> {
  const { parameters = [], requestBody } = operation;
  const [type, media] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  const value = (one: Parameter) => valid(document, one.schema, pools, one.name).map(String);
  const holes = parameters.filter((one) => one.in === 'path');
  const filled = fc
    .tuple(...holes.map((one) => fc.oneof({ weight: 5, arbitrary: value(one).map(encode) }, rawPart)))
    .map((values) => holes.reduce((at, { name }, i) => at.replace(`{${name}}`, () => values[i] ?? ''), path));
  const body = media && valid(document, media.schema, pools);
  return fc
    .record({
      at: filled,
      query: queryOf(
        parameters.filter((one) => one.in === 'query'),
        value,
      ),
      headers: headersOf(keys),
      body: body ? (type?.includes('form') ? formText(body) : bodyText(body)) : noBody,
      type: fc.oneof({ weight: 12, arbitrary: fc.constant(type ?? 'application/json') }, oddType),
    })
    .map(({ at, query, headers, body, type }) => ({
      method: method.toUpperCase(),
      path: query === '' ? at : `${at}?${query}`,
      headers: { ...headers, ...(body !== undefined && { 'content-type': type }) },
      body,
    }));
}

const encode = (text: string): string => encodeURIComponent(text.toWellFormed());

/** A path segment: any text without a slash or a question mark. */
const rawPart = fc.oneof(
  oddText.map((text) => encode(text).slice(0, 4_000)),
  fc.constantFrom('%', '%zz', '%c0%80', '%2e%2e', '..', '.', '%2f', 'x;y=1', '$&', "'", '%00'),
);

function queryOf(parameters: Parameter[], value: (one: Parameter) => Arbitrary<string>): Arbitrary<string> {
  if (parameters.length === 0)
    return fc.oneof({ weight: 9, arbitrary: fc.constant('') }, fc.constantFrom('x=1', '&&', '=', '%'));
  const pair = (one: Parameter, of: Arbitrary<string>) =>
    of.map((text) => `${one.name}=${encode(text).slice(0, 4_000)}`);
  const each = parameters.map((one) =>
    fc.oneof(
      { weight: 6, arbitrary: pair(one, value(one)) },
      { weight: one.required ? 1 : 6, arbitrary: fc.constant('') },
      { weight: 1, arbitrary: pair(one, oddText) },
      { weight: 1, arbitrary: fc.tuple(pair(one, value(one)), pair(one, oddText)).map((both) => both.join('&')) },
      { weight: 1, arbitrary: fc.constantFrom(`${one.name}=%`, `${one.name}[]=1`, `${one.name}`, '__proto__[x]=1') },
    ),
  );
  return fc.tuple(...each).map((pairs) => pairs.filter((one) => one !== '').join('&'));
}

const noBody = fc.oneof({ weight: 8, arbitrary: fc.constant(undefined) }, fc.constantFrom('{}', '[', 'x'));

const bodyText = (body: Arbitrary<unknown>) => fc.oneof({ weight: 8, arbitrary: jsonText(body) }, oddJson);

const jsonText = (body: Arbitrary<unknown>): Arbitrary<string> =>
  fc
    .oneof({ weight: 4, arbitrary: body }, { weight: 4, arbitrary: nearly(body) }, { weight: 2, arbitrary: wild })
    .map((value) => JSON.stringify(value));

const oddJson = fc.constantFrom(
  undefined,
  '',
  '{',
  '{"a":1}x',
  '\ufeff{}',
  '{"__proto__":{"name":"x"},"name":"y"}',
  '{"name":1,"name":2}',
  `${'['.repeat(50_000)}`,
  `"${'x'.repeat(140_000)}"`,
  '\u0000',
  '{"name":"\\ud800"}',
  'NaN',
);

/** Requests that authenticate by header mostly do not authenticate in the form too. */
const formText = (body: Arbitrary<unknown>): Arbitrary<string> =>
  fc
    .record({
      body,
      twice: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.constant(true)),
      more: fc.array(fc.tuple(fc.constantFrom('tenant', 'token', '__proto__'), oddText), { maxLength: 2 }),
      mad: fc.oneof({ weight: 1, arbitrary: fc.constant(true) }, { weight: 2, arbitrary: fc.constant(false) }),
    })
    .map(({ body, twice, more, mad }) => {
      const proper = Object.entries(body as Record<string, unknown>).filter(
        ([name]) => twice || !name.startsWith('client_'),
      );
      const pairs = [...proper, ...(mad ? more : [])].map(([name, value]): [string, string] => [
        name,
        String(value).toWellFormed(),
      ]);
      return new URLSearchParams(pairs).toString().slice(0, 20_000);
    });

const oddType = fc.constantFrom(
  'text/plain',
  'application/json; charset=utf-16',
  'application/problem+json',
  'multipart/form-data',
  'application/x-www-form-urlencoded',
  'json',
  ';',
  '',
);

const latin = fc.stringMatching(/^[\x21-\x7e\xa1-\xff]{0,200}$/);

function headersOf(keys: readonly string[]): Arbitrary<Record<string, string>> {
  const [admin = '', ...others] = keys;
  const authorization = fc.oneof(
    { weight: 24, arbitrary: fc.constant(`Bearer ${admin}`) },
    { weight: 4, arbitrary: fc.constantFrom(...others.map((key) => `Bearer ${key}`)) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '',
        'Bearer',
        `bearer  ${admin} `,
        `Basic ${admin}`,
        `Bearer ${admin}x`,
        'Bearer a.b.c',
      ),
    },
    { weight: 1, arbitrary: latin },
  );
  const more = fc.dictionary(
    fc.constantFrom(
      'x-request-id',
      'accept',
      'cookie',
      'origin',
      'x-forwarded-for',
      'x-http-method-override',
      'if-none-match',
      'range',
      '__proto__',
    ),
    latin,
    { maxKeys: 2, noNullPrototype: true },
  );
  return fc.tuple(authorization, more).map(([authorization, more]) => ({ ...more, authorization }));
}

export function createClient(url: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const { hostname, port } = new URL(url);
  return {
    /** Rejects when the connection breaks. */
    ask: ({ method, path, headers, body }: Request): Promise<RecordedResponse> =>
      new Promise((resolve, reject) => {
        const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
        const asked = send({ hostname, port, agent, method, path, headers: { ...headers, ...length } }, (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.on('error', reject);
          answer.on('end', () => {
            const told = new Headers();
            for (const [name, value] of Object.entries(answer.headers)) told.set(name, String(value));
            resolve({
              method,
              path,
              status: answer.statusCode ?? 0,
              headers: told,
              text: Buffer.concat(chunks).toString(),
            });
          });
        });
        asked.on('error', reject);
        asked.end(body);
      }),
    close: () => agent.destroy(),
  };
}
