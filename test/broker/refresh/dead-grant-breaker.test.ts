// The dead-grant breaker: what is tried again after a success. What it judges is in blame.test.ts.
import { expect, onTestFinished, test } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createAccess } from '../../../src/broker/audit/access.ts';
import { createAuditBuffer } from '../../../src/broker/audit/log/audit-buffer.ts';
import { createDeadGrantBreaker } from '../../../src/broker/refresh/failures/dead-grant-breaker.ts';
import { createFailureEvidence } from '../../../src/broker/refresh/failures/failure-evidence.ts';
import { tokenEndpoint } from '../../../src/broker/refresh/failures/token-endpoint.ts';
import { loadCatalogue } from '../../../src/catalogue/load.ts';
import type { Connection } from '../../../src/domain/connection.ts';
import { authMode } from '../../../src/domain/provider.ts';
import { NO_SECRETS, resolveTarget } from '../../../src/domain/target.ts';
import { DEAD_GRANTS_RECORDED_MS } from '../../../src/domain/time-limits.ts';
import { StoreError } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anIntegration, connected, NOW } from '../../stores/builders.ts';
import { providersOf } from '../../support/entries.ts';
import { emptyDatabase } from '../../support/sqlite-file.ts';

const provider = providersOf(loadCatalogue([])).get('slack')!;
const integration = { ...anIntegration({ overrides: {} }), version: 1 };
const resolved = { integration, provider, auth: authMode(provider, integration.params)! };
const target = resolveTarget(provider, integration, NO_SECRETS, {});
/** Of a connection that is so: its tenant has a token endpoint of its own. */
const OF_OTHER_TENANT = { captured: { tenant: 'other' } };
const otherTarget = { ...target, endpoints: { ...target.endpoints, token: 'https://tenant.test/token' } };

async function setup() {
  const store = await openSqlite(await emptyDatabase());
  onTestFinished(() => store.close());
  const state = { isDown: false, now: NOW };
  const clock = { now: () => state.now, monotonic: () => state.now };
  const log = createLogger('silent');
  const evidence = createFailureEvidence({ clock });
  const create = (seen = createFailureEvidence({ clock })) =>
    createDeadGrantBreaker({
      store: {
        recentlyDead: (...asked) =>
          state.isDown ? Promise.reject(new StoreError('down')) : store.recentlyDead(...asked),
        reactivate: store.reactivate,
        lastRefreshAt: store.lastRefreshAt,
      },
      targets: {
        find: async () => resolved,
        targetOf: (_, { captured }) => (captured.tenant === 'other' ? otherTarget : target),
      },
      circuitBreakers: { openFor: () => undefined, close: () => undefined },
      evidence: seen,
      access: createAccess({ auditBuffer: createAuditBuffer({ store, log }), clock }),
      clock,
      log,
    });
  const breaker = create(evidence);
  const keyOf = (connection: string) => ({ integration, endpoint: tokenEndpoint(target), connection });
  const dead = async (more: { id?: string; captured?: Connection['captured'] } = {}) => {
    const given = { status: 'needs_reauth', reason: 'grant_revoked', updatedAt: state.now, ...more } as const;
    return (await connected(store, given)).connection.id;
  };
  const status = async (id: string) => (await store.connection(id))?.status;
  return { store, state, evidence, create, breaker, keyOf, dead, status };
}

async function afterDoubt() {
  const { state, breaker, keyOf, dead, status } = await setup();
  const many = [await dead(), await dead(), await dead(), await dead(), await dead()];
  for (const id of many) await breaker.doubts(keyOf(id), resolved, false);
  expect(await Promise.all(many.map(status))).toEqual(many.map(() => 'active'));
  return {
    state,
    /** One that another process has believed. */
    dead,
    status,
    /** What follows from it has happened. */
    async succeed() {
      breaker.succeeded(keyOf(many[0]!), resolved);
      for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

test('dead grants that were believed are tried again with the next success, if the store failed at the first one', async () => {
  const { state, dead, status, succeed } = await afterDoubt();
  const late = await dead();
  state.isDown = true;
  await succeed();
  state.isDown = false;
  expect(await status(late)).toBe('needs_reauth');
  await succeed();
  await expect.poll(() => status(late)).toBe('active');
});

test('one that another process believed before the first success, and stored after it, is tried again; later ones are not', async () => {
  const { state, dead, status, succeed } = await afterDoubt();
  await succeed();
  const late = await dead();
  await succeed();
  expect(await status(late)).toBe('needs_reauth');
  state.now += DEAD_GRANTS_RECORDED_MS + 1;
  const own = [await dead()];
  await succeed();
  await expect.poll(() => status(late)).toBe('active');
  own.push(await dead());
  state.now += DEAD_GRANTS_RECORDED_MS;
  await succeed();
  expect(await Promise.all(own.map(status))).toEqual(['needs_reauth', 'needs_reauth']);
});

test('one of another tenant, believed by another process at the same moment, is tried again with those of this one', async () => {
  const { dead, status, succeed } = await afterDoubt();
  const late = await dead(OF_OTHER_TENANT);
  await succeed();
  await expect.poll(() => status(late)).toBe('active');
});

test('many of one tenant beside successes of others: one of another tenant stays dead', async () => {
  const { breaker, evidence, keyOf, dead, status } = await setup();
  const other = await dead(OF_OTHER_TENANT);
  const ofOther = { ...keyOf(other), endpoint: tokenEndpoint(otherTarget) };
  const many: string[] = [];
  for (let i = 0; i < 5; i++) {
    many.push(await dead());
    await breaker.doubts(keyOf(many[i]!), resolved, false);
    for (let n = 0; n < 3; n++) evidence.succeeded(ofOther);
  }
  breaker.succeeded(keyOf(many[0]!), resolved);
  await expect.poll(() => Promise.all(many.map(status))).toEqual(many.map(() => 'active'));
  expect(await status(other)).toBe('needs_reauth');
});

test('five that two processes believed at the same moment, before either had stored one, are tried again', async () => {
  const { create, keyOf, dead, status } = await setup();
  const ids = ['con_1', 'con_2', 'con_3', 'con_4', 'con_5'];
  const [one, other] = [create(), create()];
  const by = (i: number) => (i < 3 ? one : other);
  for (const [i, id] of ids.entries()) expect(await by(i).doubts(keyOf(id), resolved, false)).toBe(false);
  for (const [i, id] of ids.entries()) {
    await dead({ id });
    await by(i).recorded(keyOf(id), { id, generation: 1 }, 'grant_revoked');
  }
  // This process had noted the fifth already.
  expect(await Promise.all(ids.map(status))).toEqual(['active', 'active', 'active', 'active', 'needs_reauth']);
  other.succeeded(keyOf('con_1'), resolved);
  await expect.poll(() => status('con_5')).toBe('active');
});
