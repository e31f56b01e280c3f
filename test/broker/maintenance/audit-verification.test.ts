// The hash chain over the audit log: what its verification finds after someone has written to the database.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { createKeyRing, generateKey, parseKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { startAuditRetention } from '../../../src/broker/audit/log/audit-retention.ts';
import { createAuditSealing } from '../../../src/broker/audit/log/audit-sealing.ts';
import { verifyAudit } from '../../../src/broker/maintenance/audit-verification/audit-verification.ts';
import { auditVerificationText } from '../../../src/broker/maintenance/audit-verification/audit-verification-report.ts';
import { rotateKeys } from '../../../src/broker/maintenance/key-rotation/key-rotation.ts';
import { newId } from '../../../src/broker/secrets/ids.ts';
import type { AuditAction } from '../../../src/domain/audit-actions.ts';
import { sealContext } from '../../../src/domain/audit-seal.ts';
import { LATEST_STAGE, type Store } from '../../../src/ports/index.ts';
import { openRescue } from '../../../src/stores/sqlite/rescue-file.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anEntry } from '../../stores/builders.ts';
import { storedReads } from '../../stores/stored-reads.ts';
import { createMigratedFile } from '../../support/sqlite-file.ts';

const DAY_MS = 86_400_000;
const log = createLogger('silent');
const ringOf = (...entries: string[]) => {
  const parsed = parseKeyRing(entries.join(','));
  if (!parsed.ok) throw new Error(parsed.issues.join());
  return createKeyRing(parsed.keys);
};

let path: string;
let store: Store;
let now: number;
const KEY = generateKey('k1');
const vault = ringOf(KEY);
const clock = { now: () => now, monotonic: () => now };

beforeEach(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-chain-'));
  path = join(folder, 'valetkey.db');
  now = Date.parse('2026-11-01T00:00:00Z');
  await createMigratedFile(path);
  store = await openSqlite(`file:${path}`);
  onTestFinished(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });
});

const access = { recordSystem: (action: AuditAction) => anEntry({ id: newId('evt', ++now), at: now, action }) };
const sealing = (days: number | null = null) => createAuditSealing({ store, vault, access, clock, log, days });
const verify = (more: Partial<Parameters<typeof verifyAudit>[0]> = {}) =>
  verifyAudit({ store, vault, keptSince: 0, ...more });
/** Entries, and a seal over them. */
async function append(count: number): Promise<string[]> {
  const entries = Array.from({ length: count }, () => anEntry({ id: newId('evt', ++now), at: now }));
  await store.appendAudit(entries);
  await sealing().sealNow();
  return entries.map(({ id }) => id);
}
/** As someone does it who can write to the database. */
function tamper(...statements: string[]): void {
  const client = new Sqlite(path);
  client.pragma('foreign_keys = OFF');
  for (const statement of statements) client.exec(statement);
  client.close();
}

test('a chain that no one touched holds, also with entries that are not in it yet', async () => {
  await append(3);
  await append(600);
  await store.appendAudit([anEntry({ id: newId('evt', ++now) })]);
  const verified = await verify();
  expect(verified).toMatchObject({ seals: 2, entries: 603, unsealed: 1, unprotected: 0, broken: undefined });
  expect(auditVerificationText(verified)).toMatch(/The chain holds\. .* 2:[0-9a-f]{64}/);
});

test('entries are read in large portions, smaller where they are long, and hashed in short turns of the event loop', async () => {
  const some = (count: number, length: number) => Array.from({ length: count }, () => 'x'.repeat(length));
  const details = [...some(20, 60_000), ...some(200, 6_700), ...some(500, 10)];
  await store.appendAudit(details.map((detail) => anEntry({ id: newId('evt', ++now), detail })));
  let turn = 0;
  const count = () => {
    turn++;
    counting = setImmediate(count);
  };
  let counting = setImmediate(count);
  onTestFinished(() => clearImmediate(counting));
  const read: number[] = [];
  const hashed = new Map<number, number>();
  const watched: Store = {
    ...store,
    async entriesBetween(...given) {
      const found = await store.entriesBetween(...given);
      read.push(found.reduce((sum, { entry }) => sum + entry.detail!.length, 0));
      return found.map(({ position, entry }) => ({
        entry: {
          ...entry,
          get detail() {
            hashed.set(turn, (hashed.get(turn) ?? 0) + entry.detail!.length);
            return entry.detail;
          },
        },
        position,
      }));
    },
  };
  await createAuditSealing({ store: watched, vault, access, clock, log, days: null }).sealNow();
  expect(Math.max(...read)).toBeLessThan(600_000);
  expect(read.length).toBeLessThan(20);
  // Each entry is looked at twice. One turn has no more than one entry beyond its share.
  expect(Math.max(...hashed.values())).toBeLessThan(2 * (24_000 + 60_000));
  expect(Math.max(...[...hashed.values()].slice(20))).toBeLessThan(2 * (24_000 + 6_700));
  expect(await verify()).toMatchObject({ entries: 720, unsealed: 0, broken: undefined });
});

test('a round of several seals: another process whose round begins meanwhile finds the first of them, and reads nothing', async () => {
  const other = await openSqlite(`file:${path}`);
  onTestFinished(() => other.close());
  await store.appendAudit(Array.from({ length: 1_500 }, () => anEntry({ id: newId('evt', ++now) })));
  let looks = 0;
  let reads = 0;
  const watched: Store = {
    ...other,
    auditChainEnd: () => {
      looks++;
      return other.auditChainEnd();
    },
    entriesBetween: (...given) => {
      reads++;
      return other.entriesBetween(...given);
    },
  };
  const parts = { vault, access, clock, log, days: null, everyMs: 1 };
  const late = createAuditSealing({ ...parts, store: watched });
  const slow: Store = {
    ...store,
    async addAuditSeal(...given) {
      const outcome = await store.addAuditSeal(...given);
      if (looks === 0) {
        late.start();
        await expect.poll(() => looks, { interval: 1 }).toBeGreaterThan(2);
        await late.stop();
      }
      return outcome;
    },
  };
  await createAuditSealing({ ...parts, store: slow }).sealNow();
  expect(reads).toBe(0);
  expect(await verify()).toMatchObject({ seals: 2, entries: 1_500, unsealed: 0, broken: undefined });
});

test('no seal at all: said to be a new database, or one whose seals were deleted', async () => {
  const { broken, ...rest } = await verify();
  expect(rest).toMatchObject({ seals: 0, head: null });
  expect(broken?.problem).toMatch(/no broker has run on this database for 10 seconds yet, or all seals were deleted/);
});

describe('what was done to the database', () => {
  test('reads of an owner were taken out of the lists, while their batch is there: found as long as entries are kept', async () => {
    const reads = ['victim', 'other', 'other'].map((owner) =>
      anEntry({ id: newId('evt', ++now), at: now, action: 'token.read', owner, detail: null, changed: null }),
    );
    await store.appendAudit(storedReads(reads));
    await sealing().sealNow();
    expect((await verify()).broken).toBeUndefined();
    tamper("delete from audit_reads where owner = 'victim'");
    expect((await verify()).broken).toMatchObject({ problem: expect.stringContaining('reads of 1 owners') });
    // As retention has done it.
    expect((await verify({ keptSince: now + 1 })).broken).toBeUndefined();
    tamper('delete from audit_reads');
    expect((await verify()).broken).toMatchObject({ problem: expect.stringContaining('reads of 2 owners') });
  });

  let ids: string[];
  let hash: string;
  beforeEach(async () => {
    await append(4);
    ids = await append(5);
    await append(6);
    hash = (await verify()).head!.hash;
  });

  test.each<[string, (ids: string[]) => string[], string | null, RegExp]>([
    ['an entry was deleted', ([id]) => [`delete from audit where id = '${id}'`], '2', /1 of 5 entries were deleted/],
    [
      'all entries of a seal were deleted',
      (all) => [`delete from audit where id in ('${all.join("','")}')`],
      '2',
      /5 of 5/,
    ],
    ['who did it was changed', ([id]) => [`update audit set actor = 'clr_other' where id = '${id}'`], '2', /changed/],
    ['a count was changed', ([id]) => [`update audit set count = 7 where id = '${id}'`], '2', /changed/],
    [
      'two entries were swapped',
      ([a, b]) => [
        `update audit set at = (select at from audit where id = '${b}') where id = '${a}'`,
        `update audit set owner = 'x' where id = '${b}'`,
      ],
      '2',
      /changed/,
    ],
    [
      'an entry was inserted among them',
      ([id]) => [
        `insert into audit (id, at, action, outcome, actor, subject, integration, owner, connection_id, request_id, detail, count, position) select 'evt_forged', at, action, outcome, actor, subject, integration, owner, connection_id, request_id, detail, count, position from audit where id = '${id}'`,
      ],
      '2',
      /1 entries were inserted/,
    ],
    [
      'the entry and its place were taken away',
      ([id]) => [`update audit set position = null where id = '${id}'`],
      '2',
      /deleted/,
    ],
    ['a seal was deleted', () => ["delete from audit_seals where id like '%2'"], '3', /seal 2 is missing/],
    [
      'a seal and its entries were deleted',
      (all) => ["delete from audit_seals where id like '%2'", `delete from audit where id in ('${all.join("','")}')`],
      '3',
      /missing/,
    ],
    [
      'a seal was rewritten to fit',
      (all) => [`delete from audit where id = '${all[0]}'`, "update audit_seals set entries = 4 where id like '%2'"],
      '2',
      /the seal was changed/,
    ],
    [
      'a seal of elsewhere took its place',
      () => ["update audit_seals set sealed = (select sealed from audit_seals where id like '%1') where id like '%2'"],
      '2',
      /not made by a broker/,
    ],
    [
      'the beginning was cut off',
      () => ["delete from audit_seals where id like '%1'", 'delete from audit where position <= 4'],
      '2',
      /seal 1 is missing/,
    ],
    [
      'the beginning was cut off, with an anchor',
      () => ["update audit_seals set id = 'anchor' where id like '%1'", 'delete from audit where position <= 4'],
      'anchor',
      /anchor was not made|anchor was changed/,
    ],
    [
      'an entry was inserted before the chain',
      () => [
        "insert into audit (id, at, action, outcome, actor, count) select 'evt_7' || substr(id, 6), at, action, outcome, actor, count from audit limit 1",
      ],
      null,
      /no place in the chain/,
    ],
    ...[0, -5].map((place): [string, () => string[], null, RegExp] => [
      `an entry of an earlier time was inserted at the place ${place}`,
      () => [
        `insert into audit (id, at, action, outcome, actor, count, position) select 'evt_00' || substr(id, 7), at, action, outcome, actor, count, ${place} from audit limit 1`,
      ],
      null,
      /no place in the chain/,
    ]),
  ])('%s: found, with the first broken place', async (_, statements, at, problem) => {
    tamper(...statements(ids));
    const { broken } = await verify();
    expect(broken?.problem).toMatch(problem);
    expect(broken?.seal === null ? null : broken?.seal.replace(/^0+/, '')).toBe(at);
  });

  const CUT_OFF = ["delete from audit_seals where id like '%3'", 'delete from audit where position > 9'];
  const ALL = ["delete from audit_seals where id != 'head'", 'delete from audit'];
  const HEAD_TOO = "delete from audit_seals where id = 'head'";
  const NEXT = "update audit_seals set previous = replace(previous, '3', '2') where id = 'head'";

  /** Undefined: the next seal hides it, and covers an entry that says so. */
  test.each<[string, string[], RegExp, RegExp | undefined]>([
    ['the end was cut off', CUT_OFF, /the head names seal 3: the end of the chain was cut off/, /seal 3 is missing/],
    ['the end was cut off, with the head', [...CUT_OFF, HEAD_TOO], /the head is missing/, undefined],
    ['the end was cut off, and the head changed', [...CUT_OFF, NEXT], /the head was changed/, undefined],
    ['all was deleted', ALL, /the head names seal 3/, /seal 1 is missing/],
    ['the head was deleted', [HEAD_TOO], /the head is missing/, undefined],
  ])('%s: found before and after the next broker seals', async (_, statements, now, later) => {
    tamper(...statements);
    expect((await verify()).broken?.problem).toMatch(now);
    await sealing().sealNow();
    const after = await verify();
    if (later) expect(after.broken?.problem).toMatch(later);
    else expect(after).toMatchObject({ broken: undefined, alarms: 1 });
    expect(auditVerificationText(after)).toMatch(later ? /BROKEN/ : /Once, a broker found seals missing/);
    await sealing().sealNow();
    expect((await store.audit({ action: 'audit.seals_missing' }, { limit: 9, after: undefined })).data).toHaveLength(1);
    // With the head that was kept, also what a cut hides.
    const isCut = statements.length > 1;
    if (isCut) expect((await verify({ expected: { id: '0000000000000003', hash } })).broken).toBeDefined();
  });

  test('all was deleted with the head: found by a broker that runs; after a restart, by the head that was kept', async () => {
    const running = sealing();
    await running.sealNow();
    tamper(...ALL, HEAD_TOO);
    expect((await verify()).broken?.problem).toMatch(/all seals were deleted/);
    await running.sealNow();
    expect(await verify()).toMatchObject({ broken: undefined, alarms: 1 });
    tamper(...ALL, HEAD_TOO);
    await append(1);
    expect(await verify()).toMatchObject({ broken: undefined, alarms: 0 });
    expect((await verify({ expected: { id: '0000000000000003', hash } })).broken?.problem).toMatch(/cut off/);
  });

  test('seals of a release without heads hold, also between those of this one', async () => {
    tamper(
      HEAD_TOO,
      "delete from audit_seals where id like '%2' or id like '%3'",
      'delete from audit where position > 4',
    );
    const first = (await store.lastAuditSeal())!;
    const ciphertext = vault.encrypt(first.hash, sealContext(first.id));
    tamper(`update audit_seals set sealed = '${ciphertext}'`);
    expect(await verify()).toMatchObject({ broken: undefined, alarms: 0 });
    await append(2);
    expect(await verify()).toMatchObject({ seals: 2, broken: undefined, alarms: 0 });
  });

  test('another ring: said to be one', async () => {
    const other = ringOf(generateKey('k2'));
    expect((await verify({ vault: other })).broken?.problem).toMatch(/cannot be verified: key k1 is not in/);
  });

  test('a rotation of the keys: the chain holds under the new key alone', async () => {
    const fresh = generateKey('k2');
    const rescue = openRescue('file::memory:');
    onTestFinished(() => rescue.close());
    await store.addKeyCheck(vault.check('k1', LATEST_STAGE));
    await rotateKeys({
      store,
      ring: ringOf(fresh, KEY),
      rescue,
      access: access as never,
      log,
      pause: async () => undefined,
    });
    expect((await verify({ vault: ringOf(fresh) })).broken).toBeUndefined();
    expect((await verify()).broken?.problem).toMatch(/cannot be verified/);
  });
});

test('two processes at once make one chain', async () => {
  const other = await openSqlite(`file:${path}`);
  onTestFinished(() => other.close());
  const stores = [store, other];
  const sealings = stores.map((one) => createAuditSealing({ store: one, vault, access, clock, log, days: null }));
  for (let n = 0; n < 10; n++) {
    await Promise.all(stores.map((one) => one.appendAudit([anEntry({ id: newId('evt', ++now) })])));
    await Promise.all(sealings.map((one) => one.sealNow()));
  }
  await sealings[0]!.sealNow();
  expect(await verify()).toMatchObject({ entries: 20, unsealed: 0, broken: undefined });
});

test('retention prunes whole links from the old end, and the rest holds', async () => {
  for (let day = 0; day < 5; day++) {
    await append(3);
    now += DAY_MS;
  }
  const retention = startAuditRetention({ store, vault, days: 3, clock, log });
  await expect.poll(async () => (await store.auditSeals(undefined, 10)).length).toBeLessThan(5);
  await retention.stop();
  const verified = await verify();
  expect(verified).toMatchObject({ broken: undefined, prunedUpTo: expect.any(String) });
  expect((await store.audit({}, { limit: 500, after: undefined })).data.length).toBe(verified.entries);
  await append(2);
  expect((await verify()).broken).toBeUndefined();
  // A process that ended between the anchor and the deletions leaves entries that nothing expects.
  const [first] = await store.auditSeals(undefined, 1);
  expect(Number(first!.id)).toBe(Number(verified.prunedUpTo) + 1);
  tamper('delete from audit_seals where id = (select min(id) from audit_seals)');
  expect((await verify()).broken?.problem).toMatch(/missing/);
});

test('entries from before the chain are said to be so', async () => {
  await store.appendAudit([anEntry({ id: newId('evt', now) }), anEntry({ id: newId('evt', ++now) })]);
  tamper('update audit set position = null');
  now += 1_000;
  await append(2);
  const verified = await verify();
  expect(verified).toMatchObject({ unprotected: 2, entries: 2, broken: undefined });
  expect(auditVerificationText(verified)).toContain('2 entries were stored before there were seals');
});

test('many entries become several links of the chain', async () => {
  const filler = randomBytes(4).toString('hex');
  await store.appendAudit(Array.from({ length: 2_500 }, () => anEntry({ id: newId('evt', ++now), detail: filler })));
  await sealing().sealNow();
  expect(await verify()).toMatchObject({ seals: 3, entries: 2_500, unsealed: 0, broken: undefined });
});
