// The first step of a set-up: which provider it is.
import { html } from 'hono/html';
import type { Provider } from '../../../../domain/provider.ts';
import { CATEGORIES } from '../../../../domain/provider-categories.ts';
import type { Html } from '../../../pages/layout.ts';
import { selectField, textField } from '../../parts/fields.ts';
import { status } from '../../parts/status.ts';
import { table } from '../../parts/table.ts';
import { CONFIDENCE_TONES, CONFIDENCE_WORDS, modeWords, needsWords } from './words.ts';

export interface ProviderSearch {
  text: string;
  category: string;
}

/** Those whose name, id, category or modes have every word of the search. */
export function providersFor(all: readonly Provider[], { text, category }: ProviderSearch): Provider[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return all.filter((provider) => {
    const { id, name, category: own, auth } = provider;
    if (category !== '' && own !== category) return false;
    const texts = [id, name, own, ...auth.flatMap((one) => [one.mode, modeWords(one)])].join(' ').toLowerCase();
    return words.every((word) => texts.includes(word));
  });
}

export const chooseProvider = (base: string, all: readonly Provider[], search: ProviderSearch): Html => html`
  <p class="lead">Choose what to connect to. Systems that are not listed connect as
    <a href="${base}/console/integrations/new/generic-oauth2">any OAuth 2.0 server</a> or
    <a href="${base}/console/integrations/new/generic-oidc">any OpenID Provider</a>.</p>
  <form method="get" class="filters" role="search">
    ${textField({ name: 'q', label: 'Search', type: 'search', value: search.text, isFilter: true })}
    ${selectField({
      name: 'category',
      label: 'Category',
      value: search.category,
      options: [['', 'All'], ...CATEGORIES.map((one) => [one, one] as const)],
    })}
    <button class="button">Search</button>
  </form>
  ${table<Provider>({
    caption: 'Providers',
    id: 'providers',
    columns: [
      {
        heading: 'Provider',
        isName: true,
        cell: ({ id, name }) => html`<a href="${base}/console/integrations/new/${id}">${name}</a>`,
      },
      { heading: 'Category', cell: ({ category }) => category },
      {
        heading: 'Connects by',
        cell: ({ auth }) =>
          html`${modeWords(auth[0]!)}${auth.length > 1 ? html` <span class="quiet">and ${auth.length - 1} other ${auth.length === 2 ? 'way' : 'ways'}</span>` : ''}`,
      },
      { heading: 'You need', cell: needsWords },
      {
        heading: 'Confidence',
        cell: ({ confidence }) => status(CONFIDENCE_TONES[confidence], CONFIDENCE_WORDS[confidence]),
      },
    ],
    rows: providersFor(all, search),
    empty: html`No provider of the catalogue fits. Search for less, or connect it as
      <a href="${base}/console/integrations/new/generic-oauth2">any OAuth 2.0 server</a>.`,
  })}`;
