// The changes that a process has made itself and need not be told of, until a snapshot shows them.
import type { Snapshot } from './change-rows.ts';

/** A change of a connection, with its transaction. */
export interface OwnChange {
  xid: string;
  id: string;
  generation: number;
}

export interface OwnChanges {
  /**
   * Before the statement that makes them: returns what is to be called with them after it. It does nothing once the connection
   * was lost meanwhile.
   */
  noting(): (changes: readonly OwnChange[]) => void;
  has(change: { xid: string | null; id: string | null; generation: number | string | null }): boolean;
  /** All changes that this snapshot shows have been read. */
  forget(shown: Snapshot): void;
  /** After a fail-over, another transaction may have the number of one of them. */
  noteLoss(): void;
}

export function createOwnChanges(): OwnChanges {
  /** By transaction. */
  const known = new Map<string, Set<string>>();
  let losses = 0;
  const keyOf = ({ id, generation }: { id: string | null; generation: number | string | null }) =>
    `${generation} ${id}`;

  return {
    noting() {
      const before = losses;
      return (changes) => {
        if (losses !== before) return;
        for (const change of changes) {
          const ofTransaction = known.get(change.xid) ?? new Set();
          known.set(change.xid, ofTransaction.add(keyOf(change)));
        }
      };
    },
    has: (change) => known.get(change.xid!)?.has(keyOf(change)) ?? false,
    forget({ next, open }) {
      for (const xid of known.keys()) if (BigInt(xid) < next && !open.includes(xid)) known.delete(xid);
    },
    noteLoss() {
      losses++;
      known.clear();
    },
  };
}
