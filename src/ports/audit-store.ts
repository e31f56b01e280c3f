// The audit log and its hash chain, as a store keeps them.

import type { AuditEntry, StoredAuditEntry } from '../domain/audit.ts';
import type { AuditSeal } from '../domain/audit-seal.ts';
import type { AuditFilter, Page, PageRequest } from './rows.ts';

export interface AuditStore {
  /**
   * All of them or none. Idempotent by id, so that it can be repeated after an unknown outcome. An entry may be a batch of reads
   * (`domain/audit-reads.ts`): to the hash chain and to pruning it is one entry.
   */
  appendAudit(entries: AuditEntry[]): Promise<void>;
  /** Which of these ids are of no entry. One look-up in an index for each. */
  missingAuditEntries(ids: readonly string[]): Promise<string[]>;
  /** Newest first. Of a batch, its reads one by one, under ids of their own. */
  audit(filter: AuditFilter, page: PageRequest): Promise<Page<StoredAuditEntry>>;
  /**
   * Deletes up to `limit` entries with lower ids that are not sealed, and returns how many: without a place in the hash chain,
   * or with one after `sealedUpTo` (by default 0). Skips rows that another process is deleting.
   */
  pruneAudit(before: string, limit: number, sealedUpTo?: number): Promise<number>;
  /** Deletes up to `limit` of what finds reads of the weeks before this time, in ms, and returns how many. */
  pruneAuditReads(before: number, limit: number): Promise<number>;
}

/** An audit entry with its place in the order in which the log is sealed. Places have gaps. */
export interface PlacedEntry {
  position: number;
  entry: StoredAuditEntry;
}

/** The newest seal, and the row that says which one that is. */
export interface AuditChainEnd {
  last: AuditSeal | undefined;
  head: AuditSeal | undefined;
}

export interface AuditSealStore {
  /** All entries with places up to this one are committed: none will appear among them any more. 0: there are none. */
  auditHorizon(): Promise<number>;
  /** Entries in `(after, upTo]`, in the order of their places. */
  entriesBetween(after: number, upTo: number, limit: number): Promise<PlacedEntry[]>;
  /** How many owners of these batches of reads lack what finds their reads (`pruneAuditReads` deletes it late). */
  countUnlistedReads(batches: readonly StoredAuditEntry[]): Promise<number>;
  /** With the head that names it, which replaces the stored one. `taken`: there is a seal of this id, and nothing changes. */
  addAuditSeal(seal: AuditSeal, head: AuditSeal): Promise<'added' | 'taken'>;
  /** Both as of one moment. */
  auditChainEnd(): Promise<AuditChainEnd>;
  lastAuditSeal(): Promise<AuditSeal | undefined>;
  /** The oldest first, without anchor and head. `after`: the id of an audit seal. */
  auditSeals(after: string | undefined, limit: number): Promise<AuditSeal[]>;
  auditAnchor(): Promise<AuditSeal | undefined>;
  /** Replaces the anchor, unless the stored one is later. */
  putAuditAnchor(anchor: AuditSeal): Promise<void>;
  /** Deletes up to `limit` entries with places up to this one, and returns how many. */
  pruneSealedAudit(upTo: number, limit: number): Promise<number>;
  /** Deletes up to `limit` audit seals, this one and those before it, and returns how many. */
  pruneAuditSeals(upToId: string, limit: number): Promise<number>;
  /**
   * For verification. `unplaced`: entries without a place; `unsealed`: those with places after this one; `misplaced`: those
   * that the chain should cover by their ids, from this one on, but that have no place or one up to `upTo`, and those with a
   * place before the first, which is 1.
   */
  auditOutside(chain: { upTo: number; fromId: string; sealedUpTo: number }): Promise<{
    unplaced: number;
    unsealed: number;
    misplaced: number;
  }>;
}
