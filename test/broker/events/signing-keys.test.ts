// The keys that sign deliveries: one for all replicas, rotated with an overlap, encrypted.
import { createPublicKey, createSecretKey, randomBytes, verify } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createWebhookKeys, rotateSigningKey } from '../../../src/broker/events/signing/signing-keys.ts';
import { signatureHeaders } from '../../../src/broker/events/signing/standard-webhooks.ts';
import { DAY_MS, SIGNING_KEYS_CACHE_MS } from '../../../src/domain/time-limits.ts';
import type { Store } from '../../../src/ports/index.ts';
import { openStore } from '../../../src/stores/open.ts';
import { createMovingClock } from '../../support/moving-clock.ts';

let folder: string;
let store: Store;
const clock = createMovingClock();
const ring = () => createKeyRing([{ kid: 'k1', key: createSecretKey(randomBytes(32)) }]);
const vault = ring();
const errors: string[] = [];
const log = { debug() {}, info() {}, warn() {}, error: (_: object, message: string) => void errors.push(message) };
const access = { recordSystem: (action: never) => ({ ...ENTRY, id: `evt_${randomBytes(8).toString('hex')}`, action }) };
const ENTRY = {
  at: Date.now(),
  outcome: 'ok' as const,
  actor: 'system',
  ...{ keyId: null, subject: null, integration: null, owner: null, connectionId: null, address: null, requestId: null },
  ...{ clientRequestId: null, traceId: null, detail: null, changed: null, count: 1 },
  ...{ session: null, agentId: null, agentName: null, purpose: null },
};
const replica = (of = vault) => createWebhookKeys({ store, vault: of, access: access as never, clock, log });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'valetkey-keys-'));
  store = await openStore({ databaseUrl: `file:${join(folder, 'valetkey.db')}` }, log);
});
afterAll(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

const publicOf = (keys: Awaited<ReturnType<ReturnType<typeof replica>['signing']>>) =>
  keys.map((key) => createPublicKey(key).export({ format: 'jwk' }).x);

test('signing keys: made once by replicas that start together, published, and rotated with an overlap', async () => {
  const replicas = [replica(), replica(), replica()];
  const all = await Promise.all(replicas.map(async (one) => publicOf(await one.signing())));
  expect(all.map((keys) => keys.length)).toEqual([1, 1, 1]);
  expect(new Set(all.flat()).size).toBe(1);
  const published = await replica().published();
  expect(published).toMatchObject([{ kty: 'OKP', crv: 'Ed25519', x: all[0]![0] }]);
  expect(JSON.stringify(published)).not.toContain('"d"');

  const kid = await rotateSigningKey({ store, vault, access: access as never, clock });
  expect(publicOf(await replicas[0]!.signing())).toEqual(all[0]);
  clock.advance(SIGNING_KEYS_CACHE_MS);
  const both = await replicas[0]!.signing();
  expect(both).toHaveLength(2);
  expect(publicOf(both)).toContain(all[0]![0]);
  expect((await replicas[0]!.published()).map((key) => key.kid)).toEqual([kid, published[0]!.kid]);

  const headers = signatureHeaders({ id: 'msg_1', at: 0, body: '{}', secrets: [], keys: both });
  const signatures = headers['webhook-signature'].split(' ').map((one) => Buffer.from(one.slice(4), 'base64'));
  for (const [i, key] of both.entries())
    expect(verify(null, Buffer.from('msg_1.0.{}'), createPublicKey(key), signatures[i]!)).toBe(true);

  clock.advance(DAY_MS);
  expect(await replicas[0]!.signing()).toHaveLength(1);
  expect(await replicas[0]!.published()).toHaveLength(2);
  clock.advance(7 * DAY_MS);
  expect(await replicas[0]!.published()).toHaveLength(1);
});

test('signing keys: one that does not decrypt signs nothing, and is not replaced', async () => {
  expect(await replica(ring()).signing()).toEqual([]);
  expect(errors).toEqual(['signing key: cannot be decrypted, deliveries are signed without it']);
  expect(await replica().signing()).toHaveLength(1);
});
