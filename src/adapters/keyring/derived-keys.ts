// The keys that are derived from one key of the ring: HKDF-SHA-256 (RFC 5869).
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';

const KEY_BYTES = 32;
/** HKDF's block counter: a byte. */
const FIRST_BLOCK = '\x01';
/** Keys that are remembered, up to twice as many: those of all shards of rows, and of rows that have one of their own. */
const REMEMBERED = 1_024;

/**
 * By their `info`: a row, a shard of rows, or a purpose; only the first begins with a table and a slash. The extract step is the
 * same for all and done once (2.2, without a salt); the expand step is one HMAC, for a key of one block (2.3).
 */
export function derivedKeys(key: KeyObject): (info: string) => KeyObject {
  const secret = key.export();
  const extracted = createHmac('sha256', Buffer.alloc(KEY_BYTES)).update(secret).digest();
  const prk = createSecretKey(extracted);
  secret.fill(0);
  extracted.fill(0);
  let recent = new Map<string, KeyObject>();
  let older = recent;
  return (info) => {
    const known = recent.get(info) ?? older.get(info);
    if (known) return known;
    const expanded = createHmac('sha256', prk)
      .update(info + FIRST_BLOCK)
      .digest();
    const derived = createSecretKey(expanded);
    expanded.fill(0);
    if (recent.size >= REMEMBERED) {
      older = recent;
      recent = new Map();
    }
    recent.set(info, derived);
    return derived;
  };
}
