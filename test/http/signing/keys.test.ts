// The keys of the JWTs that brokers sign: algorithms, encryption at rest, what a writer of the database can do, and where verifiers
// find them.
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import Sqlite from 'better-sqlite3';
import { decodeProtectedHeader } from 'jose';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createKeyRing, generateKey, parseKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import type { Ciphertext } from '../../../src/domain/connection.ts';
import { SIGNING_ALGORITHMS } from '../../../src/domain/signing-key.ts';
import { SIGNING_KEY_LEAD_MS } from '../../../src/domain/time-limits.ts';
import { runKeyRotation } from '../../../src/runtime/keys.ts';
import type { Json, TestBroker } from '../../support/broker.ts';
import { expectOk } from '../../support/contract.ts';
import { createJwksVerifier } from '../../support/jwks-verifier.ts';
import { createReplicas, type Replicas } from '../../support/replicas.ts';

const TYP = 'token-introspection+jwt';
const PATIENT = { timeout: 30_000, interval: 5 };
const onSqlite = process.env.VALETKEY_TEST_STORE !== 'postgres';

let replicas: Replicas;
beforeEach(async () => {
  replicas = await createReplicas({ signingKeysEveryMs: 50, refreshAhead: false });
});
afterEach(() => replicas.close());

async function introspect(broker: TestBroker, token: string, accept: string, key = broker.adminKey): Promise<Response> {
  return fetch(new URL('/oauth2/introspect', broker.url), {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, accept },
    body: new URLSearchParams({ token }),
  });
}
const signed = async (broker: TestBroker) => (await introspect(broker, 'opaque', `application/${TYP}`)).text();
const verifierAt = (broker: TestBroker) => createJwksVerifier(broker.url, replicas.publicUrl, replicas.clock.now);
const kidsAt = (broker: TestBroker) => verifierAt(broker).kids();
const expected = { typ: TYP, audience: 'clr_admin' };

function rows(): { id: string; private_key: string; public_key: string }[] {
  const database = new Sqlite(replicas.env.VALETKEY_DATABASE_URL!.slice('file:'.length), { timeout: 5_000 });
  try {
    return database.prepare<[], ReturnType<typeof rows>[number]>('select * from signing_keys').all();
  } finally {
    database.close();
  }
}

test('every algorithm signs what jose verifies; a changed setting takes effect with the next key', async () => {
  const JWKS: Record<string, Json> = {
    ES256: { kty: 'EC', crv: 'P-256' },
    RS256: { kty: 'RSA', e: 'AQAB' },
    Ed25519: { kty: 'OKP', crv: 'Ed25519' },
    EdDSA: { kty: 'OKP', crv: 'Ed25519' },
  };
  let before: string | undefined;
  for (const alg of SIGNING_ALGORITHMS) {
    const broker = await replicas.start({ VALETKEY_SIGNING_ALG: alg });
    if (before !== undefined) {
      await vi.waitFor(async () => expect(await kidsAt(broker)).toHaveLength(2), PATIENT);
      expect(decodeProtectedHeader(await signed(broker))).toMatchObject({ kid: before });
      replicas.clock.pass(SIGNING_KEY_LEAD_MS + 60_000);
    }
    await vi.waitFor(async () => expect(decodeProtectedHeader(await signed(broker)).alg).toBe(alg), PATIENT);
    const token = await signed(broker);
    const { protectedHeader } = await verifierAt(broker).verify(token, expected);
    const { keys } = (await (await fetch(new URL('/oauth2/jwks', broker.url))).json()) as { keys: Json[] };
    expect(keys[0]).toMatchObject({ ...JWKS[alg], alg, kid: protectedHeader.kid, use: 'sig' });
    for (const key of keys) for (const name of ['d', 'p', 'q', 'k']) expect(key).not.toHaveProperty(name);
    const metadata = (await (
      await fetch(new URL('/.well-known/oauth-authorization-server', broker.url))
    ).json()) as Json;
    expect(metadata).toMatchObject({
      jwks_uri: `${replicas.publicUrl}/oauth2/jwks`,
      introspection_signing_alg_values_supported: [alg],
    });
    before = protectedHeader.kid;
    await broker.stop();
    // The old key is gone by the next round.
    replicas.clock.pass(2 * 3_600_000);
  }
});

describe.runIf(onSqlite)('at rest', () => {
  test('the private key is encrypted, in no log and in no answer, and re-encrypted by a key rotation', async () => {
    const lines: string[] = [];
    const note = (fields: object, message: string) => void lines.push(JSON.stringify(fields), message);
    const log = { debug: note, info: note, warn: note, error: note };
    const broker = await replicas.start({}, log);
    const answers = [await signed(broker)];
    for (const path of ['/oauth2/jwks', '/v1/signing-keys', '/metrics', '/v1/audit', '/openapi.json'])
      answers.push(
        await (
          await fetch(new URL(path, broker.url), { headers: { authorization: `Bearer ${broker.adminKey}` } })
        ).text(),
      );
    answers.push(JSON.stringify((await broker.ask('POST', '/v1/signing-keys/rotate', {})).body));

    const stored = rows();
    expect(stored).toHaveLength(2);
    const parsed = parseKeyRing(replicas.env.VALETKEY_KEYS!);
    if (!parsed.ok) throw new Error('no ring');
    const ring = createKeyRing(parsed.keys);
    for (const { id, private_key, public_key } of stored) {
      const place = { row: `signing_keys/${id}`, column: 'private_key' };
      const pem = ring.decrypt(private_key as Ciphertext, place);
      const { d } = createPrivateKey(pem).export({ format: 'jwk' });
      const secrets = [String(d), ...pem.split('\n').filter((line) => line.length > 20 && !line.startsWith('-----'))];
      for (const secret of secrets)
        expect([...lines, ...answers, private_key, public_key].filter((text) => text.includes(secret))).toEqual([]);
    }

    const kid = decodeProtectedHeader(await signed(broker)).kid;
    await broker.stop();
    const fresh = generateKey('k2');
    const both = { VALETKEY_KEYS: `${fresh},${replicas.env.VALETKEY_KEYS}` };
    const during = await replicas.start(both);
    const done = await runKeyRotation(replicas.config(both), createLogger('silent'), async () => undefined);
    expect(done).toMatchObject({ removable: ['k1'], remaining: [] });
    await during.stop();
    const alone = await replicas.start({ VALETKEY_KEYS: fresh });
    const token = await signed(alone);
    expect(decodeProtectedHeader(token).kid).toBe(kid);
    await verifierAt(alone).verify(token, expected);
  });

  test('who can write to the database publishes no key of their own, and makes none one for another purpose', async () => {
    const broker = await replicas.start();
    const [kid] = await kidsAt(broker);
    await broker.stop();
    const database = new Sqlite(replicas.env.VALETKEY_DATABASE_URL!.slice('file:'.length));
    const mine = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = (of: string) =>
      JSON.stringify({ ...mine.publicKey.export({ format: 'jwk' }), kid: of, use: 'sig', alg: 'ES256' });
    const copy =
      'insert into signing_keys select ?, purpose, private_key, ?, created_at + 1, null, null from signing_keys where id = ?';
    database.prepare(copy).run('jwk_mine', jwk('jwk_mine'), kid);
    database.prepare('update signing_keys set public_key = ? where id = ?').run(jwk(String(kid)), kid);
    const again = await replicas.start();
    const { keys } = (await (await fetch(new URL('/oauth2/jwks', again.url))).json()) as { keys: Json[] };
    expect(keys.map((key) => key.kid)).toEqual([kid]);
    expect(keys[0]!.x).not.toBe(mine.publicKey.export({ format: 'jwk' }).x);
    await verifierAt(again).verify(await signed(again), expected);
    await again.stop();

    const third = await replicas.start();
    expect((await fetch(new URL('/.well-known/webhook-keys', third.url))).status).toBe(200);
    await third.stop();
    database.prepare("update signing_keys set purpose = 'jwt', created_at = 0 where purpose = 'webhook'").run();
    database.close();
    const last = await replicas.start();
    expect(await kidsAt(last)).toEqual([kid]);
  });
});

describe('an introspection as a JWT (RFC 9701)', () => {
  test('is given to who asks for it, signed for that caller alone, and is no token', async () => {
    const broker = await replicas.start();
    const grants = [{ actions: ['jwt:verify'], integrations: ['*'], owners: ['*'] }];
    const { id, key } = expectOk(await broker.ask('POST', '/v1/callers', { name: 'an API', grants }), 201);
    const jwt = `application/${TYP}`;
    const answer = await introspect(broker, 'opaque', jwt, String(key));
    expect([answer.headers.get('content-type'), answer.headers.get('cache-control')]).toEqual([jwt, 'no-store']);
    const token = await answer.text();
    const verifier = verifierAt(broker);
    await verifier.verify(token, { typ: TYP, audience: String(id) });
    await expect(verifier.verify(token, expected)).rejects.toThrow('aud');
    await expect(verifier.verify(token, { typ: 'at+jwt', audience: String(id) })).rejects.toThrow('typ');
    for (const wanted of [`text/html, ${jwt};q=0.5`, `${jwt}, application/json`, jwt.toUpperCase()])
      expect((await introspect(broker, 'opaque', wanted)).headers.get('content-type'), wanted).toBe(jwt);
    for (const wanted of ['*/*', 'application/json', `application/json, ${jwt};q=0.9`, `${jwt};q=0`, 'application/*'])
      expect((await introspect(broker, 'opaque', wanted)).headers.get('content-type'), wanted).toBe('application/json');
    // Refusals are never JWTs, and the answer authenticates no one.
    const refused = await introspect(broker, 'opaque', jwt, 'vk_wrong');
    expect([refused.status, refused.headers.get('content-type')]).toEqual([401, 'application/json']);
    expect((await broker.ask('GET', '/v1/whoami', undefined, token)).status).toBe(401);
    const again = await introspect(broker, token, 'application/json');
    expect(await again.json()).toEqual({ active: false });
  });
});
