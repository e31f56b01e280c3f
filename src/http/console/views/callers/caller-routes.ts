// Callers: the list, a new one, and each one's page.
import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import { Refusal } from '../../../../domain/errors.ts';
import { paged, sliceOf } from '../../../paging.ts';
import { refusedPage, seeOther, shown } from '../../answers.ts';
import type { ConsoleEnv } from '../../environment.ts';
import { consolePage } from '../../layout.ts';
import { type Issues, NO_ISSUES } from '../../parts/fields.ts';
import { callerChanges } from './caller-changes.ts';
import {
  CALLER_FIELDS,
  checkedSetup,
  expiryField,
  expiryIn,
  namedIn,
  nameFields,
  WORKLOAD_FIELDS,
  workloadFields,
  workloadIn,
} from './caller-input.ts';
import { callerList, callersFor } from './caller-list.ts';
import { callerPage, keyPage } from './caller-page.ts';
import { type CallerViewParts, callerFrame, issuesIn } from './frame.ts';
import { GRANT_FIELDS, grantFields, grantIn } from './grant-form.ts';

export function callerViews(parts: CallerViewParts): Hono<ConsoleEnv> {
  const { callers, clock, site } = parts;
  const frame = callerFrame(parts);
  const { place, path, admins, page, formPage, foundCaller } = frame;

  const routes = new Hono<ConsoleEnv>();
  routes.get('/console/callers', async (c) => {
    const visit = c.get('visit');
    const all = await callers.list(visit.call);
    if (all instanceof Refusal) return refusedPage(c, place, all);
    const [text, cursor] = [c.req.query('q') ?? '', c.req.query('cursor')];
    const rows = callersFor(all, text).map((one) => ({ ...one, id: one.caller.id }));
    rows.sort((a, b) => (a.id < b.id ? -1 : 1));
    return shown(
      c,
      place,
      paged(c, { cursor }, (request) => sliceOf(rows, request)),
      ({ data, next }) => {
        const query = new URLSearchParams({ ...(text && { q: text }), ...(cursor !== undefined && { cursor }) });
        const list = {
          rows: data,
          isAny: all.length > 0,
          query,
          cursor: next === null ? null : c.get('cursors').encrypt(c.req.path, next),
          now: clock.now(),
        };
        const body = callerList(site.base, visit, list);
        return c.html(
          consolePage(site, visit, { title: 'Callers', section: 'callers', notice: c.req.query('done'), body }),
        );
      },
    );
  });

  // A new one.
  const newPage = (c: Context<ConsoleEnv>, values: URLSearchParams, issues: Issues) =>
    formPage(c, {
      title: 'Create a caller',
      action: `${path}/new`,
      save: 'Create it',
      issues,
      names: [...CALLER_FIELDS, ...GRANT_FIELDS, ...WORKLOAD_FIELDS],
      fields: html`${nameFields(values, issues)} ${grantFields(values, issues)}
        <section class="card"><h2>How it signs in</h2>
          <p>With a key, which is shown once after this form.</p>
          ${expiryField(values, issues)}
          <details ${WORKLOAD_FIELDS.some((name) => values.get(name) || issues.has(name)) ? html`open` : ''}>
            <summary>With tokens of its platform instead (workload identity)</summary>
            ${workloadFields(values, issues, false)}
          </details></section>`,
    });
  routes.get('/console/callers/new', admins, (c) => newPage(c, new URLSearchParams(), NO_ISSUES));
  routes.post('/console/callers/new', admins, async (c) => {
    const form = c.get('form');
    const [grant, workload, keyExpiresAt] = [grantIn(form), workloadIn(form), expiryIn(form)];
    const names = [...CALLER_FIELDS, ...GRANT_FIELDS, ...WORKLOAD_FIELDS];
    const setup = { ...namedIn(form), grants: 'issues' in grant ? [] : [grant], workloads: workload ? [workload] : [] };
    const checked = checkedSetup(setup, names);
    const faults = [grant, checked, keyExpiresAt].flatMap((one) =>
      one !== null && typeof one === 'object' && 'issues' in one ? [...one.issues] : [],
    );
    if (faults.length > 0 || 'issues' in checked || (keyExpiresAt !== null && typeof keyExpiresAt === 'object'))
      return newPage(c, form, new Map(faults));
    const created = await callers.create(c.get('visit').call, { ...checked, keyExpiresAt });
    const issues = issuesIn(created, names, setup.workloads.length);
    if (issues) return newPage(c, form, issues);
    return shown(c, place, created, ({ caller, minted }) =>
      minted
        ? c.html(page(c, 'Its key', keyPage(site.base, caller, minted.secret), caller))
        : seeOther(c, site, `/callers/${caller.id}`, 'caller_created'),
    );
  });

  routes.get('/console/callers/:id', async (c) =>
    shown(c, place, await foundCaller(c), (found) => {
      const query = new URL(c.req.url).searchParams;
      const body = callerPage(site.base, c.get('visit'), { found, query, now: clock.now() });
      return c.html(page(c, found.caller.name, body));
    }),
  );

  routes.route('/', callerChanges(parts, frame));
  return routes;
}
