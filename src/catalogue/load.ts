// Reads the catalogue: one JSON file a provider, the built-in ones and then the deployment's, which win.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AuthMode, Provider } from '../domain/provider.ts';
import { packaged } from '../files.ts';
import { bundled } from './bundled.ts';

const BUILT_IN = packaged('src/catalogue');

export type Catalogue = { ok: true; providers: Map<string, Provider> } | { ok: false; issues: string[] };

/** Every fault of every file is reported, by file and field. Throws nothing: a folder that is not there is an issue. */
export function loadCatalogue(dirs: readonly string[]): Catalogue {
  const providers = new Map<string, Provider>((bundled ?? []).map((provider) => [provider.id, provider]));
  const issues: string[] = [];
  for (const dir of bundled ? dirs : [BUILT_IN, ...dirs]) {
    const files = list(dir);
    if (files === undefined) issues.push(`${dir}: not a folder that can be read`);
    for (const file of files ?? []) {
      const read = readProvider(dir, file);
      if ('issues' in read) issues.push(...read.issues.map((issue) => `${file}: ${issue}`));
      else providers.set(read.provider.id, read.provider);
    }
  }
  return issues.length > 0 ? { ok: false, issues } : { ok: true, providers };
}

function list(dir: string): string[] | undefined {
  try {
    return readdirSync(dir)
      .filter((file) => file.endsWith('.json'))
      .sort();
  } catch {
    return undefined;
  }
}

function readProvider(dir: string, file: string): { provider: Provider } | { issues: string[] } {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(join(dir, file), 'utf8'));
  } catch (error) {
    return { issues: [error instanceof SyntaxError ? 'not valid JSON' : 'cannot be read'] };
  }
  // A start reads each file once: the parser is not worth compiling.
  const parsed = Provider.safeParse(json, { jitless: true });
  if (!parsed.success) return { issues: parsed.error.issues.map((issue) => `${field(issue.path)}: ${issue.message}`) };
  const issues = faults(parsed.data, file.slice(0, -'.json'.length));
  return issues.length > 0 ? { issues } : { provider: parsed.data };
}

const field = (path: readonly PropertyKey[]): string =>
  path.length === 0
    ? 'the file'
    : path
        .map((part, i) => (typeof part === 'number' ? `[${part}]` : i === 0 ? String(part) : `.${String(part)}`))
        .join('');

/** What the schema cannot say: names that must agree with each other. */
function faults(provider: Provider, name: string): string[] {
  const fields = { ...provider.params, ...provider.connection_params };
  const known = new Set([...Object.keys(fields), 'client_id']);
  const modes = provider.auth.map(({ mode }) => mode);
  return [
    ...(provider.id === name ? [] : [`id: "${provider.id}" must be the file's name, "${name}"`]),
    ...Object.keys(provider.params)
      .filter((param) => Object.hasOwn(provider.connection_params, param))
      .map((param) => `connection_params.${param}: is a parameter of the integration too`),
    ...Object.entries(fields)
      .filter(
        ([, { default: value, pattern }]) => value !== undefined && !new RegExp(`^(?:${pattern})$`, 'u').test(value),
      )
      .map(([param]) => `params.${param}.default: does not match its pattern`),
    ...modes.filter((mode, i) => modes.indexOf(mode) !== i).map((mode) => `auth: has the mode ${mode} twice`),
    ...provider.auth.flatMap((auth, i) =>
      templates(auth, `auth[${i}]`).flatMap((template) => unknownParams(template, known)),
    ),
    ...unknownParams(['api_base_url', provider.api_base_url], known),
  ];
}

type Template = [path: string, text: string | undefined, alsoKnown?: string[]];

const templates = (auth: AuthMode, at: string): Template[] => [
  [`${at}.authorization_url`, auth.authorization_url],
  [`${at}.token_url`, auth.token_url],
  [`${at}.revocation_url`, auth.revocation_url],
  [`${at}.userinfo_url`, auth.userinfo_url],
  [`${at}.issuer`, auth.mode === 'oidc' ? auth.issuer : undefined],
  [`${at}.revocation.url`, auth.revocation.style === 'request' ? auth.revocation.url : undefined, TOKENS],
];

const TOKENS = ['access_token', 'refresh_token'];

const unknownParams = ([path, text = '', alsoKnown = []]: Template, known: ReadonlySet<string>): string[] =>
  [...text.matchAll(/\{([^}]*)\}/g)]
    .map(([, name = '']) => name)
    .filter((name) => !known.has(name) && !alsoKnown.includes(name))
    .map((name) => `${path}: {${name}} is not among its params`);
