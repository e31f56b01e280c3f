// The form of one grant, and what it asks for.
import type { z } from '@hono/zod-openapi';
import { html } from 'hono/html';
import { CallerGrant } from '../../../../api/index.ts';
import { ACTIONS, type Permission } from '../../../../domain/caller.ts';
import type { Html } from '../../../pages/layout.ts';
import { field, numberField } from '../../forms.ts';
import { areaField, checkField, type Issues, issuesOf, textField } from '../../parts/fields.ts';
import { ACTION_WORDS } from './words.ts';

export const GRANT_FIELDS = [
  ...['actions', 'integrations', 'owners', 'scopes', 'methods', 'paths', 'max_min_ttl'],
  ...['max_refreshes.requests', 'max_refreshes.window'],
];

const lines = (form: URLSearchParams, name: string): string[] | undefined => {
  const all = (form.get(name) ?? '')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter(Boolean);
  return all.length > 0 ? all : undefined;
};
const words = (form: URLSearchParams, name: string): string[] | undefined => field(form, name)?.split(/[\s,]+/);

export function grantIn(form: URLSearchParams): Permission | { issues: Issues } {
  const refreshes = {
    requests: numberField(form, 'max_refreshes.requests'),
    window: numberField(form, 'max_refreshes.window'),
  };
  const isLimited = refreshes.requests !== undefined || refreshes.window !== undefined;
  const asked = {
    actions: form.getAll('actions'),
    integrations: lines(form, 'integrations') ?? [],
    owners: lines(form, 'owners') ?? [],
    scopes: words(form, 'scopes'),
    methods: words(form, 'methods')?.map((method) => method.toUpperCase()),
    paths: lines(form, 'paths'),
    max_min_ttl: numberField(form, 'max_min_ttl'),
    max_refreshes: isLimited ? refreshes : undefined,
  };
  const parsed = CallerGrant.safeParse(asked);
  if (parsed.success) return withoutEmpty(parsed.data);
  return { issues: issuesOf(parsed.error.issues.map(issueOf), GRANT_FIELDS) };
}

/** An empty list is what no one has filled in. */
const issueOf = ({ path, message, code }: z.core.$ZodIssue) => ({
  path: path.join('.'),
  message: code === 'too_small' && path.length === 1 ? 'is required' : message,
});

const withoutEmpty = (grant: Permission): Permission =>
  Object.fromEntries(Object.entries(grant).filter(([, value]) => value !== undefined)) as unknown as Permission;

export function grantFields(values: URLSearchParams, issues: Issues): Html {
  const of = (name: string) => ({ name, value: values.get(name) ?? '', error: issues.get(name) });
  const chosen = new Set(values.getAll('actions'));
  const isOpen = GRANT_FIELDS.slice(3).some((name) => values.get(name) || issues.has(name));
  return html`<fieldset class="card">
      <legend>What it may do</legend>
      ${issues.has('actions') ? html`<p class="error" id="f-actions">${issues.get('actions')}</p>` : ''}
      ${[...ACTIONS, '*' as const].map((action) =>
        checkField({
          name: 'actions',
          id: `actions-${action}`,
          label: html`${action === '*' ? 'Everything' : html`<code>${action}</code>: ${ACTION_WORDS[action]}`}`,
          value: action,
          checked: chosen.has(action),
        }),
      )}
    </fieldset>
    <fieldset class="card">
      <legend>Where, and for whom</legend>
      ${areaField({ ...of('integrations'), label: 'Integrations', rows: 2, required: true, hint: 'Their ids, one in each line. A * at the end matches what begins so; * alone is all.' })}
      ${areaField({ ...of('owners'), label: 'Owners', rows: 2, required: true, hint: 'In the same way: user_42, team_*, or *.' })}
    </fieldset>
    <details class="card" ${isOpen ? html`open` : ''}>
      <summary>Limits</summary>
      ${areaField({ ...of('scopes'), label: 'Scopes', rows: 2, hint: 'The most that a token may have, separated by spaces. If empty: any.' })}
      ${textField({ ...of('methods'), label: 'Methods', hint: 'Of calls through the proxy: GET POST. If empty: any.' })}
      ${areaField({ ...of('paths'), label: 'Paths', rows: 2, hint: 'Of calls through the proxy, one in each line: /repos/*. If empty: any.' })}
      ${textField({ ...of('max_min_ttl'), label: 'Largest min_ttl', type: 'number', hint: 'Seconds of lifetime that may be asked for. If empty: any.' })}
      ${textField({ ...of('max_refreshes.requests'), label: 'Forced refreshes', type: 'number', hint: 'So many, in the time below. If empty: any number.' })}
      ${textField({ ...of('max_refreshes.window'), label: 'In so many seconds', type: 'number' })}
    </details>`;
}

/** What is stored, as the form would have it. */
export function grantFieldsOf(grant: Permission): URLSearchParams {
  const { max_refreshes: refreshes, max_min_ttl: ttl } = grant;
  const all: [string, string | undefined][] = [
    ...grant.actions.map((action): [string, string] => ['actions', action]),
    ['integrations', grant.integrations.join('\n')],
    ['owners', grant.owners.join('\n')],
    ['scopes', grant.scopes?.join(' ')],
    ['methods', grant.methods?.join(' ')],
    ['paths', grant.paths?.join('\n')],
    ['max_min_ttl', ttl === undefined ? undefined : String(ttl)],
    ['max_refreshes.requests', refreshes && String(refreshes.requests)],
    ['max_refreshes.window', refreshes && String(refreshes.window)],
  ];
  return new URLSearchParams(all.filter((pair): pair is [string, string] => pair[1] !== undefined));
}
