// The frame of the pages of callers: crumbs, forms, and the caller that a path names.
import type { Context } from 'hono';
import { html } from 'hono/html';
import type { CallerAdmin, CallerWithKeys } from '../../../../broker/callers/index.ts';
import { Refusal } from '../../../../domain/errors.ts';
import type { Clock } from '../../../../ports/index.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import type { Place } from '../../answers.ts';
import type { ConsoleEnv } from '../../environment.ts';
import { tokenField } from '../../forms.ts';
import { consolePage } from '../../layout.ts';
import { type Issues, issueSummary, issuesOf } from '../../parts/fields.ts';
import { onlyFor } from '../../roles.ts';
import { fingerprint, ofLastWorkload } from './caller-input.ts';

export interface CallerViewParts {
  callers: CallerAdmin;
  clock: Clock;
  site: PlainSite;
}

export interface FormPage {
  title: string;
  action: string;
  save: string;
  fields: Html;
  issues: Issues;
  names: readonly string[];
  found?: CallerWithKeys | undefined;
}

export function callerFrame({ callers, site }: CallerViewParts) {
  const place: Place = { site, section: 'callers' };
  const path = `${site.base}/console/callers`;
  const admins = onlyFor('admin', place);
  const page = (c: Context<ConsoleEnv>, title: string, body: Html, of?: { id: string; name: string }) =>
    consolePage(site, c.get('visit'), {
      title,
      section: 'callers',
      crumbs: [{ href: path, text: 'Callers' }, ...(of ? [{ href: `${path}/${of.id}`, text: of.name }] : [])],
      notice: c.req.query('done'),
      body,
    });
  function formPage(c: Context<ConsoleEnv>, form: FormPage) {
    const caller = form.found?.caller;
    const body = html`
      ${issueSummary(form.issues, (name) => form.names.includes(name))}
      <form method="post" action="${form.action}">
        ${tokenField(c.get('visit'))}
        ${caller ? html`<input type="hidden" name="was" value="${fingerprint(caller)}">` : ''}
        ${form.fields}
        <div class="row"><button class="button">${form.save}</button>
          <a class="button button-quiet" href="${caller ? `${path}/${caller.id}` : path}">Leave it as it is</a></div>
      </form>`;
    return c.html(page(c, form.title, body, caller), form.issues.size > 0 ? 422 : 200);
  }
  const foundCaller = (c: Context<ConsoleEnv>) => callers.get(c.get('visit').call, c.req.param('id') ?? '');

  return { place, path, admins, page, formPage, foundCaller };
}

export type CallerFrame = ReturnType<typeof callerFrame>;

/** What a use case says of members, by field; undefined: it says nothing of the kind. */
export function issuesIn(result: unknown, names: readonly string[], workloads: number): Issues | undefined {
  if (!(result instanceof Refusal) || result.fault.code !== 'invalid_request' || !result.fault.issues?.length)
    return undefined;
  return issuesOf(result.fault.issues.map(ofLastWorkload(workloads)), names);
}
