// Facts of one thing: terms and what they are.
import { html } from 'hono/html';
import { visibleJson } from '../../../domain/visible-text.ts';
import type { Html } from '../../pages/layout.ts';

export const facts = (all: readonly (readonly [term: string, what: Html | string | number | null])[]): Html =>
  html`<dl class="facts">
    ${all.map(([term, what]) => html`<div><dt>${term}</dt><dd>${what ?? '–'}</dd></div>`)}
  </dl>`;

/** An id or a URL, with a button that copies it, which the script shows. */
export const copied = (text: string, what: string): Html =>
  html`<span class="copied"
    ><code>${text}</code
    ><button type="button" class="quiet-button" data-copy="${text}" hidden aria-label="Copy ${what}">Copy</button></span
  >`;

/** Several lines that others have written: what is not seen in them is an escape sequence. */
export const quoted = (text: string): Html => html`<pre tabindex="0">${visibleJson(text)}</pre>`;
