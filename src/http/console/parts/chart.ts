// Charts: bars that are drawn on the server, with a table of the same figures for who does not see them.
import { html } from 'hono/html';
import type { Html } from '../../pages/layout.ts';

/** One bar, of parts that stand on each other; each a class of the stylesheet. */
export interface Bar {
  label: string;
  parts: readonly { kind: 'ok' | 'warn' | 'bad'; name: string; value: number }[];
}

const [WIDTH, HEIGHT] = [480, 64];

/** `caption`: what is counted. Bars of nothing are a line at the bottom. */
export function barChart({ caption, bars }: { caption: string; bars: readonly Bar[] }): Html {
  const total = ({ parts }: Bar) => parts.reduce((sum, { value }) => sum + value, 0);
  const most = Math.max(1, ...bars.map(total));
  const step = WIDTH / Math.max(1, bars.length);
  const drawn = bars.map((bar, i) => {
    let top = HEIGHT;
    return bar.parts
      .filter(({ value }) => value > 0)
      .map(({ kind, value }) => {
        const height = Math.max(1, (value / most) * (HEIGHT - 2));
        top -= height;
        return html`<rect class="bar-${kind}" x="${round(i * step + step * 0.1)}" y="${round(top)}" width="${round(step * 0.8)}" height="${round(height)}" />`;
      });
  });
  const sums = new Map<string, number>();
  for (const { parts } of bars) for (const { name, value } of parts) sums.set(name, (sums.get(name) ?? 0) + value);
  const inWords = [...sums].map(([name, value]) => `${value.toLocaleString('en')} ${name}`).join(', ') || 'nothing';
  return html`<figure class="chart">
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${caption}: ${inWords}">
      <path class="bar-ground" d="M0 ${HEIGHT - 0.5}H${WIDTH}" />
      ${drawn}
    </svg>
    <figcaption>${caption}: ${inWords}</figcaption>
  </figure>`;
}

const round = (value: number): number => Math.round(value * 10) / 10;
