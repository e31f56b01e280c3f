// Re-encryption on PostgreSQL beside others: several rotations at once, refreshes meanwhile, and a row that is locked.
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { createKeyRing, generateKey, parseKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createAccess } from '../../../src/broker/audit/access.ts';
import { createAuditBuffer } from '../../../src/broker/audit/log/audit-buffer.ts';
import { rotateKeys } from '../../../src/broker/maintenance/key-rotation/key-rotation.ts';
import { decryptAccessToken, encryptCredentials } from '../../../src/broker/secrets/token-encryption.ts';
import type { Ciphertext } from '../../../src/domain/connection.ts';
import { type EncryptedSecret, LATEST_STAGE, type Store } from '../../../src/ports/index.ts';
import { openRescue } from '../../../src/stores/sqlite/rescue-file.ts';
import { isLong } from '../../support/long.ts';
import { createMigratedDatabase, openTestStore } from '../../support/stores.ts';
import {
  aConnection,
  anEntry,
  anIntegration,
  connected,
  FIRST,
  inBatches,
  NOW,
  someCredentials,
  someRefreshedFields,
} from '../builders.ts';

const ringOf = (...entries: string[]) => {
  const parsed = parseKeyRing(entries.join(','));
  if (!parsed.ok) throw new Error(parsed.issues.join());
  return createKeyRing(parsed.keys);
};
const [OLD, NEW] = [generateKey('old'), generateKey('new')];
const [old, both, fresh] = [ringOf(OLD), ringOf(NEW, OLD), ringOf(NEW)];
const log = createLogger('silent');
const ROUNDS = isLong ? 15 : 8;

/** Stores of processes of their own, on one database with an integration. */
async function replicas(count: number): Promise<{ url: string; stores: Store[] }> {
  const url = await createMigratedDatabase();
  const stores: Store[] = [];
  for (let i = 0; i < count; i++) {
    stores.push(await openTestStore(url));
  }
  await stores[0]!.putIntegration(anIntegration({ clientSecret: null, privateKey: null }), anEntry());
  for (const kid of ['old', 'new']) await stores[0]!.addKeyCheck(both.check(kid, LATEST_STAGE));
  return { url, stores };
}

/** Connections with two secrets each, encrypted by the old key; their tokens name them. */
async function adopted(store: Store, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => aConnection().id);
  const adopt = (id: string) => {
    const grant = {
      accessToken: `access of ${id}`,
      refreshToken: `refresh of ${id}`,
      idToken: null,
      credentials: null,
    };
    const connection = aConnection({ id });
    return connected(store, connection, encryptCredentials(old, connection, grant));
  };
  await inBatches(ids, adopt);
  return ids;
}

/** `watch`: called in each pause in which the rotation waits for others. */
function rotation(store: Store, watch?: () => Promise<unknown>) {
  const clock = { now: () => NOW, monotonic: () => performance.now() };
  const access = createAccess({ clock, auditBuffer: createAuditBuffer({ store, log }) });
  const rescue = openRescue('file::memory:');
  onTestFinished(() => rescue.close());
  const pausing = (ms: number) => (watch !== undefined && ms > 1_000 ? watch() : pause(ms));
  return rotateKeys({ store, ring: both, log, access, rescue, pause: pausing });
}

/** Locks this row, until the returned function is called. */
async function locked(url: string, id: string): Promise<() => Promise<unknown>> {
  const client = new Client({ connectionString: url });
  await client.connect();
  onTestFinished(() => client.end());
  await client.query('begin');
  await client.query("update grants set access_token = 'v1.new.lost.lost' where connection_id = $1", [id]);
  return () => client.query('rollback');
}

test('three concurrent rotations re-encrypt each secret once, and all succeed', async () => {
  const { stores } = await replicas(3);
  const ids = await adopted(stores[0]!, isLong ? 300 : 120);
  const done = await Promise.all(stores.map((store) => rotation(store)));
  expect(done.map(({ reencrypted }) => reencrypted).reduce((sum, one) => sum + one)).toBe(2 * ids.length);
  for (const one of done)
    expect(one).toMatchObject({ secrets: 2 * ids.length, remaining: [], removable: ['old'], unopenable: { count: 0 } });
  for (const id of ids) {
    const { connection, accessToken } = (await stores[0]!.servedRow(id))!;
    expect(decryptAccessToken(fresh, connection, accessToken)).toBe(`access of ${id}`);
  }
  const { data } = await stores[0]!.audit({ action: 'key.retired' }, FIRST);
  expect(data).toHaveLength(1);
});

test('refreshes during a rotation: each is committed, none waits for a lock until it is cancelled, and no token is overwritten', async () => {
  const { stores } = await replicas(4);
  const broker = stores[0]!;
  /** Identifies a ciphertext, whichever key it names. */
  const identify = (ciphertext: string | null | undefined) => ciphertext?.split('.')[2];
  const reencrypt = ({ ciphertext }: EncryptedSecret) => ciphertext.replace(/^v3\.\w+\./, 'v3.new.') as Ciphertext;
  const ids = Array.from({ length: 60 }, () => aConnection().id);
  await inBatches(ids, (id) => connected(broker, { id }));
  const refreshed = ids.slice(0, 10);
  let isOver = false;

  /** Ten of them repeatedly, by a broker that still encrypts with another key. */
  const refreshes = refreshed.map(async (id) => {
    let last: string | undefined;
    for (let generation = 1; generation <= ROUNDS; generation++) {
      const claimed = await broker.claim(id, { attempt: 'att_1', generation, now: NOW, monotonic: 0 });
      if (typeof claimed === 'string') throw new Error(claimed);
      if (last !== undefined) expect(identify(claimed.credentials.accessToken)).toBe(last);
      const grant = someCredentials({ accessToken: `v3.test.${id}-${generation}.c` as Ciphertext });
      const held = { fence: claimed.fence, generation };
      expect(await broker.commitRefresh(id, held, someRefreshedFields(), grant, anEntry)).toBe('committed');
      last = identify(grant.accessToken);
    }
    expect(identify((await broker.servedRow(id))?.accessToken)).toBe(last);
  });
  const rotations = stores.slice(1).map(async (store) => {
    let reencrypted = 0;
    do {
      const some = await store.reencryptBatch('new', null, 50, reencrypt);
      reencrypted += some.reencrypted;
    } while (!isOver);
    return reencrypted;
  });
  await Promise.all(refreshes).finally(() => {
    isOver = true;
  });
  const reencrypted = await Promise.all(rotations);
  // More than there were: what the refreshes committed was re-encrypted repeatedly.
  expect(reencrypted.reduce((sum, one) => sum + one)).toBeGreaterThan(4 * ids.length);

  while ((await broker.reencryptBatch('new', null, 500, reencrypt)).reencrypted > 0);
  for (const id of refreshed) expect(identify((await broker.servedRow(id))?.accessToken)).toBe(`${id}-${ROUNDS}`);
  expect(await broker.keysInUse()).toEqual([{ kid: 'new', secrets: 4 * ids.length, outdated: 0 }]);
});

test('a locked row is skipped, not waited for', async () => {
  const { url, stores } = await replicas(1);
  const [store] = stores as [Store];
  const [id] = await adopted(store, 3);
  const unlock = await locked(url, id!);
  const reencrypt = ({ ciphertext }: EncryptedSecret) => ciphertext.replace('.old.', '.new.') as Ciphertext;
  expect(await store.reencryptBatch('new', null, 50, reencrypt)).toMatchObject({
    reencrypted: 4,
    skipped: 1,
    next: null,
  });
  await unlock();
  expect(await store.reencryptBatch('new', null, 50, reencrypt)).toMatchObject({ reencrypted: 2, skipped: 0 });
});

test('a rotation waits for a locked row, and re-encrypts it in the end', async () => {
  const { url, stores } = await replicas(1);
  const [store] = stores as [Store];
  const [id] = await adopted(store, 3);
  const unlock = await locked(url, id!);
  let watched = 0;
  const done = await rotation(store, async () => ++watched === 6 && (await unlock()));
  expect(done).toMatchObject({ secrets: 6, reencrypted: 6, remaining: [], removable: ['old'] });
});

test('a rotation that cannot finish reports what remains, and retires no key', async () => {
  const { url, stores } = await replicas(1);
  const [store] = stores as [Store];
  const [id] = await adopted(store, 3);
  const unlock = await locked(url, id!);
  let watched = 0;
  const done = await rotation(store, async () => ++watched);
  expect(watched).toBe(10);
  expect(done).toMatchObject({ secrets: 6, reencrypted: 4, remaining: [{ kid: 'old', secrets: 2 }], removable: [] });
  await unlock();
});
