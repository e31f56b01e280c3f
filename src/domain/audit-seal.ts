// Seals: a hash chain over the audit log. Each covers the entries since the one before, in the order of their places, and that
// seal itself. Here are the texts that are hashed; who can write the database cannot make the ciphertext of a hash.
import type { StoredAuditEntry } from './audit.ts';
import type { Ciphertext } from './connection.ts';

export interface AuditSeal {
  /** A number that counts up from 1, with 16 digits; or `anchor`, or `head`. */
  id: string;
  /**
   * The hash of the seal before; null: it is the first. Of an anchor: the id of the last seal that was pruned. Of a head: the
   * id of the newest seal.
   */
  previous: string | null;
  /** Exclusive. */
  fromPosition: number;
  /** Inclusive. */
  toPosition: number;
  /** How many entries. Of an anchor and a head: 0. */
  entries: number;
  /** The greatest id among the entries; null: there are none. */
  lastId: string | null;
  /** SHA-256 of the entries, hex. Of an anchor: the hash of the last seal that was pruned. Of a head: that of the newest. */
  digest: string;
  /** ms since the epoch. */
  sealedAt: number;
  /** SHA-256 of all of the above, hex. */
  hash: string;
  /** `sealProof`, encrypted: it proves that a broker has made the seal. Re-encrypted when keys are rotated. */
  ciphertext: Ciphertext;
}

/** The seal that stands for all that retention has deleted. */
export const ANCHOR = 'anchor';

/** The row that says which seal is the newest. Like the anchor's, its id is greater than those of all seals. */
export const HEAD = 'head';

export const sealId = (number: number): string => String(number).padStart(16, '0');
export const numberOf = ({ id }: Pick<AuditSeal, 'id'>): number => Number(id);

/** The row and column that the hash of a seal is encrypted for. */
export const sealContext = (id: string) => ({ row: `audit_seals/${id}`, column: 'sealed' });

/** What is encrypted of a seal: its hash, and whether a head was stored with it. The first seals had none. */
export const sealProof = (hash: string, hasHead: boolean): string => (hasHead ? `${hash} head` : hash);

/** Of an entry, in the order in which they are hashed, for ever; those of a later version come after them. */
export const ENTRY_MEMBERS = Object.keys({
  id: true,
  at: true,
  action: true,
  outcome: true,
  actor: true,
  keyId: true,
  subject: true,
  integration: true,
  owner: true,
  connectionId: true,
  address: true,
  requestId: true,
  clientRequestId: true,
  traceId: true,
  detail: true,
  changed: true,
  count: true,
  session: true,
  agentId: true,
  agentName: true,
  purpose: true,
} satisfies Record<keyof StoredAuditEntry, true>) as (keyof StoredAuditEntry)[];

/** Without members that are null: entries keep their text when later versions add members. */
export function entryText(entry: StoredAuditEntry): string {
  const told: unknown[] = [];
  for (const name of ENTRY_MEMBERS) if (entry[name] !== null) told.push(name, entry[name]);
  return JSON.stringify(told);
}

export const sealText = (seal: Omit<AuditSeal, 'hash' | 'ciphertext'>): string =>
  JSON.stringify([
    seal.id,
    seal.previous,
    seal.fromPosition,
    seal.toPosition,
    seal.entries,
    seal.lastId,
    seal.digest,
    seal.sealedAt,
  ]);
