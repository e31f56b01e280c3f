// Registered clients over several processes: two instances on one store, with an authorization server that counts.
import { createSecretKey, randomBytes } from 'node:crypto';
import { beforeEach, expect, it } from 'vitest';
import { createKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createRegistrations } from '../../../src/broker/resources/clients/registrations.ts';
import type { Store } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anEntry, anIntegration } from '../../stores/builders.ts';
import { emptyDatabase } from '../../support/sqlite-file.ts';

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
let entries: number;

beforeEach(async () => {
  store = await openSqlite(await emptyDatabase());
  await store.putIntegration(anIntegration(), anEntry());
  [now, registered, expiresAt, answer, entries] = [1_800_000_000_000, 0, null, Promise.resolve(), 0];
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
    access: {
      recordSystem: () => {
        entries++;
        return anEntry();
      },
    },
    appName: 'Acme',
    publicUrl: 'https://broker.example',
    clock: { now: () => now, monotonic: () => performance.now() + now },
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

const at = (issuer: string, owner?: string) => ({ ...place, server: { ...server, issuer }, owner });
const HOUR = 3_600_000;

it('an owner causes ten registrations an hour, whatever their server names; known servers and others go on', async () => {
  const one = replica();
  const codeOf = async (issuer: string, owner: string) => {
    const found = await one.clientFor(at(issuer, owner));
    return found.ok ? 'registered' : `${found.fault.kind} ${found.fault.code} ${found.fault.retryAfter! > 3_000}`;
  };
  const outcomes = [];
  for (let i = 0; i < 12; i++) outcomes.push(await codeOf(`https://as.example/${i}`, 'mallory'));
  const refused = 'transient too_many_registrations true';
  expect(outcomes).toEqual([...Array(10).fill('registered'), refused, refused]);
  expect([registered, entries]).toEqual([10, 10]);
  expect(await codeOf('https://as.example/3', 'mallory')).toBe('registered');
  expect(await codeOf('https://as.example/11', 'alice')).toBe('registered');
  expect(registered).toBe(11);
  now += HOUR;
  expect(await codeOf('https://as.example/12', 'mallory')).toBe('registered');
});

it('a server whose clients never last is registered at ten times an hour, and an integration at a hundred new ones', async () => {
  const one = replica();
  expiresAt = now - 1;
  for (let i = 0; i < 20; i++) await one.clientFor(place);
  expect([registered, entries]).toEqual([10, 10]);
  expiresAt = null;
  const many = Array.from({ length: 110 }, (_, i) => one.clientFor(at(`https://as.example/${i}`, `owner-${i}`)));
  const refused = (await Promise.all(many)).filter((found) => !found.ok);
  expect(registered).toBe(10 + 99);
  expect(refused[0]).toMatchObject({
    fault: { code: 'too_many_registrations', detail: expect.stringContaining('this integration') },
  });
});

it('a client that begins connections is not deleted, and one that begins none is', async () => {
  const one = replica();
  await one.clientFor(place);
  await one.clientFor(at('https://idle.example'));
  now += 2 * HOUR;
  await one.clientFor(place);
  await store.deleteRegistrations(now - HOUR, 9);
  await one.clientFor(place);
  expect(registered).toBe(2);
  await one.clientFor(at('https://idle.example'));
  expect(registered).toBe(3);
});
