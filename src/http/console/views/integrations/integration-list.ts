// The integrations of this deployment.
import { html } from 'hono/html';
import type { Integration } from '../../../../domain/integration.ts';
import { authMode, type Provider } from '../../../../domain/provider.ts';
import type { Html } from '../../../pages/layout.ts';
import { may, type Visit } from '../../environment.ts';
import { nextPage, table } from '../../parts/table.ts';
import { when } from '../../parts/when.ts';
import { modeWords } from './words.ts';

interface IntegrationList {
  rows: readonly Integration[];
  catalogue: ReadonlyMap<string, Provider>;
  query: URLSearchParams;
  cursor: string | null;
  now: number;
}

export function integrationList(base: string, visit: Visit, list: IntegrationList): Html {
  const { rows, catalogue, query, cursor, now } = list;
  const path = `${base}/console/integrations`;
  const add = may(visit, 'admin') ? html`<a class="button" href="${path}/new">Set up an integration</a>` : '';
  return html`${rows.length > 0 ? html`<div class="row">${add}</div>` : ''}
    ${table<Integration>({
      caption: 'Integrations',
      hideCaption: true,
      columns: [
        { heading: 'Integration', isName: true, cell: ({ id }) => html`<a href="${path}/${id}">${id}</a>` },
        {
          heading: 'Provider',
          cell: ({ provider }) => catalogue.get(provider)?.name ?? `${provider}, which the catalogue does not have`,
        },
        {
          heading: 'Connects by',
          cell: ({ provider, params }) => {
            const known = catalogue.get(provider);
            const auth = known && authMode(known, params);
            return auth ? modeWords(auth) : '–';
          },
        },
        { heading: 'Changed', cell: ({ updatedAt }) => when(updatedAt, now) },
      ],
      rows,
      empty: html`No integration is set up yet. An integration is a provider with the client that you have registered there.
        <div class="row">${add}</div>`,
    })}
    ${nextPage(path, query, cursor)}`;
}
