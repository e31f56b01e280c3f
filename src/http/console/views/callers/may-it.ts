// Whether a caller may do something: yes, by which of its grants; or what is missing. Decided as for a request of its own.
import { html } from 'hono/html';
import {
  ACTIONS,
  type Action,
  allows,
  type Extent,
  type MissingPermission,
  missingPermission,
  type Permission,
  permissionsFor,
} from '../../../../domain/caller.ts';
import { normalisedPath, PathFault } from '../../../../domain/request-path.ts';
import type { Html } from '../../../pages/layout.ts';
import { type Issues, selectField, textField } from '../../parts/fields.ts';
import { status } from '../../parts/status.ts';
import { ACTION_WORDS, permissionWords } from './words.ts';

export interface Question {
  action: Action;
  integration: string;
  owner: string;
  extent: Extent;
}

export type Verdict =
  /** `index`: of the grant, in the list of the caller. `isLimited`: it has limits that nothing was said about. */
  | { allowed: true; index: number; permission: Permission; isLimited: boolean }
  | { allowed: false; missing: MissingPermission; closest: { permission: Permission; index: number } | undefined };

/** Undefined: nothing is asked. */
export function questionIn(query: URLSearchParams): Question | { issues: Issues } | undefined {
  const given = (name: string) => query.get(name)?.trim() || undefined;
  const action = given('action');
  if (action === undefined) return undefined;
  const known = ACTIONS.find((one) => one === action);
  if (!known) return { issues: new Map([['action', 'is no action']]) };
  const method = given('method')?.toUpperCase();
  const path = given('path');
  const [, alias = '', rest = ''] = /^([a-z][a-z0-9_-]{0,40}:)?(.*)$/s.exec(path ?? '') ?? [];
  const normal = path === undefined ? undefined : normalisedPath(rest);
  if (normal instanceof PathFault) return { issues: new Map([['path', normal.detail]]) };
  const isCall = known === 'proxy' && (method !== undefined || normal !== undefined);
  return {
    action: known,
    integration: given('integration') ?? '*',
    owner: given('owner') ?? '*',
    extent: {
      scopes: given('scopes')?.split(/[\s,]+/),
      ...(isCall && { proxied: { methods: [method ?? 'GET'], path: `${alias}${normal ?? '/'}` } }),
    },
  };
}

export function verdictOn(permissions: readonly Permission[], question: Question): Verdict {
  const { action, integration, owner, extent } = question;
  const missing = missingPermission(permissions, action, integration, owner, extent);
  const covering = permissionsFor(permissions, action, integration, owner);
  if (missing) return { allowed: false, missing, closest: covering[0] };
  const by = covering.find(({ permission }) => allows([permission], action, integration, owner, extent))!;
  const { scopes, methods, paths } = by.permission;
  const isLimited =
    (scopes !== undefined && extent.scopes === undefined) ||
    ((methods !== undefined || paths !== undefined) && action === 'proxy' && extent.proxied === undefined);
  return { allowed: true, ...by, isLimited };
}

/** A GET form: the address has the question, and can be sent to someone. */
export function mayIt(query: URLSearchParams, permissions: readonly Permission[]): Html {
  const asked = questionIn(query);
  const issues = asked && 'issues' in asked ? asked.issues : undefined;
  const of = (name: string) => ({ name, value: query.get(name) ?? '', error: issues?.get(name), isFilter: true });
  return html`<section class="card" aria-labelledby="may-it">
    <h2 id="may-it">May it?</h2>
    <form method="get" class="filters" action="#may-it">
      ${selectField({ ...of('action'), label: 'Do what', options: ACTIONS.map((one) => [one, `${one}: ${ACTION_WORDS[one]}`] as const) })}
      ${textField({ ...of('integration'), label: 'At which integration' })}
      ${textField({ ...of('owner'), label: 'For which owner' })}
      ${textField({ ...of('scopes'), label: 'With a token of these scopes' })}
      ${textField({ ...of('method'), label: 'With the method' })}
      ${textField({ ...of('path'), label: 'At the path' })}
      <button class="button">Ask</button>
    </form>
    ${asked && !('issues' in asked) ? answer(verdictOn(permissions, asked)) : html`<p class="hint">Without an integration or an owner: all of them. Method and path are of calls through the proxy.</p>`}
  </section>`;
}

function answer(verdict: Verdict): Html {
  if (verdict.allowed) {
    const { index, permission, isLimited } = verdict;
    return html`<div role="status">
      <p class="lead">${status('good', 'Yes')} by <a href="#grant-${index + 1}">grant ${index + 1}</a>: ${permissionWords(permission)}</p>
      ${isLimited ? html`<p>As far as that is known: the grant has limits. Say the scopes, or the method and path, to be certain.</p>` : ''}
    </div>`;
  }
  const { missing, closest } = verdict;
  return html`<div role="status">
    <p class="lead">${status('bad', 'No')} ${missingWords(missing)}</p>
    ${closest ? html`<p>The closest is <a href="#grant-${closest.index + 1}">grant ${closest.index + 1}</a>: ${permissionWords(closest.permission)}</p>` : ''}
  </div>`;
}

function missingWords({ action, integration, owner, scopes, method, path }: MissingPermission): string {
  const parts = [
    ...(scopes ? [scopes[0] === '*' ? 'a token whose scopes are not known' : `the scopes ${scopes.join(' ')}`] : []),
    ...(method === undefined ? [] : [`the method ${method}`]),
    ...(path === undefined ? [] : [`the path ${path}`]),
  ];
  const place = `${integration === '*' ? 'all integrations' : integration} and ${owner === '*' ? 'all owners' : owner}`;
  return parts.length > 0
    ? `A grant covers ${action} at ${place}, but not ${parts.join(', and not ')}.`
    : `No grant has ${action} at ${place}.`;
}
