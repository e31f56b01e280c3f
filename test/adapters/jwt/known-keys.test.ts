// RS256 with a key that the verifier knows: the verdict of every token, forged or changed, is that of a verifier that knows none,
// and leaves all to jose.
import { constants, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import fc from 'fast-check';
import { type CryptoKey, importJWK } from 'jose';
import { beforeAll, expect, test } from 'vitest';
import { createKnownKeys } from '../../../src/adapters/jwt/known-keys.ts';
import { createJwtVerifier, type JwtAdapter } from '../../../src/adapters/jwt/verify.ts';
import { isLong } from '../../support/long.ts';

const RUNS = isLong ? 30_000 : 1_500;
const NOW_S = Date.parse('2026-03-01T12:00:00Z') / 1_000;
const clock = { now: () => NOW_S * 1_000, monotonic: () => 0 };
const ISSUER = 'https://issuer.example';

/** Of its signatures, no character is left over, so that one more is not missed. */
const pair = generateKeyPairSync('rsa', { modulusLength: 3_072 });
const other = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const jwkOf = (key: KeyObject, more: object) => ({ ...key.export({ format: 'jwk' }), ...more });
const jwks = {
  keys: [
    jwkOf(pair.publicKey, { kid: 'known', use: 'sig' }),
    jwkOf(other.publicKey, { kid: 'other', alg: 'RS256' }),
    jwkOf(other.publicKey, { kid: 'for encryption', use: 'enc' }),
  ],
};
const trusted = { issuer: ISSUER, audiences: ['api', 'jobs'], clientIds: [], isListed: true, jwks };
const create = () => createJwtVerifier({ fetch: () => Promise.reject(new Error('keys are not fetched')), clock });
const verify = (verifier: JwtAdapter, token: string) =>
  verifier.verify(token, { ...trusted }, { audiences: undefined });

const encode = (part: unknown) =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');
const signed = (header: unknown, claims: unknown, signature: (input: Buffer) => Buffer) => {
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${signature(Buffer.from(input)).toString('base64url')}`;
};
const HEADER = { alg: 'RS256', kid: 'known', typ: 'JWT' };
const CLAIMS = { iss: ISSUER, sub: 'user_42', aud: 'api', iat: NOW_S, exp: NOW_S + 3_600 };
const rs =
  (digest: string, key = pair.privateKey) =>
  (input: Buffer) =>
    sign(digest, input, key);

const SIGNATURES: Record<string, (input: Buffer) => Buffer> = {
  right: rs('sha256'),
  'another digest': rs('sha512'),
  'another key': rs('sha256', other.privateKey),
  PSS: (input) => sign('sha256', input, { key: pair.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING }),
  'HMAC with the public key': (input) =>
    createHmac('sha256', pair.publicKey.export({ type: 'spki', format: 'pem' }))
      .update(input)
      .digest(),
  none: () => Buffer.alloc(0),
};

const odd = fc.oneof(
  fc.constantFrom<unknown>(null, '', '1', true, [], {}, Number.MAX_VALUE, -1, 0, 1.5, ['api'], [['api']], 'api'),
  fc.jsonValue(),
);
const time = fc.oneof(
  fc.integer({ min: -200, max: 200 }).map((seconds) => NOW_S + seconds),
  fc.constantFrom<unknown>(NOW_S - 60, NOW_S + 60, NOW_S - 59, NOW_S + 61, NOW_S + 0.5, `${NOW_S}`),
  odd,
);
const headers = fc.record(
  {
    alg: fc.constantFrom('RS256', 'RS256', 'RS256', 'RS384', 'RS512', 'PS256', 'ES256', 'HS256', 'none', 'rs256'),
    kid: fc.constantFrom<unknown>('known', 'known', 'other', 'for encryption', 'unknown', 1, null),
    typ: fc.constantFrom<unknown>('JWT', 'at+jwt', 'dpop+jwt', '', 1),
    crit: fc.constantFrom<unknown>([], ['b64'], ['exp'], 'exp', null),
    b64: fc.constantFrom<unknown>(true, false, 'false'),
    cty: odd,
  },
  { requiredKeys: ['alg'] },
);
const parts: Record<string, fc.Arbitrary<unknown>> = {
  iss: fc.constantFrom<unknown>(ISSUER, `${ISSUER}/`, 1),
  sub: odd,
  aud: odd,
  iat: time,
  nbf: time,
  exp: time,
};
const claims = fc.oneof(
  ...Object.entries(parts).map(([name, part]) => fc.record({ [name]: part })),
  fc.record(parts, { requiredKeys: [] }),
);
/** Most of each token is as it should be, so that each check is the one that decides. */
const tokens = fc
  .tuple(
    fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, headers),
    fc.oneof({ weight: 1, arbitrary: fc.constant({}) }, { weight: 3, arbitrary: claims }),
    fc.oneof({ weight: 3, arbitrary: fc.constant('right') }, fc.constantFrom(...Object.keys(SIGNATURES))),
  )
  .map(([header, changed, signature]) =>
    signed({ ...HEADER, ...header }, { ...CLAIMS, ...changed }, SIGNATURES[signature]!),
  );

const genuine = () => signed(HEADER, CLAIMS, SIGNATURES.right!);
/** What becomes of a genuine token in the wrong hands: one character is another, some are missing or more than before. */
const changedTexts = fc
  .tuple(fc.nat(), fc.constantFrom('', 'A', '_', '.', '=', ' ', '\n', 'é', '\u0000'), fc.boolean())
  .map(([place, text, replaces]) => {
    const token = genuine();
    const at = place % token.length;
    return token.slice(0, at) + text + token.slice(replaces ? at + 1 : at);
  });
/** Other texts for the same bytes, where a decoder ignores what is too much. */
const otherTexts = fc
  .tuple(fc.constantFrom('A', 'B', 'Q', 'g', 'w', '-', '_', '=', '=='), fc.boolean())
  .map(([end, replaces]) => (replaces ? genuine().slice(0, -1) : genuine()) + end);

/** Signed as they are: bytes that are no UTF-8, or begin with a byte order mark, or text that decodes to the same bytes. */
const oddEncodings = fc
  .tuple(
    fc.constantFrom(0, 1),
    fc.constantFrom<(json: string) => Buffer>(
      (json) => Buffer.from(json),
      (json) => Buffer.from(`\ufeff${json}`),
      (json) => Buffer.from(`${json} \n`),
      (json) => Buffer.from(json.replace('}', ',"x":"\u00ff"}'), 'latin1'),
      (json) => Buffer.from(json, 'utf16le'),
      (json) => Buffer.from(`[${json}]`),
    ),
    fc.constantFrom('', '', 'A', 'AA', '-', '_', '='),
  )
  .map(([place, bytes, more]) => {
    const texts = [HEADER, CLAIMS].map(encode);
    texts[place] = bytes(JSON.stringify([HEADER, CLAIMS][place])).toString('base64url') + more;
    const input = texts.join('.');
    return `${input}.${SIGNATURES.right!(Buffer.from(input)).toString('base64url')}`;
  });

let knowing: JwtAdapter;
beforeAll(async () => {
  knowing = create();
  for (const kid of ['known', 'other'])
    expect(
      await knowing.verify(
        signed({ ...HEADER, kid }, CLAIMS, rs('sha256', kid === 'known' ? pair.privateKey : other.privateKey)),
        trusted,
        { audiences: undefined },
      ),
    ).toMatchObject({ active: true });
});

/** How many verdicts were which: none of them is tested by chance alone. */
const seen = new Map<string, number>();

test('every verdict with a known key is that of jose, of whatever is wrong with a token', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof({ weight: 4, arbitrary: tokens }, changedTexts, otherTexts, oddEncodings),
      async (token) => {
        const verdict = await knowing.verify(token, trusted, { audiences: undefined });
        expect(verdict).toEqual(await verify(create(), token));
        const name = verdict.active ? 'active' : verdict.reason;
        seen.set(name, (seen.get(name) ?? 0) + 1);
      },
    ),
    { numRuns: RUNS, ...(!isLong && { seed: 42 }) },
  );
  for (const name of [
    'active',
    'invalid_signature',
    'expired',
    'not_yet_valid',
    'audience_mismatch',
    'malformed',
    'unsupported_algorithm',
    'unknown_key',
  ])
    expect(seen.get(name) ?? 0, name).toBeGreaterThan(RUNS / 200);
});

test('a known key is known for the algorithm that jose has accepted it for', async () => {
  const keys = createKnownKeys();
  const token = signed(HEADER, CLAIMS, rs('sha256'));
  const key = (await importJWK(jwks.keys[0]!, 'RS256')) as CryptoKey;
  expect(keys.verifies(key, 'RS256', token)).toBe(false);
  keys.add(key, 'RS256');
  expect(keys.verifies(key, 'RS256', token)).toBe(true);
  expect(keys.verifies(key, 'RS512', token)).toBe(false);
  expect(keys.verifies(key, 'PS256', token)).toBe(false);
});

test('a key that verifies slowly is never known: jose verifies with it in the pool of threads', async () => {
  const keys = createKnownKeys();
  for (const [size, known] of [
    [{ modulusLength: 4_096 }, true],
    [{ modulusLength: 4_104 }, false],
    [{ modulusLength: 2_048, publicExponent: 65_539 }, false],
  ] as const) {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', size);
    const key = (await importJWK(publicKey.export({ format: 'jwk' }), 'RS256')) as CryptoKey;
    keys.add(key, 'RS256');
    expect(keys.verifies(key, 'RS256', signed(HEADER, CLAIMS, rs('sha256', privateKey)))).toBe(known);
  }
});

test.each([
  [1, '1'],
  [null, 'null'],
  [{}, '[object Object]'],
])('a kid that is no string names no key, whatever it is as text: %j', async (kid, text) => {
  const keys = { keys: [jwkOf(pair.publicKey, { kid: text }), jwkOf(other.publicKey, { kid: 'other' })] };
  const verifier = create();
  const verdict = (named: unknown) =>
    verifier.verify(
      signed({ ...HEADER, kid: named }, CLAIMS, rs('sha256')),
      { ...trusted, jwks: keys },
      { audiences: undefined },
    );
  for (let time = 0; time < 2; time++) {
    expect(await verdict(text)).toMatchObject({ active: true });
    expect(await verdict(kid)).toEqual({ active: false, reason: 'unknown_key' });
  }
});

test('a known key is used as long as its document: ten minutes, or a day while the issuer does not respond', async () => {
  let now = 0;
  let keys: object[] | undefined = jwks.keys;
  const respond = async () => ({ status: keys ? 200 : 503, text: async () => JSON.stringify({ keys }) });
  const verifier = createJwtVerifier({ fetch: respond, clock: { ...clock, monotonic: () => now } });
  const { jwks: _, ...published } = { ...trusted, jwksUri: `${ISSUER}/jwks` };
  const verdict = () => verifier.verify(genuine(), published, { audiences: undefined });
  const after = (minutes: number) => {
    now += minutes * 60_000;
    return verdict();
  };
  expect(await verdict()).toMatchObject({ active: true });
  keys = undefined;
  expect(await after(9)).toMatchObject({ active: true });
  for (const minutes of [2, 0, 60, 0, 22 * 60, 0]) expect(await after(minutes)).toMatchObject({ active: true });
  for (const minutes of [60, 0])
    expect(await after(minutes)).toMatchObject({ active: false, reason: 'issuer_unavailable' });
  keys = jwks.keys;
  expect(await after(2)).toMatchObject({ active: true });
  keys = jwks.keys.slice(1);
  expect(await after(9)).toMatchObject({ active: true });
  expect(await after(2)).toEqual({ active: false, reason: 'unknown_key' });
});
