// Attacks on JWTs, over HTTP with a real issuer: RFC 8725 3, and the lists of attacks that came after it.
import { generateKeyPairSync } from 'node:crypto';
import { CompactEncrypt } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk, expectProblem } from '../../support/contract.ts';
import { createSigningKey, jwt, startIssuers } from '../../support/issuers.ts';

const key = createSigningKey('k1');
const rsa = createSigningKey('r1', 'RS256');
const attacker = createSigningKey('k1');
const short = createSigningKey('short', 'RS256', 1_024);
const symmetric = { kty: 'oct', kid: 'oct', alg: 'HS256', k: Buffer.alloc(32, 7).toString('base64url') };
const encryption = { ...createSigningKey('enc').jwk, use: 'enc' };
const leaked = { ...key.privateKey.export({ format: 'jwk' }), kid: 'leaked' };
/** Not on its curve: key agreement with such points reveals keys (RFC 8725 3.4). */
const offCurve = { ...key.jwk, kid: 'off', x: Buffer.alloc(32, 1).toString('base64url') };

let broker: TestBroker;
let issuers: Awaited<ReturnType<typeof startIssuers>>;
beforeAll(async () => {
  issuers = await startIssuers({
    main: [key.jwk, rsa.jwk],
    other: [attacker.jwk],
    weak: [short.jwk, symmetric, encryption, leaked, offCurve],
  });
  const trusted_issuers = ['main', 'other', 'weak'].map((name) => ({
    issuer: issuers.urlOf(name),
    audiences: ['app'],
  }));
  broker = await startTestBroker({}, { trusted_issuers });
});
afterAll(() => Promise.all([broker.stop(), issuers.close()]));

const seconds = () => Math.floor(Date.now() / 1_000);
const header = (more: Json = {}) => ({ alg: 'ES256', kid: 'k1', ...more });
const claims = (more: Json = {}) => {
  const times = { iat: seconds(), exp: seconds() + 60 };
  return { iss: issuers.urlOf('main'), sub: 'user_42', aud: 'app', ...times, ...more };
};
const verify = (token: string, more: Json = {}) => broker.ask('POST', '/v1/jwt/verify', { token, ...more });
async function outcome(token: string, more: Json = {}): Promise<unknown> {
  const { active, reason } = expectOk(await verify(token, more));
  return active ? 'active' : reason;
}
const text = (value: object) => JSON.stringify(value).slice(1, -1);

test('a valid token: active', async () => {
  expect(await outcome(jwt(header(), claims(), key))).toBe('active');
  expect(await outcome(jwt({ alg: 'RS256', kid: 'r1' }, claims(), rsa))).toBe('active');
});

describe('algorithms (RFC 8725 2.1, 3.1, 3.2)', () => {
  test.each(['none', 'None', 'nOnE', 'NONE', '', 'HS256', 'HS512', 'es256', 'ES256 ', 'ES256K', 'RSA1_5', 'dir'])(
    '%j is none that is taken, signed or not',
    async (alg) => {
      const signed = jwt(header({ alg }), claims(), key);
      expect(await outcome(signed)).toBe('unsupported_algorithm');
      expect(await outcome(signed.replace(/[^.]*$/, ''))).toBe('unsupported_algorithm');
    },
  );

  test('similar names are unsupported', async () => {
    for (const alg of ['ＥＳ２５６', 'ЕS256', 'ES256\u0000', 'ES256\u200b'])
      expect(await outcome(jwt(header({ alg }), claims(), key))).toBe('unsupported_algorithm');
  });

  test('malformed when it is not a string', async () => {
    for (const alg of [['ES256'], { ES256: true }, 7, null, true, undefined])
      expect(await outcome(jwt(header({ alg }), claims(), key))).toBe('malformed');
  });

  test('a public key is not accepted as an HS256 secret', async () => {
    const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const der = rsa.publicKey.export({ type: 'spki', format: 'der' });
    for (const secret of [pem, pem.trim(), der, JSON.stringify(rsa.jwk), String(rsa.jwk.n), ''])
      expect(await outcome(jwt({ alg: 'HS256', kid: 'r1' }, claims(), { secret }))).toBe('unsupported_algorithm');
  });

  test('a key is only used with its own algorithm', async () => {
    expect(await outcome(jwt({ alg: 'RS256', kid: 'k1' }, claims(), rsa))).toBe('unknown_key');
    expect(await outcome(jwt({ alg: 'ES256', kid: 'r1' }, claims(), key))).toBe('unknown_key');
  });
});

describe('signatures (RFC 8725 3.3)', () => {
  test.each<[string, Buffer]>([
    ['zeros', Buffer.alloc(64)],
    ['zeros in DER', Buffer.from('3006020100020100', 'hex')],
    [
      'the order of the curve',
      Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'.repeat(2), 'hex'),
    ],
    ['one byte', Buffer.alloc(1)],
    ['nothing', Buffer.alloc(0)],
  ])('invalid ES256 signature: %s', async (_, signature) => {
    expect(await outcome(jwt(header(), claims(), signature))).toBe('invalid_signature');
  });

  test('invalid by another key, or over other claims', async () => {
    expect(await outcome(jwt(header(), claims(), attacker))).toBe('invalid_signature');
    const [head, , signature] = jwt(header(), claims(), key).split('.');
    const [, changed] = jwt(header(), claims({ sub: 'admin' }), key).split('.');
    expect(await outcome(`${head}.${changed}.${signature}`)).toBe('invalid_signature');
  });

  test('invalid under another header', async () => {
    const [, body, signature] = jwt(header(), claims(), key).split('.');
    const [head] = jwt(header({ typ: 'at+jwt' }), claims(), key).split('.');
    expect(await outcome(`${head}.${body}.${signature}`)).toBe('invalid_signature');
  });
});

describe('keys (RFC 8725 3.4, 3.5)', () => {
  const from = (kid: string, alg = 'ES256') => [{ alg, kid }, claims({ iss: issuers.urlOf('weak') })] as const;

  test('RSA below 2048 bits is not accepted', async () => {
    expect(await outcome(jwt(...from('short', 'RS256'), short))).toBe('unknown_key');
  });

  test('symmetric, private, encryption and off-curve keys are not accepted', async () => {
    expect(await outcome(jwt(...from('oct', 'HS256'), { secret: Buffer.alloc(32, 7) }))).toBe('unsupported_algorithm');
    for (const kid of ['oct', 'leaked', 'enc', 'off'])
      expect(await outcome(jwt(...from(kid), key))).toBe('unknown_key');
  });

  test("keys of one issuer do not verify another's tokens", async () => {
    expect(await outcome(jwt(header(), claims({ iss: issuers.urlOf('other') }), attacker))).toBe('active');
    expect(await outcome(jwt(header(), claims({ iss: issuers.urlOf('other') }), key))).toBe('invalid_signature');
  });
});

describe('header (RFC 8725 3.10)', () => {
  test('embedded keys and key URLs are ignored', async () => {
    const trap = await startIssuers({ trap: [attacker.jwk] });
    const url = `${trap.urlOf('trap')}/jwks`;
    const { jwk } = attacker;
    for (const brought of [{ jwk }, { jku: url }, { x5u: url }, { x5c: ['MIIB'] }, { jwk, jku: url, x5u: url }]) {
      expect(await outcome(jwt(header(brought), claims(), attacker))).toBe('invalid_signature');
      expect(await outcome(jwt(header({ ...brought, kid: undefined }), claims(), attacker))).toBe('invalid_signature');
      expect(await outcome(jwt(header({ ...brought, kid: 'k9' }), claims(), attacker))).toBe('unknown_key');
    }
    expect(trap.received).toEqual([]);
    await trap.close();
  });

  test.each([
    ...['../../../../dev/null', '/proc/self/environ', "k1' OR '1'='1", "' UNION SELECT 'secret'--", 'k1|id', '$(id)'],
    ...['http://127.0.0.1/', '__proto__', 'constructor', 'K1', 'k1 ', 'k1\u0000', 'ｋ1', '', ['k1'], { kid: 'k1' }, 0],
    null,
  ])('unknown key: kid %j', async (kid) => {
    expect(await outcome(jwt(header({ kid }), claims(), key))).toBe('unknown_key');
  });

  test('malformed with an unknown critical extension', async () => {
    for (const crit of [['exp'], ['x'], ['b64', 'x'], ['http://x.example/x'], [], ['ES256', 'alg'], 'b64', null])
      expect(await outcome(jwt(header({ crit, x: 1, b64: true }), claims(), key))).toBe('malformed');
  });

  test('malformed with an unencoded payload, announced or not', async () => {
    expect(await outcome(jwt(header({ b64: false, crit: ['b64'] }), claims(), key))).toBe('malformed');
    expect(await outcome(jwt(header({ b64: false }), claims(), key))).toBe('malformed');
  });

  test('the last of two members with one name counts, for the key and in the answer', async () => {
    const twice = (first: object, then: object) => `{${text(first)},${text(then)}}`;
    expect(await outcome(jwt(twice({ alg: 'none' }, header()), claims(), key))).toBe('active');
    expect(await outcome(jwt(twice(header(), { alg: 'none' }), claims(), key))).toBe('unsupported_algorithm');
    expect(await outcome(jwt(twice(header(), { kid: 'k9' }), claims(), key))).toBe('unknown_key');
  });
});

/** Signatures of 256 bytes leave four bits of their last character over. */
const next64 = (last: string) => ({ A: 'B', Q: 'R', g: 'h', w: 'x' })[last] ?? 'not the end of 256 bytes';

describe('format (RFC 8725 3.7; RFC 7519 7.2)', () => {
  const good = () => jwt(header(), claims(), key);

  test.each<[string, (token: string) => string]>([
    ['a blank before', (t) => ` ${t}`],
    ['a line feed behind', (t) => `${t}\n`],
    ['a blank in the signature', (t) => `${t.slice(0, -4)} ${t.slice(-4)}`],
    ['padding', (t) => `${t}==`],
    ['other bits behind the last one of the signature', (t) => `${t.slice(0, -1)}${next64(t.at(-1)!)}`],
    ['a NUL behind', (t) => `${t}\u0000`],
    ['a NUL in the middle', (t) => t.replace('.', '\u0000.')],
    ['the other alphabet', (t) => `${t.slice(0, -1)}+`],
    ['a letter that looks alike', (t) => t.replace('e', 'е')],
    ['the scheme of the header', (t) => `Bearer ${t}`],
    ['a fourth part', (t) => `${t}.`],
    ['two tokens', (t) => `${t}.${t}`],
    ['no header', (t) => t.replace(/^[^.]*/, '')],
    ['no claims', (t) => t.replace(/\.[^.]*\./, '..')],
    [
      'the JSON serialization',
      (t) => {
        const [head, payload, signature] = t.split('.');
        return JSON.stringify({ protected: head, payload, signature });
      },
    ],
  ])('malformed with %s', async (_, change) => {
    const token = good();
    expect(await outcome(token)).toBe('active');
    expect(await outcome(change(token))).toBe('malformed');
  });

  test.each<[string, () => object | string | Buffer]>([
    ['UTF-16', () => Buffer.from(JSON.stringify(claims()), 'utf16le')],
    ['Latin-1', () => Buffer.from(JSON.stringify(claims({ name: 'é' })), 'latin1')],
    ['a text', () => JSON.stringify('claims')],
    ['an array', () => [claims()]],
    ['null', () => 'null'],
    ['JSON and more', () => `${JSON.stringify(claims())}{}`],
    ['single quotes', () => JSON.stringify(claims()).replaceAll('"', "'")],
    ['another JWT', good],
  ])('malformed with claims that are %s', async (_, content) => {
    expect(await outcome(jwt(header(), content(), key))).toBe('malformed');
  });

  test('malformed when encrypted', async () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
    const nested = await new CompactEncrypt(Buffer.from(good()))
      .setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM', cty: 'JWT' })
      .encrypt(publicKey);
    expect(await outcome(nested)).toBe('malformed');
  });

  test('malformed above 16 kB; 413 above the body limit', async () => {
    const long = (length: number) => jwt(header(), claims({ filler: 'x'.repeat(length) }), key);
    expect(await outcome(long(11_000))).toBe('active');
    expect(await outcome(long(12_500))).toBe('malformed');
    expect(await outcome(long(48_000))).toBe('malformed');
    expectProblem(await verify(long(49_000)), 400, 'invalid_request');
    expectProblem(await verify(long(100_000)), 413, 'payload_too_large');
  });

  test('malformed when nested too deeply', async () => {
    const deep = (levels: number) =>
      jwt(header(), `{${text(claims())},"deep":${'['.repeat(levels)}${']'.repeat(levels)}}`, key);
    expect(await outcome(deep(30))).toBe('active');
    expect(await outcome(deep(40))).toBe('malformed');
    expect(await outcome(deep(5_500))).toBe('malformed');
    const deepHeader = (levels: number) =>
      jwt(`{${text(header())},"deep":${'['.repeat(levels)}${']'.repeat(levels)}}`, claims(), key);
    expect(await outcome(deepHeader(30))).toBe('active');
    expect(await outcome(deepHeader(40))).toBe('malformed');
    expect(await outcome(deepHeader(5_500))).toBe('malformed');
  });
});

describe('times', () => {
  test.each(['exp', 'nbf', 'iat'])('%s must be a number', async (name) => {
    const at = seconds() + (name === 'exp' ? 60 : -60);
    for (const value of [String(at), `${at}abc`, [at], { at }, true, null, new Date().toISOString()])
      expect(await outcome(jwt(header(), claims({ [name]: value }), key))).toBe('malformed');
    expect(await outcome(jwt(header(), claims({ [name]: at + 0.5 }), key))).toBe('active');
  });

  test('an infinite expiry is not accepted', async () => {
    for (const exp of ['1e999', '-1e999'])
      expect(await outcome(jwt(header(), JSON.stringify(claims()).replace(/"exp":\d+/, `"exp":${exp}`), key))).toBe(
        exp === '1e999' ? 'malformed' : 'expired',
      );
  });

  test('not_yet_valid before nbf, expired after exp', async () => {
    for (const name of ['nbf', 'iat'])
      expect(await outcome(jwt(header(), claims({ [name]: seconds() + 120 }), key))).toBe('not_yet_valid');
    for (const exp of [0, -1, seconds() - 31, seconds() - 86_400])
      expect(await outcome(jwt(header(), claims({ exp }), key))).toBe('expired');
  });
});

describe('issuer and audience (RFC 8725 3.8, 3.9)', () => {
  test('issuers are compared exactly', async () => {
    const iss = issuers.urlOf('main');
    for (const other of [
      ...[`${iss}/`, `${iss}?`, `${iss}#`, `${iss}/.`, ` ${iss}`, `${iss}\u0000`, iss.toUpperCase(), `${iss}\u200b`],
      ...[iss.replace('main', 'mаin'), iss.replace('127.0.0.1', 'localhost'), iss.replace('http', 'https'), ''],
      ...[[iss], [iss, issuers.urlOf('other')], { iss }, 7, null],
    ])
      expect(await outcome(jwt(header(), claims({ iss: other }), key))).toBe('untrusted_issuer');
  });

  test('audience_mismatch for another audience, also by request', async () => {
    for (const aud of [
      'else',
      'App',
      'app ',
      'app/',
      'app\u0000',
      'аpp',
      'ap',
      'app,else',
      '*',
      '',
      [],
      ['else'],
      [[]],
    ])
      expect(await outcome(jwt(header(), claims({ aud }), key))).toBe('audience_mismatch');
    expect(await outcome(jwt(header(), claims(), key), { audience: 'else' })).toBe('audience_mismatch');
  });

  test('malformed when an audience is not a string', async () => {
    for (const aud of [
      ['app', 7],
      ['app', null],
      ['app', ['else']],
      ['app', { else: true }],
    ])
      expect(await outcome(jwt(header(), claims({ aud }), key))).toBe('malformed');
  });

  test('the last of two claims with one name counts, and is shown', async () => {
    const twice = `{"aud":"else","sub":"admin",${text(claims())}}`;
    const { active, claims: shown } = expectOk(await verify(jwt(header(), twice, key)));
    expect({ active, shown }).toMatchObject({ active: true, shown: { aud: 'app', sub: 'user_42' } });
    expect(await outcome(jwt(header(), `{${text(claims())},"aud":"else"}`, key))).toBe('audience_mismatch');
    expect(await outcome(jwt(header(), `{${text(claims())},"iss":"https://id.example"}`, key))).toBe(
      'untrusted_issuer',
    );
  });

  test('claims named like object internals are claims', async () => {
    const odd = `{${text(claims())},"__proto__":{"iss":"x","admin":true},"constructor":"x"}`;
    const { active, claims: shown } = expectOk(await verify(jwt(header(), odd, key)));
    expect(active).toBe(true);
    expect(Object.keys(shown as Json)).toEqual(expect.arrayContaining(['__proto__', 'constructor', 'iss']));
    const inherited = `{"__proto__":${JSON.stringify(claims())}}`;
    expect(await outcome(jwt(header(), inherited, key))).toBe('missing_claim');
  });
});
