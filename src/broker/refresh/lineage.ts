// Lineage: which credentials a response was obtained with. A standby that took over without the last commits counts
// generations again that there were already, so that the number alone does not tell a successor from what replaced it.
import type { Connection } from '../../domain/connection.ts';
import type { PendingCommit } from '../../ports/index.ts';

/**
 * Whether the response was obtained with the stored credentials, or with later ones that the store has lost. False: others
 * are stored, such as those of a reconnect, which it must not replace.
 */
export function isSuccessorOf(
  { held, replaces, change }: PendingCommit,
  stored: Pick<Connection, 'generation' | 'issuedAt'>,
): boolean {
  if (held.generation < stored.generation) return false;
  // An answer that an earlier version has rescued does not say what it replaces.
  if (held.generation === stored.generation) return !replaces || replaces.issuedAt === stored.issuedAt;
  return stored.issuedAt <= change.issuedAt;
}
