// Queries that drizzle writes, prepared when they are first used and run without what drizzle does at each run.
import type { Database, RunResult, Statement } from 'better-sqlite3';
import { is, Param, Placeholder, type Query } from 'drizzle-orm';
import type { PreparedQueryConfig, SQLitePreparedQuery } from 'drizzle-orm/sqlite-core';

type Values = Record<string, unknown>;

/** What may be done with a prepared query. */
type Prepared<Q> = Pick<Q, Extract<keyof Q, 'run' | 'get' | 'all'>>;

/**
 * A query that is prepared when it is first used: drizzle takes longer to write its SQL than SQLite to compile it, and a
 * process uses few of those that it may need.
 */
export function prepared<Q>(build: () => { prepare(): Q }): Prepared<Q> {
  let made: SQLitePreparedQuery<PreparedQueryConfig & { type: 'sync' }> | undefined;
  const query = () => {
    made ??= build().prepare() as unknown as NonNullable<typeof made>;
    return made;
  };
  const lazy = {
    run: (values?: Values) => query().run(values),
    get: (values?: Values) => query().get(values),
    all: (values?: Values) => query().all(values),
  };
  return lazy as unknown as Prepared<Q>;
}

/**
 * Runs a prepared change that every refresh makes. drizzle looks up the kind of each parameter on every run, which takes as
 * long as SQLite's own part: here it is known beforehand. Throws when a value is missing.
 */
export function runner(
  orm: { $client: Database },
  build: () => { prepare(): { getQuery(): Query } },
): (values: Values) => RunResult {
  let statement: Statement | undefined;
  let readers: ((values: Values) => unknown)[] = [];
  return (values) => {
    if (statement === undefined) {
      const { sql: text, params } = build().prepare().getQuery();
      statement = orm.$client.prepare(text);
      readers = params.map(readerOf);
    }
    return statement.run(readers.map((read) => read(values)));
  };
}

function readerOf(param: unknown): (values: Values) => unknown {
  if (is(param, Placeholder)) return (values) => valueNamed(values, param.name);
  if (!is(param, Param) || !is(param.value, Placeholder)) return () => param;
  const { encoder, value } = param;
  return (values) => encoder.mapToDriverValue(valueNamed(values, value.name));
}

function valueNamed(values: Values, name: string): unknown {
  if (!(name in values)) throw new TypeError(`no value for ${name}`);
  return values[name];
}
