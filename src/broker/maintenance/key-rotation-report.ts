// What a key rotation says when it is over: to people, and to machines. Names keys, tables and rows, never a secret.
import type { KeyRotationResult } from './key-rotation.ts';

export const keyRotationJson = ({
  kid,
  secrets,
  reencrypted,
  removable,
  remaining,
  rescued,
  unopenable,
}: KeyRotationResult) => ({
  key: kid,
  secrets,
  reencrypted,
  removable,
  remaining: remaining.map((left) => ({ key: left.kid, secrets: left.secrets })),
  rescued,
  unopenable: unopenable.count,
  unopenable_at: unopenable.named,
});

export function keyRotationText({
  kid,
  secrets,
  reencrypted,
  removable,
  remaining,
  rescued,
  unopenable,
}: KeyRotationResult): string {
  const left = remaining.reduce((sum, one) => sum + one.secrets, 0);
  const all = left === 0 ? `all ${secrets} secrets` : `${secrets - left} of ${secrets} secrets`;
  const lines = [
    reencrypted === 0
      ? `Nothing to rotate: ${all} are sealed by key ${kid}.`
      : `${reencrypted} sealed anew: ${all} are sealed by key ${kid}.`,
  ];
  if (removable.length > 0) {
    lines.push(`These can be taken out of VALETKEY_KEYS now, on every broker: ${removable.join(', ')}.`);
  }
  for (const one of remaining) {
    lines.push(
      one.kid === null
        ? `${one.secrets} of a form that names no key: until they are gone, every key stays.`
        : `${one.secrets} still sealed by key ${one.kid}, which must stay.`,
    );
  }
  if (rescued > 0) {
    lines.push(
      `${rescued} of these wait in the rescue file beside the database: start a broker, which takes them in, and run this again.`,
    );
  }
  if (left > unopenable.count + rescued) {
    lines.push(
      `A broker still seals with another key: put ${kid} first on every broker, restart them, and run this again.`,
    );
  }
  if (unopenable.count > 0) lines.push(`${unopenable.count} do not open:`);
  for (const { table, id, column, reason } of unopenable.named) lines.push(`  ${table} ${id} ${column}: ${reason}`);
  if (unopenable.count > unopenable.named.length) {
    lines.push(`  … and ${unopenable.count - unopenable.named.length} more`);
  }
  return lines.join('\n');
}
