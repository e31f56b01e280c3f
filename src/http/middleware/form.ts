// A form as RFC 6749 has it: no parameter twice, empty ones as if they were not there, and faults that name each field.
import type { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Env } from '../env.ts';
import { OAuthRefused } from '../errors/oauth-errors.ts';

const FORM = /^application\/x-www-form-urlencoded\b/i;

export type Form<T extends z.ZodType> = z.infer<T> & {
  /** All values of a parameter that may be repeated. */
  all(name: string): string[];
};

interface Sent<T extends z.ZodType> {
  fields: Record<string, string>;
  /** Refuses what is not as the schema has it. Left until it is known who is asking. */
  parsed(): Form<T>;
}

const refused = (description: string) => new OAuthRefused({ status: 400, error: 'invalid_request', description });

/** Throws `OAuthRefused`. */
export async function readForm<T extends z.ZodType>(
  c: Context<Env>,
  schema: T,
  repeatable: readonly string[] = [],
): Promise<Sent<T>> {
  if (!FORM.test(c.req.header('content-type') ?? ''))
    throw refused('Send a form, with the header "Content-Type: application/x-www-form-urlencoded".');
  const sent = new URLSearchParams(await c.req.text());
  const named = [...sent].filter(([, value]) => value !== '');
  const names = named.map(([name]) => name);
  const twice = names.find((name, i) => names.indexOf(name) < i && !repeatable.includes(name));
  const fields: Record<string, string> = Object.fromEntries(named);
  return {
    fields,
    parsed() {
      if (twice !== undefined && Object.hasOwn(schemaShape(schema), twice)) throw refused(`"${twice}" is given twice.`);
      const { success, data, error } = schema.safeParse(fields);
      if (success)
        return { ...(data as z.infer<T> & object), all: (name: string) => sent.getAll(name).filter(Boolean) };
      const faults = error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
      const unsupported = error.issues.some(({ path }) => path[0] === 'grant_type') && fields.grant_type !== undefined;
      throw new OAuthRefused({
        status: 400,
        error: unsupported ? 'unsupported_grant_type' : 'invalid_request',
        description: faults.join('; '),
      });
    },
  };
}

const schemaShape = (schema: z.ZodType): object => ('shape' in schema ? (schema.shape as object) : {});
