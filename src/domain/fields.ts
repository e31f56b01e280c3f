// Fields: what a catalogue entry asks of people, each with a pattern. And the templates that their values fill.
import { z } from 'zod';
import type { InputIssue } from './errors.ts';

/** A name in templates: `{subdomain}`. */
export const Name = z.string().regex(/^[a-z][a-z0-9_]*$/, 'lower-case letters, digits and underscores');
/** Text with `{name}` in it. When an optional value is missing, the whole text is omitted. */
export const Template = z.string();
export const UrlTemplate = z
  .string()
  .regex(
    /^(https:\/\/|http:\/\/(127\.0\.0\.1|localhost|\[::1\])[:/]|\{)/,
    'an https URL, or one that begins with a {parameter}; http only at loopback',
  );

export const Pattern = z.string().refine(isRegularExpression, 'not a regular expression');

const FOUND_IN = /^(?=[^{}]*\{\}[^{}]*$)[a-z0-9.{}-]+(\/[A-Za-z0-9_.{}/-]+)?$/;

/** A parameter of an integration or a connection: an issuer, a data centre, a subdomain. */
export const ParamField = z
  .strictObject({
    title: z.string(),
    description: z.string().optional(),
    /** A regular expression that the whole value must match. It protects URLs from injection. */
    pattern: Pattern.optional(),
    /**
     * Where people see the value, without the scheme: `{}` in a host name or a path, such as `{}.zendesk.com`. It is read
     * from such a URL, and in upper case; `{}` alone is a whole host.
     */
    found_in: z.array(z.string().regex(FOUND_IN, 'a host, with or without a path, and one {} in it')).optional(),
    /** Instead of a pattern: the allowed values, and what each stands for in templates. */
    options: z.record(z.string().regex(/^[A-Za-z0-9._-]+$/), z.string()).optional(),
    example: z.string().optional(),
    /** Used when nothing is given. */
    default: z.string().optional(),
    /** May be missing; templates that name it are then omitted. */
    optional: z.boolean().default(false),
  })
  .refine((f) => (f.pattern === undefined) !== (f.options === undefined), 'needs either a pattern or options');
export type ParamField = z.infer<typeof ParamField>;
export const Params = z.record(Name, ParamField);
export type Params = z.infer<typeof Params>;

/** A secret that an import takes: an API key, a password, a private key. */
export const CredentialField = z.strictObject({
  title: z.string(),
  description: z.string().optional(),
  pattern: Pattern.optional(),
  optional: z.boolean().default(false),
  /** `pem`: a private key (PKCS #8 or PKCS #1). `json`: a document whose `members` become credentials. */
  format: z.enum(['text', 'pem', 'json']).default('text'),
  members: z.array(Name).default([]),
});
export type CredentialField = z.infer<typeof CredentialField>;
export const CredentialFields = z.record(Name, CredentialField);

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

/** Fills `{name}` in; undefined when a value is missing. */
export function fill(template: string, values: Values, encode = (value: string) => value): string | undefined {
  // Most have none, and each refresh fills a dozen.
  if (!template.includes('{')) return template;
  let isMissing = false;
  const text = template.replace(PLACEHOLDER, (_, name: string) => {
    if (Object.hasOwn(values, name)) return encode(values[name]!);
    isMissing = true;
    return '';
  });
  return isMissing ? undefined : text;
}

/** Fills each template; those with a missing value are omitted. */
export function fillAll(templates: Values, values: Values): Values {
  return Object.fromEntries(
    Object.entries(templates).flatMap(([name, template]) => {
      const text = fill(template, values);
      return text === undefined ? [] : [[name, text]];
    }),
  );
}

function isRegularExpression(pattern: string): boolean {
  try {
    new RegExp(pattern, 'u');
    return true;
  } catch {
    return false;
  }
}
