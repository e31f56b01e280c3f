// Verifies the hash chain over the audit log, from the oldest seal to the newest, and says where it is broken first.
import { isBatch } from '../../../domain/audit-reads.ts';
import { type AuditSeal, numberOf, sealId } from '../../../domain/audit-seal.ts';
import { AUDIT_SEAL_INTERVAL_MS } from '../../../domain/time-limits.ts';
import type { Store, Vault } from '../../../ports/index.ts';
import { endFault, entriesDigest, proofOf } from '../../audit/index.ts';
import { firstId } from '../../secrets/index.ts';

/** Seals, and entries, that are read at once. */
const STEP = 500;
const NO_SEAL = `there is no seal: either no broker has run on this database for ${AUDIT_SEAL_INTERVAL_MS / 1_000} seconds yet, or all seals were deleted`;

export interface BrokenPlace {
  /** The seal that does not fit; null: the log as a whole. */
  seal: string | null;
  /** What is wrong, in words. */
  problem: string;
  /** Between the seal before and this one, ms since the epoch; null: not known. */
  after: number | null;
  before: number | null;
}

export interface AuditVerification {
  seals: number;
  /** Entries that their seals prove. */
  entries: number;
  /** Stored before there were seals: nothing proves them. */
  unprotected: number;
  /** Stored since the last seal. */
  unsealed: number;
  /** Entries in which a broker says that the end of the chain was not what it should be. */
  alarms: number;
  /** When the oldest seal was made; null: there is none. */
  begins: number | null;
  /** The last seal whose entries retention has deleted; null: none. */
  prunedUpTo: string | null;
  /** The newest seal, and when it was made. Keep it elsewhere: a later verification can be asked for it. */
  head: { id: string; hash: string; sealedAt: number } | null;
  /** Undefined: the chain holds. */
  broken: BrokenPlace | undefined;
}

interface Parts {
  store: Pick<
    Store,
    'auditSeals' | 'auditAnchor' | 'auditChainEnd' | 'entriesBetween' | 'countUnlistedReads' | 'auditOutside'
  >;
  vault: Pick<Vault, 'decrypt'>;
  /** A seal that must be in the chain, as an earlier verification has shown it. */
  expected?: { id: string; hash: string } | undefined;
  /** ms since the epoch: of earlier reads, retention may have deleted what finds them by their owners. */
  keptSince: number;
}

/** Rejects with `StoreError`. */
export async function verifyAudit({ store, vault, expected, keptSince }: Parts): Promise<AuditVerification> {
  const result: AuditVerification = {
    seals: 0,
    entries: 0,
    unprotected: 0,
    unsealed: 0,
    alarms: 0,
    begins: null,
    prunedUpTo: null,
    head: null,
    broken: undefined,
  };
  let last: Pick<AuditSeal, 'id' | 'hash' | 'toPosition' | 'sealedAt'> | undefined;
  let hasExpected = expected === undefined;
  const brokenAt = (seal: AuditSeal | null, problem: string): AuditVerification => ({
    ...result,
    broken: { seal: seal?.id ?? null, problem, after: last?.sealedAt ?? null, before: seal?.sealedAt ?? null },
  });

  // First: a broker that runs goes on sealing.
  const end = await store.auditChainEnd();
  const anchor = await store.auditAnchor();
  if (anchor) {
    const fault = forged(vault, anchor);
    if (fault !== undefined || anchor.previous === null) return brokenAt(anchor, fault ?? 'the anchor names no seal');
    result.prunedUpTo = anchor.previous;
    last = { ...anchor, id: anchor.previous, hash: anchor.digest };
    hasExpected ||= expected !== undefined && expected.id <= anchor.previous;
  }

  /** What is wrong with the seal, as the next one of the chain. */
  async function faultOf(seal: AuditSeal): Promise<string | undefined> {
    const number = last ? numberOf(last) + 1 : 1;
    if (seal.id !== sealId(number)) return `seal ${number} is missing, or several are`;
    const fault = forged(vault, seal);
    if (fault !== undefined) return fault;
    if (seal.previous !== (last?.hash ?? null) || seal.fromPosition !== (last?.toPosition ?? 0))
      return 'the seal does not continue the one before';
    const digest = entriesDigest();
    let alarms = 0;
    let unlisted = 0;
    for (let after = seal.fromPosition; ; ) {
      const some = await store.entriesBetween(after, seal.toPosition, STEP);
      for (const one of some) digest.add(one);
      alarms += some.filter(({ entry }) => entry.action === 'audit.seals_missing').length;
      const batches = some.map(({ entry }) => entry).filter((entry) => isBatch(entry) && entry.at >= keptSince);
      if (batches.length > 0) unlisted += await store.countUnlistedReads(batches);
      if (some.length < STEP) break;
      after = some.at(-1)!.position;
    }
    result.alarms += alarms;
    const found = digest.end();
    if (found.entries < seal.entries) return `${seal.entries - found.entries} of ${seal.entries} entries were deleted`;
    if (found.entries > seal.entries) return `${found.entries - seal.entries} entries were inserted`;
    if (found.digest !== seal.digest) return `an entry was changed, of ${seal.entries}`;
    return unlisted > 0 ? `reads of ${unlisted} owners are there, but were taken out of what lists them` : undefined;
  }

  for (let after = anchor?.previous ?? undefined; ; ) {
    const some = await store.auditSeals(after, STEP);
    for (const seal of some) {
      const fault = await faultOf(seal);
      if (fault !== undefined) return brokenAt(seal, fault);
      if (expected?.id === seal.id) {
        if (expected.hash !== seal.hash) return brokenAt(seal, 'it is not the seal that was expected');
        hasExpected = true;
      }
      result.seals++;
      result.entries += seal.entries;
      result.begins ??= seal.sealedAt;
      last = seal;
    }
    after = last?.id;
    if (some.length < STEP) break;
  }
  const isPruned = last !== undefined && last.id === anchor?.previous;
  result.head = last && !isPruned ? { id: last.id, hash: last.hash, sealedAt: last.sealedAt } : null;
  const fromId = anchor?.lastId ?? (result.begins === null ? undefined : firstId('evt', result.begins));
  const outside = await store.auditOutside({
    upTo: anchor?.toPosition ?? 0,
    // `{` is greater than every id.
    fromId: fromId ?? '{',
    sealedUpTo: last?.toPosition ?? 0,
  });
  result.unprotected = outside.unplaced;
  result.unsealed = outside.unsealed;
  const cutOff = endFault(vault, end);
  if (cutOff !== undefined) return brokenAt(null, cutOff);
  if (last === undefined) return brokenAt(null, NO_SEAL);
  if (isPruned) return brokenAt(null, 'there is no seal after the anchor: the end of the chain was cut off');
  if (!hasExpected) return brokenAt(null, `seal ${expected!.id} is not there: the end of the chain was cut off`);
  if (outside.misplaced > 0)
    return brokenAt(null, `${outside.misplaced} entries have no place in the chain, though it covers their time`);
  return result;
}

/** What shows that no broker has made the seal; undefined: one has. */
function forged(vault: Pick<Vault, 'decrypt'>, seal: AuditSeal): string | undefined {
  const proof = proofOf(vault, seal);
  return 'fault' in proof ? proof.fault : undefined;
}
