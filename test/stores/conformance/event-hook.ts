// The contract of the store: a change and its event are one commit, and who hears it is decided in that commit.
import { describe, expect, test } from 'vitest';
import type { AuditAction } from '../../../src/domain/audit-actions.ts';
import type { Permission } from '../../../src/domain/caller.ts';
import type { Store } from '../../../src/ports/index.ts';
import {
  aCaller,
  aConnection,
  anEndpoint,
  anEntry,
  anEvent,
  anIntegration,
  connected,
  FIRST,
  NOW,
  someCredentials,
  someRefreshedFields,
} from '../builders.ts';
import { feedOf } from './events.ts';
import type { Opened } from './index.ts';

const everything: Permission = { actions: ['events'], integrations: ['*'], owners: ['*'] };

export function eventHook(at: Opened): void {
  const entry = (action: AuditAction, connectionId: string | null, given = {}) =>
    anEntry({ action, connectionId, ...given });
  const created = async (given: Parameters<typeof aConnection>[0] = {}, store: Store = at.store) => {
    const connection = aConnection(given);
    await store.putIntegration(anIntegration({ id: connection.integration }), anEntry());
    const audit = entry('connection.created', connection.id);
    expect(await store.addConnection(connection, someCredentials(), null, audit)).toBe('added');
    return { connection, audit };
  };
  const claimed = async (id: string) => {
    const lease = await at.store.claim(id, { attempt: 'att_1', generation: 99, now: NOW, monotonic: 0 });
    if (typeof lease === 'string') throw new Error(lease);
    return { fence: lease.fence, generation: lease.connection.generation };
  };
  const heardBy = async (store: Store, id: string) =>
    (await store.deliveries({ endpoint: id }, FIRST)).data.map(({ eventId }) => eventId).sort();

  test('each change of a connection is an event with the connection as it is then, counted without gaps', async () => {
    const { connection, audit } = await created({ label: '', owner: 'user:é', account: null });
    const { id } = connection;
    const dead = entry('connection.needs_reauth', id, { outcome: 'failed', detail: 'grant_revoked' });
    const error = { code: 'invalid_grant', detail: 'no', at: NOW, retryAt: null };
    const failure = { reason: 'grant_revoked' as const, error, nextRefreshAt: null, resolved: true };
    await at.store.recordRefreshFailure(id, await claimed(id), failure, dead);
    const expected = { generation: 1, reason: 'grant_revoked' as const };
    await at.store.reactivate(id, expected, NOW, entry('connection.reactivated', id));
    const refused = entry('connection.reactivated', id);
    expect(await at.store.reactivate(id, expected, NOW, refused)).toBe('changed');
    await at.store.commitRefresh(id, await claimed(id), someRefreshedFields(), someCredentials(), () =>
      entry('connection.refreshed', id),
    );
    await at.store.renewConnection(connection, someCredentials(), null, entry('connection.renewed', id));
    await at.store.revoke(id, 'unsupported', NOW, entry('connection.revoked', id));
    const told = await feedOf(at.store);
    expect(told.map(({ type, sequence }) => [type, sequence])).toEqual([
      ['connection.created', 1],
      ['connection.needs_reauth', 2],
      ['connection.reactivated', 3],
      ['connection.reconnected', 4],
      ['connection.revoked', 5],
    ]);
    expect(told[0]).toEqual({
      id: audit.id.replace('evt_', 'msg_'),
      position: expect.any(Number),
      type: 'connection.created',
      at: NOW,
      integration: 'slack',
      owner: 'user:é',
      connectionId: id,
      sequence: 1,
      callerId: null,
      endpointId: null,
      data: {
        connection: {
          id,
          integration: 'slack',
          owner: 'user:é',
          label: null,
          status: 'active',
          reason: null,
          account: null,
        },
      },
      body: null,
    });
    expect(told[1]!.data).toMatchObject({
      connection: { status: 'needs_reauth', reason: 'grant_revoked' },
      reason: 'grant_revoked',
    });
    expect(told[4]!.data).toMatchObject({ connection: { status: 'revoked', reason: null } });
  });

  test('a late answer that reactivates a connection is an event, and the audit entry says so', async () => {
    const { connection } = await created();
    const { id } = connection;
    const held = await claimed(id);
    const error = { code: 'timeout', detail: 'no', at: NOW, retryAt: null };
    const failure = { reason: 'refresh_outcome_unknown' as const, error, nextRefreshAt: null, resolved: false };
    await at.store.recordRefreshFailure(id, held, failure, entry('connection.needs_reauth', id));
    const late = entry('connection.refreshed', id);
    expect(await at.store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), () => late)).toBe(
      'committed',
    );
    const [told] = (await feedOf(at.store)).filter(
      ({ sequence, connectionId }) => connectionId === id && sequence === 3,
    );
    expect(told).toMatchObject({
      type: 'connection.reactivated',
      data: { connection: { status: 'active', reason: null } },
    });
    const { data } = await at.store.audit({}, { limit: 500, after: undefined });
    expect(data.find((one) => one.id === late.id)).toMatchObject({
      action: 'connection.reactivated',
      detail: 'late_answer',
    });
  });

  test('what fails, changes nothing or is only noted leaves neither event nor delivery', async () => {
    const endpoint = anEndpoint();
    await at.store.addWebhookEndpoint(endpoint, anEntry());
    const { connection, audit } = await created();
    const doubled = aConnection({ id: connection.id, owner: 'other' });
    const audits = [entry('connection.created', connection.id), entry('connection.created', connection.id)];
    await expect(at.store.addConnection(doubled, someCredentials(), null, audits[0]!)).rejects.toThrow();
    const taken = aConnection({ owner: connection.owner });
    await at.store.addConnection(taken, someCredentials(), null, audits[1]!);
    await at.store.appendAudit([entry('connection.revoked', connection.id)]);
    await at.store.appendAudit([entry('connection.revoked', connection.id, { outcome: 'denied' })]);
    const id = audit.id.replace('evt_', 'msg_');
    expect((await feedOf(at.store)).map((event) => event.id)).toEqual([id]);
    expect(await heardBy(at.store, endpoint.id)).toEqual([id]);
  });

  test('an event has a delivery for each endpoint that hears it, due at once', async () => {
    const caller = aCaller({ permissions: [{ actions: ['events'], integrations: ['sl*'], owners: ['user:*'] }] });
    await at.store.addCaller(caller, null, anEntry());
    const endpoints = [anEndpoint(), anEndpoint({ callerId: caller.id }), anEndpoint({ enabled: false })];
    for (const one of endpoints) await at.store.addWebhookEndpoint(one, anEntry());
    const { connection, audit } = await created({ owner: 'user:1' });
    const [event] = await feedOf(at.store);
    const { data } = await at.store.deliveries({}, FIRST);
    expect(data.map(({ endpointId }) => endpointId).sort()).toEqual([endpoints[0]!.id, endpoints[1]!.id]);
    expect(data[0]).toEqual({
      id: expect.stringMatching(/^dlv_[0-9]+$/),
      eventId: audit.id.replace('evt_', 'msg_'),
      endpointId: expect.any(String),
      connectionId: connection.id,
      position: event!.position,
      status: 'pending',
      attempts: 0,
      nextAt: NOW,
      claimedUntil: null,
      lastAttemptAt: null,
      lastStatus: null,
      lastError: null,
      lastResponse: null,
      createdAt: NOW,
      deliveredAt: null,
    });
  });

  test('endpoints and permissions count as they are committed before the event, by any replica', async () => {
    const other = await at.another();
    const caller = aCaller({ permissions: [everything] });
    await at.store.addCaller(caller, null, anEntry());
    const endpoint = anEndpoint({ callerId: caller.id });
    const tell = async (store: Store) => {
      const event = anEvent();
      await store.addEvents([event], undefined);
      return (await heardBy(store, endpoint.id)).includes(event.id);
    };
    const heard = async () => [await tell(at.store), await tell(other)];
    expect(await heard()).toEqual([false, false]);
    await other.addWebhookEndpoint(endpoint, anEntry());
    expect(await heard()).toEqual([true, true]);
    await other.updateCaller({ ...caller, permissions: [{ ...everything, actions: ['token'] }] }, anEntry());
    expect(await heard()).toEqual([false, false]);
    const declared = { caller: { ...caller, permissions: [everything] }, keys: undefined, audit: anEntry() };
    await at.store.putDeclared({ integrations: [], callers: [declared] });
    expect(await heard()).toEqual([true, true]);
    await other.updateWebhookEndpoint(endpoint.id, { types: ['test.ping'] }, anEntry());
    expect(await heard()).toEqual([false, false]);
    await other.updateWebhookEndpoint(endpoint.id, { types: null }, anEntry());
    await at.store.disableWebhookEndpoint(endpoint.id, 'gone', anEvent({ connectionId: null }), anEntry());
    expect(await heard()).toEqual([false, false]);
    await other.updateWebhookEndpoint(endpoint.id, { enabled: true }, anEntry());
    expect(await heard()).toEqual([true, true]);
    await other.deleteCaller(caller.id, anEntry());
    expect(await other.webhookEndpoint(endpoint.id)).toBeUndefined();
    expect(await heardBy(other, endpoint.id)).toEqual([]);
    expect(await heard()).toEqual([false, false]);
  });

  describe('two replicas at once', () => {
    test('every event of a burst is written once, with its deliveries, in the order of its connection', async () => {
      const other = await at.another();
      const endpoint = anEndpoint();
      await at.store.addWebhookEndpoint(endpoint, anEntry());
      const { connection } = await created();
      const entries = Array.from({ length: 20 }, () => entry('connection.renewed', connection.id));
      await Promise.all(
        entries.map((audit, i) =>
          (i % 2 === 0 ? at.store : other).renewConnection(connection, someCredentials(), null, audit),
        ),
      );
      const told = await feedOf(other);
      expect(told.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 21 }, (_, i) => i + 1));
      expect(await heardBy(other, endpoint.id)).toEqual(told.map(({ id }) => id).sort());
    });

    test('of the same events that both write, each is stored and delivered once', async () => {
      const other = await at.another();
      const { connection } = await connected(at.store);
      const endpoint = anEndpoint();
      await at.store.addWebhookEndpoint(endpoint, anEntry());
      await at.store.addEvents([anEvent({ connectionId: connection.id })], undefined);
      const same = Array.from({ length: 8 }, () => anEvent({ connectionId: connection.id }));
      await Promise.all([at.store, other, at.store, other].map((store) => store.addEvents(same, undefined)));
      const told = await feedOf(at.store);
      expect(told.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect(await heardBy(at.store, endpoint.id)).toHaveLength(9);
    });
  });
}
