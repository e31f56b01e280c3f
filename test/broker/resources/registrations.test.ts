// Registered clients over several processes: two instances on one store, with an authorization server that counts.
import { createSecretKey, randomBytes } from 'node:crypto';
import { beforeEach, expect, it } from 'vitest';
import { createKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createRegistrations } from '../../../src/broker/resources/clients/registrations.ts';
import type { Store } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anEntry, anIntegration } from '../../stores/builders.ts';

const server = {
  issuer: 'https://as.example',
  authorization_endpoint: 'https://as.example/authorize',
  token_endpoint: 'https://as.example/token',
  registration_endpoint: 'https://as.example/register',
};
const vault = createKeyRing([{ kid: 'k1', key: createSecretKey(randomBytes(32)) }]);
const place = { integration: 'slack', server, redirectUri: 'https://broker.example/oauth2/callback/slack' };

let store: Store;
let now: number;
let registered: number;
let expiresAt: number | null;
let answer: Promise<unknown>;

beforeEach(async () => {
  store = await openSqlite('file::memory:');
  await store.putIntegration(anIntegration(), anEntry());
  [now, registered, expiresAt, answer] = [1_800_000_000_000, 0, null, Promise.resolve()];
});

const replica = () =>
  createRegistrations({
    store,
    vault,
    discovery: {
      register: async () => {
        const id = `client-${++registered}`;
        await answer;
        return { ok: true, value: { client: { kind: 'registered', id, secret: 's', method: 'none' }, expiresAt } };
      },
    },
    access: { recordSystem: () => anEntry() },
    appName: 'Acme',
    publicUrl: 'https://broker.example',
    clock: { now: () => now, monotonic: () => performance.now() },
    log: createLogger('silent'),
  });
const idOf = (found: Awaited<ReturnType<ReturnType<typeof replica>['clientFor']>>) => found.ok && found.value.id;

it('of replicas that want a client at the same time one registers, and all have its client', async () => {
  const replicas = Array.from({ length: 3 }, replica);
  const found = await Promise.all(replicas.flatMap((one) => [one.clientFor(place), one.clientFor(place)]));
  expect(new Set(found.map(idOf))).toEqual(new Set(['client-1']));
  expect(registered).toBe(1);
});

it('a client that is refused is replaced once, by any process; the next one again', async () => {
  const [one, two] = [replica(), replica()];
  expect(idOf(await one.clientFor(place))).toBe('client-1');
  const replaced = await Promise.all([one, two, one].map((each) => each.replace(place, 'client-1')));
  expect(replaced.map(idOf)).toEqual(['client-2', 'client-2', 'client-2']);
  // A connection of the first client, later.
  expect(idOf(await two.replace(place, 'client-1'))).toBe('client-2');
  expect(idOf(await two.replace(place, 'client-2'))).toBe('client-3');
  expect(registered).toBe(3);
});

it('a process that was killed while it registered keeps no one from it: its claim ends', async () => {
  answer = new Promise(() => {});
  void replica().clientFor(place);
  await expect.poll(() => registered).toBe(1);
  answer = Promise.resolve();
  now += 45_000;
  expect(idOf(await replica().clientFor(place))).toBe('client-2');
});

it('another redirect URI, and an issuer of another name, have clients of their own; half of a short life is enough', async () => {
  const one = replica();
  expiresAt = now + 60_000;
  expect(idOf(await one.clientFor(place))).toBe('client-1');
  expect(idOf(await one.clientFor({ ...place, server: { ...server, issuer: 'https://as.example/' } }))).toBe(
    'client-2',
  );
  now += 29_000;
  expect(idOf(await one.clientFor(place))).toBe('client-1');
  now += 1_000;
  expect(idOf(await one.clientFor(place))).toBe('client-3');
  expect(idOf(await one.clientFor({ ...place, redirectUri: 'https://new.example/oauth2/callback/slack' }))).toBe(
    'client-4',
  );
});
