// Forms as RFC 6749 3.2 has them: no parameter twice, an empty one counts as not sent, and faults that name each field.
import type { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Env } from '../env.ts';
import { invalidRequest, type OAuthRefusal } from '../errors/oauth-errors.ts';

const FORM = /^application\/x-www-form-urlencoded\b/i;

/** A form as it was sent. It is validated once it is known who is calling. */
export interface SentForm {
  /** The parameters that have a value; of a repeated one, the last. */
  fields: Readonly<Record<string, string>>;
  /** All values of a parameter. */
  all(name: string): string[];
  /** `repeatable`: parameters of the schema that may be sent more than once. */
  parse<T extends z.ZodType>(schema: T, repeatable?: readonly string[]): z.infer<T> | OAuthRefusal;
}

export async function readForm(c: Context<Env>): Promise<SentForm | OAuthRefusal> {
  if (!FORM.test(c.req.header('content-type') ?? ''))
    return invalidRequest('Send a form, with the header "Content-Type: application/x-www-form-urlencoded".');
  const sent = [...new URLSearchParams(await c.req.text())].filter(([, value]) => value !== '');
  const fields = Object.fromEntries(sent);
  const all = (name: string) => sent.flatMap(([key, value]) => (key === name ? [value] : []));
  return {
    fields,
    all,
    parse(schema, repeatable = []) {
      const known = 'shape' in schema ? Object.keys(schema.shape as object) : [];
      const twice = known.find((name) => all(name).length > 1 && !repeatable.includes(name));
      if (twice !== undefined) return sentTwice(twice);
      const { success, data, error } = schema.safeParse(fields);
      if (success) return data;
      return invalidRequest(error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
    },
  };
}

export const sentTwice = (name: string): OAuthRefusal => invalidRequest(`"${name}" is sent more than once.`);
