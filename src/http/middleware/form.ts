// Forms as RFC 6749 3.2 has them: no parameter twice, an empty one counts as not sent, and faults that name each field. Anyone
// may send one before it is known who they are, so their number is bounded and the work is linear.
import type { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Env } from '../env.ts';
import { invalidRequest, type OAuthRefusal } from '../errors/oauth-errors.ts';
import { isEncodedText } from './well-formed.ts';

const FORM = /^application\/x-www-form-urlencoded\b/i;

/** More than any request of ours has; `resource` and `audience` may repeat. */
const MAX_PARAMETERS = 100;

/** A form as it was sent. It is validated once it is known who is calling. */
export interface SentForm {
  /** The parameters that have a value; of a repeated one, the last. */
  fields: Readonly<Record<string, string>>;
  /** All values of a parameter. */
  all(name: string): readonly string[];
  /** `repeatable`: parameters of the schema that may be sent more than once. */
  parse<T extends z.ZodType>(schema: T, repeatable?: readonly string[]): z.infer<T> | OAuthRefusal;
}

export const isForm = (contentType: string | undefined): boolean => FORM.test(contentType ?? '');

/** The name-value pairs of a form or a query. Undefined: there are too many, and none was decoded. */
export function boundedPairs(text: string): URLSearchParams | undefined {
  let count = 1;
  for (let at = text.indexOf('&'); at >= 0; at = text.indexOf('&', at + 1))
    if (++count > MAX_PARAMETERS) return undefined;
  return new URLSearchParams(text);
}

export async function readForm(c: Context<Env>): Promise<SentForm | OAuthRefusal> {
  if (!isForm(c.req.header('content-type')))
    return invalidRequest('Send a form, with the header "Content-Type: application/x-www-form-urlencoded".');
  const text = await c.req.text();
  if (!isEncodedText(text.replaceAll('+', ' ')))
    return invalidRequest('The form must be UTF-8, without NUL characters.');
  const pairs = boundedPairs(text);
  if (!pairs) return invalidRequest(`The form has more than ${MAX_PARAMETERS} parameters.`);
  return sentForm(pairs);
}

function sentForm(pairs: URLSearchParams): SentForm {
  const values = new Map<string, string[]>();
  for (const [name, value] of pairs) {
    if (value === '') continue;
    const others = values.get(name);
    if (others) others.push(value);
    else values.set(name, [value]);
  }
  const fields = Object.fromEntries([...values].map(([name, all]) => [name, all.at(-1)!]));
  const all = (name: string) => values.get(name) ?? [];
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
