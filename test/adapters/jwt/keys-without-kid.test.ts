// Key sets whose keys have no `kid` (RFC 7517 4.5: it is optional), and tokens that name one nevertheless.
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createJwtVerifier, type JwtAdapter } from '../../../src/adapters/jwt/verify.ts';
import { createMovingClock, type MovingClock } from '../../support/moving-clock.ts';

type Key = Record<string, unknown>;
const pair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwkOf = (key: KeyObject, more: Key = {}): Key => ({ ...key.export({ format: 'jwk' }), ...more });

const signer = pair();
const others = [pair(), pair()];
const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });

let keys: unknown[];
let fetched: number;
let clock: MovingClock;
let verifier: JwtAdapter;
beforeAll(() => {
  clock = createMovingClock();
  const fetch = async () => {
    fetched += 1;
    return { status: 200, text: async () => JSON.stringify({ keys }) };
  };
  verifier = createJwtVerifier({ fetch, clock });
});
afterAll(() => {});

const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
function token(kid: string | undefined, key = signer.privateKey): string {
  const input = `${encode({ alg: 'ES256', ...(kid !== undefined && { kid }) })}.${encode({ sub: 'ada' })}`;
  const signature = sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}

let sets = 0;
/** With a key set of its own. */
async function verdictOf(jwt: string, set: unknown[]) {
  keys = set;
  fetched = 0;
  return verifier.verifySignature(jwt, 'https://op.example', `https://op.example/keys/${++sets}`);
}

const named = (n: number) => jwkOf(others[n]!.publicKey, { kid: `other-${n}` });
const unnamed = (n: number) => jwkOf(others[n]!.publicKey);

test.each<[string, string | undefined, unknown[]]>([
  ['the only key, and a token that names one', 'k1', [jwkOf(signer.publicKey)]],
  ['the only key, and a token that names none', undefined, [jwkOf(signer.publicKey)]],
  ['several keys, and a token that names one', 'k1', [unnamed(0), jwkOf(signer.publicKey), unnamed(1)]],
  ['several keys, and a token that names none', undefined, [unnamed(0), jwkOf(signer.publicKey), unnamed(1)]],
  ['beside keys with names', 'k1', [named(0), jwkOf(signer.publicKey), named(1)]],
  ['beside a key of another kind', 'k1', [jwkOf(rsa.publicKey), jwkOf(signer.publicKey, { use: 'sig', alg: 'ES256' })]],
  [
    'beside what is no key',
    'k1',
    [null, 'x', 7, [], { kty: 'EC' }, { kty: 'EC', crv: 'P-256', x: 1 }, jwkOf(signer.publicKey)],
  ],
])('%s: valid', async (_, kid, set) => {
  expect(await verdictOf(token(kid), set)).toBe('valid');
  expect(fetched).toBe(1);
});

test.each<[string, unknown[]]>([
  ['a key with another name is not tried', [jwkOf(signer.publicKey, { kid: 'k2' })]],
  ['a key for encryption is not tried', [jwkOf(signer.publicKey, { use: 'enc' })]],
  ['a key for another algorithm is not tried', [jwkOf(signer.publicKey, { alg: 'ES384' })]],
  ['other keys do not verify', [unnamed(0), unnamed(1)]],
])('%s', async (_, set) => {
  expect(await verdictOf(token('k1'), set)).toBe('invalid');
});

test('a rotated key is fetched, although the old one without a name was tried', async () => {
  expect(await verdictOf(token('k1', others[0]!.privateKey), [unnamed(0)])).toBe('valid');
  keys = [jwkOf(signer.publicKey)];
  expect(await verifier.verifySignature(token('k2'), 'https://op.example', `https://op.example/keys/${sets}`)).toBe(
    'valid',
  );
  expect(fetched).toBe(2);
});
