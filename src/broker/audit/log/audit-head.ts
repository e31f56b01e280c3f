// The head of the chain: a row that says which seal is the newest. It is written in the commit of each seal, so that the newest
// ones cannot be cut off without it, and who can write the database cannot make an earlier one. See `docs/decisions/0025`.
import { createHash } from 'node:crypto';
import { ANCHOR, type AuditSeal, HEAD, sealContext, sealProof, sealText } from '../../../domain/audit-seal.ts';
import { type AuditChainEnd, type Vault, VaultError } from '../../../ports/index.ts';

export const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** With its hash, encrypted. `hasHead`: it is stored with a head that names it. */
export function sealed(
  vault: Pick<Vault, 'encrypt'>,
  seal: Omit<AuditSeal, 'hash' | 'ciphertext'>,
  hasHead = false,
): AuditSeal {
  const hash = hashOf(sealText(seal));
  return { ...seal, hash, ciphertext: vault.encrypt(sealProof(hash, hasHead), sealContext(seal.id)) };
}

/** The row that names this seal. */
export const headOf = (vault: Pick<Vault, 'encrypt'>, { id, hash, toPosition, sealedAt }: AuditSeal): AuditSeal =>
  sealed(vault, {
    id: HEAD,
    previous: id,
    fromPosition: 0,
    toPosition,
    entries: 0,
    lastId: null,
    digest: hash,
    sealedAt,
  });

/** What the next seal continues. */
export type ChainEnd = Pick<AuditSeal, 'id' | 'hash' | 'toPosition' | 'sealedAt'>;

const SEAL_ID = /^\d{16}$/;

/** The newest seal, or the one that the head names where that is gone: then the gap stays in the chain, and shows. */
export function endOf({ last, head }: AuditChainEnd): ChainEnd | undefined {
  if (!head?.previous || !SEAL_ID.test(head.previous) || (last && last.id >= head.previous)) return last;
  return { id: head.previous, hash: head.digest, toPosition: head.toPosition, sealedAt: head.sealedAt };
}

/** What shows that no broker has made the row; or whether it was stored with a head. */
export function proofOf(
  vault: Pick<Vault, 'decrypt'>,
  { hash, ciphertext, ...seal }: AuditSeal,
): { fault: string } | { hasHead: boolean } {
  const what = seal.id === ANCHOR ? 'the anchor' : seal.id === HEAD ? 'the head' : 'the seal';
  if (hashOf(sealText(seal)) !== hash) return { fault: `${what} was changed` };
  try {
    const proof = vault.decrypt(ciphertext, sealContext(seal.id));
    const hasHead = proof === sealProof(hash, true);
    return hasHead || proof === sealProof(hash, false) ? { hasHead } : { fault: `${what} was changed` };
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    if (error.code === 'unknown_key') return { fault: `${what} cannot be verified: ${error.message}` };
    return { fault: `${what} was not made by a broker with this key ring` };
  }
}

/** What is wrong at the end of the chain; undefined: nothing that shows. */
export function endFault(vault: Pick<Vault, 'decrypt'>, { last, head }: AuditChainEnd): string | undefined {
  const proof = last && proofOf(vault, last);
  // Of a release without heads. A replica of it may also seal after one of this release.
  const isOld = !proof || ('hasHead' in proof && !proof.hasHead);
  if (!head)
    return isOld ? undefined : 'the head is missing: the end of the chain was cut off, or the head was deleted';
  const forged = proofOf(vault, head);
  if ('fault' in forged) return forged.fault;
  if (!last || head.previous! > last.id)
    return `the head names seal ${Number(head.previous)}: the end of the chain was cut off`;
  if (head.previous === last.id) return head.digest === last.hash ? undefined : 'the head names another seal';
  return isOld ? undefined : 'the head is that of an earlier seal';
}
