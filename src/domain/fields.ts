// Fields: what a catalogue entry asks of people, each with a pattern. And the templates that their values fill.
import type { InputIssue } from './errors.ts';
import type { ParamField, Params } from './fields-schema.ts';

export type { CredentialField, ParamField, Params } from './fields-schema.ts';

export type Values = Record<string, string>;

/** Whether the whole value matches. */
const matches = (pattern: string, value: string): boolean => new RegExp(`^(?:${pattern})$`, 'u').test(value);

export const isValid = ({ pattern, options }: Pick<ParamField, 'pattern' | 'options'>, value: string): boolean =>
  options ? Object.hasOwn(options, value) : pattern === undefined || matches(pattern, value);

/** What people mean: fields with `found_in` are read from URLs and host names, and in upper case. Others stay as they are. */
export function asMeant(fields: Params, given: Values): Values {
  return Object.fromEntries(
    Object.entries(given).map(([name, text]) => {
      const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
      return [name, (field?.found_in && meantBy(field, field.found_in, text.trim())) ?? text];
    }),
  );
}

/** Undefined: no part of the text is a valid value. */
function meantBy(field: ParamField, foundIn: readonly string[], text: string): string | undefined {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`);
  const isPage = url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
  const parts = isPage ? foundIn.map((place) => partAt(place, url)) : [];
  const [whole, within] = [parts.filter((_, i) => foundIn[i] === '{}'), parts.filter((_, i) => foundIn[i] !== '{}')];
  return [...within, text, ...whole, text.toLowerCase()].find((part) => part !== undefined && isValid(field, part));
}

/** What stands at `{}`; undefined where the URL is another one. */
function partAt(place: string, { host, pathname }: URL): string | undefined {
  const [before = '', after = ''] = place.split('{}').map((part) => part.replace(/[.\\/-]/g, '\\$&'));
  return new RegExp(`^${before}([^/]+)${after}(?:/.*)?$`).exec(host + pathname)?.[1];
}

const hint = ({ example, options }: Pick<ParamField, 'example' | 'options'>): string =>
  options ? `; one of: ${Object.keys(options).join(', ')}` : example ? `, for example ${example}` : '';

/** Validates values, field by field; `missing` says whether absent ones are issues. */
export function fieldIssues(
  what: 'params' | 'credentials',
  fields: Record<string, Pick<ParamField, 'title' | 'pattern' | 'options' | 'example' | 'default' | 'optional'>>,
  given: Values,
  missing: 'refused' | 'allowed' = 'refused',
): InputIssue[] {
  const known = Object.keys(fields).join(', ') || 'none';
  const unknown = Object.keys(given)
    .filter((name) => !Object.hasOwn(fields, name))
    .map((name) => ({ path: `${what}.${name}`, message: `unknown for this provider, which takes: ${known}` }));
  const invalid = Object.entries(fields).flatMap(([name, field]) => {
    const value = given[name] ?? field.default;
    const path = `${what}.${name}`;
    if (value === undefined)
      return missing === 'refused' && !field.optional
        ? [{ path, message: `${field.title} is required${hint(field)}` }]
        : [];
    return isValid(field, value) ? [] : [{ path, message: `not a valid ${field.title}${hint(field)}` }];
  });
  return [...unknown, ...invalid];
}

/** The values for templates: with defaults, and with options replaced by what they stand for. */
export function valuesOf(fields: Params, given: Values): Values {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, field]) => {
      const value = given[name] ?? field.default;
      return value === undefined ? [] : [[name, field.options?.[value] ?? value]];
    }),
  );
}

const PLACEHOLDER = /\{([a-z][a-z0-9_]*)\}/g;

/** The names in a template. */
export const placeholders = (template: string): string[] =>
  [...template.matchAll(PLACEHOLDER)].map(([, name]) => name!);

/** The templates of the catalogue, and those of integrations. */
const MAX_SPLIT = 2_000;
const split = new Map<string, readonly string[]>();

/** Texts and names in turn, the first a text. */
function partsOf(template: string): readonly string[] {
  let parts = split.get(template);
  if (!parts) {
    if (split.size >= MAX_SPLIT) split.clear();
    parts = template.split(PLACEHOLDER);
    split.set(template, parts);
  }
  return parts;
}

/** Fills `{name}` in; undefined when a value is missing. */
export function fill(template: string, values: Values, encode?: (value: string) => string): string | undefined {
  // Most have none, and each refresh fills a dozen.
  if (!template.includes('{')) return template;
  const parts = partsOf(template);
  let text = parts[0]!;
  for (let i = 1; i < parts.length; i += 2) {
    const name = parts[i]!;
    if (!Object.hasOwn(values, name)) return undefined;
    const value = values[name]!;
    text += (encode ? encode(value) : value) + parts[i + 1]!;
  }
  return text;
}

/** Fills each template; those with a missing value are omitted. */
export function fillAll(templates: Values, values: Values): Values {
  const filled: Values = {};
  for (const name of Object.keys(templates)) {
    const text = fill(templates[name]!, values);
    if (text !== undefined) filled[name] = text;
  }
  return filled;
}
