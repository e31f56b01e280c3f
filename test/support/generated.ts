// Generated files: the catalogue's JSON Schema and table, the table of commands, and the client's types from openapi.json.
import type { Command } from 'commander';
import { compile } from 'json-schema-to-typescript';
import { z } from 'zod';
import { describeRenewal } from '../../src/catalogue/explain.ts';
import { scopeOf } from '../../src/catalogue/explain-api.ts';
import { examplesOf } from '../../src/cli/example.ts';
import { EXIT_CODES } from '../../src/cli/failure.ts';
import { ENVIRONMENT } from '../../src/cli/run.ts';
import { isCode, modeName } from '../../src/domain/auth-modes.ts';
import { Provider } from '../../src/domain/provider-schema.ts';
import { CODES } from '../../src/http/errors/problem-table.ts';

/** The JSON Schema of an entry. One that extends another may omit what the other has. */
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
  const sorted = [...providers].sort((a, b) => (a.id < b.id ? -1 : 1));
  const rows = sorted.flatMap((provider) =>
    provider.auth.map((auth, i) => {
      const system = i === 0 ? `[${provider.name}](${provider.docs_url})` : '';
      const id = i === 0 ? `\`${provider.id}\`` : '';
      const connect = isCode(auth) ? 'browser' : 'import';
      return `| ${[system, id, `\`${modeName(auth)}\``, connect, describeRenewal(auth), i === 0 ? provider.confidence : ''].join(' | ')} |`;
    }),
  );
  return [
    '# The catalogue',
    '',
    'Generated from `src/catalogue/` by `npm run generate`. `valetkey providers show ID` shows the details of one, and [providers.md](providers.md) explains how to add one.',
    '',
    'Confidence: *verified* against the live system, *documented* by the vendor, or *unverified* (from a single or indirect source).',
    '',
    '| system | id | mode | connected by | refresh | confidence |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
    '## APIs',
    '',
    'What calls through the broker need to know: [calls of the API](providers.md#calls-of-the-api). Limits are as the vendor documents them; its headers are the truth.',
    '',
    '| id | base URL | other hosts | check | limits count for | limits |',
    '| --- | --- | --- | --- | --- | --- |',
    ...sorted.map(apiRow),
    '',
  ].join('\n');
}

function apiRow({ id, api, api_base_url: base, rate_limits: limits }: Provider): string {
  const check = api.whoami.map(({ method, path, endpoint }) => `${method} ${endpoint ?? (path || 'base URL')}`);
  const cells = [
    `\`${id}\``,
    base === undefined ? '' : `\`${base}\``,
    Object.keys(api.other_hosts).join(', '),
    [...new Set(check)].map((one) => `\`${one}\``).join(', '),
    limits ? scopeOf(limits.scope) : '',
    limits?.documented.join('; ') ?? '',
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

/** Every command, with its arguments, options and an example. */
export function commandTable(program: Command): string {
  /** A group of commands may be one itself: it has examples then. */
  const leaves = (command: Command): Command[] => [
    ...(command.commands.length === 0 || (command.parent !== null && examplesOf(command).length > 0) ? [command] : []),
    ...command.commands.flatMap(leaves),
  ];
  const nameOfCommand = (command: Command): string =>
    command.parent === null ? command.name() : `${nameOfCommand(command.parent)} ${command.name()}`;
  const code = (text: string) => `\`${text.replaceAll('|', '\\|')}\``;
  const rows = leaves(program).map((command) => {
    const taken = command.registeredArguments.map((a) => (a.required ? `<${a.name()}>` : `[${a.name()}]`));
    const options = command.options.map(({ flags, description }) =>
      description === '' ? code(flags) : `${code(flags)} ${description.replaceAll(/[|*]/g, '\\$&')}`,
    );
    const examples = examplesOf(command).map(code);
    const typed = code([nameOfCommand(command), ...taken].join(' '));
    return `| ${[typed, command.description(), options.join('<br>'), examples.join('<br>')].join(' | ')} |`;
  });
  return [
    '# The command line',
    '',
    'Generated from `src/cli/` by `npm run generate`; the same as `valetkey <command> --help`. In a clone, run `npx valetkey …`; in the image, `node dist/cli.js …`.',
    '',
    '| command | what it does | options | example |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    `Options of every command: ${program.options.map(({ flags, description }) => `${code(flags)} ${description}`).join('; ')}.`,
    '',
    'With `--json`, an error is the last line on stderr: the [problem](errors.md) of the broker, or one of the command itself with `type`, `title`, `detail` and a `code`: `usage` (exit code 64), `unreachable` (69), `misconfigured` (78, with `issues`, each with the setting as `path`, and a `message`), `interrupted` (130) or `failed`. Warnings, progress and log lines may precede it. `connect` prints its session there as JSON, with the link as `url`, before it waits.',
    '',
    'Ctrl-C is the error `interrupted` in `connect` and `call`. It ends every other command by its signal, `events --follow` too, without a problem; a shell says 130.',
    '',
    'At a terminal, lists are tables; elsewhere each row is a line of tab-separated fields, never truncated. Keys and secrets are never arguments, which other users of the machine can see: they come from the environment, a file or stdin.',
    '',
    '```text',
    ENVIRONMENT,
    '',
    EXIT_CODES,
    '```',
    '',
  ].join('\n');
}

/** The schemas that the client uses. */
const SHAPES = [
  'Account',
  'Token',
  'CreateDpopProofRequest',
  'DpopProof',
  'ApiDescription',
  'CreateConnectSessionRequest',
  'CreatedConnectSession',
  'ConnectSession',
  'FinishConnectSessionRequest',
  'FinishedConnectSession',
  'CreatePortalSessionRequest',
  'CreatedPortalSession',
  'VerifyJwtRequest',
  'JwtVerdict',
  'EventConnection',
  'Event',
];

/** `schemas`: the components of openapi.json. */
export async function clientTypes(schemas: Record<string, object>): Promise<string> {
  // Components refer to each other.
  const text = JSON.stringify(schemas).replaceAll('#/components/schemas/', '#/definitions/');
  // A title would make a type of each alternative.
  const definitions = JSON.parse(text, (key, value) =>
    key === 'title' && typeof value === 'string' ? undefined : value,
  );
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
    '/** The `code` of a problem (RFC 9457) that the broker answers with. */',
    `export type ProblemCode =\n${[...CODES]
      .sort()
      .map((code) => `  | '${code}'`)
      .join('\n')};`,
    '',
    (await Promise.all(types)).join('\n'),
  ].join('\n');
}
