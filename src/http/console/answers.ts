// What the console answers to an action: on to a page, or why not.
import type { Context } from 'hono';
import { html } from 'hono/html';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { type Fault, Refusal } from '../../domain/errors.ts';
import { typeableText } from '../../domain/visible-text.ts';
import { problemOf } from '../errors/problem.ts';
import type { PlainSite } from '../pages/layout.ts';
import type { ConsoleEnv } from './environment.ts';
import { field } from './forms.ts';
import { consolePage, type Section } from './layout.ts';
import type { Notice } from './notices.ts';
import { CONFIRMATION_FIELD } from './parts/actions.ts';

/** Where a view's actions go, and its refusals are shown. */
export interface Place {
  site: PlainSite;
  section: Section;
}

/** To a page of the console, after an action (POST, redirect, GET). `path`: below `/console`, with its query. */
export function seeOther(c: Context<ConsoleEnv>, { base }: PlainSite, path: string, notice?: Notice): Response {
  const [pathname, query] = path.split('?');
  const all = new URLSearchParams(query);
  if (notice) all.set('done', notice);
  const search = all.size > 0 ? `?${all}` : '';
  return c.redirect(`${base}/console${pathname}${search}`, 303);
}

/** The page of a refusal: what the API says of it, in the same words. */
export function refusedPage(
  c: Context<ConsoleEnv>,
  { site, section }: Place,
  { fault }: Refusal,
): Response | Promise<Response> {
  return faultPage(c, { site, section }, fault);
}

function faultPage(c: Context<ConsoleEnv>, { site, section }: Place, fault: Fault): Response | Promise<Response> {
  const requestId = c.get('requestId');
  const { status, body } = problemOf(fault, requestId);
  const { title, detail, issues } = JSON.parse(body) as { title: string; detail: string; issues?: Issue[] };
  const page = html`<div class="card">
    <p class="lead">${detail}</p>
    ${issues?.length ? html`<ul>${issues.map(({ path, message }) => html`<li><strong>${path}</strong>: ${message}</li>`)}</ul>` : ''}
    <p class="quiet">Reference: <code>${requestId}</code></p>
  </div>`;
  return c.html(consolePage(site, c.get('visit'), { title, section, body: page }), status as ContentfulStatusCode);
}

interface Issue {
  path: string;
  message: string;
}

/** The page of a value, or of its refusal. */
export const shown = <T>(
  c: Context<ConsoleEnv>,
  place: Place,
  result: T | Refusal,
  present: (value: Exclude<T, Refusal>) => Response | Promise<Response>,
): Response | Promise<Response> =>
  result instanceof Refusal ? refusedPage(c, place, result) : present(result as Exclude<T, Refusal>);

/**
 * Before something is destroyed: undefined if the user has signed in a moment ago, and has typed the id. Otherwise what they get
 * instead. `back`: the page of what was to be destroyed, below `/console`.
 */
export function unconfirmed(
  c: Context<ConsoleEnv>,
  { site, section }: Place,
  form: URLSearchParams,
  id: string,
  back: string,
): Response | Promise<Response> | undefined {
  const { isFresh } = c.get('visit');
  if (!isFresh) return c.redirect(`${site.base}/console/sign-in/again?${new URLSearchParams({ to: back })}`, 303);
  const wanted = typeableText(id);
  // A keyboard may compose what is stored decomposed.
  if (field(form, CONFIRMATION_FIELD)?.normalize() === wanted.normalize()) return undefined;
  const detail = `Nothing was changed: to confirm, type exactly ${wanted}`;
  return faultPage(c, { site, section }, { code: 'invalid_request', detail });
}
