// What a refresh brought is kept, whatever the store does. A real store, a real rescue file.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { openRescue, type RescueFile } from '../../src/adapters/sqlite/rescue.ts';
import { openSqlite } from '../../src/adapters/sqlite/store.ts';
import { createLogger } from '../../src/adapters/telemetry.ts';
import { createAccess } from '../../src/broker/access.ts';
import { createJournal } from '../../src/broker/journal.ts';
import { createKeeper } from '../../src/broker/keep.ts';
import { type Rescue, type Rescued, type Store, StoreError } from '../../src/ports.ts';
import { aGrant, anEntry, aRotation, connected, NOW } from '../store/builders.ts';

const log = createLogger('silent');
const clock = { now: () => NOW, monotonic: () => performance.now() };
let folder: string;
let url: string;
let store: Store;
let rescue: RescueFile;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'valetkey-keep-'));
  url = `file:${join(folder, 'valetkey.db')}`;
  store = await openSqlite(url);
  rescue = openRescue(url);
});
afterEach(async () => {
  await store.close();
  rescue.close();
  rmSync(folder, { recursive: true });
});

/** Fails so often, then does what the store does. */
function failing(times: number): Pick<Store, 'rotate' | 'addPendingRevocation'> {
  let left = times;
  return {
    rotate: (...given) => (left-- > 0 ? Promise.reject(new StoreError('disk full')) : store.rotate(...given)),
    addPendingRevocation: (revocation) => store.addPendingRevocation(revocation),
  };
}

function keeperOn(on: Pick<Store, 'rotate' | 'addPendingRevocation'> = store, into: Rescue = rescue) {
  const access = createAccess({ journal: createJournal({ store, log }), clock });
  const keeper = createKeeper({ store: on, rescue: into, access, clock, log });
  onTestFinished(() => keeper.stop());
  return keeper;
}

async function anAnswer(): Promise<Rescued> {
  const { connection } = await connected(store);
  const claimed = await store.claim(connection.id, { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 });
  if (typeof claimed === 'string') throw new Error(claimed);
  const { id: connectionId, integration, owner, params } = connection;
  const held = { fence: claimed.fence, generation: 1 };
  return { attempt: 'att_1', connectionId, integration, owner, params, held, change: aRotation(), grant: aGrant() };
}

const tokenOf = async (id: string) => (await store.served(id))?.accessToken;

test('an answer goes into the store, and the rescue file stays empty', async () => {
  const answer = await anAnswer();
  expect(await keeperOn().keep(answer)).toBe('kept');
  expect(await tokenOf(answer.connectionId)).toBe(answer.grant.accessToken);
  expect(await rescue.all()).toEqual([]);
});

describe('when the store does not take it', () => {
  test('it is durable in the rescue file, and taken in at the next chance', async () => {
    const answer = await anAnswer();
    const keeper = keeperOn(failing(1));
    expect(await keeper.keep(answer)).toBe('rescued');
    expect(await rescue.all()).toEqual([answer]);
    expect(keeper.waitingFor(answer.connectionId)).toEqual(answer);
    await keeper.takeIn();
    expect(await tokenOf(answer.connectionId)).toBe(answer.grant.accessToken);
    expect(keeper.waitingFor(answer.connectionId)).toBeUndefined();
    expect(await rescue.all()).toEqual([]);
  });

  test('the next process takes it in before anything else', async () => {
    const answer = await anAnswer();
    await keeperOn(failing(99)).keep(answer);
    await keeperOn().begin();
    expect(await tokenOf(answer.connectionId)).toBe(answer.grant.accessToken);
    expect(await rescue.all()).toEqual([]);
  });

  test('and the rescue file neither, both are tried until one does', async () => {
    const answer = await anAnswer();
    const broken: Rescue = { ...rescue, add: () => Promise.reject(new StoreError('disk full')) };
    expect(await keeperOn(failing(3), broken).keep(answer)).toBe('kept');
    expect(await tokenOf(answer.connectionId)).toBe(answer.grant.accessToken);
  });

  test('a reconnect in between wins, and what was rescued is let go', async () => {
    const answer = await anAnswer();
    const keeper = keeperOn(failing(1));
    await keeper.keep(answer);
    const claim = { attempt: 'att_2', generation: 1, now: NOW + 2_000, monotonic: 0 };
    const newer = await store.claim(answer.connectionId, claim);
    if (typeof newer === 'string') throw new Error(newer);
    const grant = aGrant();
    await store.rotate(answer.connectionId, { fence: newer.fence, generation: 1 }, aRotation(), grant, anEntry());
    await keeper.takeIn();
    expect(await tokenOf(answer.connectionId)).toBe(grant.accessToken);
    expect(await rescue.all()).toEqual([]);
  });
});

test('what arrives for a connection that was revoked meanwhile is to be revoked at the provider', async () => {
  const answer = await anAnswer();
  await store.revoke(answer.connectionId, 'unsupported', NOW, anEntry());
  expect(await keeperOn().keep(answer)).toBe('gone');
  const { accessToken, refreshToken } = answer.grant;
  expect(await store.claimRevocations(NOW, NOW + 1, 10)).toMatchObject([{ accessToken, refreshToken }]);
});

describe('the rescue file', () => {
  const sizes = () => ['', '-journal'].map((end) => statSync(`${url.slice('file:'.length)}.rescue${end}`).size);

  test('does not grow while a hundred answers go in, so that it works on a full disk', async () => {
    const answer = await anAnswer();
    await rescue.add(answer);
    const before = sizes();
    for (let i = 0; i < 100; i++) await rescue.add({ ...answer, attempt: `att_${i}` });
    expect(sizes()).toEqual(before);
    expect(await rescue.all()).toHaveLength(100);
  });

  test('is for its owner alone', () => {
    expect(statSync(`${url.slice('file:'.length)}.rescue`).mode & 0o777).toBe(0o600);
  });
});
