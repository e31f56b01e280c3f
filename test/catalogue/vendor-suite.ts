// Providers of the catalogue with emulated vendors, through a connection's lifecycle and its failures.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { isLong } from '../support/long.ts';
import { createMovingClock, type MovingClock } from '../support/moving-clock.ts';
import { startEmulator } from './emulator/emulator.ts';
import { idOf, modesByProvider, writeEntries } from './emulator/entries.ts';
import type { Vendor } from './emulator/vendor.ts';
import type { VendorServer } from './emulator/vendor-server.ts';
import {
  clientSecretOwner,
  hasDeadGrants,
  isRefreshable,
  reportsDeadGrant,
  reportsMisconfiguredClient,
  reportsRefusedImport,
  survivesRateLimit,
} from './failures.ts';
import { connectReadRefreshRevoke, createIntegration, type TestContext, withRequestLog } from './lifecycle.ts';

/** Modes without an emulated vendor, and why. */
const EXEMPT: Record<string, string> = {
  'generic-oidc oauth2_client_credentials': 'its endpoint is discovered: test/http/connect-flow/odd-servers.test.ts',
  'mcp oauth2_code': 'its authorization server is found at the resource: test/http/resources/',
};

/** The suite of the providers whose ids `includes` accepts. Two files share them, so that two workers can run them. */
export async function vendorSuite(includes: (id: string) => boolean): Promise<void> {
  const folder = new URL('./vendors/', import.meta.url);
  const files = (await readdir(folder)).filter((file) => file.endsWith('.ts') && includes(file)).sort();
  const vendors = await Promise.all(
    files.map(async (file) => ((await import(new URL(file, folder).href)) as { default: Vendor }).default),
  );
  const emulator = await startEmulator(vendors);
  const modes = modesByProvider();

  let broker: TestBroker;
  let entries: string;
  let clock: MovingClock;
  const context: TestContext = {
    get broker() {
      return broker;
    },
    modes,
    advance: (seconds) => {
      clock.advance(seconds * 1_000);
    },
  };

  beforeAll(async () => {
    entries = await mkdtemp(join(tmpdir(), 'valetkey-entries-'));
    await writeEntries(emulator.servers, entries);
    clock = createMovingClock();
    // In memory: this tests the requests to vendors, not durability.
    const env = { VALETKEY_PROVIDERS_DIR: entries, VALETKEY_DATABASE_URL: 'file::memory:' };
    broker = await startTestBroker(env, undefined, { clock, refreshAhead: false });
  });
  afterAll(async () => {
    await broker?.stop();
    await emulator.close();
    await rm(entries, { recursive: true, force: true });
  });

  /** Rows that move the broker's clock come last, since all rows share it. */
  const timeShift = ({ row }: VendorServer): number => (row.flow === 'code' ? (row.refresh?.minAge ?? 0) : 0);
  const servers = emulator.servers.toSorted((a, b) => timeShift(a) - timeShift(b));

  describe.each(servers.map((vendorServer) => [idOf(vendorServer), vendorServer] as const))('%s', (_, vendorServer) => {
    const run = (step: (at: TestContext, vendor: VendorServer) => Promise<void>) => () =>
      withRequestLog(vendorServer, () => step(context, vendorServer));

    test('integration: accepted', run(createIntegration));
    test('connects, is read, refreshed and revoked', run(connectReadRefreshRevoke));
    // Of a mode and its variants, the refusals of the mode itself are enough for the short run.
    if (vendorServer.row.variant !== undefined && !isLong) return;
    if (hasDeadGrants(vendorServer)) test('dead grant: 409 with a connect link', run(reportsDeadGrant));
    if (clientSecretOwner(vendorServer) === 'integration')
      test('misconfigured client: refreshed again after it is fixed', run(reportsMisconfiguredClient));
    if (clientSecretOwner(vendorServer) === 'import')
      test('refused imported client: refreshed again after a new import', run(reportsRefusedImport));
    // Last, since a rate-limited vendor gets no requests for a while.
    if (isRefreshable(vendorServer)) test('rate-limited or unavailable vendor: loses nothing', run(survivesRateLimit));
  });

  test('catalogue: every mode of these providers has an emulated vendor', () => {
    const covered = new Set(emulator.servers.map(({ provider, row }) => `${provider} ${row.mode}`));
    const all = [...modes]
      .filter(([id]) => includes(id))
      .flatMap(([id, names]) => names.map((name) => `${id} ${name}`));
    expect(all.filter((mode) => !covered.has(mode) && EXEMPT[mode] === undefined)).toEqual([]);
    expect(Object.keys(EXEMPT).filter((mode) => includes(mode) && (covered.has(mode) || !all.includes(mode)))).toEqual(
      [],
    );
  });
}
