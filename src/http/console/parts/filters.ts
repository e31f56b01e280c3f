// Filters of lists: GET forms, so that the address is the state; and what of an address is a filter at all.
import { html } from 'hono/html';
import type { Html } from '../../pages/layout.ts';

/** A word from a fixed set; undefined: it is none of them. */
export const oneOf = <T extends string>(words: readonly T[], given: string | undefined): T | undefined =>
  words.find((word) => word === given);

/** An id or name of ours; undefined: it cannot be one. */
export const idFilter = (given: string | undefined): string | undefined => {
  const id = given?.trim();
  return id !== undefined && /^[A-Za-z0-9_.-]{1,128}$/.test(id) ? id : undefined;
};

/** The query of a list, without what is not set. */
export function queryOf(members: Readonly<Record<string, string | undefined>>): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(members)) if (value !== undefined) query.set(name, value);
  return query;
}

export const filterForm = (action: string, fields: Html): Html =>
  html`<form method="get" action="${action}" class="filters" role="search">
    ${fields}
    <button class="button button-quiet">Show</button>
  </form>`;

/** `options`: from values to words; none chosen is `all`. */
export const selectFilter = (
  name: string,
  label: string,
  options: readonly (readonly [value: string, word: string])[],
  value: string | undefined,
  all = 'All',
): Html =>
  html`<div>
    <label for="filter-${name}">${label}</label>
    <select id="filter-${name}" name="${name}">
      <option value="">${all}</option>
      ${options.map(([one, word]) => html`<option value="${one}" ${one === value ? html`selected` : ''}>${word}</option>`)}
    </select>
  </div>`;

export const textFilter = (name: string, label: string, value: string | undefined): Html =>
  html`<div>
    <label for="filter-${name}">${label}</label>
    <input id="filter-${name}" name="${name}" value="${value ?? ''}" autocomplete="off" spellcheck="false" maxlength="128">
  </div>`;

/** Lists that belong together: links, of which one is where one is. */
export const tabs = (label: string, all: readonly { href: string; text: string; isCurrent: boolean }[]): Html =>
  html`<nav class="tabs" aria-label="${label}">
    <ul>
      ${all.map(
        ({ href, text, isCurrent }) =>
          html`<li><a href="${href}" ${isCurrent ? html`aria-current="page"` : ''}>${text}</a></li>`,
      )}
    </ul>
  </nav>`;
