// The name of someone else, as a part of a page: it cannot change the text around it, nor look like another one by what is
// not seen in it.
import { html } from 'hono/html';
import { visibleText } from '../../domain/visible-text.ts';
import type { Html } from './layout.ts';

export const shownName = (name: string): Html => html`<bdi>${visibleText(name)}</bdi>`;
