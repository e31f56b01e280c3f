// Audit retention, as set by VALETKEY_AUDIT_DAYS.
import { createSecretKey, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { decodeTime } from 'ulid';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { startAuditRetention } from '../../../src/broker/audit/log/audit-retention.ts';
import { firstId, newId } from '../../../src/broker/secrets/ids.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anEntry } from '../../stores/builders.ts';
import { storedReads } from '../../stores/stored-reads.ts';
import { startTestBroker } from '../../support/broker.ts';

const DAY_MS = 86_400_000;

/** A broker with 1,200 audit entries of 31 days ago and as many of 29 days ago. `left` counts those of an actor, up to 500. */
async function brokerOn(env: Record<string, string>) {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-retention-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const url = `file:${join(folder, 'valetkey.db')}`;
  const store = await openSqlite(url);
  onTestFinished(() => store.close());
  for (const [actor, days] of [
    ['clr_old', 31],
    ['clr_young', 29],
  ] as const) {
    const at = Date.now() - days * DAY_MS;
    // Not by `newId`, whose ids only increase within a process.
    const id = (i: number) => firstId('evt', at) + String(i).padStart(16, '0');
    await store.appendAudit(Array.from({ length: 1_200 }, (_, i) => anEntry({ id: id(i), at, actor })));
  }
  for (const days of [60, 29]) {
    const at = Date.now() - days * DAY_MS;
    const reads = ['a', 'b'].map((owner, i) =>
      anEntry({ id: `${firstId('evt', at)}${i}`, at, action: 'token.read', owner, detail: null, changed: null }),
    );
    await store.appendAudit(storedReads(reads));
  }
  const raw = new Sqlite(join(folder, 'valetkey.db'), { readonly: true });
  onTestFinished(() => void raw.close());
  /** What finds reads by their owners. */
  const finders = () => raw.prepare('select count(*) from audit_reads').pluck().get();
  const broker = await startTestBroker({ VALETKEY_DATABASE_URL: url, ...env });
  onTestFinished(() => broker.stop());
  const left = async (actor: string) => (await store.audit({ actor }, { limit: 500, after: undefined })).data.length;
  return { left, finders };
}

test('audit retention: deletes older entries batch by batch, and nothing else', async () => {
  const { left, finders } = await brokerOn({ VALETKEY_AUDIT_DAYS: '30' });
  await vi.waitFor(async () => expect(await left('clr_old')).toBe(0), { timeout: 30_000 });
  await vi.waitFor(() => expect(finders()).toBe(2), { timeout: 30_000 });
  expect(await left('clr_young')).toBe(500);
});

test('audit retention: no operation deletes more than a hundred entries, or what finds 500 reads, so that none holds up the others', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-retention-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const store = await openSqlite(`file:${join(folder, 'valetkey.db')}`);
  onTestFinished(() => store.close());
  const at = Date.now() - 31 * DAY_MS;
  await store.appendAudit(Array.from({ length: 250 }, (_, i) => anEntry({ id: `${firstId('evt', at)}${i}`, at })));
  const readAt = Date.now() - 60 * DAY_MS;
  const read = { action: 'token.read', detail: null, changed: null } as const;
  const reads = Array.from({ length: 700 }, (_, i) =>
    anEntry({ ...read, id: `${firstId('evt', readAt)}${i}`, at: readAt, owner: `owner-${i}` }),
  );
  await store.appendAudit(storedReads(reads));
  const deleted: number[] = [];
  const finders: number[] = [];
  const recording: Pick<typeof store, 'pruneAudit' | 'pruneAuditReads'> = {
    async pruneAudit(...given) {
      deleted.push(await store.pruneAudit(...given));
      return deleted.at(-1)!;
    },
    async pruneAuditReads(...given) {
      finders.push(await store.pruneAuditReads(...given));
      return finders.at(-1)!;
    },
  };
  const vault = createKeyRing([{ kid: 'k1', key: createSecretKey(randomBytes(32)) }]);
  const log = createLogger('silent');
  const parts = { store: { ...store, ...recording }, vault, days: 30, clock: { now: Date.now }, log };
  const retention = startAuditRetention(parts);
  onTestFinished(() => retention.stop());
  await expect.poll(() => finders).toEqual([500, 200]);
  expect(deleted.slice(0, 2)).toEqual([100, 100]);
  expect(Math.max(...deleted)).toBe(100);
});

test('audit retention: keeps everything when it is set to forever', async () => {
  const { left, finders } = await brokerOn({ VALETKEY_AUDIT_DAYS: 'forever' });
  expect(await left('clr_old')).toBe(500);
  expect(finders()).toBe(4);
});

test('firstId: greater than every earlier id, not greater than any later one', () => {
  const made = newId('evt', Date.now());
  const at = decodeTime(made.slice('evt_'.length).toUpperCase());
  expect(firstId('evt', at) <= made).toBe(true);
  expect(firstId('evt', at + 1) > made).toBe(true);
});
