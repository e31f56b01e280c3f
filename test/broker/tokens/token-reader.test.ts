// The token reader: what memory answers at once, what needs the store, and that each read is audited and counted once.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createKeyRing, generateKey, parseKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { type Call, createAccess } from '../../../src/broker/audit/access.ts';
import { createAuditBuffer } from '../../../src/broker/audit/log/audit-buffer.ts';
import {
  createTokenCache,
  type ServedToken,
  type TokenCache,
  toServedToken,
} from '../../../src/broker/cache/token-cache.ts';
import { encryptCredentials } from '../../../src/broker/secrets/token-encryption.ts';
import type { Selector } from '../../../src/broker/tokens/selection.ts';
import { createTokenReader, type TokenReader } from '../../../src/broker/tokens/token-reader.ts';
import type { CacheSize } from '../../../src/domain/cache-bounds.ts';
import type { Permission } from '../../../src/domain/caller.ts';
import type { Connection } from '../../../src/domain/connection.ts';
import { Refusal, refuse } from '../../../src/domain/errors.ts';
import { type Store, StoreError } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { aConnection, anEntry, anIntegration, NOW } from '../../stores/builders.ts';
import { createMigratedFile } from '../../support/sqlite-file.ts';

const log = createLogger('silent');
const ring = parseKeyRing(generateKey('k1'));
if (!('keys' in ring)) throw new Error('no key ring');
const vault = createKeyRing(ring.keys);

let folder: string;
let store: Store;
let now: number;
let counted: string[];
let audited: string[];
let refreshed: string[];
/** What a refresh brings. */
let refreshOutcome: () => ServedToken | Refusal;
let reader: TokenReader;
let tokenCache: TokenCache;
let storeReads: number;
let storeIsDown: boolean;
/** Until then, what was read stays on its way. */
let arrival: Promise<void> | undefined;
let startReader: (size?: CacheSize) => void;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'valetkey-reader-'));
  await createMigratedFile(join(folder, 'valetkey.db'));
  store = await openSqlite(`file:${join(folder, 'valetkey.db')}`);
  await store.putIntegration(anIntegration(), anEntry());
  [now, storeReads, storeIsDown, arrival] = [NOW, 0, false, undefined];
  [counted, audited, refreshed] = [[], [], []];
  refreshOutcome = () =>
    refuse({ code: 'provider_unavailable', integration: 'slack', detail: 'the provider is down', retryAfter: 30 });
  const clock = { now: () => now, monotonic: () => now };
  const auditBuffer = createAuditBuffer({ store, log });
  const access = createAccess({ auditBuffer, clock });
  const read = async <T>(value: () => Promise<T>) => {
    storeReads++;
    if (storeIsDown) throw new StoreError('down');
    const arrives = arrival;
    const row = await value();
    await arrives;
    return row;
  };
  startReader = (size) => {
    tokenCache = createTokenCache(size && { size });
    reader = createTokenReader({
      store: {
        servedRow: (id) => read(() => store.servedRow(id)),
        servedRowsByOwner: (...given) => read(() => store.servedRowsByOwner(...given)),
        integration: store.integration,
        takeFromBucket: store.takeFromBucket,
      },
      vault,
      tokenCache,
      refresher: {
        rescuedFor: () => undefined,
        refresh: async ({ id }: Connection) => {
          refreshed.push(id);
          return refreshOutcome();
        },
      } as never,
      challenges: { check: async () => undefined },
      access: {
        ...access,
        denied: (...given) => {
          const refusal = access.denied(...given);
          if (refusal) audited.push('access.denied');
          return refusal;
        },
        noteRead: (_, action) => void audited.push(action),
      },
      telemetry: { cache: (outcome) => void counted.push(outcome) },
      clock,
    });
  };
  startReader();
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

const everything: Permission = { actions: ['*'], integrations: ['*'], owners: ['*'] };
const callOf = (permission: Permission = everything): Call => ({
  principal: {
    caller: { id: 'clr_1', name: 'mailer', permissions: [permission] },
    credential: { kind: 'key', id: 'key_1', expiresAt: null },
    rateLimit: null,
  },
  address: null,
  requestId: 'req_1',
});

async function add(given: Partial<Connection> = {}, token: string | null = 'a token'): Promise<Connection> {
  const connection = aConnection(given);
  const secrets = { accessToken: token, refreshToken: 'rt', idToken: null, credentials: null };
  expect(await store.addConnection(connection, encryptCredentials(vault, connection, secrets), null, anEntry())).toBe(
    'added',
  );
  return connection;
}
const slotOf = ({ integration, owner, label }: Connection) => ({ integration, owner, label });
const selectorsOf = (connection: Connection): [string, Selector][] => [
  ['by id', connection.id],
  ['by owner', slotOf(connection)],
];

/** The result, which must come from memory; what was counted and audited before is forgotten. */
function atOnce(selector: Selector, call = callOf(), minTtlMs?: number): ServedToken | Refusal {
  [counted.length, audited.length, storeReads] = [0, 0, 0];
  const result = reader.read(call, selector, minTtlMs);
  if (result instanceof Promise) throw new Error('a promise: memory did not have the answer');
  expect(storeReads).toBe(0);
  return result;
}
const faultOf = (result: unknown) => (result instanceof Refusal ? result.fault : undefined);

describe('token read', () => {
  it('a promise while the token is not in memory, at once from then on; counted and audited once each', async () => {
    const connection = await add();
    for (const [, selector] of selectorsOf(connection)) {
      [counted.length, audited.length] = [0, 0];
      const first = reader.read(callOf(), selector);
      if (typeof selector === 'string') {
        expect(first).toBeInstanceOf(Promise);
        expect([await first, counted, audited]).toMatchObject([{ accessToken: 'a token' }, ['miss'], ['token.read']]);
      } else await first;
      expect(atOnce(selector)).toMatchObject({ accessToken: 'a token' });
      expect([counted, audited]).toEqual([['hit'], ['token.read']]);
    }
  });

  it('by owner out of the store: one query, one miss', async () => {
    const connection = await add();
    expect(await reader.read(callOf(), slotOf(connection))).toMatchObject({ accessToken: 'a token' });
    expect([storeReads, counted, audited]).toEqual([1, ['miss'], ['token.read']]);
  });

  it.each(['by id', 'by owner'])(
    '%s: refused at once from memory where the grant says so, audited once',
    async (how) => {
      const connection = await add();
      const [, selector] = selectorsOf(connection).find(([name]) => name === how)!;
      await reader.read(callOf(), selector);
      const other = { ...everything, actions: ['connections:read' as const] };
      expect(faultOf(atOnce(selector, callOf(other)))).toMatchObject({ code: 'forbidden' });
      expect(audited).toEqual(['access.denied']);
      audited.length = 0;
      const stranger = { ...everything, owners: ['somebody-else'] };
      expect(faultOf(await reader.read(callOf(stranger), selector))).toMatchObject({ code: 'not_found' });
      expect(audited).toEqual(['access.denied']);
      const narrow = { ...everything, scopes: ['users:read'] };
      expect(faultOf(atOnce(selector, callOf(narrow)))).toMatchObject({ missing: { scopes: ['chat:write'] } });
      expect([counted, audited]).toEqual([['hit'], ['access.denied']]);
    },
  );

  it('ambiguous, revoked and absent connections of an owner: refused at once from memory', async () => {
    const work = await add({ owner: 'user_1', label: 'work' });
    await add({ owner: 'user_1', label: 'home' });
    const owner = { integration: 'slack', owner: 'user_1' };
    await reader.read(callOf(), owner);
    expect(faultOf(atOnce(owner))).toMatchObject({ code: 'ambiguous_connection' });
    expect([counted, audited]).toEqual([[], []]);
    expect(atOnce(slotOf(work))).toMatchObject({ connection: { id: work.id } });

    const revoked = await add({ owner: 'user_2', status: 'revoked' });
    await reader.read(callOf(), slotOf(revoked));
    expect(faultOf(atOnce(slotOf(revoked)))).toEqual({ code: 'connection_revoked', connection_id: revoked.id });
    expect([counted, audited]).toEqual([['hit'], ['token.read']]);

    const unknown = { integration: 'slack', owner: 'user_3' };
    await reader.read(callOf(), unknown);
    expect(faultOf(atOnce(unknown))).toMatchObject({ code: 'not_found' });
  });

  it('a refresh when the token lives too short; while it fails, the token until it expires', async () => {
    const { id } = await add();
    await reader.read(callOf(), id);
    now = NOW + 3_570_000;
    expect(await reader.read(callOf(), id)).toMatchObject({ accessToken: 'a token' });
    expect(refreshed).toEqual([id]);
    now = NOW + 3_600_000;
    expect(faultOf(await reader.read(callOf(), id))).toMatchObject({ code: 'provider_unavailable' });
    refreshOutcome = () => refuse({ code: 'connection_revoked', connection_id: id });
    now = NOW + 3_570_000;
    expect(faultOf(await reader.read(callOf(), id))).toMatchObject({ code: 'connection_revoked' });
  });

  it('with a cache of one: reads that were under way during a refresh here do not bring the token before into the cache', async () => {
    startReader({ entries: 1 });
    const [connection, other] = [await add(), await add({ owner: 'another' }, 'another token')];
    const { promise, resolve } = Promise.withResolvers<void>();
    arrival = promise;
    const early = [1, 2].map(() => reader.read(callOf(), connection.id));
    arrival = undefined;
    const clock = { now: () => now, monotonic: () => now };
    tokenCache.put(toServedToken({ ...connection, generation: 2 }, 'a new token', clock), tokenCache.ticket());
    for (let i = 0; i < 2; i++) await reader.read(callOf(), other.id);
    expect(atOnce(other.id)).toMatchObject({ accessToken: 'another token' });
    resolve();
    expect(await Promise.all(early)).toMatchObject([{ accessToken: 'a token' }, { accessToken: 'a token' }]);
    expect(tokenCache.get(connection.id)).toBeUndefined();
  });

  describe('with a rejected token', () => {
    const refreshedTo = (connection: Connection, accessToken: string, generation: number): ServedToken => ({
      connection: { ...connection, generation },
      accessToken,
      until: NOW + 3_600_000,
      ofUnknownAge: false,
      cachedAt: 0,
    });

    it('it joined a refresh that leaves the token as it is: refreshes again', async () => {
      const connection = await add();
      const outcomes = [refreshedTo(connection, 'a token', 1), refreshedTo(connection, 'a new token', 2)];
      refreshOutcome = () => outcomes.shift()!;
      const result = await reader.refresh(callOf(), connection.id, { rejectedToken: 'a token' });
      expect(result).toMatchObject({ accessToken: 'a new token' });
      expect(refreshed).toHaveLength(2);
    });

    it.each([1, 2])('there is no other one, in generation %i: 503, never the rejected one', async (generation) => {
      const connection = await add();
      refreshOutcome = () => refreshedTo(connection, 'a token', generation);
      const result = await reader.refresh(callOf(), connection.id, { rejectedToken: 'a token' });
      expect(faultOf(result)).toMatchObject({ code: 'provider_unavailable', retryAfter: 10 });
      // A provider that has issued the same token again is not asked a second time.
      expect(refreshed).toHaveLength(generation === 1 ? 2 : 1);
    });

    it('the newest one waits for its commit: not the older one that the store still has', async () => {
      const connection = await add();
      tokenCache.put(refreshedTo(connection, 'a newer token', 2), tokenCache.ticket());
      refreshOutcome = () => refreshedTo(connection, 'a newer token', 2);
      const result = await reader.refresh(callOf(), connection.id, { rejectedToken: 'a newer token' });
      expect(faultOf(result)).toMatchObject({ code: 'provider_unavailable' });
    });
  });

  it('rejects with the error of the store; a token in memory is served all the same', async () => {
    const [known, unknown] = [await add(), await add()];
    await reader.read(callOf(), known.id);
    storeIsDown = true;
    await expect(reader.read(callOf(), unknown.id)).rejects.toThrow(StoreError);
    await expect(reader.read(callOf(), slotOf(unknown))).rejects.toThrow(StoreError);
    refreshOutcome = () => {
      throw new StoreError('down');
    };
    now = NOW + 3_570_000;
    expect(await reader.read(callOf(), known.id)).toMatchObject({ accessToken: 'a token' });
    now = NOW + 3_600_000;
    await expect(reader.read(callOf(), known.id)).rejects.toThrow(StoreError);
  });
});
