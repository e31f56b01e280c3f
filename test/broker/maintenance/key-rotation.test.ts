// Key rotation in this process, on a real store and key ring, with interference at every pause.
import { expect, onTestFinished, test } from 'vitest';
import {
  createKeyRing,
  generateKey,
  kidOf,
  parseKeyRing,
  proveKeyRing,
} from '../../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createAudit } from '../../../src/broker/audit/index.ts';
import { rotateKeys } from '../../../src/broker/maintenance/key-rotation/key-rotation.ts';
import { keyRotationText } from '../../../src/broker/maintenance/key-rotation/key-rotation-report.ts';
import { integrationRow } from '../../../src/broker/secrets/row-authentication/authenticated-rows.ts';
import { authenticateStore } from '../../../src/broker/secrets/row-authentication/authenticated-store.ts';
import { decryptAccessToken, encryptCredentials } from '../../../src/broker/secrets/token-encryption.ts';
import type { Ciphertext } from '../../../src/domain/connection.ts';
import { type EncryptionStage, LATEST_STAGE, type Rescue, type Store, type Vault } from '../../../src/ports/index.ts';
import { openRescue } from '../../../src/stores/sqlite/rescue-file.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import {
  aConnection,
  anEntry,
  anIntegration,
  aRevocation,
  connected,
  recorded,
  someRefreshedFields,
} from '../../stores/builders.ts';
import { emptyDatabase } from '../../support/sqlite-file.ts';

const ENTRIES = { old: generateKey('old'), older: generateKey('older'), new: generateKey('new') };
const ringOf = (...kids: (keyof typeof ENTRIES)[]) => {
  const parsed = parseKeyRing(kids.map((kid) => ENTRIES[kid]).join(','));
  if (!parsed.ok) throw new Error(parsed.issues.join());
  return createKeyRing(parsed.keys);
};
const log = createLogger('silent');
const clock = { now: () => Date.now(), monotonic: () => performance.now() };

interface Options {
  ring?: ReturnType<typeof ringOf>;
  /** Called at every pause of the rotation. */
  meanwhile?: () => Promise<unknown>;
  rescue?: Rescue;
}

/** Authenticated by this key. */
function integrationBy(kid: keyof typeof ENTRIES) {
  const integration = anIntegration({ clientSecret: null, privateKey: null });
  return { ...integration, mac: ringOf(kid).authenticate(integrationRow(integration)) };
}

async function aStore(...kids: (keyof typeof ENTRIES)[]) {
  const store = await openSqlite(await emptyDatabase());
  onTestFinished(() => store.close());
  await store.putIntegration(integrationBy(kids[0] ?? 'old'), anEntry());
  for (const kid of kids) await store.addKeyCheck(ringOf(kid).check(kid, LATEST_STAGE));
  return store;
}

function run(store: Store, { ring = ringOf('new', 'old'), meanwhile = async () => undefined, rescue }: Options = {}) {
  const { access } = createAudit({ store, vault: ring, clock, log });
  return rotateKeys({ store, ring, log, access, rescue: rescue ?? aRescue(), pause: meanwhile });
}

function aRescue(): Rescue {
  const rescue = openRescue('file::memory:');
  onTestFinished(() => rescue.close());
  return rescue;
}

const placeOf = (id: string) => ({ id, integration: 'slack', owner: `owner of ${id}`, label: 'work' });

/** A connection whose tokens contain its id. */
async function addConnection(store: Store, kid: keyof typeof ENTRIES): Promise<string> {
  const { id } = aConnection();
  const credentials = {
    accessToken: `access of ${id}`,
    refreshToken: `refresh of ${id}`,
    idToken: null,
    credentials: null,
  };
  await connected(store, placeOf(id), encryptCredentials(ringOf(kid), placeOf(id), credentials));
  return id;
}

const kids = async (store: Store) => (await store.keyChecks()).map(({ kid }) => kid);

async function expectServed(store: Store, vault: Vault, id: string) {
  const ciphertext = (await store.servedRow(id))!.accessToken!;
  expect(decryptAccessToken(vault, placeOf(id), ciphertext)).toBe(`access of ${id}`);
}

test('key rotation: re-encrypts more rows than fit in a batch; the new key alone decrypts them', async () => {
  const store = await aStore('old', 'new');
  const ids: string[] = [];
  for (let i = 0; i < 230; i++) ids.push(await addConnection(store, 'old'));
  const done = await run(store);
  expect(done).toEqual({
    kid: 'new',
    secrets: 460,
    reencrypted: 460,
    removable: ['old'],
    remaining: [],
    rescued: 0,
    unopenable: { count: 0, named: [] },
    behind: 0,
    authenticated: 1,
    inauthentic: [],
    protection: 'enforced',
    newForm: undefined,
  });
  expect(await store.keysInUse()).toEqual([{ kid: 'new', secrets: 460, outdated: 0 }]);
  for (const id of ids) await expectServed(store, ringOf('new'), id);
  expect(await kids(store)).toEqual(['new']);
  expect(proveKeyRing(ringOf('new'), await store.keyChecks()).issues).toEqual([]);
});

test('key rotation: the audit log has the retirement of a key once', async () => {
  const store = await aStore('old', 'new');
  await addConnection(store, 'old');
  await run(store);
  await run(store);
  const { data } = await store.audit({ action: 'key.retired' }, { limit: 10, after: undefined });
  expect(data).toMatchObject([{ actor: 'system', detail: 'old', outcome: 'ok' }]);
  expect(await recorded(store, data[0]!)).toBe(true);
});

test('key rotation: retires old keys of several rotations together, except those that still protect something', async () => {
  const store = await aStore('older', 'old', 'new');
  for (const kid of ['older', 'old', 'new'] as const) await addConnection(store, kid);
  const damaged = ringOf('older').encrypt('x', { row: 'connections/elsewhere', column: 'access_token' });
  await store.addPendingRevocation(aRevocation({ accessToken: damaged, refreshToken: null }));
  const done = await run(store, { ring: ringOf('new', 'old', 'older') });
  expect(done).toMatchObject({ reencrypted: 4, removable: ['old'], remaining: [{ kid: 'older', secrets: 1 }] });
  expect(await kids(store)).toEqual(['new', 'older']);
});

test('key rotation: takes a database of the release before to the present form, also with a single key', async () => {
  const earlier = { envelope: 'v2', protection: 'enforced' } as const;
  const parsed = parseKeyRing(ENTRIES.old);
  if (!parsed.ok) throw new Error(parsed.issues.join());
  const store = await aStore();
  const ring = createKeyRing(parsed.keys, undefined, earlier);
  await store.addKeyCheck(ring.check('old', earlier));
  const broker = createKeyRing(parsed.keys, undefined, earlier);
  const { id } = aConnection();
  const tokens = { accessToken: `access of ${id}`, refreshToken: 'refresh', idToken: null, credentials: null };
  await connected(store, placeOf(id), encryptCredentials(broker, placeOf(id), tokens));
  expect(await store.keysInUse()).toEqual([{ kid: 'old', secrets: 2, outdated: 2 }]);

  let reads = 0;
  const authenticated = authenticateStore(store, {
    vault: broker,
    refused: () => expect.unreachable('a row is refused'),
  });
  /** A broker that reads its callers, and refreshes in the form that it knows. */
  async function meanwhile() {
    if (++reads === 1) await authenticated.callers();
    await store.addPendingRevocation(
      aRevocation({
        id: `rev_${reads}`,
        accessToken: broker.encrypt('x', { row: 'a', column: 'b' }),
        refreshToken: null,
      }),
    );
  }
  const done = await run(store, { ring, meanwhile });
  expect(done).toMatchObject({ reencrypted: 2, remaining: [], removable: [], protection: 'enforced' });
  expect(keyRotationText(done)).toContain('Brokers write in the form v3 from now on');
  expect(reads).toBeGreaterThan(0);
  expect(await store.keysInUse()).toEqual([{ kid: 'old', secrets: 2 + reads, outdated: 0 }]);
  await expectServed(store, ringOf('old'), id);
  expect(proveKeyRing(ringOf('old'), await store.keyChecks())).toMatchObject({ issues: [], stage: LATEST_STAGE });
  const { data } = await store.audit({ action: 'key.protection' }, { limit: 10, after: undefined });
  expect(data).toMatchObject([{ actor: 'system', detail: 'old enforced v3' }]);
  expect(await run(store, { ring, meanwhile: () => expect.unreachable('the rotation paused') })).toMatchObject({
    reencrypted: 0,
  });
});

const FIRST_RELEASES: EncryptionStage = { envelope: 'v1', protection: 'legacy' };

/** A database of the first releases with a connection, and rings that are as far as its brokers. */
async function ofFirstReleases() {
  const parsed = parseKeyRing(ENTRIES.old);
  if (!parsed.ok) throw new Error(parsed.issues.join());
  const atFirst = () => createKeyRing(parsed.keys, undefined, FIRST_RELEASES);
  const store = await openSqlite(await emptyDatabase());
  onTestFinished(() => store.close());
  await store.putIntegration(anIntegration({ clientSecret: null, privateKey: null, mac: null }), anEntry());
  await store.addKeyCheck(atFirst().check('old', FIRST_RELEASES));
  const { id } = aConnection();
  const tokens = { accessToken: `access of ${id}`, refreshToken: 'refresh', idToken: null, credentials: null };
  await connected(store, placeOf(id), encryptCredentials(atFirst(), placeOf(id), tokens));
  return { store, atFirst, id };
}

test('key rotation: enforces nothing while a broker has not heard of it, which would still write what is refused then', async () => {
  const { store, atFirst, id } = await ofFirstReleases();
  const behind = { ...store, untilApplied: async () => 2 };
  const done = await run(behind, { ring: atFirst() });
  expect(done).toMatchObject({ reencrypted: 2, remaining: [], behind: 2, protection: 'migrating' });
  expect(keyRotationText(done)).toContain('2 brokers have not applied the latest changes');

  /** It hears of it after the first round, in which it has refreshed. */
  let asked = 0;
  const late = { ...store, untilApplied: async () => (++asked === 1 ? 1 : 0) };
  const tokens = { accessToken: 'access of late', refreshToken: 'refresh', idToken: null, credentials: null };
  const meanwhile = async () => {
    if (asked === 1) await connected(store, placeOf('late'), encryptCredentials(atFirst(), placeOf('late'), tokens));
  };
  const ring = atFirst();
  ring.learn(await store.keyChecks());
  expect(await run(late, { ring, meanwhile })).toMatchObject({
    reencrypted: 2,
    remaining: [],
    behind: 0,
    protection: 'enforced',
  });
  for (const one of [id, 'late']) await expectServed(store, ringOf('old'), one);
});

test('key rotation: retires no key while a broker hangs, which may still encrypt with it', async () => {
  const store = await aStore('old', 'new');
  await addConnection(store, 'old');
  const done = await run({ ...store, untilApplied: async () => 1 });
  expect(done).toMatchObject({ reencrypted: 2, remaining: [], removable: [], behind: 1, protection: 'enforced' });
  expect(keyRotationText(done)).toContain('A broker has not applied the latest changes');
  expect(await kids(store)).toEqual(['new', 'old']);
  expect(await run(store)).toMatchObject({ removable: ['old'], behind: 0 });
});

test('key rotation: a second one that was slow takes back nothing that the first has enforced', async () => {
  const { store, atFirst } = await ofFirstReleases();
  let first: Awaited<ReturnType<typeof run>> | undefined;
  const slow: Store = {
    ...store,
    async replaceKeyCheck(...given) {
      first ??= await run(store, { ring: atFirst() });
      return store.replaceKeyCheck(...given);
    },
  };
  expect(await run(slow, { ring: atFirst() })).toMatchObject({ protection: 'enforced', reencrypted: 0 });
  expect(first).toMatchObject({ protection: 'enforced', reencrypted: 2 });
  expect(proveKeyRing(ringOf('old'), await store.keyChecks())).toMatchObject({ issues: [], stage: LATEST_STAGE });
  const { data } = await store.audit({ action: 'key.protection' }, { limit: 10, after: undefined });
  expect(data.map(({ detail }) => detail)).toEqual(['old enforced v3', 'old migrating v3']);
});

test('key rotation: with a single key, does nothing and does not wait', async () => {
  const store = await aStore('old');
  await addConnection(store, 'old');
  const done = await run(store, { ring: ringOf('old'), meanwhile: () => expect.unreachable('the rotation paused') });
  expect(done).toMatchObject({ kid: 'old', secrets: 2, reencrypted: 0, removable: [], remaining: [] });
  expect(keyRotationText(done)).toBe('Nothing to re-encrypt: all 2 secrets are encrypted with key old.');
  expect(await kids(store)).toEqual(['old']);
});

test('key rotation: with a single key, reports secrets under another one', async () => {
  const store = await aStore('new');
  const id = await addConnection(store, 'old');
  const done = await run(store, { ring: ringOf('new') });
  expect(done).toMatchObject({ reencrypted: 0, remaining: [{ kid: 'old', secrets: 2 }] });
  expect(done.unopenable.named).toContainEqual({ table: 'grants', id, column: 'access_token', reason: 'unknown_key' });
});

test('key rotation: re-encrypts what an old broker writes while it shuts down', async () => {
  const store = await aStore('old', 'new');
  await addConnection(store, 'old');
  let late: string | undefined;
  const done = await run(store, {
    meanwhile: async () => {
      late ??= await addConnection(store, 'old');
    },
  });
  expect(done).toMatchObject({ reencrypted: 4, removable: ['old'], remaining: [] });
  await expectServed(store, ringOf('new'), late!);
});

test('key rotation: keeps and reports a key that a broker still encrypts with', async () => {
  const store = await aStore('old', 'new');
  const done = await run(store, { meanwhile: () => addConnection(store, 'old') });
  expect(done.removable).toEqual([]);
  expect(done.remaining).toEqual([{ kid: 'old', secrets: expect.any(Number) }]);
  expect(await kids(store)).toEqual(['new', 'old']);
  expect(keyRotationText(done)).toContain('A broker still encrypts with another key: put new first on every broker');
});

test('key rotation: names a secret that cannot be decrypted, leaves it as it is and re-encrypts the others', async () => {
  const store = await aStore('old', 'new');
  const [before, id, after] = [
    await addConnection(store, 'old'),
    await addConnection(store, 'old'),
    await addConnection(store, 'old'),
  ];
  const ciphertext = (await store.servedRow(id))!.accessToken!;
  const broken = (ciphertext.slice(0, -4) + (ciphertext.endsWith('AAAA') ? 'BBBB' : 'AAAA')) as Ciphertext;
  const column = { table: 'grants', id, column: 'access_token' } as const;
  await store.reencryptBatch('new', null, 100, (text) => (text.ciphertext === ciphertext ? broken : undefined));
  const done = await run(store);
  expect(done).toEqual({
    kid: 'new',
    secrets: 6,
    reencrypted: 5,
    removable: [],
    remaining: [{ kid: 'old', secrets: 1 }],
    rescued: 0,
    unopenable: { count: 1, named: [{ ...column, reason: 'not_openable' }] },
    behind: 0,
    authenticated: 1,
    inauthentic: [],
    protection: 'enforced',
    newForm: undefined,
  });
  for (const other of [before, after]) await expectServed(store, ringOf('new'), other);
  expect((await store.servedRow(id))?.accessToken).toBe(broken);
  expect(await kids(store)).toEqual(['new', 'old']);
  const text = keyRotationText(done);
  expect(text).toContain(`grants ${id} access_token: not_openable`);
  expect(text).not.toContain(broken);
  expect(text).not.toContain('A broker still encrypts');
});

test('key rotation: retires no key while a ciphertext names none, since any key may be the right one', async () => {
  const store = await aStore('old', 'new');
  await store.addPendingRevocation(aRevocation({ accessToken: 'rubbish' as Ciphertext, refreshToken: null }));
  const done = await run(store);
  expect(done).toMatchObject({ removable: [], remaining: [{ kid: null, secrets: 1 }], unopenable: { count: 1 } });
  expect(await kids(store)).toEqual(['new', 'old']);
  expect(JSON.stringify(done) + keyRotationText(done)).not.toContain('rubbish');
});

test('key rotation: names the first 100 secrets that cannot be decrypted and counts all', async () => {
  const store = await aStore('old', 'new');
  for (let i = 0; i < 60; i++) await addConnection(store, 'older');
  const done = await run(store);
  expect(done.unopenable.count).toBe(120);
  expect(done.unopenable.named).toHaveLength(100);
  expect(keyRotationText(done)).toContain('… and 20 more');
});

test('key rotation: stores no ciphertext that does not decrypt to the same secret', async () => {
  const store = await aStore('old', 'new');
  const id = await addConnection(store, 'old');
  const ciphertext = (await store.servedRow(id))?.accessToken;
  const ring = ringOf('new', 'old');
  const wrong = {
    ...ring,
    encrypt: (text: string, at: Parameters<Vault['encrypt']>[1]) => ring.encrypt(`${text}!`, at),
  };
  await expect(run(store, { ring: wrong })).rejects.toThrow('cannot be decrypted');
  expect((await store.servedRow(id))?.accessToken).toBe(ciphertext);
  expect(kidOf(ciphertext!)).toBe('old');
  expect(await kids(store)).toEqual(['new', 'old']);
});

test('key rotation: keeps a key while the rescue file has secrets under it', async () => {
  const store = await aStore('old', 'new');
  const id = await addConnection(store, 'old');
  const rescue = aRescue();
  const grant = encryptCredentials(ringOf('old'), placeOf(id), {
    accessToken: 'a',
    refreshToken: 'r',
    idToken: null,
    credentials: null,
  });
  const { integration, owner, params, captured } = aConnection(placeOf(id));
  const held = { fence: 1, generation: 1 };
  const connection = { connectionId: id, integration, owner, params, captured };
  const pending = { attempt: 'att_1', ...connection, held, change: someRefreshedFields(), grant };
  await rescue.add(pending);
  const done = await run(store, { rescue });
  expect(done).toMatchObject({ secrets: 4, reencrypted: 2, removable: [], rescued: 2 });
  expect(done.remaining).toEqual([{ kid: 'old', secrets: 2 }]);
  expect(keyRotationText(done)).toContain('2 of these are in the rescue file beside the database: start a broker');
  expect(keyRotationText(done)).not.toContain('A broker still encrypts');
  expect(await kids(store)).toEqual(['new', 'old']);

  await rescue.remove('att_1');
  expect(await run(store, { rescue })).toMatchObject({ removable: ['old'], remaining: [], rescued: 0 });
});

test('key rotation: re-encrypts secrets that are replayed from the rescue file meanwhile', async () => {
  const store = await aStore('old', 'new');
  const rescue = aRescue();
  const id = aConnection().id;
  const grant = encryptCredentials(ringOf('old'), placeOf(id), {
    accessToken: `access of ${id}`,
    refreshToken: 'r',
    idToken: null,
    credentials: null,
  });
  const { integration, owner, params, captured } = aConnection(placeOf(id));
  const held = { fence: 1, generation: 1 };
  await rescue.add({
    attempt: 'att_1',
    connectionId: id,
    integration,
    owner,
    params,
    captured,
    held,
    change: someRefreshedFields(),
    grant,
  });
  let pauses = 0;
  const meanwhile = async () => {
    if (++pauses !== 2) return;
    await connected(store, placeOf(id), grant);
    await rescue.remove('att_1');
  };
  expect(await run(store, { rescue, meanwhile })).toMatchObject({ reencrypted: 2, removable: ['old'], remaining: [] });
  await expectServed(store, ringOf('new'), id);
});
