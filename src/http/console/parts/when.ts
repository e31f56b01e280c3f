// Times, as people read them, with the exact time beside it.
import { html } from 'hono/html';
import type { Html } from '../../pages/layout.ts';

const UNITS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
] as const;

/** `2026-11-29 10:05:00 UTC`. */
export const exactly = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;

/** Made when it is first needed: the texts of all units take 8 MB. */
let relative: Intl.RelativeTimeFormat | undefined;

/** `3 minutes ago`, `in 2 hours`. */
export function inWords(ms: number, now: number): string {
  const difference = ms - now;
  const [unit, length] = UNITS.find(([, one]) => Math.abs(difference) >= one) ?? UNITS[3];
  relative ??= new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
  return relative.format(Math.round(difference / length), unit);
}

/** `now` and `ms`: milliseconds since the epoch. */
export function when(ms: number | null | undefined, now: number, never = '–'): Html {
  if (ms === null || ms === undefined) return html`${never}`;
  const iso = new Date(ms).toISOString();
  return html`<time datetime="${iso}" title="${exactly(ms)}">${inWords(ms, now)}</time>`;
}
