// The SQL statements of the store: compiled when they are first run, since a process runs few of them, and once for each
// text, since drizzle asks for the same one again with every query that is not prepared.
import type { Database, RunResult, Statement } from 'better-sqlite3';
import { LRUCache } from 'lru-cache';
import { upTo } from '../../domain/cache-bounds.ts';

/** Texts that are kept compiled: all of the store, and those lists with filters that were asked for last. */
const MAX_COMPILED = 400;

/** How rows are returned: as objects, as arrays, or as the first column. */
type Form = 'objects' | 'arrays' | 'first column';

/**
 * From now on `client.prepare` compiles nothing: what is wrong with a statement is thrown when it runs. Statements of one
 * text share a compiled one, so none may be iterated over.
 */
export function compileWhenRun(client: Database): void {
  const prepare = client.prepare.bind(client);
  const compiled = new LRUCache<string, Statement>(upTo(MAX_COMPILED));

  function compile(text: string, form: Form): Statement {
    const key = `${form}: ${text}`;
    const known = compiled.get(key);
    if (known) return known;
    const statement = prepare(text);
    if (form === 'arrays') statement.raw();
    if (form === 'first column') statement.pluck();
    compiled.set(key, statement);
    return statement;
  }

  client.prepare = ((text: string) =>
    new LazyStatement((form) => compile(text, form))) as unknown as Database['prepare'];
}

/** What the store and drizzle use of a statement. */
class LazyStatement {
  #compile: (form: Form) => Statement;
  #form: Form = 'objects';
  #statement: Statement | undefined;

  constructor(compile: (form: Form) => Statement) {
    this.#compile = compile;
  }

  get #compiled(): Statement {
    this.#statement ??= this.#compile(this.#form);
    return this.#statement;
  }

  raw(): this {
    return this.#in('arrays');
  }

  pluck(): this {
    return this.#in('first column');
  }

  run(...parameters: unknown[]): RunResult {
    return this.#compiled.run(...parameters);
  }

  get(...parameters: unknown[]): unknown {
    return this.#compiled.get(...parameters);
  }

  all(...parameters: unknown[]): unknown[] {
    return this.#compiled.all(...parameters);
  }

  #in(form: Form): this {
    if (form !== this.#form) this.#statement = undefined;
    this.#form = form;
    return this;
  }
}
