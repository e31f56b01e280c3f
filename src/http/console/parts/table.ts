// Tables, which fold into cards on a narrow screen: there, each cell names its column.
import { html } from 'hono/html';
import type { Html } from '../../pages/layout.ts';

export interface Column<T> {
  heading: string;
  cell: (row: T) => Html | string | number;
  /** Figures are aligned at their end. */
  isNumber?: boolean;
  /** It names the row: the header of its row, and of its card. */
  isName?: boolean;
  sorted?: 'ascending' | 'descending';
}

export interface Table<T> {
  /** What the table is; shown unless the heading above it says the same. */
  caption: string;
  hideCaption?: boolean;
  columns: readonly Column<T>[];
  rows: readonly T[];
  /** Instead of the table, if there are no rows. */
  empty: Html | string;
  /** For the script that filters it. */
  id?: string;
}

export function table<T>({ caption, hideCaption, columns, rows, empty, id }: Table<T>): Html {
  if (rows.length === 0) return html`<p class="empty">${empty}</p>`;
  const kind = ({ isNumber }: Column<T>) => (isNumber ? 'number' : 'text');
  return html`<div class="table" role="region" aria-label="${caption}" tabindex="0">
    <table ${id === undefined ? '' : html`id="${id}"`}>
      <caption class="${hideCaption ? 'hidden' : ''}">${caption}</caption>
      <thead>
        <tr>
          ${columns.map(
            (column) =>
              html`<th scope="col" class="${kind(column)}" ${column.sorted ? html`aria-sort="${column.sorted}"` : ''}>
                ${column.heading}
              </th>`,
          )}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              ${columns.map((column) => cellOf(column, row, kind(column)))}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

const cellOf = <T>(column: Column<T>, row: T, kind: string): Html =>
  column.isName
    ? html`<th scope="row" class="${kind}" data-heading="${column.heading}"><div>${column.cell(row)}</div></th>`
    : html`<td class="${kind}" data-heading="${column.heading}"><div>${column.cell(row)}</div></td>`;

/** To the next page of a list; nothing at its end. `query`: the filters, which stay. */
export function nextPage(path: string, query: URLSearchParams, cursor: string | null): Html | '' {
  const isFirst = !query.has('cursor');
  if (cursor === null && isFirst) return '';
  const first = new URLSearchParams(query);
  first.delete('cursor');
  const next = new URLSearchParams(first);
  if (cursor !== null) next.set('cursor', cursor);
  return html`<nav class="pages" aria-label="Pages">
    ${isFirst ? '' : html`<a href="${path}?${first.toString()}">First page</a>`}
    ${cursor === null ? '' : html`<a href="${path}?${next.toString()}" rel="next">Next page</a>`}
  </nav>`;
}
