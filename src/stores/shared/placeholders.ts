// Parameters of prepared statements.
import { type Column, type SQL, sql } from 'drizzle-orm';

/** Encodes its value like the column does. Null stays null in JSON columns too, instead of the text `null`. */
export const placeholderFor = (column: Column, name: string): SQL => {
  const mapToDriverValue = (value: unknown) => (value === null ? null : column.mapToDriverValue(value));
  return sql`${sql.param(sql.placeholder(name), { mapToDriverValue })}`;
};

/** One for each column, by their names. */
export const placeholdersFor = <Name extends string>(columns: Record<Name, Column>, names: readonly Name[]) =>
  Object.fromEntries(names.map((name) => [name, placeholderFor(columns[name], name)])) as Record<Name, SQL>;
