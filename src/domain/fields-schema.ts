// The schemas of fields and templates in catalogue entries. What is done with them is in `fields.ts`.
import { z } from 'zod';

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

/** Below a base URL, filled with percent-encoded values; empty: the base URL itself. */
export const CallPath = z.string().regex(/^(?:\/(?!\/)[^#\\\s]*|)$/, 'a path that begins with /, or nothing');

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
    /**
     * Of a connection: says whose webhooks or limits are its own, and no credential proves it. The app states it; owners, who
     * could name another's, are not asked.
     */
    unproven: z.boolean().optional(),
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

function isRegularExpression(pattern: string): boolean {
  try {
    new RegExp(pattern, 'u');
    return true;
  } catch {
    return false;
  }
}
