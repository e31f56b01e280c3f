// Audit retention, as set by VALETKEY_AUDIT_DAYS.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeTime } from 'ulid';
import { expect, onTestFinished, test, vi } from 'vitest';
import { firstId, newId } from '../../../src/broker/secrets/ids.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anEntry } from '../../stores/builders.ts';
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
  const broker = await startTestBroker({ VALETKEY_DATABASE_URL: url, ...env });
  onTestFinished(() => broker.stop());
  const left = async (actor: string) => (await store.audit({ actor }, { limit: 500, after: undefined })).data.length;
  return { left };
}

test('audit retention: deletes older entries batch by batch, and nothing else', async () => {
  const { left } = await brokerOn({ VALETKEY_AUDIT_DAYS: '30' });
  await vi.waitFor(async () => expect(await left('clr_old')).toBe(0), { timeout: 30_000 });
  expect(await left('clr_young')).toBe(500);
});

test('audit retention: keeps everything when it is set to forever', async () => {
  const { left } = await brokerOn({ VALETKEY_AUDIT_DAYS: 'forever' });
  expect(await left('clr_old')).toBe(500);
});

test('firstId: greater than every earlier id, not greater than any later one', () => {
  const made = newId('evt', Date.now());
  const at = decodeTime(made.slice('evt_'.length).toUpperCase());
  expect(firstId('evt', at) <= made).toBe(true);
  expect(firstId('evt', at + 1) > made).toBe(true);
});
