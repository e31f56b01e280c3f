// What a catalogue entry asks of people: fields with a pattern each, and the templates that they fill.
import { z } from 'zod';
import type { InputIssue } from './errors.ts';

/** Names in templates: `{subdomain}`. */
export const Name = z.string().regex(/^[a-z][a-z0-9_]*$/, 'lower-case letters, digits and underscores');
/** Text with `{name}` in it. What is optional and was not given leaves the whole text out. */
export const Template = z.string();
export const UrlTemplate = z
  .string()
  .regex(
    /^(https:\/\/|http:\/\/(127\.0\.0\.1|localhost|\[::1\])[:/]|\{)/,
    'an https URL, or one that begins with a {parameter}; http only at loopback',
  );

const Pattern = z.string().refine(compiles, 'not a regular expression');

/** Something that the deployment or a connection must tell: an issuer, a data centre, a subdomain. */
export const ParamField = z
  .strictObject({
    title: z.string(),
    description: z.string().optional(),
    /** A regular expression that the whole value matches. It guards what ends up in URLs. */
    pattern: Pattern.optional(),
    /** Instead of a pattern: the values there are, and what each stands for in templates. */
    options: z.record(z.string().regex(/^[A-Za-z0-9._-]+$/), z.string()).optional(),
    example: z.string().optional(),
    /** Used when nothing is given. */
    default: z.string().optional(),
    /** May be left out; what names it is then left out too. */
    optional: z.boolean().default(false),
  })
  .refine((f) => (f.pattern === undefined) !== (f.options === undefined), 'needs either a pattern or options');
export type ParamField = z.infer<typeof ParamField>;
export const Params = z.record(Name, ParamField);
export type Params = z.infer<typeof Params>;

/** Something secret that an import brings: an API key, a password, a private key. */
export const CredentialField = z.strictObject({
  title: z.string(),
  description: z.string().optional(),
  pattern: Pattern.optional(),
  optional: z.boolean().default(false),
  /** `pem`: a private key (PKCS #8 or PKCS #1). `json`: a document whose `members` become credentials of their own. */
  format: z.enum(['text', 'pem', 'json']).default('text'),
  members: z.array(Name).default([]),
});
export type CredentialField = z.infer<typeof CredentialField>;
export const CredentialFields = z.record(Name, CredentialField);

export type Values = Record<string, string>;

/** The whole value matches. */
const fits = (pattern: string, value: string): boolean => new RegExp(`^(?:${pattern})$`, 'u').test(value);

export const isValid = ({ pattern, options }: Pick<ParamField, 'pattern' | 'options'>, value: string): boolean =>
  options ? Object.hasOwn(options, value) : pattern === undefined || fits(pattern, value);

const hint = ({ example, options }: Pick<ParamField, 'example' | 'options'>): string =>
  options ? `; one of: ${Object.keys(options).join(', ')}` : example ? `, for example ${example}` : '';

/** What is wrong with the values given, field by field; `missing` says whether absent ones count. */
export function fieldIssues(
  what: 'params' | 'credentials',
  fields: Record<string, Pick<ParamField, 'title' | 'pattern' | 'options' | 'example' | 'default' | 'optional'>>,
  given: Values,
  missing: 'refused' | 'allowed' = 'refused',
): InputIssue[] {
  const takes = Object.keys(fields).join(', ') || 'none';
  const unknown = Object.keys(given)
    .filter((name) => !Object.hasOwn(fields, name))
    .map((name) => ({ path: `${what}.${name}`, message: `not asked for by this provider, which takes: ${takes}` }));
  const wrong = Object.entries(fields).flatMap(([name, field]) => {
    const value = given[name] ?? field.default;
    const path = `${what}.${name}`;
    if (value === undefined)
      return missing === 'refused' && !field.optional
        ? [{ path, message: `${field.title} is required${hint(field)}` }]
        : [];
    return isValid(field, value) ? [] : [{ path, message: `not a valid ${field.title}${hint(field)}` }];
  });
  return [...unknown, ...wrong];
}

/** The values as templates know them: defaults laid below, options replaced by what they stand for. */
export function valuesOf(fields: Params, given: Values): Values {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, field]) => {
      const value = given[name] ?? field.default;
      return value === undefined ? [] : [[name, field.options?.[value] ?? value]];
    }),
  );
}

const HOLE = /\{([a-z][a-z0-9_]*)\}/g;

/** The names that a template holds. */
export const holes = (template: string): string[] => [...template.matchAll(HOLE)].map(([, name]) => name!);

/** Fills `{name}` in; undefined when a value was not given. */
export function fill(template: string, values: Values, encode = (value: string) => value): string | undefined {
  if (!holes(template).every((name) => Object.hasOwn(values, name))) return undefined;
  return template.replace(HOLE, (_, name: string) => encode(values[name]!));
}

/** Fills each; those that cannot be filled are left out. */
export function fillAll(templates: Values, values: Values): Values {
  return Object.fromEntries(
    Object.entries(templates).flatMap(([name, template]) => {
      const text = fill(template, values);
      return text === undefined ? [] : [[name, text]];
    }),
  );
}

function compiles(pattern: string): boolean {
  try {
    new RegExp(pattern, 'u');
    return true;
  } catch {
    return false;
  }
}
