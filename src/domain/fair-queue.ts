// A fair queue: those of one group first come, first served, and the groups in turn, so that none waits behind the backlog of
// another.

export interface FairQueue<T> {
  push(group: string, item: T): void;
  /** Removes the next item, of a group that `may` be next (default: any). Each call passes those that may not. */
  next(may?: (group: string) => boolean): T | undefined;
  /** False: it is not queued any more. */
  remove(group: string, item: T): boolean;
  /** The last item of the longest group, if that is longer than this group with one more; undefined: it is not. */
  lastOfLonger(group: string): T | undefined;
  /** The last item of the longest group; undefined: there is none. */
  lastOfLongest(): T | undefined;
  /** All of them, the groups one after the other. */
  all(): T[];
  readonly size: number;
  /** How many of a group. */
  sizeOf(group: string): number;
}

export function createFairQueue<T>(): FairQueue<T> {
  /** In the order in which they are next. */
  const groups = new Map<string, T[]>();
  let size = 0;

  /** Of several, the one whose turn comes last. */
  function longest(): T[] {
    let found: T[] = [];
    for (const items of groups.values()) if (items.length >= found.length) found = items;
    return found;
  }

  return {
    push(group, item) {
      const others = groups.get(group);
      if (others) others.push(item);
      else groups.set(group, [item]);
      size++;
    },
    next(may) {
      for (const [group, items] of groups) {
        if (may && !may(group)) continue;
        const item = items.shift();
        groups.delete(group);
        if (items.length > 0) groups.set(group, items);
        size--;
        return item;
      }
      return undefined;
    },
    remove(group, item) {
      const items = groups.get(group);
      const at = items?.indexOf(item) ?? -1;
      if (!items || at < 0) return false;
      items.splice(at, 1);
      if (items.length === 0) groups.delete(group);
      size--;
      return true;
    },
    lastOfLonger(group) {
      const most = longest();
      return most.length > (groups.get(group)?.length ?? 0) + 1 ? most.at(-1) : undefined;
    },
    lastOfLongest: () => longest().at(-1),
    all: () => [...groups.values()].flat(),
    get size() {
      return size;
    },
    sizeOf: (group) => groups.get(group)?.length ?? 0,
  };
}
