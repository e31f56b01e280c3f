// The key ring: seals secrets for one column of one row (AES-256-GCM), and opens what any of its keys sealed.
//
// `v1.<kid>.<nonce>.<ciphertext>`: a nonce of 12 random bytes, and the ciphertext with its tag of 16, both base64url.
// The key of a row is HKDF-SHA-256(ring key, salt: none, info: the row), 32 bytes. The additional
// data is the JSON of `["v1", kid, row, column]`: unlike a concatenation, it reads in one way only.
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  randomBytes as nodeRandomBytes,
} from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { Ciphertext } from '../../domain/connection.ts';
import { type EncryptionContext, type KeyCheck, type Vault, VaultError } from '../../ports/index.ts';

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KID = /^[A-Za-z0-9_-]{1,32}$/;
/** What goes before the ciphertext. */
const HEAD = /^v1\.([A-Za-z0-9_-]{1,32})\.([A-Za-z0-9_-]{16})\./;
/** The counter of HKDF's blocks. */
const FIRST_BLOCK = Buffer.from([1]);
const CHECK_TEXT = 'valetkey key check';

/** A `KeyObject` rather than bytes: it is quicker, and nothing prints it by accident. */
export interface RingKey {
  kid: string;
  key: KeyObject;
}

export interface KeyRing extends Vault {
  readonly kids: string[];
  readonly sealingKid: string;
  /** A known text under this key of the ring, to recognise the key by later. */
  check(kid: string): KeyCheck;
}

export type ParsedKeyRing = { ok: true; keys: RingKey[] } | { ok: false; issues: string[] };

/**
 * Reads `VALETKEY_KEYS`: `kid:base64url-of-32-bytes`, comma-separated. Issues name an entry by its place in the list
 * alone: whoever swapped or forgot the kid would find the key in the log otherwise.
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

export type KeyFile = { ok: true; keys: string; created: boolean } | { ok: false; issues: string[] };

/**
 * The text of a key file, which is made, with one new key and mode 0600, when there is none. `keys` is in the form of
 * `VALETKEY_KEYS`, not parsed yet. Issues: it, or its folder, cannot be used, or others may read it.
 */
export function readOrCreateKeyFile(path: string): KeyFile {
  try {
    const created = createKeyFile(path);
    const keys = readPrivateFile(path);
    return keys === undefined
      ? { ok: false, issues: [`others may read the key file ${path}: run chmod 600 ${path}`] }
      : { ok: true, keys, created };
  } catch (error) {
    return { ok: false, issues: [`cannot use the key file ${path}: ${(error as NodeJS.ErrnoException).code}`] };
  }
}

/** Undefined: its group or others may read or write it. */
function readPrivateFile(path: string): string | undefined {
  const file = openSync(path, 'r');
  try {
    return (fstatSync(file).mode & 0o077) === 0 ? readFileSync(file, 'utf8').trim() : undefined;
  } finally {
    closeSync(file);
  }
}

/**
 * Written whole under another name and then linked: of two processes that start at once one makes the key and the
 * other reads all of it, and a crash leaves no empty file behind. False when there is one already.
 */
function createKeyFile(path: string): boolean {
  if (existsSync(path)) return false;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${nodeRandomBytes(6).toString('hex')}`;
  try {
    writeFileSync(draft, `${generateKey()}\n`, { flag: 'wx', mode: 0o600, flush: true });
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
  return true;
}

/** The first key seals, all open. */
export function createKeyRing(keys: RingKey[], randomBytes: (size: number) => Buffer = nodeRandomBytes): KeyRing {
  const [sealing] = keys;
  if (!sealing) throw new RangeError('a key ring needs at least one key');
  const ring = new Map(keys.map(({ kid, key }) => [kid, rowKeys(key)]));
  const nextNonce = noncePool(randomBytes);

  function rowKey(kid: string, row: string): KeyObject {
    const keyOf = ring.get(kid);
    if (!keyOf) throw new VaultError('unknown_key', `key ${kid} is not in the key ring`);
    return keyOf(row);
  }

  function sealWith(kid: string, plaintext: string, { row, column }: EncryptionContext): Ciphertext {
    // UTF-8 would replace half a surrogate pair: another secret than the one given would come back.
    if (!plaintext.isWellFormed()) throw new VaultError('malformed', 'the text to seal is not well-formed Unicode');
    const nonce = nextNonce();
    const cipher = createCipheriv(CIPHER, rowKey(kid, row), nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(additionalData(kid, row, column));
    const ciphertext = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return `v1.${kid}.${nonce.toString('base64url')}.${ciphertext.toString('base64url')}` as Ciphertext;
  }

  return {
    kids: keys.map(({ kid }) => kid),
    sealingKid: sealing.kid,
    encrypt: (plaintext, context) => sealWith(sealing.kid, plaintext, context),
    decrypt(sealed, { row, column }) {
      const { kid, nonce, ciphertext } = parse(sealed);
      const decipher = createDecipheriv(CIPHER, rowKey(kid, row), nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(additionalData(kid, row, column));
      decipher.setAuthTag(ciphertext.subarray(-TAG_BYTES));
      const plaintext = decipher.update(ciphertext.subarray(0, -TAG_BYTES));
      try {
        // Of GCM, all has come by now; this compares the tags.
        decipher.final();
        return plaintext.toString('utf8');
      } catch {
        throw new VaultError(
          'not_openable',
          `key ${kid} does not open it: it is damaged, of another row or column, or the key is another one`,
        );
      }
    },
    check: (kid) => ({ kid, ciphertext: sealWith(kid, CHECK_TEXT, checkContext(kid)) }),
  };
}

/**
 * The keys of rows, by HKDF-SHA-256 (RFC 5869). Its first step is the same for every row and done once (2.2, without a
 * salt); the second is one HMAC for a key of one block (2.3). A key costs less than to remember it would: that of the
 * last row alone is kept, whose secrets are sealed one after the other.
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

/** The id of the key that sealed it. Throws `VaultError` for what is no sealed text. */
export const kidOf = (sealed: string): string => parse(sealed).kid;

/**
 * Whether the ring is the one that sealed this database. Each stored check must be of a key in the ring and open to
 * the known text; `missing` are the checks to store for keys that have none yet, if there are no issues.
 */
export function proveKeyRing(ring: KeyRing, checks: KeyCheck[]): { issues: string[]; missing: KeyCheck[] } {
  const issues = checks.flatMap(({ kid, ciphertext }) => {
    if (!ring.kids.includes(kid)) return [`key ${kid} sealed this database and is not in VALETKEY_KEYS`];
    try {
      if (kidOf(ciphertext) === kid && ring.decrypt(ciphertext, checkContext(kid)) === CHECK_TEXT) return [];
    } catch (error) {
      if (!(error instanceof VaultError)) throw error;
    }
    return [`key ${kid} in VALETKEY_KEYS is another key than the one that sealed this database`];
  });
  const proven = new Set(checks.map(({ kid }) => kid));
  return { issues, missing: ring.kids.filter((kid) => !proven.has(kid)).map((kid) => ring.check(kid)) };
}

const checkContext = (kid: string): EncryptionContext => ({ row: `key_checks/${kid}`, column: 'sealed' });

const additionalData = (kid: string, row: string, column: string): Buffer =>
  Buffer.from(JSON.stringify(['v1', kid, row, column]));

function parse(sealed: string): { kid: string; nonce: Buffer; ciphertext: Buffer } {
  const [head = '', kid, nonce] = HEAD.exec(sealed) ?? [];
  const encoded = sealed.slice(head.length);
  const ciphertext = Buffer.from(encoded, 'base64url');
  // Decoding forgives much (other letters, bits that mean nothing): only one spelling of a ciphertext is taken.
  if (
    kid === undefined ||
    nonce === undefined ||
    ciphertext.length < TAG_BYTES ||
    ciphertext.toString('base64url') !== encoded
  )
    throw new VaultError('malformed', 'not of the form v1.<kid>.<nonce>.<ciphertext>');
  return { kid, nonce: Buffer.from(nonce, 'base64url'), ciphertext };
}

/** Random nonces from a pool: asking the system for each costs more than the rest of a seal. Each byte is used once. */
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
