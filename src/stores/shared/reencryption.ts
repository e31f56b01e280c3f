// Sealing rows anew, as far as it is the same in every database: where to go on, and what becomes of a row.
import type { Ciphertext } from '../../domain/connection.ts';
import type { EncryptedSecret, ReencryptedBatch, SecretRowKey } from '../../ports/index.ts';

/** A row with all of its secrets, by the names of their columns. */
export interface SecretRow {
  id: string;
  sealedFor: string;
  secrets: Record<string, Ciphertext | null>;
}

/** Rows of one table, by their ids. */
export interface Found<E> {
  entry: E;
  ids: string[];
}

export const prefixOf = (kid: string): string => `v1.${kid}.`;

/** The tables that are still to be looked through. */
export const from = <E extends { name: string }>(entries: E[], after: SecretRowKey | null): E[] =>
  after === null ? entries : entries.slice(entries.findIndex(({ name }) => name === after.table));

/** Fewer rows than were asked for: these were the last ones. */
export function nextOf(found: Found<{ name: SecretRowKey['table'] }>[], limit: number): SecretRowKey | null {
  const last = found.at(-1);
  const rows = found.reduce((sum, { ids }) => sum + ids.length, 0);
  return last === undefined || rows < limit ? null : { table: last.entry.name, id: last.ids.at(-1)! };
}

/** Of all tables together; `ids` are those that were found, of which `done` tells what became. */
export function outcomeOf(
  parts: { ids: string[]; rows: SecretRow[]; done: Pick<ReencryptedBatch, 'reencrypted' | 'left'> }[],
  next: SecretRowKey | null,
): ReencryptedBatch {
  const sum = (of: (part: (typeof parts)[number]) => number) => parts.reduce((total, part) => total + of(part), 0);
  return {
    reencrypted: sum(({ done }) => done.reencrypted),
    left: parts.flatMap(({ done }) => done.left),
    skipped: sum(({ ids, rows }) => ids.length - rows.length),
    next,
  };
}

/**
 * What others have sealed anew meanwhile is left out. `changed`: rows of which something is to be written, with all that
 * is in them then.
 */
export function reencryptRows(
  table: SecretRowKey['table'],
  rows: SecretRow[],
  kid: string,
  anew: (text: EncryptedSecret) => Ciphertext | undefined,
): { changed: SecretRow[]; reencrypted: number; left: EncryptedSecret[] } {
  const prefix = prefixOf(kid);
  const changed: SecretRow[] = [];
  const left: EncryptedSecret[] = [];
  let reencrypted = 0;
  for (const { id, sealedFor, secrets } of rows) {
    const replaced: Record<string, Ciphertext> = {};
    for (const [column, sealed] of Object.entries(secrets)) {
      if (sealed === null || sealed.startsWith(prefix)) continue;
      const text = { table, id, column, sealedFor, sealed };
      const to = anew(text);
      if (to === undefined) left.push(text);
      else replaced[column] = to;
    }
    const count = Object.keys(replaced).length;
    reencrypted += count;
    if (count > 0) changed.push({ id, sealedFor, secrets: { ...secrets, ...replaced } });
  }
  return { changed, reencrypted, left };
}
