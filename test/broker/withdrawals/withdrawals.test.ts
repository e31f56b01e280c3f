// Withdrawals: what a standby lacks that took access away is done once more. On real stores: the standby is a copy of the
// database from before.
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createWithdrawals } from '../../../src/broker/withdrawals/index.ts';
import { AUDIT_ACTIONS } from '../../../src/domain/audit-actions.ts';
import { WITHDRAWAL_TTL_MS } from '../../../src/domain/time-limits.ts';
import { type Store, StoreError, type WithdrawalLog, type WithdrawingOperation } from '../../../src/ports/index.ts';
import { openWithdrawalLog } from '../../../src/stores/shared/withdrawal-log.ts';
import { backupSqlite } from '../../../src/stores/sqlite/backup.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import {
  aCaller,
  aConsoleSession,
  aKey,
  anAgentSession,
  anEndpoint,
  anEntry,
  anIntegration,
  aPortalSession,
  aSession,
  aSigningKey,
  connected,
  NOW,
  recorded,
  someCredentials,
  someRefreshedFields,
} from '../../stores/builders.ts';
import { createMigratedFile } from '../../support/sqlite-file.ts';

const log = createLogger('silent');
let folder: string;
let url: string;
/** The database that is the primary now. */
let current: Store;
let wallClock: number;
const clock = { now: () => wallClock, monotonic: () => wallClock };

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'valetkey-withdrawals-'));
  url = `file:${join(folder, 'valetkey.db')}`;
  await createMigratedFile(join(folder, 'valetkey.db'));
  current = await openSqlite(url);
  wallClock = NOW;
});
afterEach(async () => {
  await current.close();
  rmSync(folder, { recursive: true });
});

const withdrawalLog = (): WithdrawalLog => openWithdrawalLog(join(folder, 'data', 'valetkey'), clock.now);

/** Another process: its operations go to the primary of the time. */
function aProcess(into: WithdrawalLog = withdrawalLog()) {
  const names = Object.keys(current).filter((name) => name !== 'traits') as (keyof Store)[];
  const forwarded = names.map((name) => [
    name,
    (...args: unknown[]) => (current[name] as (...given: unknown[]) => unknown)(...args),
  ]);
  const store = { traits: current.traits, ...Object.fromEntries(forwarded) } as Store;
  return createWithdrawals({ store, withdrawalLog: into, clock, log });
}

/** The standby takes over that was the same as the primary when this was called. */
function aStandby(): () => Promise<void> {
  const to = join(folder, 'standby.db');
  rmSync(to, { force: true });
  backupSqlite(url, to);
  return async () => {
    await current.close();
    current = await openSqlite(`file:${to}`);
  };
}

interface Case {
  operation: WithdrawingOperation;
  /** Before the copy is made. Returns what takes access away, on the store that it is given, and whether there is access. */
  given(store: Store): Promise<{ withdraw(store: Store): Promise<unknown>; hasAccess(store: Store): Promise<boolean> }>;
}

const statusOf = async (store: Store, id: string) => (await store.connection(id))?.status;

const CASES: Case[] = [
  {
    operation: 'revoke',
    async given(store) {
      const { id } = (await connected(store)).connection;
      return {
        withdraw: (on) => on.revoke(id, 'pending', NOW, anEntry({ action: 'connection.revoked' })),
        hasAccess: async (on) => (await statusOf(on, id)) !== 'revoked',
      };
    },
  },
  {
    operation: 'hold',
    async given(store) {
      const { id } = (await connected(store)).connection;
      return {
        withdraw: (on) => on.hold(id, 'account_disabled', NOW, anEntry({ action: 'connection.held' })),
        hasAccess: async (on) => (await statusOf(on, id)) === 'active',
      };
    },
  },
  {
    operation: 'deauthorize',
    async given(store) {
      const { id } = (await connected(store)).connection;
      return {
        // After a refresh that the standby lacks, too.
        async withdraw(on) {
          const claimed = await on.claim(id, { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 });
          if (typeof claimed === 'string') throw new Error(claimed);
          const held = { fence: claimed.fence, generation: 1 };
          await on.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry);
          await on.deauthorize(id, 2, 'deauthorized', anEntry({ action: 'connection.deauthorized' }));
        },
        hasAccess: async (on) => (await statusOf(on, id)) === 'active',
      };
    },
  },
  {
    operation: 'deleteCaller',
    async given(store) {
      const caller = aCaller();
      await store.addCaller(caller, null, anEntry());
      return {
        withdraw: (on) => on.deleteCaller(caller.id, anEntry({ action: 'caller.deleted' })),
        hasAccess: async (on) => (await on.callers()).length > 0,
      };
    },
  },
  {
    operation: 'deleteCallerKey',
    async given(store) {
      const caller = aCaller();
      const key = aKey(caller.id);
      await store.addCaller(caller, key, anEntry());
      return {
        withdraw: (on) => on.deleteCallerKey(caller.id, key.id, anEntry({ action: 'caller.key_deleted' })),
        hasAccess: async (on) => (await on.callers())[0]!.keys.length > 0,
      };
    },
  },
  {
    operation: 'updateCaller',
    async given(store) {
      const caller = aCaller();
      await store.addCaller(caller, null, anEntry());
      return {
        withdraw: (on) => on.updateCaller({ ...caller, permissions: [] }, anEntry({ action: 'caller.updated' })),
        hasAccess: async (on) => (await on.callers())[0]!.caller.permissions.length > 0,
      };
    },
  },
  {
    operation: 'deleteIntegration',
    async given(store) {
      await store.putIntegration(anIntegration({ id: 'github' }), anEntry());
      return {
        withdraw: (on) => on.deleteIntegration('github', anEntry({ action: 'integration.deleted' })),
        hasAccess: async (on) => (await on.integration('github')) !== undefined,
      };
    },
  },
  {
    operation: 'putIntegration',
    async given(store) {
      await store.putIntegration(anIntegration({ id: 'github', scopes: ['repo', 'gist'] }), anEntry());
      const narrower = anIntegration({ id: 'github', scopes: ['gist'] });
      return {
        withdraw: (on) => on.putIntegration(narrower, anEntry({ action: 'integration.put' })),
        hasAccess: async (on) => (await on.integration('github'))!.scopes.includes('repo'),
      };
    },
  },
  {
    operation: 'putDeclared',
    async given(store) {
      const caller = aCaller();
      await store.addCaller(caller, null, anEntry());
      const gone = { id: 'clr_none', audit: anEntry({ action: 'caller.deleted' }) };
      const callers = [gone, { id: caller.id, audit: anEntry({ action: 'caller.deleted' }) }];
      return {
        withdraw: (on) => on.putDeclared({ deleted: { callers, integrations: [] }, integrations: [], callers: [] }),
        hasAccess: async (on) => (await on.callers()).length > 0,
      };
    },
  },
  {
    operation: 'deleteWebhookEndpoint',
    async given(store) {
      const caller = aCaller();
      await store.addCaller(caller, null, anEntry());
      const endpoint = anEndpoint({ callerId: caller.id });
      await store.addWebhookEndpoint(endpoint, anEntry());
      return {
        withdraw: (on) => on.deleteWebhookEndpoint(endpoint.id, anEntry({ action: 'webhook_endpoint.deleted' })),
        hasAccess: async (on) => (await on.webhookEndpoint(endpoint.id)) !== undefined,
      };
    },
  },
  {
    operation: 'endAgentSessions',
    async given(store) {
      const session = anAgentSession();
      await store.addAgentSession(session, { callerId: undefined, keyId: null, mostLive: 9, mostBelow: 9 }, anEntry());
      return {
        withdraw: (on) => on.endAgentSessions([session.id], 'revoked', anEntry({ action: 'session.ended' })),
        hasAccess: async (on) => (await on.endedAgentSessions([session.id])).length === 0,
      };
    },
  },
  {
    operation: 'endConsoleSessions',
    async given(store) {
      const session = aConsoleSession();
      await store.addConsoleSession(session, anEntry());
      return {
        withdraw: (on) => on.endConsoleSessions({ id: session.id }, anEntry({ action: 'console_session.ended' })),
        hasAccess: async (on) => (await on.consoleSessions(NOW, 9)).length > 0,
      };
    },
  },
  {
    operation: 'endPortalSessions',
    async given(store) {
      const session = aPortalSession();
      await store.addPortalSession(session, anEntry());
      return {
        withdraw: (on) => on.endPortalSessions(session.owner, anEntry({ action: 'portal_session.ended' })),
        hasAccess: async (on) => (await on.portalSessionBySecret(session.secretDigest)) !== undefined,
      };
    },
  },
  {
    operation: 'endSession',
    async given(store) {
      await store.putIntegration(anIntegration(), anEntry());
      const session = aSession();
      await store.addSession(session, anEntry());
      const end = { status: 'cancelled', error: null } as const;
      return {
        withdraw: (on) => on.endSession(session.id, end, anEntry({ action: 'connect_session.cancelled' })),
        hasAccess: async (on) => (await on.session(session.id))!.status === 'pending',
      };
    },
  },
  {
    operation: 'stopCapture',
    async given(store) {
      const { id } = (await connected(store)).connection;
      await store.startCapture({ connectionId: id, startedAt: NOW, until: NOW + 60_000 }, anEntry());
      return {
        withdraw: (on) => on.stopCapture(id, NOW + 1, anEntry({ action: 'connection.capture_stopped' })),
        hasAccess: async (on) => (await on.runningCaptures(NOW + 2)).length > 0,
      };
    },
  },
  {
    operation: 'swapSigningKeys',
    async given(store) {
      const key = aSigningKey({ purpose: 'jwt' });
      await store.swapSigningKeys('jwt', [], [key], [anEntry()]);
      return {
        withdraw: (on) => on.swapSigningKeys('jwt', [key], [], [anEntry({ action: 'signing_key.withdrawn' })]),
        hasAccess: async (on) => (await on.signingKeys('jwt')).length > 0,
      };
    },
  },
];
const IN_MEMORY_ONLY = ['deleteIntegration', 'putDeclared', 'putIntegration', 'swapSigningKeys', 'updateCaller'];
const OF_THE_LOG = CASES.filter(({ operation }) => !IN_MEMORY_ONLY.includes(operation));

describe.each(CASES)('$operation that a standby lacks', ({ given }) => {
  test('is done once more by the process that did it', async () => {
    const { withdraw, hasAccess } = await given(current);
    const takeOver = aStandby();
    const one = aProcess();
    await withdraw(one.store);
    expect(await hasAccess(current)).toBe(false);
    await takeOver();
    expect(await hasAccess(current)).toBe(true);
    await one.repeatLost();
    expect(await hasAccess(current)).toBe(false);
  });
});

describe.each(OF_THE_LOG)('$operation that a standby lacks', ({ given }) => {
  test('is done once more by the next process of the machine, with its audit entry', async () => {
    const { withdraw, hasAccess } = await given(current);
    const takeOver = aStandby();
    const one = aProcess();
    await withdraw(one.store);
    await one.stop();
    await takeOver();
    const next = aProcess();
    await next.start();
    expect(await hasAccess(current)).toBe(false);
    const [line] = linesOfLog();
    expect(await recorded(current, JSON.parse(line!))).toBe(true);
  });
});

const linesOfLog = () =>
  readdirSync(join(folder, 'data')).flatMap((name) =>
    readFileSync(join(folder, 'data', name), 'utf8')
      .split('\n')
      .filter((line) => line !== ''),
  );

test('every audit action of a withdrawal is of an operation that is remembered, or known not to be', () => {
  const words =
    /(revoked|held|deauthorized|deleted|ended|cancelled|stopped|withdrawn|retired|destroyed|disabled|needs_reauth)$/;
  const known: Record<string, string> = {
    'connection.needs_reauth': 'the provider refuses the next refresh as well',
    'connect_session.candidate_destroyed': 'its session has ended, and housekeeping looks for it again',
    'webhook_endpoint.disabled': 'it is again after the next failures',
    'job.cancelled': 'a job runs as its caller, and is judged before each batch',
    'key.retired': 'the deployment has no key to decrypt with',
  };
  const source = readFileSync(new URL(import.meta.url), 'utf8');
  const left = Object.keys(AUDIT_ACTIONS).filter(
    (action) => words.test(action) && !(action in known) && !source.includes(`action: '${action}'`),
  );
  expect(left).toEqual([]);
});

describe('withdrawals', () => {
  const aRevoked = async (one: ReturnType<typeof aProcess>) => {
    const { id } = (await connected(current)).connection;
    await one.store.revoke(id, 'unsupported', NOW, anEntry());
    return id;
  };

  test('that the store has are not repeated: what came later stays', async () => {
    const one = aProcess();
    const session = aPortalSession();
    await current.addPortalSession(session, anEntry());
    await one.store.endPortalSessions(session.owner, anEntry());
    const later = aPortalSession({ owner: session.owner });
    await current.addPortalSession(later, anEntry());
    await one.repeatLost();
    expect(await current.portalSessionBySecret(later.secretDigest)).toBeDefined();
  });

  test('that changed nothing are not remembered', async () => {
    const one = aProcess();
    await one.store.revoke('con_none', 'unsupported', NOW, anEntry());
    await one.store.deleteCaller('clr_none', anEntry());
    await one.stop();
    expect(await withdrawalLog().since(0)).toEqual([]);
  });

  test('of settings do not replace what was set since on the standby', async () => {
    const caller = aCaller();
    await current.addCaller(caller, null, anEntry());
    await current.putIntegration(anIntegration({ id: 'github' }), anEntry());
    const takeOver = aStandby();
    const one = aProcess();
    await one.store.updateCaller({ ...caller, name: 'lost' }, anEntry());
    await one.store.putIntegration(anIntegration({ id: 'github', clientId: 'lost' }), anEntry());
    await takeOver();
    await current.updateCaller({ ...caller, name: 'newer' }, anEntry());
    await current.putIntegration(anIntegration({ id: 'github', clientId: 'newer' }), anEntry());
    await one.repeatLost();
    expect((await current.callers())[0]!.caller.name).toBe('newer');
    expect((await current.integration('github'))!.clientId).toBe('newer');
  });

  test('are repeated until the store accepts them, each but those that it has refused', async () => {
    const ids = [(await connected(current)).connection.id, (await connected(current)).connection.id];
    const takeOver = aStandby();
    const one = aProcess();
    for (const id of ids) await one.store.revoke(id, 'unsupported', NOW, anEntry());
    await takeOver();
    const { revoke } = current;
    current = {
      ...current,
      revoke: (id, ...more) => (id === ids[0] ? Promise.reject(new StoreError('disk full')) : revoke(id, ...more)),
    };
    await expect(one.repeatLost()).rejects.toThrow('disk full');
    expect(await statusOf(current, ids[1]!)).toBe('revoked');
    current = { ...current, revoke };
    await one.repeatLost();
    expect(await statusOf(current, ids[0]!)).toBe('revoked');
  });

  test('are in a file that only its user reads, for an hour', async () => {
    const one = aProcess();
    const id = await aRevoked(one);
    await one.stop();
    const [name] = readdirSync(join(folder, 'data'));
    expect(statSync(join(folder, 'data', name!)).mode & 0o077).toBe(0);
    const [found, ...more] = await withdrawalLog().since(NOW - WITHDRAWAL_TTL_MS);
    expect([found!.withdrawal.operation, found!.withdrawal.args[0], more]).toEqual(['revoke', id, []]);
    wallClock += 2 * WITHDRAWAL_TTL_MS;
    expect(await withdrawalLog().since(wallClock - WITHDRAWAL_TTL_MS)).toEqual([]);
    expect(readdirSync(join(folder, 'data'))).toEqual([]);
  });

  test('of earlier hours are deleted by the next that is written', async () => {
    const one = aProcess();
    for (const _ of [1, 2, 3]) {
      await aRevoked(one);
      await one.stop();
      wallClock += 1.5 * WITHDRAWAL_TTL_MS;
    }
    // The one before may have a part that is remembered.
    expect(readdirSync(join(folder, 'data')).length).toBeLessThanOrEqual(2);
    expect(linesOfLog().length).toBeLessThanOrEqual(2);
  });

  test('are committed and remembered when their file cannot be written', async () => {
    writeFileSync(join(folder, 'data'), 'no folder');
    const one = aProcess();
    await one.start();
    const { id } = (await connected(current)).connection;
    const takeOver = aStandby();
    await one.store.revoke(id, 'unsupported', NOW, anEntry());
    await one.stop();
    await takeOver();
    await one.repeatLost();
    expect(await statusOf(current, id)).toBe('revoked');
  });

  test('that are damaged in the file, unknown or may not be in it are left out', async () => {
    const caller = aCaller({ permissions: [] });
    await current.addCaller(caller, null, anEntry());
    const one = aProcess();
    const id = await aRevoked(one);
    await one.stop();
    const [name] = readdirSync(join(folder, 'data'));
    const forged = { ...caller, permissions: [{ actions: ['*'], integrations: ['*'], owners: ['*'] }] };
    const declared = { integrations: [], callers: [{ caller: forged, keys: undefined, audit: anEntry() }] };
    const lines = [
      '{"id":"evt_1","at":',
      'null',
      JSON.stringify({ id: 'evt_2', at: NOW, withdrawal: { operation: 'constructor', args: [] } }),
      JSON.stringify({ id: 'evt_3', at: NOW, withdrawal: { operation: 'putDeclared', args: [declared] } }),
    ];
    appendFileSync(join(folder, 'data', name!), lines.join('\n'));
    // Another process writes on: its first line is whole.
    const other = aProcess();
    const next = await aRevoked(other);
    await other.stop();
    const found = (await withdrawalLog().since(0)).map(({ withdrawal }) => withdrawal.args[0]);
    expect(found).toEqual([id, undefined, JSON.parse(JSON.stringify(declared)), next]);
    await aProcess().start();
    expect((await current.callers())[0]!.caller.permissions).toEqual([]);
  });

  test('that have other arguments in the file than this version has end no start, and those behind them are repeated', async () => {
    const { id } = (await connected(current)).connection;
    const caller = aCaller();
    await current.addCaller(caller, null, anEntry());
    const takeOver = aStandby();
    const one = aProcess();
    await one.store.revoke(id, 'unsupported', NOW, anEntry());
    await one.stop();
    const [name] = readdirSync(join(folder, 'data'));
    const path = join(folder, 'data', name!);
    const other = (entryId: string, operation: string, args: unknown[]) =>
      JSON.stringify({ id: entryId, at: NOW, withdrawal: { operation, args } });
    const before = [
      other('evt_1', 'deleteCaller', [caller.id]),
      other('evt_2', 'hold', []),
      other('evt_3', 'deauthorize', [id, 1, 'deauthorized', { id: 'evt_4' }]),
      other('evt_\0', 'revoke', [id]),
    ];
    writeFileSync(path, `${before.join('\n')}\n${readFileSync(path, 'utf8')}`);
    await takeOver();
    await aProcess().start();
    expect(await statusOf(current, id)).toBe('revoked');
    expect(await current.callers()).toHaveLength(1);
  });

  test('are not refused while what they have to know first cannot be read', async () => {
    const one = aProcess();
    const caller = aCaller();
    await current.addCaller(caller, null, anEntry());
    const { missingAuditEntries } = current;
    current = { ...current, missingAuditEntries: () => Promise.reject(new StoreError('away')) };
    const callers = [0, 1].map(() => ({ id: caller.id, audit: anEntry() }));
    const rows = { deleted: { callers, integrations: [] }, integrations: [], callers: [] };
    expect(await one.store.putDeclared(rows)).toBe('stored');
    current = { ...current, missingAuditEntries };
  });
});
