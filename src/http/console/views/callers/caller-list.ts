// Callers: the services that ask for tokens.
import { html } from 'hono/html';
import type { CallerWithKeys } from '../../../../broker/callers/index.ts';
import type { CallerKey } from '../../../../domain/caller.ts';
import type { Html } from '../../../pages/layout.ts';
import { may, type Visit } from '../../environment.ts';
import { textField } from '../../parts/fields.ts';
import { status } from '../../parts/status.ts';
import { nextPage, table } from '../../parts/table.ts';
import { when } from '../../parts/when.ts';
import { isPowerful, permissionWords } from './words.ts';

interface CallerList {
  rows: readonly CallerWithKeys[];
  /** Whether there are any, whatever was searched for. */
  isAny: boolean;
  query: URLSearchParams;
  cursor: string | null;
  now: number;
}

/** Those whose name, id, keys or grants have every word. */
export function callersFor(all: readonly CallerWithKeys[], text: string): CallerWithKeys[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [...all];
  return all.filter(({ caller, keys }) => {
    const { id, name, permissions } = caller;
    const texts = [id, name, ...keys.map(({ prefix }) => prefix), ...permissions.map(permissionWords)];
    const searched = texts.join(' ').toLowerCase();
    return words.every((word) => searched.includes(word));
  });
}

export function callerList(base: string, visit: Visit, list: CallerList): Html {
  const { rows, isAny, query, cursor, now } = list;
  const path = `${base}/console/callers`;
  const add = may(visit, 'admin') ? html`<a class="button" href="${path}/new">Create a caller</a>` : '';
  return html`<div class="row">${add}</div>
    ${
      isAny
        ? html`<form method="get" class="filters" role="search">
            ${textField({ name: 'q', label: 'Search', type: 'search', isFilter: true, value: query.get('q') ?? '' })}
            <button class="button button-quiet">Search</button>
          </form>`
        : ''
    }
    ${table<CallerWithKeys>({
      caption: 'Callers',
      hideCaption: true,
      columns: [
        {
          heading: 'Caller',
          isName: true,
          cell: ({ caller }) => html`<a href="${path}/${caller.id}">${caller.name}</a>`,
        },
        { heading: 'What it may do', cell: grantsOf },
        { heading: 'Signs in with', cell: (one) => credentialsOf(one, now) },
        { heading: 'Last used', cell: ({ keys }) => when(lastUse(keys), now, 'not known') },
      ],
      rows,
      empty: isAny
        ? 'No caller has all of these words.'
        : 'There is no caller yet. A caller is a service of yours that asks for tokens: it has a key, and grants that say what it may do.',
    })}
    ${nextPage(path, query, cursor)}`;
}

function grantsOf({ caller: { permissions } }: CallerWithKeys): Html | string {
  const [first, ...more] = permissions;
  if (!first) return 'Nothing: it has no grants.';
  return html`${permissions.some(isPowerful) ? html`${status('busy', 'powerful')} ` : ''}${permissionWords(first)}
    ${more.length > 0 ? html`<span class="quiet">And ${more.length} more ${more.length === 1 ? 'grant' : 'grants'}.</span>` : ''}`;
}

function credentialsOf({ caller: { workloads }, keys }: CallerWithKeys, now: number): string {
  const live = keys.filter(({ expiresAt }) => expiresAt === null || expiresAt > now).length;
  const parts = [
    ...(live > 0 ? [live === 1 ? '1 key' : `${live} keys`] : []),
    ...(workloads.length > 0
      ? [workloads.length === 1 ? '1 workload identity' : `${workloads.length} workload identities`]
      : []),
  ];
  return parts.join(', ') || 'nothing: it has no key that is valid';
}

const lastUse = (keys: readonly CallerKey[]): number | null =>
  keys.reduce<number | null>((last, { lastUsedAt: at }) => (at !== null && at > (last ?? 0) ? at : last), null);
