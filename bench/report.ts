// From measurements to a report: a verdict for each figure, a table for people, JSON for machines.
import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import type { Disturbance } from './disturbance.ts';
import { type FigureSpec, type Measured, median, type Result } from './harness.ts';
import { paperOf } from './paper.ts';

export interface Report {
  date: string;
  quick: boolean;
  machine: { processor: string; processors: number; memory: string; platform: string; node: string };
  seconds: number;
  /** Before each experiment. */
  disturbances: Disturbance[];
  figures: Result[];
  failed: { name: string; error: string }[];
}

export function resultOf(
  name: string,
  spec: FigureSpec,
  { ours, baseline, unit, notes, facts = {} }: Measured,
): Result {
  const ratios = ours.map((value, round) => value / baseline[round]!);
  const ratio = median(ratios);
  const meets = (bound: number) => (spec.better === 'higher' ? ratio >= bound : ratio <= bound);
  return {
    name,
    ...spec,
    ratios: ratios.map(rounded),
    ratio: rounded(ratio),
    spread: [rounded(Math.min(...ratios)), rounded(Math.max(...ratios))],
    holds: meets(spec.goal) ? 'goal' : meets(spec.floor) ? 'floor' : 'no',
    ours: rounded(median(ours)),
    against: rounded(median(baseline)),
    unit,
    notes,
    facts,
  };
}

export const machine = (): Report['machine'] => ({
  processor: cpus()[0]?.model ?? 'unknown',
  processors: cpus().length,
  memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
  platform: `${process.platform} ${process.arch}`,
  node: process.version,
});

const HOLDS = { goal: 'goal', floor: 'floor', no: '**no**' };

/** One line, as soon as it is known. */
export const lineOf = (r: Result): string =>
  `${r.name.padEnd(13)} ${show(r.ratio).padStart(7)}  (${r.spread.map(show).join('–')})  floor ${bound(r, r.floor)}, goal ${bound(r, r.goal)}: ${
    r.holds === 'no' ? 'DOES NOT HOLD' : `${r.holds} holds`
  }  [${show(r.ours)} against ${show(r.against)} ${r.unit}]`;

export function tableOf({ figures }: Report): string {
  const rows = figures.map((r) => [
    `\`${r.name}\``,
    r.title,
    r.baseline,
    `**${show(r.ratio)}** (${r.spread.map(show).join('–')})`,
    bound(r, r.floor),
    bound(r, r.goal),
    HOLDS[r.holds],
    `${show(r.ours)} against ${show(r.against)} ${r.unit}`,
  ]);
  const head = ['', 'figure', 'baseline in the same run', 'ratio (spread)', 'floor', 'goal', 'holds', 'medians'];
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** Prose about the figures, by hand, which becomes a section of the page. Its links are relative to `bench/`. */
const PROFILE = readFileSync(new URL('profile.md', import.meta.url), 'utf8')
  .trimEnd()
  .replaceAll('](../docs/', '](');

/** `docs/performance.md`, all of it. */
export function pageOf(report: Report): string {
  const { date, machine: m, seconds, figures } = report;
  const noted = figures.filter((r) => r.notes.length > 0);
  const notes = noted.map((r) => `- \`${r.name}\`: ${r.notes.join('; ')}.`);
  return `# Performance

Written by \`npm run bench -- --write\`; measured on ${date.slice(0, 10)} in ${Math.round(seconds)} s, on ${m.processors} × ${m.processor}, ${m.memory}, ${m.platform}, Node ${m.node}.

Every figure is a ratio against a baseline that is measured in the same run, interleaved with it (A, B, A, B, …). Each round has a ratio; the table shows the median of the rounds and, in brackets, the lowest and the highest. The server, the load generator (raw sockets, keep-alive, one request in flight on each) and the provider are separate processes. ${disturbanceOf(report)} Where a *floor* does not hold, something is broken; the *goal* is where we want to be. What falls short, and why: [where the time goes](#where-the-time-goes).

${tableOf(report)}

## Notes on the figures

${notes.join('\n')}

${PROFILE}

${paperOf(figures)}

\`npm run bench\` prints this table, \`-- --json\` one JSON object, \`-- --only warm,cold\` measures only these, \`-- --quick\` is short and imprecise, \`-- --write\` writes this page (its section *Where the time goes* is \`bench/profile.md\`).
`;
}

/** How quiet the machine was. */
export function disturbanceOf({ disturbances }: Report): string {
  const taken = median(disturbances.map((one) => one.taken));
  const longestMs = Math.max(...disturbances.map((one) => one.longestMs));
  return `Between the experiments, others took ${show(taken * 100)} % of the processors' time (median), and held up a busy loop for up to ${show(longestMs)} ms.`;
}

const bound = ({ better }: FigureSpec, value: number) => `${better === 'higher' ? '≥' : '≤'} ${value}`;
const rounded = (value: number) => Number(value.toPrecision(4));

function show(value: number): string {
  if (!Number.isFinite(value)) return '–';
  return Math.abs(value) >= 100
    ? Math.round(value).toLocaleString('en')
    : String(Number(value.toPrecision(value < 1 ? 2 : 3)));
}
