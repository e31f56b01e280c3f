// Revoked and replaced secrets are not in the files of the database any more, also not encrypted: raw bytes are searched.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import type { Ciphertext } from '../../../src/domain/connection.ts';
import type { Store } from '../../../src/ports/index.ts';
import { openRescue } from '../../../src/stores/sqlite/rescue-file.ts';
import { migrateSqlite, openSqlite } from '../../../src/stores/sqlite/store.ts';
import {
  aConnection,
  aFlow,
  anEntry,
  anIntegration,
  anUnreadableResponse,
  aRevocation,
  aSession,
  connected,
  NOW,
  someRefreshedFields,
} from '../builders.ts';

/** Of some length, as real ones; the marker makes each unique. */
const secret = (length = 900) => `v3.test.${randomBytes(length).toString('hex')}` as Ciphertext;
const credentials = () => ({
  accessToken: secret(),
  refreshToken: secret(90),
  idToken: secret(400),
  credentials: null,
});
const textsOf = (some: object): string[] => Object.values(some).filter((text) => typeof text === 'string');

function aPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-deleted-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, 'valetkey.db');
}

/** Which of these texts some file beside the database has; by files. */
function foundIn(path: string, texts: string[]): string[] {
  const folder = join(path, '..');
  return readdirSync(folder).flatMap((name) => {
    const bytes = readFileSync(join(folder, name));
    return texts.filter((text) => bytes.includes(text.slice(8, 72))).map((text) => `${name}: ${text.slice(0, 20)}`);
  });
}

/** Fills the store, and deletes or replaces most of it; returns what must be gone, and what must still be there. */
async function use(store: Store, count: number): Promise<{ gone: string[]; kept: string[] }> {
  const gone: string[] = [];
  const kept: string[] = [];
  const put = (clientSecret: Ciphertext) =>
    store.putIntegration(anIntegration({ clientSecret, privateKey: null }), anEntry());
  const clients = [secret(), secret()];
  for (const one of clients) await put(one);
  gone.push(clients[0]!);
  kept.push(clients[1]!);
  for (let n = 0; n < count; n++) {
    const first = credentials();
    const { connection } = await connected(store, aConnection(), first);
    gone.push(...textsOf(first));
    const claimed = await store.claim(connection.id, { attempt: 'a', generation: 1, now: NOW, monotonic: 0 });
    if (typeof claimed === 'string') throw new Error(claimed);
    const second = credentials();
    const held = { fence: claimed.fence, generation: 1 };
    await store.commitRefresh(connection.id, held, someRefreshedFields(), second, anEntry);
    if (n % 2 === 0) kept.push(...textsOf(second));
    else {
      gone.push(...textsOf(second));
      const outcome = n % 4 === 1 ? 'unsupported' : 'pending';
      const revoked = await store.revoke(connection.id, outcome, NOW, anEntry());
      if (revoked?.pending) await store.settleRevocation(revoked.pending.id, 'done', anEntry());
    }
  }
  const session = aSession();
  await store.addSession(session, anEntry());
  const flow = aFlow(session.id, { verifier: secret(60), nonce: secret(60) });
  await store.beginFlow(flow, NOW);
  await store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW);
  const response = anUnreadableResponse({ body: secret(6_000), receivedAt: NOW - 1 });
  await store.addUnreadableResponse(response, { ofOne: 3, ofIntegration: 3 });
  await store.deleteUnreadableResponses(NOW, 9);
  const pending = aRevocation({ accessToken: secret(), refreshToken: secret() });
  await store.addPendingRevocation(pending);
  await store.settleRevocation(pending.id, 'done', anEntry());
  gone.push(flow.verifier, flow.nonce, response.body, pending.accessToken!, pending.refreshToken!);
  return { gone, kept };
}

test('secrets: what was revoked, replaced or consumed is in no file after the next wipe, and the rest is', async () => {
  const path = aPath();
  const store = await openSqlite(`file:${path}`);
  onTestFinished(() => store.close());
  const { gone, kept } = await use(store, 60);
  expect(foundIn(path, gone)).not.toEqual([]);
  expect(await store.wipeDeleted()).toBe(true);
  expect(foundIn(path, gone)).toEqual([]);
  expect(foundIn(path, kept)).toHaveLength(kept.length);
});

test('secrets: after a key rotation, no file has one under the old key', async () => {
  const path = aPath();
  const store = await openSqlite(`file:${path}`);
  onTestFinished(() => store.close());
  const { kept } = await use(store, 20);
  await store.reencryptBatch('new', null, 500, () => `v3.new.${randomBytes(700).toString('hex')}` as Ciphertext);
  await store.wipeDeleted();
  expect(foundIn(path, kept)).toEqual([]);
});

test('secrets: a file in which earlier releases left them is cleaned once, when it is opened or migrated', async () => {
  for (const clean of [
    async (path: string) => (await openSqlite(`file:${path}`)).close(),
    async (path: string) => migrateSqlite(`file:${path}`),
  ]) {
    const path = aPath();
    await (await openSqlite(`file:${path}`)).close();
    // As the earlier releases opened it.
    const old = new Sqlite(path);
    old.pragma('application_id = 0');
    old.pragma('secure_delete = OFF');
    const texts = Array.from({ length: 50 }, () => secret());
    for (const [n, text] of texts.entries()) old.prepare('insert into key_checks values (?, ?)').run(`k${n}`, text);
    old.exec('delete from key_checks');
    old.close();
    expect(foundIn(path, texts)).not.toEqual([]);
    await clean(path);
    expect(foundIn(path, texts)).toEqual([]);
  }
});

test('rescue file: an answer that was replayed is in no file any more, its journal included', async () => {
  const path = aPath();
  const rescue = openRescue(`file:${path}`);
  onTestFinished(() => rescue.close());
  const answers = Array.from({ length: 8 }, (_, n) => ({
    attempt: `att_${n}`,
    connectionId: 'con_1',
    integration: 'slack',
    owner: 'ada',
    params: {},
    captured: {},
    held: { fence: 1, generation: 1 },
    change: someRefreshedFields(),
    grant: credentials(),
  }));
  for (const answer of answers) await rescue.add(answer);
  for (const { attempt } of answers.slice(1)) await rescue.remove(attempt);
  expect(
    foundIn(
      path,
      answers.slice(1).flatMap(({ grant }) => textsOf(grant)),
    ),
  ).toEqual([]);
  expect((await rescue.all()).responses).toMatchObject([{ attempt: 'att_0' }]);
  await rescue.remove('att_0');
  expect(foundIn(path, textsOf(answers[0]!.grant))).toEqual([]);
});
