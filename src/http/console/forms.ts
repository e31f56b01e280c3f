// The forms of the console: what was posted, and whether it came from a page of ours that this user was shown.
import type { Context } from 'hono';
import { html } from 'hono/html';
import { digest, isSameSecret } from '../../broker/secrets/index.ts';
import { boundedPairs, isForm } from '../middleware/form.ts';
import { isFromElsewhere } from '../middleware/navigation.ts';
import { isEncodedText } from '../middleware/well-formed.ts';
import type { Html } from '../pages/layout.ts';
import type { ConsoleEnv, Visit } from './environment.ts';

/** Bytes. */
export const FORM_LIMIT = 262_144;
const FIELD = 'form_token';

/** Of the session with this secret. */
export const formToken = (secret: string): string => digest(`console form ${secret}`);

/** To be in every form that is posted. */
export const tokenField = ({ token }: Pick<Visit, 'token'>): Html =>
  html`<input type="hidden" name="${FIELD}" value="${token}">`;

/** The fields that were posted. Undefined: the form is not ours, from another site, of another session, or too large. */
export async function postedForm(c: Context<ConsoleEnv>): Promise<URLSearchParams | undefined> {
  if (!isForm(c.req.header('content-type')) || isFromElsewhere((name) => c.req.header(name))) return undefined;
  const text = await c.req.text();
  const fields = isEncodedText(text.replaceAll('+', ' ')) ? boundedPairs(text) : undefined;
  return fields && isSameSecret(fields.get(FIELD) ?? '', c.get('visit').token) ? fields : undefined;
}

/** What was filled in, without spaces around it; undefined: nothing. */
export const field = (form: URLSearchParams, name: string): string | undefined => form.get(name)?.trim() || undefined;

/** The same as a number, which need not be one. */
export function numberField(form: URLSearchParams, name: string): number | undefined {
  const text = field(form, name);
  return text === undefined ? undefined : Number(text);
}
