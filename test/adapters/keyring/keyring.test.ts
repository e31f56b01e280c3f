// The key ring: a ciphertext decrypts only for its own row and column, and parsing the ring and its file leaks no keys.
import { execFile, execFileSync } from 'node:child_process';
import { createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { readOrCreateKeyFile } from '../../../src/adapters/keyring/key-file.ts';
import {
  createKeyRing,
  generateKey,
  kidOf,
  parseKeyRing,
  proveKeyRing,
} from '../../../src/adapters/keyring/keyring.ts';
import type { Ciphertext } from '../../../src/domain/connection.ts';
import { type EncryptionStage, LATEST_STAGE, VaultError } from '../../../src/ports/index.ts';

function keysOf(text: string) {
  const parsed = parseKeyRing(text);
  if (!parsed.ok) throw new Error(parsed.issues.join('; '));
  return parsed.keys;
}

const ringOf = (text: string, stage?: EncryptionStage) => createKeyRing(keysOf(text), undefined, stage);
/** Of the release before this one. */
const EARLIER: EncryptionStage = { envelope: 'v2', protection: 'enforced' };

function issuesOf(text: string): string[] {
  const parsed = parseKeyRing(text);
  return parsed.ok ? [] : parsed.issues;
}

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof VaultError) return error.code;
    throw error;
  }
  return 'opened';
}

const grant = { row: 'connections/con_1', column: 'access_token' };
const anyText = fc.string({ unit: 'binary', maxLength: 300 });
const rowName = fc.string({ unit: 'binary', maxLength: 200 });
const K1 = generateKey('k1');
const K2 = generateKey('k2');
const ring = ringOf(K1);

describe('encrypt', () => {
  it('round-trips any text for any row and column', () => {
    fc.assert(
      fc.property(anyText, rowName, anyText, (text, row, column) => {
        expect(ring.decrypt(ring.encrypt(text, { row, column }), { row, column })).toBe(text);
      }),
    );
  });

  it('writes the documented format, which plain HKDF and AES-256-GCM decrypt', () => {
    const key = randomBytes(32);
    const ciphertext = ringOf(`main_1:${key.toString('base64url')}`).encrypt('gho_ünïcode 🔑', grant);

    const [version, kid, nonce, body] = ciphertext.split('.');
    expect([version, kid]).toEqual(['v3', 'main_1']);
    const bytes = Buffer.from(body!, 'base64url');
    const shardKey = Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), Buffer.from('shard _1'), 32));
    const decipher = createDecipheriv('aes-256-gcm', shardKey, Buffer.from(nonce!, 'base64url'));
    decipher.setAAD(Buffer.from('["v3","main_1","connections/con_1","access_token"]'));
    decipher.setAuthTag(bytes.subarray(bytes.length - 16));
    const text = Buffer.concat([decipher.update(bytes.subarray(0, bytes.length - 16)), decipher.final()]);
    expect(text.toString('utf8')).toBe('gho_ünïcode 🔑');
  });

  it.each([
    ['shard of rows', LATEST_STAGE, 'shard _1', 'shard _2'],
    ['row, in the form of an earlier release', EARLIER, 'connections/con_1', 'connections/con_2'],
  ])('derives another key for each %s', (_, stage, own, other) => {
    const key = randomBytes(32);
    const ciphertext = ringOf(`k:${key.toString('base64url')}`, stage).encrypt('secret', grant);
    const [version, , nonce, body] = ciphertext.split('.');
    const open = (info: string) => {
      const derived = Buffer.from(hkdfSync('sha256', key, '', info, 32));
      const bytes = Buffer.from(body!, 'base64url');
      const decipher = createDecipheriv('aes-256-gcm', derived, Buffer.from(nonce!, 'base64url'));
      // The additional data is right in both cases: only the key differs.
      decipher.setAAD(Buffer.from(JSON.stringify([version, 'k', grant.row, grant.column])));
      decipher.setAuthTag(bytes.subarray(-16));
      return decipher.update(bytes.subarray(0, -16), undefined, 'utf8') + decipher.final('utf8');
    };
    expect(open(own)).toBe('secret');
    expect(() => open(other)).toThrow();
  });

  it.each([
    ['shards', LATEST_STAGE],
    ['rows', EARLIER],
  ])('keeps the keys of %s apart, of more than it remembers', (_, stage) => {
    // The last two characters of a row are its shard.
    const ofRow = (n: number) => ({ row: `connections/${String.fromCodePoint(0x4e00 + n)}x`, column: 'access_token' });
    const written = ringOf(K1, stage);
    const ciphertexts = Array.from({ length: 2_500 }, (_, n) => written.encrypt(`secret ${n}`, ofRow(n)));
    const fresh = ringOf(K1);
    for (let n = 2_499; n >= 0; n -= 7) {
      expect(written.decrypt(ciphertexts[n]!, ofRow(n))).toBe(`secret ${n}`);
      expect(fresh.decrypt(ciphertexts[n]!, ofRow(n))).toBe(`secret ${n}`);
    }
    expect(codeOf(() => written.decrypt(ciphertexts[99]!, ofRow(98)))).toBe('not_openable');
  });

  it('binds a ciphertext to its row, also among those of one shard', () => {
    const [one, other] = ['connections/con_1x9', 'connections/con_2x9'].map((row) => ({ row, column: 'access_token' }));
    expect(codeOf(() => ring.decrypt(ring.encrypt('secret', one!), other!))).toBe('not_openable');
  });

  it('decrypts the form of the release before, which does not read the present one', () => {
    const earlier = ringOf(K1, EARLIER);
    expect(ring.decrypt(earlier.encrypt('secret', grant), grant)).toBe('secret');
    expect(earlier.encrypt('secret', grant)).toMatch(/^v2\./);
    const renamed = ring.encrypt('secret', grant).replace(/^v3/, 'v2') as Ciphertext;
    expect(codeOf(() => ring.decrypt(renamed, grant))).toBe('not_openable');
  });

  it('never repeats a nonce in 100,000 encryptions', () => {
    const nonces = new Set<string>();
    for (let i = 0; i < 100_000; i++) {
      nonces.add(ring.encrypt('', grant).split('.')[2]!);
    }
    expect(nonces.size).toBe(100_000);
  });

  it('uses each random byte for one nonce only, across refills of the pool', () => {
    let filled = 0;
    const counting = createKeyRing(keysOf(K1), (size) => {
      const bytes = Buffer.alloc(size);
      for (let at = 0; at + 12 <= size; at += 12) bytes.writeUInt32BE(++filled, at);
      return bytes;
    });
    const numbers = Array.from({ length: 3_000 }, () =>
      Buffer.from(counting.encrypt('x', grant).split('.')[2]!, 'base64url').readUInt32BE(0),
    );
    expect(numbers).toEqual(Array.from({ length: 3_000 }, (_, i) => i + 1));
  });

  it('refuses text that UTF-8 would change', () => {
    expect(codeOf(() => ring.encrypt('half a pair: \ud83d', grant))).toBe('malformed');
  });
});

describe('decrypt', () => {
  const ciphertext = ring.encrypt('the secret', grant);

  it('refuses a ciphertext of another row', () => {
    expect(codeOf(() => ring.decrypt(ciphertext, { ...grant, row: 'connections/con_2' }))).toBe('not_openable');
  });

  it('refuses a ciphertext of another column', () => {
    expect(codeOf(() => ring.decrypt(ciphertext, { ...grant, column: 'refresh_token' }))).toBe('not_openable');
  });

  it('distinguishes row and column wherever one ends and the other begins', () => {
    const moved = ring.encrypt('x', { row: 'a', column: 'bc' });
    expect(codeOf(() => ring.decrypt(moved, { row: 'ab', column: 'c' }))).toBe('not_openable');
    const quoted = ring.encrypt('x', { row: 'a","b', column: 'c' });
    expect(codeOf(() => ring.decrypt(quoted, { row: 'a', column: 'b","c' }))).toBe('not_openable');
  });

  it('refuses another kid, even one with the same key', () => {
    const key = randomBytes(32).toString('base64url');
    const text = ringOf(`a:${key}`).encrypt('x', grant);
    expect(codeOf(() => ringOf(`b:${key}`).decrypt(text.replace('.a.', '.b.') as Ciphertext, grant))).toBe(
      'not_openable',
    );
  });

  it('refuses every flipped bit, also the one that makes it a ciphertext of the first releases', () => {
    const outcomes = [...ciphertext].flatMap((char, at) =>
      Array.from({ length: 7 }, (_, bit) => {
        const flipped = String.fromCharCode(char.charCodeAt(0) ^ (1 << bit));
        return codeOf(() =>
          ring.decrypt((ciphertext.slice(0, at) + flipped + ciphertext.slice(at + 1)) as Ciphertext, grant),
        );
      }),
    );
    expect(outcomes.length).toBe(ciphertext.length * 7);
    expect(new Set(outcomes)).toEqual(new Set(['malformed', 'unknown_key', 'not_openable', 'outdated']));
  });

  it('refuses every truncation', () => {
    for (let length = 0; length < ciphertext.length; length++)
      expect(codeOf(() => ring.decrypt(ciphertext.slice(0, length) as Ciphertext, grant))).toMatch(
        /malformed|not_openable/,
      );
  });

  it('accepts only the canonical encoding of a ciphertext', () => {
    for (const spelling of [
      `${ciphertext}=`,
      `${ciphertext}\n`,
      ` ${ciphertext}`,
      ciphertext.replace('v3', 'v03'),
      `${ciphertext}.`,
    ])
      expect(codeOf(() => ring.decrypt(spelling as Ciphertext, grant))).toBe('malformed');
  });

  it('accepts no letter that decoding would take for another one', () => {
    const from = ciphertext.lastIndexOf('.') + 1;
    for (let i = from; i < ciphertext.length; i++)
      for (const more of [0x80, 0x100, 0x4e00, 0xff00]) {
        const letter = String.fromCharCode(ciphertext.charCodeAt(i) + more);
        const spelling = ciphertext.slice(0, i) + letter + ciphertext.slice(i + 1);
        expect(codeOf(() => ring.decrypt(spelling as Ciphertext, grant))).toBe('malformed');
      }
  });

  it('throws only VaultError, for any input', () => {
    const nearly = fc
      .tuple(fc.constantFrom('v1', 'v2', 'v3', 'v4', ''), fc.constantFrom('k1', 'k2', ''), anyText, anyText)
      .map((parts) => parts.join('.'));
    fc.assert(
      fc.property(
        fc.oneof(
          anyText,
          nearly,
          fc.base64String().map((s) => `v3.k1.${s.slice(0, 16)}.${s}`),
        ),
        (text) => {
          expect(codeOf(() => ring.decrypt(text as Ciphertext, grant))).toMatch(/malformed|unknown_key|not_openable/);
          expect(codeOf(() => kidOf(text))).toMatch(/malformed|opened/);
        },
      ),
    );
  });

  it('has no secret and no key in its errors', () => {
    try {
      ring.decrypt(ciphertext, { ...grant, column: 'id_token' });
      expect.unreachable();
    } catch (error) {
      const text = `${error} ${JSON.stringify(error)} ${(error as Error).cause}`;
      expect(text).not.toContain('the secret');
      expect(text).not.toContain(K1.split(':')[1]);
    }
  });
});

describe('key ring with several keys', () => {
  it('encrypts with the first and decrypts with all', () => {
    const old = ring.encrypt('from before', grant);
    const rotated = ringOf(`${K2},${K1}`);
    expect(rotated.encryptionKid).toBe('k2');
    expect(rotated.kids).toEqual(['k2', 'k1']);
    expect(rotated.decrypt(old, grant)).toBe('from before');
    expect(kidOf(rotated.encrypt('x', grant))).toBe('k2');
  });

  it('names the missing key', () => {
    const act = () => ringOf(K2).decrypt(ring.encrypt('x', grant), grant);
    expect(codeOf(act)).toBe('unknown_key');
    expect(act).toThrow('k1');
  });
});

describe('VALETKEY_KEYS', () => {
  const secret = () => randomBytes(32).toString('base64url');

  it('accepts the output of `keys generate`, with spaces around entries', () => {
    expect(ringOf(` ${generateKey()} , ${generateKey()}\n`).kids).toHaveLength(2);
    expect(() => generateKey('not a kid')).toThrow(RangeError);
  });

  it.each([
    ['an empty ring', '', 'empty'],
    ['an empty entry', `${K1},`, 'entry 2 of the key ring is empty'],
    ['a bad kid', `k 1:${secret()}`, 'entry 1 of the key ring has a bad kid'],
    ['a kid that is too long', `${'k'.repeat(33)}:${secret()}`, 'bad kid'],
    ['a kid twice', `${K1},${K2},${generateKey('k1')}`, 'entry 3 of the key ring has the kid of entry 1'],
    ['a key twice', `${K1},k9:${K1.split(':')[1]}`, 'entry 2 of the key ring has the key of entry 1'],
    ['plain base64', `k1:${Buffer.alloc(32, 'a+/').toString('base64')}`, 'base64url has'],
    ['what is not base64url', `k1:${secret().slice(0, 42)}!`, 'not base64url'],
    ['a short key', `k1:${randomBytes(16).toString('base64url')}`, 'a key of 16 bytes; it must have 32'],
    ['a long key', `k1:${randomBytes(33).toString('base64url')}`, 'a key of 33 bytes'],
    ['no key', 'k1:', 'a key of 0 bytes'],
    ['a weak key', `k1:${Buffer.alloc(32, 7).toString('base64url')}`, 'one byte repeated'],
    ['a forgotten kid', secret(), 'not of the form kid:key'],
    ['one colon too many', `k1:x:${secret()}`, 'not of the form kid:key'],
  ])('refuses %s', (_, text, message) => {
    expect(issuesOf(text).join()).toContain(message);
  });

  it('reports every issue at once', () => {
    expect(issuesOf(`oops,${K1},k2:short`).map((issue) => issue.slice(0, 7))).toEqual(['entry 1', 'entry 3']);
  });

  it('never quotes an entry in an issue', () => {
    const key = secret();
    for (const text of [key, `${key}:k1`, `k1=${key}`, `k1:${key}x`, `k1:${key}=`, `${K1},k1:${key}`, `k1;${key}:`]) {
      const issues = issuesOf(text).join();
      expect(issues).not.toBe('');
      expect(issues).not.toContain(key.slice(0, 8));
    }
  });
});

describe('proving the ring', () => {
  it('returns checks for new keys, and accepts them later', () => {
    const rotated = ringOf(`${K2},${K1}`);
    const first = proveKeyRing(ring, []);
    expect(first).toMatchObject({ issues: [], missing: [{ kid: 'k1' }] });
    const second = proveKeyRing(rotated, first.missing);
    expect(second).toMatchObject({ issues: [], missing: [{ kid: 'k2' }] });
    expect(second.missing.map(({ ciphertext }) => kidOf(ciphertext))).toEqual(['k2']);
    expect(proveKeyRing(rotated, [...first.missing, ...second.missing])).toEqual({
      issues: [],
      stage: LATEST_STAGE,
      missing: [],
    });
  });

  it('distinguishes a missing key from another key of the same kid', () => {
    const checks = [ring.check('k1', LATEST_STAGE)];
    expect(proveKeyRing(ringOf(K2), checks).issues).toEqual([
      'key k1 encrypted this database and is not in VALETKEY_KEYS',
    ]);
    expect(proveKeyRing(ringOf(generateKey('k1')), checks).issues).toEqual([
      'key k1 in VALETKEY_KEYS is not the key of that id that encrypted this database',
    ]);
  });

  it.each<EncryptionStage>([
    { envelope: 'v1', protection: 'legacy' },
    { envelope: 'v2', protection: 'migrating' },
    EARLIER,
    { envelope: 'v3', protection: 'migrating' },
    LATEST_STAGE,
  ])('says in the checks that a database is at $envelope, $protection, and new keys get the same', (stage) => {
    const checks = [ring.check('k1', stage)];
    const both = ringOf(`${K2},${K1}`, { envelope: 'v1', protection: 'legacy' });
    const proven = proveKeyRing(both, checks);
    expect(proven).toMatchObject({ issues: [], stage });
    expect(proven.missing.map((one) => both.readCheck(one))).toEqual([stage]);
    both.learn([...checks, ...proven.missing]);
    expect([both.stage(), both.protection()]).toEqual([stage, stage.protection]);
    expect(both.encrypt('x', grant)).toMatch(new RegExp(`^${stage.envelope}\\.k2\\.`));
  });

  it('is at what the earliest check says, and a ring never goes back', () => {
    const [first, second] = [ring.check('k1', EARLIER), ringOf(K2).check('k2', LATEST_STAGE)];
    const both = ringOf(`${K1},${K2}`, { envelope: 'v1', protection: 'legacy' });
    expect(proveKeyRing(both, [first, second]).stage).toEqual(EARLIER);
    both.learn([]);
    both.learn([first, { ...second, ciphertext: 'damaged' as Ciphertext }]);
    expect(both.stage().envelope).toBe('v1');
    both.learn([second]);
    both.learn([first, second]);
    both.advance({ envelope: 'v2', protection: 'migrating' });
    expect(both.stage()).toEqual(LATEST_STAGE);
  });

  it('refuses a check of another key, a damaged one and another text', () => {
    const both = ringOf(`${K1},${K2}`);
    const wrong = [
      both.check('k2', LATEST_STAGE).ciphertext,
      'rubbish' as Ciphertext,
      both.encrypt('x', { row: 'key_checks/k1', column: 'sealed' }),
    ];
    for (const ciphertext of wrong) expect(proveKeyRing(both, [{ kid: 'k1', ciphertext }]).issues).toHaveLength(1);
  });
});

describe('the key file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-keys-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('is created once with mode 0600 and one key, and then read', () => {
    const path = join(folder, 'new', 'data', 'valetkey.keys');
    const made = readOrCreateKeyFile(path);
    if (!made.ok) throw new Error(made.issues.join());
    expect(made.created).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(ringOf(made.keys).kids).toHaveLength(1);
    expect(readFileSync(path, 'utf8')).toBe(`${made.keys}\n`);
    expect(readdirSync(join(folder, 'new', 'data'))).toEqual(['valetkey.keys']);
    expect(readOrCreateKeyFile(path)).toEqual({ ok: true, keys: made.keys, created: false });
  });

  it('is the same for processes that start concurrently', async () => {
    const path = join(folder, 'race', 'valetkey.keys');
    const code = `
      import { readOrCreateKeyFile } from ${JSON.stringify(new URL('../../../src/adapters/keyring/key-file.ts', import.meta.url).href)};
      console.log(JSON.stringify(readOrCreateKeyFile(${JSON.stringify(path)})));`;
    const start = () => promisify(execFile)(process.execPath, ['--input-type=module', '--eval', code]);
    const answers = (await Promise.all(Array.from({ length: 6 }, start))).map(({ stdout }) => JSON.parse(stdout));
    expect(new Set(answers.map(({ keys }) => keys)).size).toBe(1);
    expect(answers.filter(({ created }) => created)).toHaveLength(1);
  });

  it.each([0o640, 0o604, 0o644, 0o620, 0o666])('is refused with mode %o', (mode) => {
    const path = join(folder, `open-${mode}`);
    writeFileSync(path, K1);
    chmodSync(path, mode);
    expect(readOrCreateKeyFile(path)).toEqual({
      ok: false,
      issues: [`other users may read the key file ${path}: run chmod 600 ${path}`],
    });
    expect(readFileSync(path, 'utf8')).toBe(K1);
  });

  it('reports why it cannot be used', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    const path = join(file, 'valetkey.keys');
    expect(readOrCreateKeyFile(path)).toEqual({ ok: false, issues: [expect.stringContaining(path)] });
    const callerCache = join(folder, 'directory');
    mkdirSync(callerCache, { mode: 0o700 });
    expect(readOrCreateKeyFile(callerCache)).toEqual({
      ok: false,
      issues: [expect.stringContaining('no regular file')],
    });
  });

  it('may be a link to a file, as secrets are mounted, and is no named pipe, whose other end no one waits for', () => {
    const [file, link, pipe] = ['private', 'link', 'pipe'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(file, K1, { mode: 0o600 });
    symlinkSync(file, link);
    execFileSync('mkfifo', ['-m', '600', pipe]);
    expect(readOrCreateKeyFile(link)).toEqual({ ok: true, keys: K1, created: false });
    expect(readOrCreateKeyFile(pipe)).toEqual({ ok: false, issues: [`the key file ${pipe} is no regular file`] });
  });
});

describe('digests', () => {
  it('are of the key, the purpose and the secret: one for each key, the primary first', () => {
    const [one, two] = [ringOf(K1), ringOf(`${K2},${K1}`)];
    const [first] = one.digests('secret', 'token');
    expect(first).toMatch(/^d1\.[^.]+\.[\w-]{43}$/);
    expect(two.digests('secret', 'token')).toHaveLength(2);
    expect(two.digests('secret', 'token')[1]).toBe(first);
    for (const other of [
      one.digests('secret', 'else')[0],
      one.digests('other', 'token')[0],
      two.digests('secret', 'token')[0],
    ])
      expect(other).not.toBe(first);
    expect(first).not.toContain(createHash('sha256').update('secret').digest('base64url'));
  });
});
