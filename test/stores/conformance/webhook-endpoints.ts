// The contract of the store: webhook endpoints of callers.
import { expect, test } from 'vitest';
import { aCaller, aCiphertext, anEndpoint, anEntry, anEvent, FIRST, NOW, recorded } from '../builders.ts';
import { feedOf } from './events.ts';
import type { Opened } from './index.ts';

export function webhookEndpoints(at: Opened): void {
  test('an endpoint is stored with every field, changed in part, and deleted with its deliveries', async () => {
    const full = anEndpoint({
      types: ['test.ping', 'webhook.received'],
      integrations: ['slack', 'g*'],
      owners: ['user:*'],
      ordered: true,
      enabled: false,
      disabledReason: 'failing',
      failingSince: NOW - 9,
    });
    const bare = anEndpoint({ headers: null, description: null, previousSecret: null, previousUntil: null });
    const audits = [anEntry(), anEntry(), anEntry(), anEntry()] as const;
    await at.store.addWebhookEndpoint(full, audits[0]);
    await at.store.addWebhookEndpoint(bare, anEntry());
    expect(await at.store.webhookEndpoint(full.id)).toEqual(full);
    expect(await at.store.webhookEndpoint(bare.id)).toEqual(bare);
    const change = { enabled: true, disabledReason: null, types: null, failingSince: null };
    expect(await at.store.updateWebhookEndpoint(full.id, change, audits[1])).toBe(true);
    expect(await at.store.webhookEndpoint(full.id)).toEqual({ ...full, ...change });
    expect(await at.store.updateWebhookEndpoint('whe_none', change, audits[2])).toBe(false);
    await at.store.addEvents([anEvent()], undefined);
    expect((await at.store.deliveries({ endpoint: full.id }, FIRST)).data).toHaveLength(1);
    expect(await at.store.deleteWebhookEndpoint(full.id, audits[3])).toBe(true);
    expect(await at.store.deleteWebhookEndpoint(full.id, anEntry())).toBe(false);
    expect((await at.store.deliveries({}, FIRST)).data.map(({ endpointId }) => endpointId)).toEqual([bare.id]);
    const wrote = audits.map((audit) => recorded(at.store, audit));
    expect(await Promise.all(wrote)).toEqual([true, true, false, true]);
  });

  test('an endpoint is not changed by who has read another URL or secret', async () => {
    const endpoint = anEndpoint();
    await at.store.addWebhookEndpoint(endpoint, anEntry());
    const moved = { url: 'https://app.example/moved', secret: aCiphertext('moved') };
    const rotated = { secret: aCiphertext('rotated') };
    const both = [moved, rotated].map(async (change, i) =>
      (await Promise.all([at.store, at.another()]))[i]!.updateWebhookEndpoint(endpoint.id, change, anEntry(), endpoint),
    );
    expect((await Promise.all(both)).sort()).toEqual([false, true]);
    const now = (await at.store.webhookEndpoint(endpoint.id))!;
    expect([
      { ...endpoint, ...moved },
      { ...endpoint, ...rotated },
    ]).toContainEqual(now);
    expect(await at.store.updateWebhookEndpoint(endpoint.id, { description: null }, anEntry(), now)).toBe(true);
  });

  test('endpoints are listed newest first, of one caller or of all', async () => {
    const caller = aCaller();
    await at.store.addCaller(caller, null, anEntry());
    const [a, b, c] = [anEndpoint(), anEndpoint({ callerId: caller.id }), anEndpoint({ callerId: caller.id })];
    for (const one of [a, b, c]) await at.store.addWebhookEndpoint(one, anEntry());
    const all = await at.store.webhookEndpoints(undefined, { limit: 2, after: undefined });
    expect(all).toEqual({ data: [c, b], next: b.id });
    expect(await at.store.webhookEndpoints(undefined, { limit: 2, after: b.id })).toEqual({ data: [a], next: null });
    expect(await at.store.webhookEndpoints(caller.id, { limit: 2, after: undefined })).toEqual({
      data: [c, b],
      next: null,
    });
  });

  test('an endpoint is disabled once, with an event that others hear', async () => {
    const [failing, other] = [anEndpoint(), anEndpoint()];
    for (const one of [failing, other]) await at.store.addWebhookEndpoint(one, anEntry());
    const said = () =>
      anEvent({ type: 'webhook_endpoint.disabled', integration: null, owner: null, connectionId: null });
    const both = [at.store, await at.another()].map((store) =>
      store.disableWebhookEndpoint(failing.id, 'failing', said(), anEntry({ at: NOW + 7 })),
    );
    expect((await Promise.all(both)).sort()).toEqual(['disabled', 'unchanged']);
    expect(await at.store.disableWebhookEndpoint('whe_none', 'gone', said(), anEntry())).toBe('unchanged');
    expect(await at.store.webhookEndpoint(failing.id)).toMatchObject({
      enabled: false,
      disabledReason: 'failing',
      updatedAt: NOW + 7,
    });
    expect((await feedOf(at.store)).map(({ type }) => type)).toEqual(['webhook_endpoint.disabled']);
    const { data } = await at.store.deliveries({}, FIRST);
    expect(data.map(({ endpointId }) => endpointId)).toEqual([other.id]);
  });
}
