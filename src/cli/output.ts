// Answers on stdout: JSON where it is asked for; a table for people; lines of fields between tabs for everything else.
import { styleText } from 'node:util';
import type { Json } from './broker.ts';
import type { Io } from './io.ts';

/** A column: its head, and what a row shows there. */
export type Columns = Record<string, (row: Json) => unknown>;

export function printer(io: Io, json: boolean | undefined) {
  const bold = (text: string) => (io.color ? styleText('bold', text, { validateStream: false }) : text);

  async function table(rows: string[][], head?: string[]): Promise<void> {
    if (rows.length === 0) return;
    const { default: Table } = await import('cli-table3');
    const laidOut = new Table({
      chars: NO_LINES,
      style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    });
    if (head) laidOut.push(head.map(bold));
    laidOut.push(...rows);
    for (const line of laidOut.toString().split('\n')) io.out(line.trimEnd());
  }

  return {
    json: json === true,
    /** One thing: as JSON on one line, or in these words. */
    answer(value: unknown, words: string | readonly string[]): void {
      if (json) io.out(JSON.stringify(value));
      else for (const line of [words].flat()) io.out(line);
    },
    /** One thing with all its fields. */
    async one(value: Json): Promise<void> {
      if (json) return io.out(JSON.stringify(value));
      const rows = Object.entries(value).map(([name, field]) => [name, cell(field)]);
      if (io.outIsTty) await table(rows.map(([name = '', field = '']) => [bold(name), field]));
      else for (const row of rows) io.out(row.join('\t'));
    },
    /** Many things: JSON Lines, a table under heads, or tabs. What is not for a person comes as soon as it is there. */
    async list(columns: Columns, rows: AsyncIterable<Json> | Iterable<Json>): Promise<void> {
      const kept: string[][] = [];
      for await (const row of rows) {
        const cells = () => Object.values(columns).map((show) => cell(show(row)));
        if (json) io.out(JSON.stringify(row));
        else if (io.outIsTty) kept.push(cells().map((text) => text || '-'));
        else io.out(cells().join('\t'));
      }
      await table(kept, Object.keys(columns));
    },
  };
}

const SIDES = ['top', 'bottom', 'left', 'right', 'mid'];
const NO_LINES = Object.fromEntries([
  ...SIDES.flatMap((side) => ['', '-mid', '-left', '-right'].map((at) => [`${side}${at}`, ''] as const)),
  ['middle', ''],
]);

/** On one line, and nothing that a terminal obeys. */
function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return cell(value.join(' '));
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return text.replace(/\p{Cc}+/gu, ' ');
}
