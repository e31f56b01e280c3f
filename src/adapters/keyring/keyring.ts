// The key ring: encrypts secrets for one column of one row (AES-256-GCM), and decrypts with any of its keys.
//
// A ciphertext is `v1.<kid>.<nonce>.<ciphertext>`: a random nonce of 12 bytes, then the ciphertext and its tag of 16
// bytes, both base64url. The key of a row is HKDF-SHA-256(ring key, salt: none, info: the row), 32 bytes. The additional
// data is the JSON of `["v1", kid, row, column]`, which is unambiguous, unlike a concatenation.
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  randomBytes as nodeRandomBytes,
} from 'node:crypto';
import type { Ciphertext } from '../../domain/connection.ts';
import { type EncryptionContext, type KeyCheck, type Vault, VaultError } from '../../ports/index.ts';

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KID = /^[A-Za-z0-9_-]{1,32}$/;
/** The part before the ciphertext. */
const PREFIX = /^v1\.([A-Za-z0-9_-]{1,32})\.([A-Za-z0-9_-]{16})\./;
/** HKDF's block counter. */
const FIRST_BLOCK = Buffer.from([1]);
const CHECK_PLAINTEXT = 'valetkey key check';

/** A `KeyObject` rather than bytes: it is faster, and cannot be logged by accident. */
export interface RingKey {
  kid: string;
  key: KeyObject;
}

export interface KeyRing extends Vault {
  readonly kids: string[];
  /** The key that encrypts: the first. */
  readonly encryptionKid: string;
  /** A known text, encrypted with this key of the ring: proves later that a key is the same. */
  check(kid: string): KeyCheck;
}

export type ParsedKeyRing = { ok: true; keys: RingKey[] } | { ok: false; issues: string[] };

/**
 * Parses `VALETKEY_KEYS`: `kid:base64url-of-32-bytes`, comma-separated. Issues name an entry only by its position: with a
 * swapped or missing kid, the text in its place is the key.
 */
export function parseKeyRing(text: string): ParsedKeyRing {
  if (text.trim() === '')
    return { ok: false, issues: ['the key ring is empty; `valetkey keys generate` prints an entry for it'] };
  const keys: RingKey[] = [];
  const places: number[] = [];
  const issues = text.split(',').flatMap((entry, i) => {
    const parsed = parseEntry(entry);
    const where = `entry ${i + 1} of the key ring`;
    if ('issue' in parsed) return [`${where} ${parsed.issue}`];
    const sameKid = places[keys.findIndex(({ kid }) => kid === parsed.kid)];
    const sameKey = places[keys.findIndex(({ key }) => key.equals(parsed.key))];
    keys.push(parsed);
    places.push(i + 1);
    return [
      ...(sameKid === undefined ? [] : [`${where} has the kid of entry ${sameKid}`]),
      ...(sameKey === undefined ? [] : [`${where} has the key of entry ${sameKey}`]),
    ];
  });
  return issues.length > 0 ? { ok: false, issues } : { ok: true, keys };
}

function parseEntry(entry: string): RingKey | { issue: string } {
  const trimmed = entry.trim();
  if (trimmed === '') return { issue: 'is empty: is there a comma too many?' };
  const [kid, encoded, ...rest] = trimmed.split(':');
  if (encoded === undefined || rest.length > 0) return { issue: 'is not of the form kid:key' };
  if (!KID.test(kid!))
    return { issue: 'has a bad kid: 1 to 32 letters, digits, dashes or underscores go before the :' };
  if (/[+/=]/.test(encoded)) return { issue: 'is base64; base64url has - for +, _ for / and no =' };
  const bytes = Buffer.from(encoded, 'base64url');
  try {
    if (bytes.toString('base64url') !== encoded) return { issue: 'has a key that is not base64url' };
    if (bytes.length !== KEY_BYTES) return { issue: `has a key of ${bytes.length} bytes; it must have ${KEY_BYTES}` };
    if (bytes.every((byte) => byte === bytes[0])) return { issue: 'has a key that is one byte repeated, not random' };
    return { kid: kid!, key: createSecretKey(bytes) };
  } finally {
    bytes.fill(0);
  }
}

/** A new entry for `VALETKEY_KEYS`. Its output is a secret. */
export function generateKey(kid = `k${nodeRandomBytes(4).toString('hex')}`): string {
  if (!KID.test(kid)) throw new RangeError('a kid has 1 to 32 letters, digits, dashes or underscores');
  return `${kid}:${nodeRandomBytes(KEY_BYTES).toString('base64url')}`;
}

/** The first key encrypts, all decrypt. */
export function createKeyRing(keys: RingKey[], randomBytes: (size: number) => Buffer = nodeRandomBytes): KeyRing {
  const [current] = keys;
  if (!current) throw new RangeError('a key ring needs at least one key');
  const ring = new Map(keys.map(({ kid, key }) => [kid, rowKeys(key)]));
  const nextNonce = noncePool(randomBytes);

  function rowKey(kid: string, row: string): KeyObject {
    const keyOf = ring.get(kid);
    if (!keyOf) throw new VaultError('unknown_key', `key ${kid} is not in the key ring`);
    return keyOf(row);
  }

  function encryptWith(kid: string, plaintext: string, { row, column }: EncryptionContext): Ciphertext {
    // UTF-8 replaces half a surrogate pair: decryption would return another secret.
    if (!plaintext.isWellFormed()) throw new VaultError('malformed', 'the plaintext is not well-formed Unicode');
    const nonce = nextNonce();
    const cipher = createCipheriv(CIPHER, rowKey(kid, row), nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(additionalData(kid, row, column));
    const ciphertext = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return `v1.${kid}.${nonce.toString('base64url')}.${ciphertext.toString('base64url')}` as Ciphertext;
  }

  return {
    kids: keys.map(({ kid }) => kid),
    encryptionKid: current.kid,
    encrypt: (plaintext, context) => encryptWith(current.kid, plaintext, context),
    decrypt(ciphertext, { row, column }) {
      const { kid, nonce, encrypted } = parse(ciphertext);
      const decipher = createDecipheriv(CIPHER, rowKey(kid, row), nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(additionalData(kid, row, column));
      decipher.setAuthTag(encrypted.subarray(-TAG_BYTES));
      const plaintext = decipher.update(encrypted.subarray(0, -TAG_BYTES));
      try {
        // GCM has no more plaintext here; this compares the tags.
        decipher.final();
        return plaintext.toString('utf8');
      } catch {
        throw new VaultError(
          'not_openable',
          `key ${kid} cannot decrypt it: it is damaged, of another row or column, or encrypted with another key`,
        );
      }
    },
    check: (kid) => ({ kid, ciphertext: encryptWith(kid, CHECK_PLAINTEXT, checkContext(kid)) }),
  };
}

/**
 * Derives the keys of rows by HKDF-SHA-256 (RFC 5869). The extract step is the same for every row and done once (2.2,
 * without a salt); the expand step is one HMAC, for a key of one block (2.3). That costs less than a cache, so only the
 * last row's key is cached, since the secrets of a row are encrypted one after the other.
 */
function rowKeys(key: KeyObject): (row: string) => KeyObject {
  const secret = key.export();
  const extracted = createHmac('sha256', Buffer.alloc(KEY_BYTES)).update(secret).digest();
  const prk = createSecretKey(extracted);
  secret.fill(0);
  extracted.fill(0);
  let last: { row: string; key: KeyObject } | undefined;
  return (row) => {
    if (last?.row === row) return last.key;
    const expanded = createHmac('sha256', prk).update(row).update(FIRST_BLOCK).digest();
    last = { row, key: createSecretKey(expanded) };
    expanded.fill(0);
    return last.key;
  };
}

/** The id of the key that encrypted it. Throws `VaultError` when the text is not a ciphertext. */
export const kidOf = (ciphertext: string): string => parse(ciphertext).kid;

/**
 * Proves that the ring is the one that encrypted this database: the key of each stored check is in the ring and decrypts
 * the known text. Without issues, `missing` are the checks to store for keys that have none yet.
 */
export function proveKeyRing(ring: KeyRing, checks: KeyCheck[]): { issues: string[]; missing: KeyCheck[] } {
  const issues = checks.flatMap(({ kid, ciphertext }) => {
    if (!ring.kids.includes(kid)) return [`key ${kid} encrypted this database and is not in VALETKEY_KEYS`];
    try {
      if (kidOf(ciphertext) === kid && ring.decrypt(ciphertext, checkContext(kid)) === CHECK_PLAINTEXT) return [];
    } catch (error) {
      if (!(error instanceof VaultError)) throw error;
    }
    return [`key ${kid} in VALETKEY_KEYS is not the key of that id that encrypted this database`];
  });
  const proven = new Set(checks.map(({ kid }) => kid));
  return { issues, missing: ring.kids.filter((kid) => !proven.has(kid)).map((kid) => ring.check(kid)) };
}

const checkContext = (kid: string): EncryptionContext => ({ row: `key_checks/${kid}`, column: 'sealed' });

const additionalData = (kid: string, row: string, column: string): Buffer =>
  Buffer.from(JSON.stringify(['v1', kid, row, column]));

function parse(ciphertext: string): { kid: string; nonce: Buffer; encrypted: Buffer } {
  const [head = '', kid, nonce] = PREFIX.exec(ciphertext) ?? [];
  const encoded = ciphertext.slice(head.length);
  const encrypted = Buffer.from(encoded, 'base64url');
  // Decoding is lenient (other letters, unused bits): accepts only the canonical encoding of a ciphertext.
  if (
    kid === undefined ||
    nonce === undefined ||
    encrypted.length < TAG_BYTES ||
    encrypted.toString('base64url') !== encoded
  )
    throw new VaultError('malformed', 'not of the form v1.<kid>.<nonce>.<ciphertext>');
  return { kid, nonce: Buffer.from(nonce, 'base64url'), encrypted };
}

/** Random nonces from a pool: one system call for each would cost more than the encryption. Each byte is used once. */
function noncePool(randomBytes: (size: number) => Buffer): () => Buffer {
  let pool: Buffer = Buffer.alloc(0);
  let used = 0;
  return () => {
    if (used + NONCE_BYTES > pool.length) {
      pool = randomBytes(NONCE_BYTES * 1024);
      used = 0;
    }
    used += NONCE_BYTES;
    return pool.subarray(used - NONCE_BYTES, used);
  };
}
