// The change feed: what the store reports, so that caches can be invalidated on every replica.

/** Something that was cached from the store may be stale. */
export type Change =
  /**
   * `generation`: the current one. A refresh that changed nothing but tokens may be left out where it was made: who committed it
   * has its token. Of several of them, the last one may stand for all. `isRefresh`: it was such a one; see
   * `StoreTraits.marksRefreshes`.
   */
  | { kind: 'connection'; id: string; generation: number; isRefresh?: true }
  | { kind: 'integration'; id: string }
  /** Callers, their permissions, or their keys. */
  | { kind: 'callers' }
  /** An agent session has ended before its time. */
  | { kind: 'session_ended'; id: string }
  /** Which connections have their calls captured. */
  | { kind: 'captures' }
  /** The keys that the deployment signs with. */
  | { kind: 'signing_keys' }
  /**
   * The store can be reached again, and may be another server than before that lacks the last commits: recent commits may
   * have to be repeated.
   */
  | { kind: 'reconnected' }
  /** Changes were missed: nothing that is cached may be relied on. */
  | { kind: 'everything' };
/** A change that an operation makes, and that is stored with it. */
export type StoreChange = Exclude<Change, { kind: 'reconnected' | 'everything' }>;
export type ChangeKind = StoreChange['kind'];

/** A subscription. While the store cannot be reached it goes on trying, and reports what it has missed afterwards. */
export interface ChangeFeed {
  /** `pushed`: the store sends a notification after each commit; `polled`: it is asked every `everyMs`. */
  delivery: 'pushed' | 'polled';
  /** The longest delay while the store can be reached, milliseconds; when pushed, of a notification that was lost. */
  everyMs: number;
  /** Milliseconds since the feed was last read successfully. */
  lagMs(): number;
  /** Nothing is reported once it is fulfilled. */
  stop(): Promise<void>;
}
