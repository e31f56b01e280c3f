// A status: a word, a shape and a colour, so that none of them is needed alone.
import { html } from 'hono/html';
import type { Html } from '../../pages/layout.ts';

/** `good` works; `busy` works or waits, and is looked after; `bad` needs someone; `off` has ended. */
export type Tone = 'good' | 'busy' | 'bad' | 'off';

const SHAPES: Record<Tone, Html> = {
  good: html`<circle cx="8" cy="8" r="7" /><path d="m4.8 8.3 2.2 2.2 4.2-4.8" />`,
  busy: html`<path d="M8 1.2 15 14H1Z" /><path d="M8 6v4m0 1.8v.4" />`,
  bad: html`<path d="M5 1h6l4 4v6l-4 4H5l-4-4V5Z" /><path d="m5.4 5.4 5.2 5.2m0-5.2-5.2 5.2" />`,
  off: html`<circle cx="8" cy="8" r="6.5" /><path d="M5 8h6" />`,
};

export const status = (tone: Tone, word: string): Html =>
  html`<span class="status status-${tone}"
    ><svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">${SHAPES[tone]}</svg
    >${word}</span
  >`;

/** Of connections. */
export const CONNECTION_TONES = { active: 'good', needs_reauth: 'bad', on_hold: 'busy', revoked: 'off' } as const;
export const CONNECTION_WORDS = {
  active: 'active',
  needs_reauth: 'needs its owner',
  on_hold: 'on hold',
  revoked: 'revoked',
} as const;

export const CIRCUIT_TONES = { closed: 'good', half_open: 'busy', open: 'bad' } as const;
export const CIRCUIT_WORDS = { closed: 'closed', half_open: 'trying', open: 'open' } as const;
