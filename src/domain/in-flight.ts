// What is in flight: it comes and goes, thousands of times a second.

export interface Entry<T> {
  /** Undefined once it was removed. */
  readonly item: T | undefined;
}

interface Link<T> {
  item: T | undefined;
  before: Link<T> | undefined;
  after: Link<T> | undefined;
}

/**
 * A list whose entries, once removed, refer to nothing. A Map or a Set gets a new table every so many entries, and in V8 the old
 * table goes on referring to the new one, and to all that was in it at that time. As soon as one of these tables is in the old
 * generation, whatever is in the later ones survives each collection of young objects, dead as it is, until everything is collected.
 * A Map of these entries keeps no more than empty ones.
 */
export class InFlight<T extends object> {
  #first: Link<T> | undefined;
  #last: Link<T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(item: T): Entry<T> {
    const link: Link<T> = { item, before: this.#last, after: undefined };
    if (this.#last) this.#last.after = link;
    else this.#first = link;
    this.#last = link;
    this.#size++;
    return link;
  }

  /** No effect if it was removed before. */
  remove(entry: Entry<T>): void {
    const link = entry as Link<T>;
    if (link.item === undefined) return;
    const { before, after } = link;
    if (before) before.after = after;
    else this.#first = after;
    if (after) after.before = before;
    else this.#last = before;
    link.item = link.before = link.after = undefined;
    this.#size--;
  }

  /** In the order in which they came. The one that is iterated over may be removed meanwhile, and no other. */
  *[Symbol.iterator](): Generator<Entry<T> & { readonly item: T }> {
    for (let link = this.#first as (Link<T> & { item: T }) | undefined; link; ) {
      const { after } = link;
      yield link;
      link = after as typeof link;
    }
  }
}
