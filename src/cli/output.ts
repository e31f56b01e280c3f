// Results on stdout: JSON with `--json`, tables at a terminal, otherwise tab-separated lines.
import { styleText } from 'node:util';
import { visibleJson, visibleText } from '../domain/visible-text.ts';
import type { Json } from './broker.ts';
import type { Io } from './io.ts';

/** By heading: the value of a row in this column. */
export type Columns = Record<string, (row: Json) => unknown>;

export interface Printer {
  json: boolean;
  /** One result: as JSON on one line, or as this text. */
  answer(value: unknown, text: string | readonly string[]): void;
  /** One object with all its fields. */
  one(value: Json): Promise<void>;
  /** A list: JSON Lines, a table with headings, or tab-separated lines. Only a table waits for the last row. */
  list(columns: Columns, rows: AsyncIterable<Json> | Iterable<Json>): Promise<void>;
}

export function printer(io: Io, json: boolean | undefined): Printer {
  const asJson = (value: unknown) => visibleJson(JSON.stringify(value));
  const bold = (text: string) => (io.color ? styleText('bold', text, { validateStream: false }) : text);

  async function table(rows: string[][], head?: string[]): Promise<void> {
    if (rows.length === 0) return;
    const { default: Table } = await import('cli-table3');
    const layout = new Table({
      chars: NO_LINES,
      style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    });
    if (head) layout.push(head.map(bold));
    layout.push(...rows);
    for (const line of layout.toString().split('\n')) io.out(line.trimEnd());
  }

  return {
    json: json === true,
    answer(value, text) {
      if (json) io.out(asJson(value));
      else for (const line of [text].flat()) io.out(line);
    },
    async one(value) {
      if (json) return io.out(asJson(value));
      const rows = Object.entries(value).map(([name, field]) => [name, cell(field)]);
      if (io.outIsTty) await table(rows.map(([name = '', field = '']) => [bold(name), field]));
      else for (const row of rows) io.out(row.join('\t'));
    },
    async list(columns, rows) {
      const buffered: string[][] = [];
      for await (const row of rows) {
        const cells = () => Object.values(columns).map((show) => cell(show(row)));
        if (json) io.out(asJson(row));
        else if (io.outIsTty) buffered.push(cells().map((text) => text || '-'));
        else io.out(cells().join('\t'));
      }
      await table(buffered, Object.keys(columns));
    },
  };
}

const SIDES = ['top', 'bottom', 'left', 'right', 'mid'];
const NO_LINES = Object.fromEntries([
  ...SIDES.flatMap((side) => ['', '-mid', '-left', '-right'].map((at) => [`${side}${at}`, ''] as const)),
  ['middle', ''],
]);

function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return cell(value.join(' '));
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return visibleText(text);
}
