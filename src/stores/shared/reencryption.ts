// Re-encryption of rows: where a batch continues, and what becomes of a row.
import type { Ciphertext } from '../../domain/connection.ts';
import type { EncryptedSecret, ReencryptedBatch, SecretRowKey } from '../../ports/index.ts';

/** A row with all of its secrets, by the names of their columns. */
export interface SecretRow {
  id: string;
  boundTo: string;
  /** By the names of `boundColumns`. */
  bound: Record<string, string | null>;
  secrets: Record<string, Ciphertext | null>;
}

/** The next rows of one table, by their ids. */
export interface TableBatch<T> {
  table: T;
  ids: string[];
}

interface NamedTable {
  name: SecretRowKey['table'];
}

/** The ciphertexts of this key in the present form start with it. */
export const prefixOf = (kid: string): string => `v3.${kid}.`;
/** The message authentication codes of this key start with it. */
export const macPrefixOf = (kid: string): string => `m1.${kid}.`;

/**
 * The next `limit` rows, over all tables in their order. `select`: up to `limit` ids of one table that are due, ascending,
 * after the given one.
 */
export async function nextRows<T extends NamedTable>(
  tables: T[],
  after: SecretRowKey | null,
  limit: number,
  select: (table: T, after: string | undefined, limit: number) => Promise<string[]>,
): Promise<TableBatch<T>[]> {
  const batches: TableBatch<T>[] = [];
  const first = after === null ? 0 : tables.findIndex(({ name }) => name === after.table);
  let room = limit;
  for (const table of tables.slice(first)) {
    const ids = await select(table, table.name === after?.table ? after.id : undefined, room);
    if (ids.length > 0) batches.push({ table, ids });
    room -= ids.length;
    if (room === 0) break;
  }
  return batches;
}

/** Null: fewer rows than asked for, so they were the last ones. */
export function nextOf(batches: TableBatch<NamedTable>[], limit: number): SecretRowKey | null {
  const last = batches.at(-1);
  const rows = batches.reduce((sum, { ids }) => sum + ids.length, 0);
  return last === undefined || rows < limit ? null : { table: last.table.name, id: last.ids.at(-1)! };
}

export interface TableOutcome extends Pick<ReencryptedBatch, 'reencrypted' | 'left' | 'skipped'> {
  /** Rows of which a secret is to be written, with all of their secrets. */
  changed: SecretRow[];
}

export const outcomeOf = (tables: TableOutcome[], next: SecretRowKey | null): ReencryptedBatch => ({
  reencrypted: tables.reduce((sum, { reencrypted }) => sum + reencrypted, 0),
  left: tables.flatMap(({ left }) => left),
  skipped: tables.reduce((sum, { skipped }) => sum + skipped, 0),
  next,
});

/**
 * `rows`: those of the batch that could be locked, as they are now. Secrets that another process has re-encrypted meanwhile
 * are left out.
 */
export function reencryptRows(
  { table: { name }, ids }: TableBatch<NamedTable>,
  rows: SecretRow[],
  kid: string,
  reencrypt: (secret: EncryptedSecret) => Ciphertext | undefined,
): TableOutcome {
  const prefix = prefixOf(kid);
  const outcome: TableOutcome = { changed: [], left: [], reencrypted: 0, skipped: ids.length - rows.length };
  for (const { id, boundTo, bound, secrets } of rows) {
    const replaced: Record<string, Ciphertext> = {};
    for (const [column, ciphertext] of Object.entries(secrets)) {
      if (ciphertext === null || ciphertext.startsWith(prefix)) continue;
      const secret = { table: name, id, column, boundTo, bound: Object.values(bound), ciphertext };
      const replacement = reencrypt(secret);
      if (replacement === undefined) outcome.left.push(secret);
      else replaced[column] = replacement;
    }
    const count = Object.keys(replaced).length;
    outcome.reencrypted += count;
    if (count > 0) outcome.changed.push({ id, boundTo, bound, secrets: { ...secrets, ...replaced } });
  }
  return outcome;
}
