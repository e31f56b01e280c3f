// The keys of the JWTs that brokers sign: made once, rotated without a gap, withdrawn at once; over replicas of one database, as
// a verifier sees it that caches the published keys for as long as it may.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeProtectedHeader } from 'jose';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { DAY_MS, SIGNING_KEY_LEAD_MS, SIGNING_KEY_RETIRED_MS } from '../../../src/domain/time-limits.ts';
import { withSigningKeys } from '../../../src/runtime/signing-keys.ts';
import { migrateStore } from '../../../src/stores/open.ts';
import type { Json, TestBroker } from '../../support/broker.ts';
import { expectOk, expectProblem } from '../../support/contract.ts';
import { createJwksVerifier } from '../../support/jwks-verifier.ts';
import { createReplicas, type Replicas } from '../../support/replicas.ts';

const MINUTE_MS = 60_000;
const TYP = 'token-introspection+jwt';
const PATIENT = { timeout: 30_000, interval: 5 };

let replicas: Replicas;
let first: TestBroker;
let second: TestBroker;
beforeEach(async () => {
  replicas = await createReplicas({ signingKeysEveryMs: 50, refreshAhead: false });
  [first, second] = [await replicas.start(), await replicas.start()];
});
afterEach(() => replicas.close());

/** Something that the broker signs, for the admin. */
async function signed(broker: TestBroker): Promise<string> {
  const response = await fetch(new URL('/oauth2/introspect', broker.url), {
    method: 'POST',
    headers: { authorization: `Bearer ${broker.adminKey}`, accept: `application/${TYP}` },
    body: new URLSearchParams({ token: 'opaque' }),
  });
  const text = await response.text();
  expect(response.headers.get('content-type'), text).toBe(`application/${TYP}`);
  return text;
}
const kidOf = async (broker: TestBroker) => String(decodeProtectedHeader(await signed(broker)).kid);

async function published(broker: TestBroker): Promise<Json[]> {
  const response = await fetch(new URL('/oauth2/jwks', broker.url));
  expect([response.status, response.headers.get('cache-control')]).toEqual([200, 'public, max-age=300']);
  return ((await response.json()) as { keys: Json[] }).keys;
}
const kids = async (broker: TestBroker) => (await published(broker)).map(({ kid }) => kid);

const keysOf = async (broker: TestBroker) => expectOk(await broker.ask('GET', '/v1/signing-keys')).data as Json[];
const states = async (broker: TestBroker) => (await keysOf(broker)).map(({ state }) => state);
const rotate = async (broker: TestBroker, body: Json = {}) =>
  expectOk(await broker.ask('POST', '/v1/signing-keys/rotate', body)).data as Json[];
const eventually = (assertion: () => Promise<void>) => vi.waitFor(assertion, PATIENT);
const verifierAt = (broker: TestBroker) => createJwksVerifier(broker.url, replicas.publicUrl, replicas.clock.now);
const expected = { typ: TYP, audience: 'clr_admin' };

test('the first key is made once for all replicas, signs at once, and shows nothing private', async () => {
  expect(await keysOf(first)).toEqual([]);
  const [here, there, token] = await Promise.all([published(first), published(second), signed(second)]);
  expect(here).toEqual(there);
  expect(here).toEqual([
    {
      kty: 'EC',
      crv: 'P-256',
      x: expect.any(String),
      y: expect.any(String),
      kid: here[0]!.kid,
      use: 'sig',
      alg: 'ES256',
    },
  ]);
  const { payload, protectedHeader } = await verifierAt(first).verify(token, expected);
  expect(protectedHeader).toEqual({ alg: 'ES256', typ: TYP, kid: here[0]!.kid });
  expect(payload).toEqual({
    iss: replicas.publicUrl,
    aud: 'clr_admin',
    iat: expect.any(Number),
    token_introspection: { active: false },
  });
});

test('rotation on time: no token is ever signed by a key that a caching verifier lacks, and one key follows', async () => {
  const verifiers = [verifierAt(first), verifierAt(second)];
  const before = await kidOf(first);
  /** Of each key, the last token that it has signed: it may be in use for 15 minutes more. */
  const last = new Map<string, { token: string; at: number }>();
  replicas.clock.pass(30 * DAY_MS - 5 * MINUTE_MS);
  let minutes = 0;
  for (; minutes < 150; minutes += 2.5) {
    replicas.clock.pass(2.5 * MINUTE_MS);
    const now = replicas.clock.now();
    for (const token of await Promise.all([signed(first), signed(second)]))
      last.set(String(decodeProtectedHeader(token).kid), { token, at: now });
    for (const verifier of verifiers)
      for (const { token, at } of last.values()) if (now - at < 15 * MINUTE_MS) await verifier.verify(token, expected);
    if (last.size === 2 && !(await kids(first)).includes(before)) break;
  }
  expect(last.size).toBe(2);
  // Published before it signs, and after.
  expect(minutes).toBeGreaterThan((SIGNING_KEY_LEAD_MS + SIGNING_KEY_RETIRED_MS) / MINUTE_MS - 5);
  expect(await states(second)).toEqual(['signing', 'retired']);
  const { data } = expectOk(await first.ask('GET', '/v1/audit?limit=100'));
  const steps = (data as Json[])
    .map(({ action }) => action)
    .filter((action) => String(action).startsWith('signing_key'));
  expect(steps).toEqual(['signing_key.activated', 'signing_key.added', 'signing_key.added']);
});

test('rotation by admins: of two replicas at once, and of one again, one key comes; only admins do it', async () => {
  await kidOf(first);
  const [here, there] = await Promise.all([rotate(first), rotate(second)]);
  expect(here.map(({ id, state }) => [id, state])).toEqual(there.map(({ id, state }) => [id, state]));
  expect(here.map(({ state }) => state)).toEqual(['published', 'signing']);
  expect(await rotate(first)).toEqual(here);
  await eventually(async () => expect(await kids(second)).toHaveLength(2));
  expect((await kids(first)).toSorted()).toEqual(here.map(({ id }) => id).toSorted());
  expect(await kidOf(second)).toBe(here[1]!.id);

  const reader = await first.callerKey({ actions: ['admin:read'] });
  const service = await first.callerKey({ actions: ['token'] });
  expectOk(await first.ask('GET', '/v1/signing-keys', undefined, reader));
  expectProblem(await first.ask('GET', '/v1/signing-keys', undefined, service), 403, 'forbidden');
  for (const key of [reader, service])
    expectProblem(await first.ask('POST', '/v1/signing-keys/rotate', {}, key), 403, 'forbidden');
  expect(await states(first)).toEqual(['published', 'signing']);
});

test('a process that ends between two steps of a rotation leaves the next one to any other', async () => {
  const before = await kidOf(first);
  // A command that publishes the next key, and ends; then every broker ends.
  const log = createLogger('silent');
  const keys = await withSigningKeys(replicas.config(), log, ({ jwt }) => jwt.rotate());
  expect(keys.map(({ state }) => state)).toEqual(['published', 'signing']);
  await Promise.all([first.stop(), second.stop()]);
  replicas.clock.pass(SIGNING_KEY_LEAD_MS + MINUTE_MS);
  const third = await replicas.start();
  await eventually(async () => expect(await kidOf(third)).toBe(keys[0]!.id));
  expect(await kids(third)).toEqual([keys[0]!.id, before]);
  expect((await keysOf(third))[1]).toMatchObject({ id: before, state: 'retired', published: true });
});

test('a database that no broker has used, since its URL has a typing error: nothing is rotated in it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-rotation-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const databaseUrl = `file:${join(folder, 'other.db')}`;
  await migrateStore(databaseUrl);
  const config = { ...replicas.config(), databaseUrl };
  const rotated = withSigningKeys(config, createLogger('silent'), ({ jwt }) => jwt.rotate());
  await expect(rotated).rejects.toMatchObject({
    issues: [expect.stringContaining('no broker has used this database yet')],
  });
});

describe('a key that has leaked', () => {
  test('is withdrawn on every replica at once, and another one signs', async () => {
    const leaked = await kidOf(first);
    await kidOf(second);
    const left = await rotate(first, { withdraw: leaked });
    expect(left.map(({ state }) => state)).toEqual(['signing']);
    await eventually(async () => expect(await kids(second)).toEqual([left[0]!.id]));
    expect(await kids(first)).toEqual([left[0]!.id]);
    expect([await kidOf(first), await kidOf(second)]).toEqual([left[0]!.id, left[0]!.id]);
    expectProblem(await first.ask('POST', '/v1/signing-keys/rotate', { withdraw: leaked }), 404, 'not_found');
    const { data } = expectOk(await first.ask('GET', '/v1/audit?action=signing_key.withdrawn'));
    expect((data as Json[]).map(({ detail, actor }) => [detail, actor])).toEqual([[leaked, 'clr_admin']]);
  });

  test('is replaced by the next key, if one is published; a key that waits can be withdrawn too', async () => {
    const leaked = await kidOf(first);
    const [next] = await rotate(first);
    expect((await rotate(second, { withdraw: leaked })).map(({ id, state }) => [id, state])).toEqual([
      [next!.id, 'signing'],
    ]);
    const [waiting] = await rotate(first);
    expect((await rotate(second, { withdraw: String(waiting!.id) })).map(({ id }) => id)).toEqual([next!.id]);
  });
});

describe('a wall clock that is set', () => {
  test('back: neither brings a retired key back, nor unpublishes one early', async () => {
    const before = await kidOf(first);
    await rotate(first);
    replicas.clock.pass(SIGNING_KEY_LEAD_MS + MINUTE_MS);
    await eventually(async () => expect(await states(second)).toEqual(['signing', 'retired']));
    await eventually(async () => expect(await kidOf(second)).not.toBe(before));
    const after = await kidOf(second);
    replicas.clock.set(-2 * DAY_MS);
    replicas.clock.pass(SIGNING_KEY_RETIRED_MS - 5 * MINUTE_MS);
    for (const broker of [first, second]) {
      await eventually(async () => expect(await kidOf(broker)).toBe(after));
      expect(await kids(broker)).toEqual([after, before]);
    }
    // A new process knows of the times only what is stored.
    const third = await replicas.start();
    expect(await kids(third)).toEqual([after, before]);
    // What is made under the wrong clock waits as long as it should.
    const [next] = await rotate(third);
    replicas.clock.set(2 * DAY_MS);
    replicas.clock.pass(MINUTE_MS);
    await Promise.all([first, second, third].map(async (broker) => expect(await kidOf(broker)).toBe(after)));
    replicas.clock.pass(SIGNING_KEY_LEAD_MS);
    await eventually(async () => expect(await kidOf(third)).toBe(next!.id));
  });

  test('forward: a key that waits does not sign early, and a retired one stays published', async () => {
    const before = await kidOf(first);
    await kidOf(second);
    const [next] = await rotate(first);
    await eventually(async () => expect(await kids(second)).toHaveLength(2));
    replicas.clock.set(DAY_MS);
    replicas.clock.pass(SIGNING_KEY_LEAD_MS / 2);
    for (const broker of [first, second]) expect(await kidOf(broker)).toBe(before);
    replicas.clock.pass(SIGNING_KEY_LEAD_MS / 2 + MINUTE_MS);
    await eventually(async () => expect(await kidOf(second)).toBe(next!.id));
    await eventually(async () => expect(await kidOf(first)).toBe(next!.id));
    replicas.clock.set(DAY_MS);
    replicas.clock.pass(SIGNING_KEY_RETIRED_MS / 2);
    for (const broker of [first, second]) expect(await kids(broker)).toEqual([next!.id, before]);
  });
});
