// What admins change of a caller: its name, its grants, its workload identities and keys; and its end.
import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import type { CallerSetup, CallerWithKeys } from '../../../../broker/callers/index.ts';
import type { Permission } from '../../../../domain/caller.ts';
import { Refusal, refuse } from '../../../../domain/errors.ts';
import { refusedPage, seeOther, shown, unconfirmed } from '../../answers.ts';
import type { ConsoleEnv } from '../../environment.ts';
import { field } from '../../forms.ts';
import type { Notice } from '../../notices.ts';
import { type Issues, NO_ISSUES } from '../../parts/fields.ts';
import {
  CALLER_FIELDS,
  checkedSetup,
  expiryIn,
  fingerprint,
  grantFingerprint,
  namedIn,
  nameFields,
  setupWith,
  WORKLOAD_FIELDS,
  workloadFields,
  workloadIn,
} from './caller-input.ts';
import { grantName, keyPage } from './caller-page.ts';
import { type CallerFrame, type CallerViewParts, issuesIn } from './frame.ts';
import { GRANT_FIELDS, grantFields, grantFieldsOf, grantIn } from './grant-form.ts';

/** Which grant a form was made of. */
const GRANT = 'grant';

export function callerChanges({ callers, site }: CallerViewParts, frame: CallerFrame): Hono<ConsoleEnv> {
  const { place, path, admins, page, formPage, foundCaller } = frame;
  const routes = new Hono<ConsoleEnv>();

  /** Replaces a caller by what `changed` makes of it, unless someone else has changed it since the form was shown. */
  async function change(
    c: Context<ConsoleEnv>,
    changed: (found: CallerWithKeys) => CallerSetup | { issues: Issues } | Refusal,
    notice: Notice,
    names: readonly string[],
    again: (found: CallerWithKeys, issues: Issues) => Response | Promise<Response>,
  ): Promise<Response> {
    const found = await foundCaller(c);
    if (found instanceof Refusal) return refusedPage(c, place, found);
    if (field(c.get('form'), 'was') !== fingerprint(found.caller))
      return again(
        found,
        new Map([['caller', 'it was changed meanwhile by someone else: look at it, then save again']]),
      );
    const wanted = changed(found);
    if (wanted instanceof Refusal) return refusedPage(c, place, wanted);
    const setup = 'issues' in wanted ? wanted : checkedSetup(wanted, names);
    if ('issues' in setup) return again(found, setup.issues);
    const saved = await callers.put(c.get('visit').call, found.caller.id, setup);
    const issues = issuesIn(saved, names, setup.workloads?.length ?? 0);
    if (issues) return again(found, issues);
    return shown(c, place, saved, ({ caller }) => seeOther(c, site, `/callers/${caller.id}`, notice));
  }
  /** For what has no form of its own to be shown again. */
  const refused = (c: Context<ConsoleEnv>) => (_: CallerWithKeys, issues: Issues) => {
    const all = [...issues].map(([at, message]) => ({ path: at, message }));
    return refusedPage(c, place, refuse({ code: 'invalid_request', detail: 'Nothing was changed.', issues: all }));
  };

  // Its name and rate limit.
  const editPage = (c: Context<ConsoleEnv>, found: CallerWithKeys, values: URLSearchParams, issues: Issues) =>
    formPage(c, {
      title: `Change ${found.caller.name}`,
      action: `${path}/${found.caller.id}/edit`,
      save: 'Save',
      fields: nameFields(values, issues),
      issues,
      names: CALLER_FIELDS,
      found,
    });
  routes.get('/console/callers/:id/edit', admins, async (c) =>
    shown(c, place, await foundCaller(c), (found) => {
      const { name, rateLimit } = found.caller;
      const limit = rateLimit && {
        'rate_limit.requests': String(rateLimit.requests),
        'rate_limit.window': String(rateLimit.window),
      };
      return editPage(c, found, new URLSearchParams({ name, ...limit }), NO_ISSUES);
    }),
  );
  routes.post('/console/callers/:id/edit', admins, (c) =>
    change(
      c,
      ({ caller }) => setupWith(caller, namedIn(c.get('form'))),
      'caller_saved',
      CALLER_FIELDS,
      (found, issues) => editPage(c, found, c.get('form'), issues),
    ),
  );

  // Its grants.
  const grantPage = (
    c: Context<ConsoleEnv>,
    found: CallerWithKeys,
    number: string,
    values: URLSearchParams,
    issues: Issues,
    grant: string | undefined,
  ) =>
    formPage(c, {
      title: number === 'new' ? 'Add a grant' : `Change grant ${number}`,
      action: `${path}/${found.caller.id}/grants/${number}`,
      save: number === 'new' ? 'Add it' : 'Save',
      fields: html`${grant === undefined ? '' : html`<input type="hidden" name="${GRANT}" value="${grant}">`}${grantFields(values, issues)}`,
      issues,
      names: GRANT_FIELDS,
      found,
    });
  const grantAt = (
    c: Context<ConsoleEnv>,
    { caller }: CallerWithKeys,
  ): { index: number; grant: Permission } | Refusal => {
    const number = c.req.param('number') ?? '';
    const index = /^\d{1,3}$/.test(number) ? Number(number) - 1 : -1;
    const grant = caller.permissions[index];
    return grant ? { index, grant } : refuse({ code: 'not_found', what: 'grant', id: number });
  };
  routes.get('/console/callers/:id/grants/new', admins, async (c) =>
    shown(c, place, await foundCaller(c), (found) =>
      grantPage(c, found, 'new', new URLSearchParams(), NO_ISSUES, undefined),
    ),
  );
  routes.get('/console/callers/:id/grants/:number', admins, async (c) =>
    shown(c, place, await foundCaller(c), (found) =>
      shown(c, place, grantAt(c, found), ({ index, grant }) =>
        grantPage(c, found, String(index + 1), grantFieldsOf(grant), NO_ISSUES, grantFingerprint(grant)),
      ),
    ),
  );
  routes.post('/console/callers/:id/grants/:number', admins, (c) => {
    const was = c.req.param('number') === 'new' ? undefined : (field(c.get('form'), GRANT) ?? '');
    /** Its number may be that of another grant by now. */
    const indexIn = ({ caller }: CallerWithKeys) =>
      caller.permissions.findIndex((one) => grantFingerprint(one) === was);
    const gone = refuse({
      code: 'invalid_request',
      detail: 'Nothing was changed: this grant was changed or removed meanwhile by someone else.',
    });
    const changed = (found: CallerWithKeys) => {
      const grant = grantIn(c.get('form'));
      if ('issues' in grant) return grant;
      const { permissions } = found.caller;
      if (was === undefined) return setupWith(found.caller, { grants: [...permissions, grant] });
      const index = indexIn(found);
      return index < 0 ? gone : setupWith(found.caller, { grants: permissions.with(index, grant) });
    };
    return change(c, changed, 'grants_saved', GRANT_FIELDS, (found, issues) => {
      const index = indexIn(found);
      if (was !== undefined && index < 0) return refusedPage(c, place, gone);
      const number = was === undefined ? 'new' : String(index + 1);
      return grantPage(c, found, number, c.get('form'), issues, was);
    });
  });
  routes.post('/console/callers/:id/grants/:number/delete', admins, async (c) => {
    const id = c.req.param('id');
    const no = unconfirmed(c, place, c.get('form'), grantName(Number(c.req.param('number')) - 1), `/callers/${id}`);
    if (no) return no;
    const changed = (found: CallerWithKeys) => {
      const at = grantAt(c, found);
      return at instanceof Refusal
        ? at
        : setupWith(found.caller, { grants: found.caller.permissions.toSpliced(at.index, 1) });
    };
    return change(c, changed, 'grants_saved', [], refused(c));
  });

  // Its workload identities.
  const workloadPage = (c: Context<ConsoleEnv>, found: CallerWithKeys, values: URLSearchParams, issues: Issues) =>
    formPage(c, {
      title: 'Add a workload identity',
      action: `${path}/${found.caller.id}/workloads/new`,
      save: 'Add it',
      fields: html`<div class="card">${workloadFields(values, issues, true)}</div>`,
      issues,
      names: WORKLOAD_FIELDS,
      found,
    });
  routes.get('/console/callers/:id/workloads/new', admins, async (c) =>
    shown(c, place, await foundCaller(c), (found) => workloadPage(c, found, new URLSearchParams(), NO_ISSUES)),
  );
  routes.post('/console/callers/:id/workloads/new', admins, (c) => {
    const changed = ({ caller }: CallerWithKeys) => {
      const workload = workloadIn(c.get('form'));
      if (!workload) return { issues: new Map([['issuer', 'is required']]) };
      return setupWith(caller, { workloads: [...caller.workloads, workload] });
    };
    return change(c, changed, 'workloads_saved', WORKLOAD_FIELDS, (found, issues) =>
      workloadPage(c, found, c.get('form'), issues),
    );
  });
  routes.post('/console/callers/:id/workloads/:workload/delete', admins, async (c) => {
    const workload = c.req.param('workload');
    const no = unconfirmed(c, place, c.get('form'), workload, `/callers/${c.req.param('id')}`);
    if (no) return no;
    const changed = ({ caller }: CallerWithKeys) =>
      setupWith(caller, { workloads: caller.workloads.filter(({ id }) => id !== workload) });
    return change(c, changed, 'workloads_saved', [], refused(c));
  });

  // Its keys, and itself.
  routes.post('/console/callers/:id/keys', admins, async (c) => {
    const found = await foundCaller(c);
    if (found instanceof Refusal) return refusedPage(c, place, found);
    const at = expiryIn(c.get('form'));
    if (at !== null && typeof at === 'object') return refused(c)(found, at.issues);
    const added = await callers.addKey(c.get('visit').call, found.caller.id, at);
    return shown(c, place, added, ({ secret }) =>
      c.html(page(c, 'Its new key', keyPage(site.base, found.caller, secret), found.caller)),
    );
  });
  routes.post('/console/callers/:id/keys/:key/delete', admins, async (c) => {
    const { id, key } = c.req.param();
    const no = unconfirmed(c, place, c.get('form'), key, `/callers/${id}`);
    if (no) return no;
    const removed = await callers.removeKey(c.get('visit').call, id, key);
    return removed instanceof Refusal
      ? refusedPage(c, place, removed)
      : seeOther(c, site, `/callers/${id}`, 'key_deleted');
  });
  routes.post('/console/callers/:id/delete', admins, async (c) => {
    const id = c.req.param('id');
    const no = unconfirmed(c, place, c.get('form'), id, `/callers/${id}`);
    if (no) return no;
    const removed = await callers.remove(c.get('visit').call, id);
    return removed instanceof Refusal
      ? refusedPage(c, place, removed)
      : seeOther(c, site, '/callers', 'caller_deleted');
  });
  return routes;
}
