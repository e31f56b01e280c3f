// DPoP proofs for API requests (RFC 9449 4.2), verified with jose.
import { createHash, generateKeyPairSync } from 'node:crypto';
import { calculateJwkThumbprint, EmbeddedJWK, exportJWK, type JWK, jwtVerify } from 'jose';
import { expect, test } from 'vitest';
import { signProof } from '../../../src/adapters/jwt/sign.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const KEY = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const REQUEST = {
  method: 'POST',
  url: 'https://api.example/v1/users',
  accessToken: 'at',
  nonce: undefined,
  issuedAt: 1_800_000_000,
};

async function read(proof: string) {
  const currentDate = new Date(REQUEST.issuedAt * 1_000);
  return jwtVerify(proof, EmbeddedJWK, { typ: 'dpop+jwt', algorithms: ['ES256'], currentDate, maxTokenAge: 1 });
}

test('DPoP proof: names the request and the token, and has only the public key', async () => {
  const { payload, protectedHeader } = await read(await signProof(KEY, REQUEST));
  expect(payload).toEqual({
    jti: expect.stringMatching(/^[\w-]{36}$/),
    htm: 'POST',
    htu: 'https://api.example/v1/users',
    ath: createHash('sha256').update('at').digest('base64url'),
    iat: REQUEST.issuedAt,
  });
  expect(protectedHeader).toEqual({ typ: 'dpop+jwt', alg: 'ES256', jwk: await exportJWK(publicKey) });
  expect(await calculateJwkThumbprint(protectedHeader.jwk as JWK)).toBe(
    await calculateJwkThumbprint(await exportJWK(publicKey)),
  );
});

test.each([
  ['https://api.example/v1/users?page=2#top', 'https://api.example/v1/users'],
  ['https://user:password@API.example:443', 'https://api.example/'],
  ['http://127.0.0.1:8080/a%20b?', 'http://127.0.0.1:8080/a%20b'],
])('DPoP proof: for %s, htu is %s', async (url, htu) => {
  const { payload } = await read(await signProof(KEY, { ...REQUEST, url }));
  expect(payload.htu).toBe(htu);
});

test('DPoP proof: has the given nonce, and a new jti each time', async () => {
  const request = { ...REQUEST, nonce: 'n0nce' };
  const [one, two] = await Promise.all([1, 2].map(async () => (await read(await signProof(KEY, request))).payload));
  expect([one?.nonce, two?.nonce]).toEqual(['n0nce', 'n0nce']);
  expect(one?.jti).not.toBe(two?.jti);
});

test('DPoP proof: rejects a key that is not P-256', async () => {
  const other = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  await expect(signProof(String(other), REQUEST)).rejects.toThrow();
});
