// Every provider of the catalogue, against a vendor that answers as its documentation says, through the whole flow.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { startEmulator } from './emulator/emulator.ts';
import { idOf, modesOfAll, writeEntries } from './emulator/entries.ts';
import type { Vendor } from './emulator/vendor.ts';
import type { VendorServer } from './emulator/vendor-server.ts';
import {
  blamesTheImport,
  blamesTheIntegration,
  clientAt,
  hasDeadGrants,
  isRenewed,
  losesNothingWhenBusy,
  tellsOfDeadGrant,
} from './failures.ts';
import { livesAndEnds, type Stand, setUp, told } from './lifecycle.ts';

/** Modes without a row, and why. */
const WITHOUT: Record<string, string> = {};

const folder = new URL('./vendors/', import.meta.url);
const files = (await readdir(folder)).filter((file) => file.endsWith('.ts')).sort();
const vendors = await Promise.all(
  files.map(async (file) => ((await import(new URL(file, folder).href)) as { default: Vendor }).default),
);
const emulator = await startEmulator(vendors);
const modes = modesOfAll();

let broker: TestBroker;
let entries: string;
let ahead = 0;
const stand: Stand = {
  get broker() {
    return broker;
  },
  modes,
  advance: (seconds) => {
    ahead += seconds * 1_000;
  },
};

beforeAll(async () => {
  entries = await mkdtemp(join(tmpdir(), 'valetkey-entries-'));
  await writeEntries(emulator.booths, entries);
  const clock = { now: () => Date.now() + ahead, monotonic: () => performance.now() + ahead };
  // In memory: what is on trial is what is said to vendors, not that it lasts.
  const env = { VALETKEY_PROVIDERS_DIR: entries, VALETKEY_DATABASE_URL: 'file::memory:' };
  broker = await startTestBroker(env, undefined, { clock, outboxEveryMs: 20, refreshAhead: false });
});
afterAll(async () => {
  await broker?.stop();
  await emulator.close();
  await rm(entries, { recursive: true, force: true });
});

/** Those that move the broker's time come last, since it is the same for all. */
const patience = ({ row }: VendorServer): number => (row.flow === 'code' ? (row.refresh?.minAge ?? 0) : 0);
const booths = emulator.booths.toSorted((a, b) => patience(a) - patience(b));

describe.each(booths.map((vendorServer) => [idOf(vendorServer), vendorServer] as const))('%s', (_, vendorServer) => {
  const run = (step: (at: Stand, vendor: VendorServer) => Promise<void>) => () =>
    told(vendorServer, () => step(stand, vendorServer));

  test('is set up', run(setUp));
  test('is connected, read, renewed and ended as its vendor wants', run(livesAndEnds));
  if (hasDeadGrants(vendorServer)) test('asks for a reconnect when the grant is dead', run(tellsOfDeadGrant));
  if (clientAt(vendorServer) === 'integration')
    test('is asked again once a wrong client was put right', run(blamesTheIntegration));
  if (clientAt(vendorServer) === 'import')
    test('is asked again once a better client was imported', run(blamesTheImport));
  // Last, since a vendor that is busy is left alone for a while.
  if (isRenewed(vendorServer)) test('loses nothing when the vendor is busy', run(losesNothingWhenBusy));
});

test('every mode of the catalogue has a vendor to be tried against', () => {
  const tried = new Set(emulator.booths.map(({ provider, row }) => `${provider} ${row.mode}`));
  const all = [...modes].flatMap(([id, names]) => names.map((name) => `${id} ${name}`));
  expect(all.filter((mode) => !tried.has(mode) && WITHOUT[mode] === undefined)).toEqual([]);
  expect(Object.keys(WITHOUT).filter((mode) => tried.has(mode) || !all.includes(mode))).toEqual([]);
});
