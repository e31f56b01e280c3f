// Reads the declarative file: JSON whose strings contain `${NAME}` from the environment, or from the file that `NAME_FILE`
// names. Its schema is in `src/api/`.
import { secretIn } from './secret-file.ts';

export type DeclaredText =
  /** `unset`: each place that names a variable which has no value, and why. There the variable is replaced by nothing. */
  | { ok: true; value: unknown; unset: { at: string; why: string }[] }
  /** `why`: it is not valid JSON, and where, in words that repeat nothing of it. */
  | { ok: false; why: string };

/** The messages of V8 repeat parts of the text, which may be secrets. */
function placeOf({ message }: SyntaxError): string {
  const [, line, column] = /\(line (\d+) column (\d+)\)$/.exec(message) ?? [];
  if (line !== undefined) return ` at line ${line}, column ${column}`;
  return /end of JSON input$/.test(message) ? ': it ends too early' : '';
}

export function readDeclared(
  text: string,
  env: Record<string, string | undefined>,
  readFile: (path: string) => string,
): DeclaredText {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    return { ok: false, why: `not valid JSON${placeOf(error as SyntaxError)}` };
  }
  const unset: { at: string; why: string }[] = [];
  const value = fillIn(raw, [], (name, at) => {
    const found = mayName(name, at, env) ?? valueIn(name, env, readFile);
    if ('text' in found) return found.text;
    unset.push({ at, why: found.issue });
    return '';
  });
  return { ok: true, value, unset };
}

/** The broker's own secrets: a reader of integrations or callers must never see these. */
export const OWN_SECRETS = [
  'VALETKEY_KEYS',
  'VALETKEY_ADMIN_KEY',
  'VALETKEY_DATABASE_URL',
  'HTTPS_PROXY',
  'HTTP_PROXY',
];

/** The fields that are never shown. */
const SECRET_FIELD =
  /^(integrations\.\d+\.(client_secret|private_key|webhook\.secrets\.\d+|signals\.token)|callers\.\d+\.(key|keys\.\d+))$/;

/** Undefined: the field may name the variable. */
function mayName(name: string, at: string, env: Record<string, string | undefined>): { issue: string } | undefined {
  const own = OWN_SECRETS.find((secret) => {
    const file = env[`${secret}_FILE`];
    // Proxies are also read from variables in lower case.
    const isCopy = [env[secret], env[secret.toLowerCase()]].some((value) => value && env[name]?.includes(value));
    return name.toUpperCase() === secret || isCopy || (file && env[`${name}_FILE`] === file);
  });
  if (own !== undefined) return { issue: `\${${name}} is ${own}, which belongs to the broker alone` };
  if (!/^VALETKEY_/i.test(name) || SECRET_FIELD.test(at)) return undefined;
  return {
    issue: `\${${name}} is a setting of the broker, and this field is shown: write the value here, or use a variable of another name`,
  };
}

function valueIn(
  name: string,
  env: Record<string, string | undefined>,
  readFile: (path: string) => string,
): { text: string } | { issue: string } {
  const [text, file] = [env[name], env[`${name}_FILE`]];
  if (text) return { text };
  if (!file) return { issue: `\${${name}} is not set in the environment` };
  const read = secretIn(file, readFile);
  return 'issue' in read ? { issue: `\${${name}}: ${name}_FILE: ${read.issue}` } : read;
}

/** `at` is a JSON path such as `integrations.0.client_secret`. Values of variables are not expanded again. */
function fillIn(value: unknown, at: string[], lookUp: (name: string, at: string) => string): unknown {
  if (typeof value === 'string')
    return value.replace(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (_, name: string) => lookUp(name, at.join('.')));
  if (Array.isArray(value)) return value.map((item, i) => fillIn(item, [...at, String(i)], lookUp));
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fillIn(item, [...at, key], lookUp)]));
  }
  return value;
}

/** A JSON path for people: `integrations.0.scopes` is `integration acme: scopes`. */
export function inWords(
  path: string,
  declared: { integrations?: { id?: unknown }[]; callers?: { name?: unknown }[] },
): string {
  const [list = '', index = '', ...rest] = path.split('.');
  const name =
    list === 'integrations' ? declared.integrations?.[Number(index)]?.id : declared.callers?.[Number(index)]?.name;
  const known = (list === 'integrations' || list === 'callers') && typeof name === 'string';
  return known ? [`${list.slice(0, -1)} ${name}`, rest.join('.')].filter((part) => part !== '').join(': ') : path;
}
