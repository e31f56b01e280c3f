// The result of a key rotation, as JSON and as text. Names keys, tables and rows, never a secret.
import type { KeyRotationResult } from './key-rotation.ts';

export const keyRotationJson = ({
  kid,
  secrets,
  reencrypted,
  removable,
  remaining,
  rescued,
  unopenable,
  behind,
  authenticated,
  inauthentic,
  protection,
}: KeyRotationResult) => ({
  key: kid,
  secrets,
  reencrypted,
  removable,
  remaining: remaining.map((left) => ({ key: left.kid, secrets: left.secrets })),
  rescued,
  unopenable: unopenable.count,
  unopenable_at: unopenable.named,
  behind,
  authenticated,
  inauthentic,
  protection,
});

/** `isUnused`: no broker has encrypted with the key yet. */
export function keyRotationText({
  kid,
  secrets,
  reencrypted,
  removable,
  remaining,
  rescued,
  unopenable,
  behind,
  authenticated,
  inauthentic,
  protection,
  newForm,
  isUnused = false,
}: KeyRotationResult & { isUnused?: boolean }): string {
  const left = remaining.reduce((sum, one) => sum + one.secrets, 0);
  const all = left === 0 ? `all ${secrets} secrets` : `${secrets - left} of ${secrets} secrets`;
  const lines = [
    reencrypted === 0
      ? `Nothing to re-encrypt: ${all} are encrypted with key ${kid}.`
      : `${reencrypted} re-encrypted: ${all} are encrypted with key ${kid}.`,
  ];
  if (newForm) lines.push(`Brokers write in the form ${newForm} from now on, which earlier releases do not read.`);
  if (isUnused)
    lines.push(`No broker has used ${kid} yet: put it first in VALETKEY_KEYS on every broker, and restart them, now.`);
  if (authenticated > 0) lines.push(`${authenticated} rows authenticated with key ${kid}.`);
  if (removable.length > 0) {
    lines.push(
      `Remove from VALETKEY_KEYS ${isUnused ? 'after that' : 'now'}, on every broker: ${removable.join(', ')}.`,
    );
  }
  for (const one of remaining) {
    lines.push(
      one.kid === null
        ? `${one.secrets} in a format that names no key: keep every key until they are gone.`
        : `${one.secrets} still encrypted with key ${one.kid}: keep it.`,
    );
  }
  if (rescued > 0) {
    lines.push(
      `${rescued} of these are in the rescue file beside the database: start a broker, which replays it, and run this again.`,
    );
  }
  if (left > unopenable.count + rescued) {
    lines.push(
      `A broker still encrypts with another key: put ${kid} first on every broker, restart them, and run this again.`,
    );
  }
  if (unopenable.count > 0) lines.push(`${unopenable.count} cannot be decrypted:`);
  for (const { table, id, column, reason } of unopenable.named) lines.push(`  ${table} ${id} ${column}: ${reason}`);
  if (unopenable.count > unopenable.named.length) {
    lines.push(`  … and ${unopenable.count - unopenable.named.length} more`);
  }
  if (inauthentic.length > 0)
    lines.push(`${inauthentic.length} rows were changed by something else than a broker, and are not used:`);
  for (const { table, id } of inauthentic) lines.push(`  ${table} ${id}`);
  if (behind > 0)
    lines.push(
      `${behind === 1 ? 'A broker has' : `${behind} brokers have`} not applied the latest changes, and may still write as before: find what hangs, or does not reach the database, and run this again.`,
    );
  if (protection !== 'enforced')
    lines.push(
      'Rows of earlier releases, which are not authenticated, are still accepted: run this again when all of the above is done.',
    );
  return lines.join('\n');
}
