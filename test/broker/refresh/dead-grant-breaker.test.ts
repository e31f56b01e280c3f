// The dead-grant breaker while its store fails. What it judges is in blame.test.ts.
import { expect, test } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createAccess } from '../../../src/broker/audit/access.ts';
import { createAuditBuffer } from '../../../src/broker/audit/log/audit-buffer.ts';
import { createDeadGrantBreaker } from '../../../src/broker/refresh/failures/dead-grant-breaker.ts';
import { createFailureEvidence } from '../../../src/broker/refresh/failures/failure-evidence.ts';
import { tokenEndpoint } from '../../../src/broker/refresh/failures/token-endpoint.ts';
import { loadCatalogue } from '../../../src/catalogue/load.ts';
import { authMode } from '../../../src/domain/provider.ts';
import { NO_SECRETS, resolveTarget } from '../../../src/domain/target.ts';
import { StoreError } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anIntegration, connected, NOW } from '../../stores/builders.ts';
import { providersOf } from '../../support/entries.ts';
import { emptyDatabase } from '../../support/sqlite-file.ts';

const provider = providersOf(loadCatalogue([])).get('slack')!;
const integration = { ...anIntegration({ overrides: {} }), version: 1 };
const resolved = { integration, provider, auth: authMode(provider, integration.params)! };
const target = resolveTarget(provider, integration, NO_SECRETS, {});

test('dead grants that were believed are tried again with the next success, if the store failed at the first one', async () => {
  const store = await openSqlite(await emptyDatabase());
  let isDown = false;
  const log = createLogger('silent');
  const clock = { now: () => NOW, monotonic: () => NOW };
  const breaker = createDeadGrantBreaker({
    store: {
      recentlyDead: (...asked) => (isDown ? Promise.reject(new StoreError('down')) : store.recentlyDead(...asked)),
      reactivate: store.reactivate,
      lastRefreshAt: store.lastRefreshAt,
    },
    targets: { find: async () => resolved, targetOf: () => target },
    circuitBreakers: { openFor: () => undefined, close: () => undefined },
    evidence: createFailureEvidence({ clock }),
    access: createAccess({ auditBuffer: createAuditBuffer({ store, log }), clock }),
    clock,
    log,
  });
  const dead = async () =>
    (await connected(store, { status: 'needs_reauth', reason: 'grant_revoked', updatedAt: NOW })).connection.id;
  const keyOf = (connection: string) => ({ integration, endpoint: tokenEndpoint(target), connection });
  const status = async (id: string) => (await store.connection(id))?.status;

  const many = [await dead(), await dead(), await dead(), await dead(), await dead()];
  for (const id of many) await breaker.doubts(keyOf(id), resolved, false);
  expect(await Promise.all(many.map(status))).toEqual(many.map(() => 'active'));
  // Another process has believed this one meanwhile.
  const late = await dead();
  isDown = true;
  breaker.succeeded(keyOf(many[0]!), resolved);
  await new Promise((resolve) => setImmediate(resolve));
  isDown = false;
  expect(await status(late)).toBe('needs_reauth');
  breaker.succeeded(keyOf(many[0]!), resolved);
  await expect.poll(() => status(late)).toBe('active');
  await store.close();
});
