// What is generated: of the catalogue the JSON Schema that editors read and the table of all systems; of the interface's
// description the client's types.
import { compile } from 'json-schema-to-typescript';
import { z } from 'zod';
import { renewing } from '../../src/catalogue/explain.ts';
import { isCode, nameOf } from '../../src/domain/modes.ts';
import { Provider } from '../../src/domain/provider.ts';
import { CODES } from '../../src/http/problem.ts';

/** An entry that extends another may leave out what the other says. */
export function providerSchema(): string {
  const { required = [], ...schema } = z.toJSONSchema(Provider, { io: 'input', reused: 'ref' });
  const always = ['id'];
  const described = {
    ...schema,
    title: 'Valetkey catalogue entry',
    required: always,
    anyOf: [{ required: ['extends'] }, { required: required.filter((name) => !always.includes(name)) }],
  };
  return `${JSON.stringify(described, null, 2)}\n`;
}

export function catalogueTable(providers: Iterable<Provider>): string {
  const rows = [...providers]
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .flatMap((provider) =>
      provider.auth.map((auth, i) => {
        const system = i === 0 ? `[${provider.name}](${provider.docs_url})` : '';
        const id = i === 0 ? `\`${provider.id}\`` : '';
        const connect = isCode(auth) ? 'browser' : 'import';
        return `| ${[system, id, `\`${nameOf(auth)}\``, connect, renewing(auth), i === 0 ? provider.confidence : ''].join(' | ')} |`;
      }),
    );
  return [
    '# The catalogue',
    '',
    'Generated from `src/catalogue/` by `npm run generate`. `valetkey providers show ID` tells more of each, and [providers.md](providers.md) how to add one.',
    '',
    'Confidence: *verified* against the live system, *documented* by the vendor, or *unverified*: one source, or hearsay.',
    '',
    '| system | id | mode | connected by | refresh | confidence |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

/** What the client speaks of. */
const SHAPES = [
  'Token',
  'DpopProofPost',
  'DpopProof',
  'ConnectSessionPost',
  'ConnectSessionCreated',
  'ConnectSession',
  'JwtVerify',
  'JwtVerdict',
];

/** `schemas`: the components of openapi.json. */
export async function clientTypes(schemas: Record<string, object>): Promise<string> {
  // References lead from one component to another.
  const definitions = JSON.parse(JSON.stringify(schemas).replaceAll('#/components/schemas/', '#/definitions/'));
  const types = SHAPES.map((name) =>
    compile({ ...definitions[name], definitions }, name, {
      additionalProperties: false,
      bannerComment: '',
      declareExternallyReferenced: false,
      ignoreMinAndMaxItems: true,
      style: { singleQuote: true, printWidth: 120 },
    }),
  );
  return [
    "// Generated from the broker's schemas by `npm run generate`.",
    '',
    '/** What the broker says no with. */',
    `export type ProblemCode =\n${[...CODES]
      .sort()
      .map((code) => `  | '${code}'`)
      .join('\n')};`,
    '',
    (await Promise.all(types)).join('\n'),
  ].join('\n');
}
