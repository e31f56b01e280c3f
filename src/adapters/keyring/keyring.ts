// The key ring: encrypts secrets for one column of one row (AES-256-GCM), and decrypts with any of its keys. It also
// authenticates rows (row-macs.ts).
//
// A ciphertext is `v3.<kid>.<nonce>.<ciphertext>`: a random nonce of 12 bytes, then the ciphertext and its tag of 16
// bytes, both base64url. Its key is HKDF-SHA-256(ring key, salt: none, info: the row's shard), 32 bytes. The additional
// data is the JSON of `["v3", kid, row, column, …bound]`, which is unambiguous, unlike a concatenation. `v2`, of earlier
// releases, has a key for each row, whose info is the row; `v1`, of the first ones, that and only `["v1", kid, row, column]`.
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  randomBytes as nodeRandomBytes,
} from 'node:crypto';
import { canonicalJson } from '../../domain/canonical-json.ts';
import type { Ciphertext } from '../../domain/connection.ts';
import {
  ENVELOPES,
  type EncryptionContext,
  type EncryptionStage,
  type Envelope,
  type KeyCheck,
  LATEST_STAGE,
  laterStage,
  PROTECTIONS,
  type Vault,
  VaultError,
} from '../../ports/index.ts';
import { derivedKeys } from './derived-keys.ts';
import { macOf, verifiesMac } from './row-macs.ts';

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KID = /^[A-Za-z0-9_-]{1,32}$/;
/** The part before the ciphertext. */
const PREFIX = /^(v1|v2|v3)\.([A-Za-z0-9_-]{1,32})\.([A-Za-z0-9_-]{16})\./;
/**
 * A check is in the form that brokers write, and says in its plaintext how the database protects its rows: a writer of the
 * database cannot make another.
 */
const CHECKED = 'valetkey key check';
const CHECKED_WHILE_MIGRATING = `${CHECKED}: migrating`;

/** A `KeyObject` rather than bytes: it is faster, and cannot be logged by accident. */
export interface RingKey {
  kid: string;
  key: KeyObject;
}

export interface KeyRing extends Vault {
  readonly kids: string[];
  /** The key that encrypts: the first. */
  readonly encryptionKid: string;
  /** A known text, encrypted with this key of the ring: proves later that a key is the same, and how far the database is. */
  check(kid: string, stage: EncryptionStage): KeyCheck;
  /** What a check says; undefined: this ring cannot open it. */
  readCheck(check: KeyCheck): EncryptionStage | undefined;
  /** From then on. A ring never goes back: the later one of both is in force. */
  advance(stage: EncryptionStage): void;
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
  if (!isKid(kid!)) return { issue: 'has a bad kid: 1 to 32 letters, digits, dashes or underscores go before the :' };
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

export const isKid = (text: string): boolean => KID.test(text);

/** A new entry for `VALETKEY_KEYS`. Its output is a secret. */
export function generateKey(kid = `k${nodeRandomBytes(4).toString('hex')}`): string {
  if (!isKid(kid)) throw new RangeError('a kid has 1 to 32 letters, digits, dashes or underscores');
  return `${kid}:${nodeRandomBytes(KEY_BYTES).toString('base64url')}`;
}

/** The first key encrypts, all decrypt. Nothing that is not bound and authenticated is accepted unless `stage` says so. */
export function createKeyRing(
  keys: RingKey[],
  randomBytes: (size: number) => Buffer = nodeRandomBytes,
  stage: EncryptionStage = LATEST_STAGE,
): KeyRing {
  const [current] = keys;
  if (!current) throw new RangeError('a key ring needs at least one key');
  const ring = new Map(keys.map(({ kid, key }) => [kid, derivedKeys(key)]));
  const nextNonce = noncePool(randomBytes);
  let inForce = stage;

  function derivedFrom(kid: string): (info: string) => KeyObject {
    const keyOf = ring.get(kid);
    if (!keyOf) throw new VaultError('unknown_key', `key ${kid} is not in the key ring`);
    return keyOf;
  }

  const keyOf = (envelope: Envelope, kid: string, row: string): KeyObject =>
    derivedFrom(kid)(envelope === 'v3' ? shardOf(row) : row);

  function encryptWith(kid: string, envelope: Envelope, plaintext: string, context: EncryptionContext): Ciphertext {
    // UTF-8 replaces half a surrogate pair: decryption would return another secret.
    if (!plaintext.isWellFormed()) throw new VaultError('malformed', 'the plaintext is not well-formed Unicode');
    const nonce = nextNonce();
    const cipher = createCipheriv(CIPHER, keyOf(envelope, kid, context.row), nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(additionalData(envelope, kid, context));
    const encrypted = cipher.update(plaintext, 'utf8');
    // GCM has nothing more here; this makes the tag.
    cipher.final();
    const ciphertext = Buffer.concat([encrypted, cipher.getAuthTag()]);
    return `${envelope}.${kid}.${nonce.toString('base64url')}.${ciphertext.toString('base64url')}` as Ciphertext;
  }

  function open({ envelope, kid, nonce, encrypted }: Parsed, context: EncryptionContext): string {
    const decipher = createDecipheriv(CIPHER, keyOf(envelope, kid, context.row), nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(additionalData(envelope, kid, context));
    decipher.setAuthTag(encrypted.subarray(-TAG_BYTES));
    const plaintext = decipher.update(encrypted.subarray(0, -TAG_BYTES));
    try {
      // GCM has no more plaintext here; this compares the tags.
      decipher.final();
      return plaintext.toString('utf8');
    } catch {
      throw new VaultError(
        'not_openable',
        `key ${kid} cannot decrypt it in ${context.row}: it is damaged, of another row or column, encrypted with another key, or what it is bound to was changed outside of a broker`,
      );
    }
  }

  const encrypt = (plaintext: string, context: EncryptionContext) =>
    encryptWith(current.kid, inForce.envelope, plaintext, context);

  function readCheck({ kid, ciphertext }: KeyCheck): EncryptionStage | undefined {
    try {
      const parsed = parse(ciphertext);
      const { envelope } = parsed;
      if (parsed.kid !== kid) return undefined;
      const text = open(parsed, checkContext(kid));
      if (text === CHECKED) return { envelope, protection: envelope === 'v1' ? 'legacy' : 'enforced' };
      return text === CHECKED_WHILE_MIGRATING ? { envelope, protection: 'migrating' } : undefined;
    } catch (error) {
      if (!(error instanceof VaultError)) throw error;
      return undefined;
    }
  }

  function advance(wanted: EncryptionStage): void {
    inForce = laterStage(wanted, inForce);
  }

  return {
    kids: keys.map(({ kid }) => kid),
    encryptionKid: current.kid,
    stage: () => inForce,
    protection: () => inForce.protection,
    advance,
    learn(checks) {
      const stages = checks.map(readCheck);
      if (stages.length > 0 && stages.every((one) => one !== undefined)) advance(earliest(stages));
    },
    encrypt,
    decrypt(ciphertext, context) {
      const parsed = parse(ciphertext);
      if (parsed.envelope === 'v1' && inForce.protection === 'enforced')
        throw new VaultError(
          'outdated',
          `${context.row} has a ciphertext of a release that did not bind it to its owner, which this database accepts no more`,
        );
      return open(parsed, context);
    },
    digests: (secret, purpose) =>
      keys.map(({ kid }) => {
        const code = createHmac('sha256', derivedFrom(kid)(`digest ${purpose}`))
          .update(secret)
          .digest('base64url');
        return `d1.${kid}.${code}`;
      }),
    reencrypt: (ciphertext, context) => encrypt(open(parse(ciphertext), context), context),
    authenticate: (row) => (inForce.protection === 'legacy' ? null : macOf(current.kid, derivedFrom(current.kid), row)),
    isAuthentic(row, mac) {
      if (inForce.protection === 'legacy') return true;
      if (mac === null || mac === undefined) return inForce.protection === 'migrating';
      return verifiesMac((kid) => ring.get(kid), row, mac);
    },
    check(kid, { envelope, protection }) {
      const plaintext = protection === 'migrating' ? CHECKED_WHILE_MIGRATING : CHECKED;
      return { kid, ciphertext: encryptWith(kid, envelope, plaintext, checkContext(kid)) };
    },
    readCheck,
  };
}

/** The id of the key that encrypted it. Throws `VaultError` when the text is not a ciphertext. */
export const kidOf = (ciphertext: string): string => parse(ciphertext).kid;

/**
 * Proves that the ring is the one that encrypted this database: the key of each stored check is in the ring and decrypts
 * the known text. Without issues, `stage` is what the checks say, and `missing` are those to store for keys that have
 * none yet. A database without checks is a new one: everything is enforced from its first row.
 */
export function proveKeyRing(
  ring: KeyRing,
  checks: KeyCheck[],
): { issues: string[]; stage: EncryptionStage; missing: KeyCheck[] } {
  const stages = checks.map((check) => ring.readCheck(check));
  const issues = checks.flatMap(({ kid }, i) => {
    if (!ring.kids.includes(kid)) return [`key ${kid} encrypted this database and is not in VALETKEY_KEYS`];
    if (stages[i] !== undefined) return [];
    return [`key ${kid} in VALETKEY_KEYS is not the key of that id that encrypted this database`];
  });
  const stage = earliest(stages.filter((one) => one !== undefined));
  const proven = new Set(checks.map(({ kid }) => kid));
  const missing = ring.kids.filter((kid) => !proven.has(kid)).map((kid) => ring.check(kid, stage));
  return { issues, stage, missing };
}

/** Of none, that of a new database. */
const earliest = (stages: EncryptionStage[]): EncryptionStage => ({
  envelope: ENVELOPES.find((one) => stages.some(({ envelope }) => envelope === one)) ?? LATEST_STAGE.envelope,
  protection: PROTECTIONS.find((one) => stages.some(({ protection }) => protection === one)) ?? LATEST_STAGE.protection,
});

/**
 * Rows whose names end alike share a key, so that most are remembered: deriving one is dear. The random end of an id makes
 * 1,024 shards, and each may have 2^32 ciphertexts (NIST SP 800-38D, 8.3).
 */
const shardOf = (row: string): string => `shard ${row.slice(-2)}`;

const checkContext = (kid: string): EncryptionContext => ({ row: `key_checks/${kid}`, column: 'sealed' });

function additionalData(envelope: Envelope, kid: string, { row, column, bound = [] }: EncryptionContext): Buffer {
  if (envelope === 'v1') return Buffer.from(JSON.stringify(['v1', kid, row, column]));
  const own: (string | null)[] = [envelope, kid, row, column];
  // Not spread into a literal, which V8 then makes for three times as many.
  const parts = own.concat(bound);
  // Of texts without a NUL, JSON is canonical already.
  const json = JSON.stringify(parts);
  return Buffer.from(json.includes('\\u0000') ? canonicalJson(parts) : json);
}

interface Parsed {
  envelope: Envelope;
  kid: string;
  nonce: Buffer;
  encrypted: Buffer;
}

function parse(ciphertext: string): Parsed {
  const [head = '', envelope, kid, nonce] = PREFIX.exec(ciphertext) ?? [];
  const encoded = ciphertext.slice(head.length);
  const encrypted = Buffer.from(encoded, 'base64url');
  // Decoding is lenient: it skips what is no letter, and takes letters of base64, lower bytes of others, and any unused bits.
  const isCanonical = encrypted.toString('base64url') === encoded;
  if (kid === undefined || nonce === undefined || encrypted.length < TAG_BYTES || !isCanonical)
    throw new VaultError('malformed', 'not of the form v3.<kid>.<nonce>.<ciphertext>');
  return { envelope: envelope as Envelope, kid, nonce: Buffer.from(nonce, 'base64url'), encrypted };
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
