// Webhooks of third parties over HTTP: what is taken, what is refused, and what becomes of it.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { SECRET, signature, startTeamSetup, type TeamSetup } from '../../support/webhook-sender.ts';

let team: TeamSetup;
beforeAll(async () => {
  team = await startTeamSetup();
});
afterAll(() => team.close());

let made = 0;
const anEvent = (given: object = {}) => ({ id: `Ev${++made}`, type: 'message', team: 'T1', ...given });
interface Listed {
  id: string;
  status: string;
  reason: string | null;
  events: { event_id: string; provider_event_id: string; index: number }[];
}
const listed = async (query: string) =>
  (await team.broker.ask('GET', `/v1/webhooks?${query}`)).body.data as unknown as Listed[];
/** The webhook with this event, once it is processed. */
const processed = (providerId: string) =>
  team.eventually(async () => {
    const all = await listed('integration=team');
    return all.find(
      ({ status, events }) => status !== 'received' && events.some((one) => one.provider_event_id === providerId),
    );
  });
const shown = async (id: string) => (await team.broker.ask('GET', `/v1/webhooks/${id}`)).body;
const statusOf = async (id: string) => {
  const { body } = await team.broker.ask('GET', `/v1/connections/${id}`);
  return `${body.status} ${body.reason}`;
};
const rows = (query: string) => {
  const database = new Database(team.broker.database, { readonly: true });
  try {
    return database.prepare(query).all() as Record<string, unknown>[];
  } finally {
    database.close();
  }
};
const eventsOf = (webhookId: string) =>
  rows(
    `select id, connection_id, owner, data, body from events where type = 'webhook.received' order by position`,
  ).filter(({ data }) => (JSON.parse(String(data)) as { webhook_id: string }).webhook_id === webhookId);

describe('a verified webhook', () => {
  test('is answered as the entry says, located by the exact value, and handed on once for each connection', async () => {
    const [first, second] = [await team.connect('ada', 'T1'), await team.connect('grace', 'T1')];
    const other = await team.connect('alan', 'T10');
    const event = anEvent();
    const sent = await team.send(event, { headers: { 'x-custom': 'kept', authorization: 'Bearer x' } });
    expect(sent).toMatchObject({ status: 200, body: 'taken' });
    const webhook = await processed(event.id);
    expect(webhook).toMatchObject({ status: 'located', reason: null });
    const detail = await shown(webhook.id);
    expect(detail.connections).toEqual([first, second].sort());
    expect(detail).toMatchObject({ body: JSON.stringify(event), body_encoding: 'utf-8', path: '/webhooks/team' });
    expect(detail.headers).toMatchObject({ 'x-custom': 'kept' });
    expect(Object.keys(detail.headers as object)).not.toContain('x-team-signature');
    expect(Object.keys(detail.headers as object)).not.toContain('authorization');
    const events = eventsOf(webhook.id);
    expect(events.map((one) => one.connection_id).sort()).toEqual([first, second].sort());
    expect(events.map((one) => one.id)).toContain(webhook.events[0]!.event_id);
    const about = await listed(`connection=${first}`);
    expect(about.map(({ id }) => id)).toContain(webhook.id);
    expect(await listed(`connection=${other}`)).toEqual([]);
    expect(JSON.stringify(events)).not.toContain(event.id);
  });

  test('is in the feed with its body, headers and connection, for who may hear it', async () => {
    const connection = await team.connect('feed', 'FEED');
    const event = anEvent({ team: 'FEED', text: 'hello' });
    await team.send(event, { headers: { 'x-custom': 'kept' } });
    const { events } = await processed(event.id);
    const id = events[0]!.event_id;
    const feed = await team.broker.ask('GET', `/v1/events/${id}`);
    expect(feed.body).toMatchObject({
      id,
      type: 'webhook.received',
      data: {
        event_id: id,
        provider: 'team-app',
        provider_event_id: event.id,
        provider_event_type: 'message',
        connection: { id: connection, owner: 'feed', status: 'active' },
        owner: 'feed',
        headers: { 'x-custom': 'kept' },
        body: JSON.stringify(event),
        body_encoding: 'utf-8',
        sequence: 2,
      },
    });
    const [mine, others] = [
      await team.broker.callerKey({ actions: ['events'], owners: ['feed'] }),
      await team.broker.callerKey({ actions: ['events'], owners: ['someone'] }),
    ];
    const status = async (key: string) => (await team.broker.ask('GET', `/v1/events/${id}`, undefined, key)).status;
    expect([await status(mine), await status(others)]).toEqual([200, 404]);
  });

  test('above 200 kB is handed on without its body, which can be read', async () => {
    const event = anEvent({ team: 'T404', text: 'x'.repeat(210_000) });
    await team.send(event);
    const webhook = await processed(event.id);
    const feed = await team.broker.ask('GET', `/v1/events/${webhook.events[0]!.event_id}`);
    expect(feed.body.data).toMatchObject({ body: null, body_encoding: null, provider_event_id: event.id });
    expect((await shown(webhook.id)).body).toBe(JSON.stringify(event));
  });

  test('of no one here is unmatched, shown, and handed on without a connection', async () => {
    const event = anEvent({ team: 'T404' });
    expect((await team.send(event)).status).toBe(200);
    const webhook = await processed(event.id);
    expect(webhook.status).toBe('unmatched');
    const [only, ...more] = eventsOf(webhook.id);
    expect(more).toEqual([]);
    expect(only).toMatchObject({ id: webhook.events[0]!.event_id, connection_id: null, owner: null });
    expect(JSON.parse(String(only!.data))).toMatchObject({ connection: null, owner: null, provider: 'team-app' });
    expect(await listed('status=unmatched')).toContainEqual(expect.objectContaining({ id: webhook.id }));
  });

  test('that comes again is answered alike and stored once; within a batch, only what is new is', async () => {
    const [a, b] = [anEvent(), anEvent()];
    expect((await team.send({ events: [a] })).status).toBe(200);
    expect(await team.send({ events: [a] })).toMatchObject({ status: 200, body: 'taken' });
    expect((await team.send({ events: [a, b] })).status).toBe(200);
    const webhook = await processed(b.id);
    expect(webhook.events).toMatchObject([{ index: 1, provider_event_id: b.id }]);
    const all = await listed('integration=team');
    expect(all.flatMap(({ events }) => events).filter((one) => one.provider_event_id === a.id)).toHaveLength(1);
  });

  test('with a batch is one event for each item, with that item as its body', async () => {
    const [a, b] = [anEvent({ team: 'T404' }), anEvent({ team: 'T404', text: 'é' })];
    await team.send({ events: [a, b] });
    const webhook = await processed(b.id);
    const events = eventsOf(webhook.id);
    expect(events.map(({ data }) => JSON.parse(String(data)).batch)).toEqual([
      { index: 0, count: 2 },
      { index: 1, count: 2 },
    ]);
    const { body } = await shown(webhook.id);
    expect(body).toBe(JSON.stringify({ events: [a, b] }));
  });

  test('is verified over its bytes, not over what they parse to', async () => {
    const odd = '{ "id":"Odd1","type" : "message",  "team":"T404", "n": 1.0 }';
    expect((await team.send(odd)).status).toBe(200);
    const webhook = await processed('Odd1');
    expect((await shown(webhook.id)).body).toBe(odd);
    const at = String(Math.floor(team.now() / 1_000));
    const reserialised = { 'x-team-time': at, 'x-team-signature': signature(odd, Number(at)) };
    expect((await team.send(JSON.parse(odd), { headers: reserialised })).status).toBe(401);
  });

  test('that is not UTF-8 is kept as it is, in base64', async () => {
    const text = Buffer.from(JSON.stringify(anEvent({ id: 'Bin1', team: 'T404' })));
    const body = Buffer.concat([text.subarray(0, -1), Buffer.from(',"x":"'), Buffer.from([0xff]), Buffer.from('"}')]);
    const at = Math.floor(team.now() / 1_000);
    const { createHmac } = await import('node:crypto');
    const mac = createHmac('sha256', SECRET).update(`v0:${at}:`).update(body).digest('hex');
    const response = await fetch(new URL('/webhooks/team', team.broker.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-team-time': String(at), 'x-team-signature': `v0=${mac}` },
      body,
    });
    expect(response.status).toBeLessThan(500);
    if (response.status !== 200) return;
    const [webhook] = await listed('integration=team&limit=1');
    const detail = await shown(webhook!.id);
    expect(detail.body_encoding).toBe('base64');
    expect(Buffer.from(String(detail.body), 'base64')).toEqual(body);
  });
});

describe('a suspended account', () => {
  const told = async (type: string, given: { team: string; user?: string }) => {
    const event = anEvent({ type, ...given });
    await team.send(event);
    return processed(event.id);
  };

  test('is on hold until it is enabled again, and then refreshed before it is served', async () => {
    const id = await team.connect('suspended', 'H1');
    const other = await team.connect('another', 'H2');
    expect((await team.broker.ask('GET', `/v1/connections/${id}/token`)).status).toBe(200);
    await told('suspended', { team: 'H1' });
    expect([await statusOf(id), await statusOf(other)]).toEqual(['on_hold account_disabled', 'active null']);
    const read = await team.broker.ask('GET', `/v1/connections/${id}/token`);
    expect(read).toMatchObject({ status: 409, body: { code: 'connection_on_hold', reason: 'account_disabled' } });
    team.advance(1_000);
    await told('enabled', { team: 'H1' });
    expect(await statusOf(id)).toBe('active null');
    const events = rows(`select type from events where connection_id = '${id}' order by position`);
    expect(events.map(({ type }) => type)).toEqual([
      'connection.created',
      'connection.on_hold',
      'webhook.received',
      'connection.reactivated',
      'webhook.received',
    ]);
    expect(rows(`select access_token from grants where connection_id = '${id}'`)).toEqual([{ access_token: null }]);
  });

  test('that is enabled by an earlier webhook, which is processed later, stays on hold; and its grant can end', async () => {
    const event = anEvent({ type: 'enabled', team: 'H3' });
    await team.send(event);
    const { id: earlier } = await processed(event.id);
    team.advance(1_000);
    const id = await team.connect('late', 'H3');
    await told('suspended', { team: 'H3' });
    expect((await team.broker.ask('POST', `/v1/webhooks/${earlier}/process`)).status).toBe(202);
    await team.eventually(async () => ((await shown(earlier)).status === 'located' ? true : undefined));
    expect(await statusOf(id)).toBe('on_hold account_disabled');
    await told('uninstalled', { team: 'H3' });
    expect(await statusOf(id)).toBe('needs_reauth deauthorized');
  });
});

describe('a deauthorization', () => {
  test('ends the grant of every connection that it names, at once; readers are told why', async () => {
    const [one, two] = [await team.connect('owner-1', 'D1'), await team.connect('owner-2', 'D1')];
    const other = await team.connect('owner-3', 'D2');
    expect((await team.broker.ask('GET', `/v1/connections/${one}/token`)).status).toBe(200);
    const event = anEvent({ type: 'uninstalled', team: 'D1' });
    await team.send(event);
    await processed(event.id);
    expect(await statusOf(one)).toBe('needs_reauth deauthorized');
    expect(await statusOf(two)).toBe('needs_reauth deauthorized');
    expect(await statusOf(other)).toBe('active null');
    const read = await team.broker.ask('GET', `/v1/connections/${one}/token`);
    expect(read).toMatchObject({ status: 409, body: { code: 'reauthorization_required', reason: 'deauthorized' } });
    const { body } = await team.broker.ask('GET', `/v1/audit?connection_id=${one}&action=connection.deauthorized`);
    expect(body.data).toMatchObject([{ actor: 'system', owner: 'owner-1', detail: 'deauthorized' }]);
    const told = rows(`select type from events where connection_id = '${one}' order by position`);
    expect(told.map(({ type }) => type)).toEqual(['connection.created', 'connection.needs_reauth', 'webhook.received']);
  });

  test('that is the echo of a revocation of ours does not end the grant that the owner has given since', async () => {
    const first = await team.connect('returning', 'E1');
    await team.broker.ask('DELETE', `/v1/connections/${first}`);
    const again = await team.connect('returning', 'E1');
    const event = anEvent({ type: 'uninstalled', team: 'E1' });
    await team.send(event);
    await processed(event.id);
    expect(await statusOf(again)).toBe('active null');
    const { body } = await team.broker.ask('GET', `/v1/connections/${again}`);
    expect(Date.parse(String(body.next_refresh_at))).toBeLessThanOrEqual(team.now());
  });

  test('from anyone who knows the URL ends nothing: the grant is checked', async () => {
    const id = await team.connect('plain', 'P1');
    const put = await team.broker.ask('PUT', '/v1/integrations/hooked', {
      provider: 'team-app',
      client_id: 'client',
      webhook: { hook: true },
    });
    const { url } = put.body.webhook as { url: string };
    const there = await team.broker.ask('POST', '/v1/connections', {
      integration: 'hooked',
      owner: 'plain',
      params: { team: 'P1' },
      credentials: { refresh_token: 'r', access_token: 'a', expires_in: 3_600 },
    });
    const event = anEvent({ type: 'uninstalled', team: 'P1' });
    const kind = { 'x-team-kind': 'plain' };
    const path = new URL(url).pathname;
    expect((await team.send(event, { headers: kind, path })).status).toBe(200);
    const connection = String(there.body.id);
    const due = await team.eventually(async () => {
      const { body } = await team.broker.ask('GET', `/v1/connections/${connection}`);
      return Date.parse(String(body.next_refresh_at)) <= team.now() ? body : undefined;
    });
    expect(due.status).toBe('active');
    expect(await statusOf(id)).toBe('active null');
    const [webhook] = await listed('integration=hooked');
    expect(JSON.stringify(await shown(webhook!.id))).not.toContain(path.split('/')[3]);
    // The URL without the hook, and with another one.
    expect((await team.send(event, { headers: kind, path: '/webhooks/hooked' })).status).toBe(401);
    expect((await team.send(event, { headers: kind, path: `/webhooks/hooked/${'x'.repeat(43)}` })).status).toBe(404);
  });
});

describe('what is refused', () => {
  const event = anEvent({ team: 'T404' });
  const at = () => String(Math.floor(team.now() / 1_000));
  const stale = (seconds: number) => {
    const time = Math.floor(team.now() / 1_000) + seconds;
    return { 'x-team-time': String(time), 'x-team-signature': signature(JSON.stringify(event), time) };
  };
  test.each([
    ['another secret', () => ({ 'x-team-signature': signature(JSON.stringify(event), Number(at()), 'other') })],
    ['another body', () => ({ 'x-team-signature': signature('{}', Number(at())) })],
    ['an empty signature', () => ({ 'x-team-signature': '' })],
    ['a malformed signature', () => ({ 'x-team-signature': 'v0=zz' })],
    ['a short signature', () => ({ 'x-team-signature': 'v0=00' })],
    ['an old time', () => stale(-3_600)],
    ['a time ahead', () => stale(3_600)],
    ['a time that is none', () => ({ 'x-team-time': 'soon' })],
  ])('%s: 401 without a body, and nothing is handed on', async (_, headers) => {
    const before = rows(`select count(*) n from events where type = 'webhook.received'`);
    expect(await team.send(event, { headers: headers() })).toMatchObject({ status: 401, body: '' });
    expect(rows(`select count(*) n from events where type = 'webhook.received'`)).toEqual(before);
  });

  test('is listed with its digest, size and reason, and without its body', async () => {
    await team.send(event, { headers: { 'x-team-signature': signature('{}', Number(at())) } });
    const [refused] = await team.eventually(async () => {
      const all = await listed('status=refused');
      return all.length > 0 ? all : undefined;
    });
    const detail = await shown(refused!.id);
    expect(detail).toMatchObject({ status: 'refused', body: null, connections: [], events: [] });
    expect(detail.reason).toEqual(expect.any(String));
    const { status, body } = await team.broker.ask('POST', `/v1/webhooks/${refused!.id}/process`);
    expect([status, body.code]).toEqual([400, 'invalid_request']);
  });

  test.each([
    ['an integration that does not exist', '/webhooks/nobody', 404],
    ['what is no id', '/webhooks/%2e%2e%2fetc', 404],
    ['an integration without settings', '/webhooks/unset', 404],
  ])('%s: %s is %i', async (_, path, status) => {
    await team.broker.ask('PUT', '/v1/integrations/unset', { provider: 'team-app', client_id: 'c' });
    expect(await team.send(event, { path })).toMatchObject({ status, body: '' });
  });

  test('an integration whose secrets were removed refuses everything', async () => {
    const webhook = { secrets: [] };
    await team.broker.ask('PUT', '/v1/integrations/keyless', { provider: 'team-app', client_id: 'c', webhook });
    expect((await team.send(event, { path: '/webhooks/keyless' })).status).toBe(401);
    const empty = { 'x-team-signature': signature(JSON.stringify(event), Number(at()), '') };
    expect((await team.send(event, { path: '/webhooks/keyless', headers: empty })).status).toBe(401);
  });

  test('another method is 405, and a body that is too large 413', async () => {
    const deleting = await team.send('', { method: 'DELETE' });
    expect(deleting.status).toBe(405);
    expect(deleting.headers.get('allow')).toBe('POST');
    const large = JSON.stringify({ ...event, filler: 'x'.repeat(1_100_000) });
    expect(await team.send(large)).toMatchObject({ status: 413, body: '' });
  });
});

describe('settings', () => {
  test('show URL, schemes and how many secrets there are, and never a secret; a hook is shown once', async () => {
    const put = (webhook: object | null) =>
      team.broker.ask('PUT', '/v1/integrations/shown', { provider: 'team-app', client_id: 'c', webhook });
    const made = await put({ secrets: ['one', 'two'], hook: true });
    const { url, ...view } = made.body.webhook as { url: string };
    expect(view).toMatchObject({ schemes: ['hmac', 'none'], secrets_set: true, secret_count: 2, hook_set: true });
    expect(url).toMatch(/\/webhooks\/shown\/[\w-]{43}$/);
    const hook = url.split('/').at(-1)!;
    const get = await team.broker.ask('GET', '/v1/integrations/shown');
    expect(get.body.webhook).toMatchObject({ url: url.slice(0, -44), secret_count: 2, hook_set: true });
    const kept = await put({ secrets: ['one'] });
    expect(kept.body.webhook).toMatchObject({ secret_count: 1, hook_set: true });
    const plain = await team.broker.ask('PUT', '/v1/integrations/shown', { provider: 'team-app', client_id: 'c' });
    expect(plain.body.webhook).toMatchObject({ secret_count: 1, hook_set: true });
    const { body } = await team.broker.ask('GET', '/v1/audit?action=integration.webhook_set&integration=shown');
    expect((body.data as { changed: string[] }[]).map(({ changed }) => changed)).toEqual([
      ['webhook.secrets'],
      ['webhook.secrets', 'webhook.hook'],
    ]);
    expect(JSON.stringify(rows('select * from receiver_settings'))).not.toContain(hook);
    expect((await put(null)).body.webhook).toBeNull();
    expect((await team.send(anEvent(), { path: `/webhooks/shown/${hook}` })).status).toBe(404);
  });

  test('are refused where the catalogue has no webhooks, or no such scheme', async () => {
    const none = await team.broker.ask('PUT', '/v1/integrations/none', {
      provider: 'team-app',
      client_id: 'c',
      webhook: { scheme: 'shared_token' },
    });
    expect(none).toMatchObject({ status: 400, body: { issues: [{ path: 'webhook.scheme' }] } });
    expect((await team.broker.ask('GET', '/v1/integrations/none')).status).toBe(404);
  });

  test('are declared like the rest of an integration, without a hook, which no one would see', async () => {
    const webhook = { secrets: [SECRET] };
    const integration = { id: 'declared', provider: 'team-app', client_id: 'c', webhook };
    const apply = (given: object, dry_run = false) =>
      team.broker.ask('POST', '/v1/apply', { integrations: [given], dry_run });
    const dry = await apply(integration, true);
    expect(dry.body.changes).toMatchObject([{ id: 'declared', action: 'create' }]);
    expect(JSON.stringify(dry.body)).not.toContain(SECRET);
    expect((await apply(integration)).status).toBe(200);
    expect((await team.send(anEvent({ team: 'T404' }), { path: '/webhooks/declared' })).status).toBe(200);
    expect((await apply(integration)).body.changes).toEqual([]);
    const rotated = await apply({ ...integration, webhook: { secrets: ['another'] } });
    expect(rotated.body.changes).toMatchObject([
      { action: 'update', fields: [{ path: 'webhook.secrets', secret: 'changed' }] },
    ]);
    expect((await team.send(anEvent(), { path: '/webhooks/declared' })).status).toBe(401);
    const hooked = await apply({ ...integration, webhook: { hook: true } });
    expect(hooked).toMatchObject({ status: 400, body: { issues: [{ path: 'integrations.0.webhook.hook' }] } });
  });

  test('a handshake brings a key only while an admin waits for it, and once', async () => {
    const id = 'bringing';
    const webhook = { secrets: [] };
    await team.broker.ask('PUT', `/v1/integrations/${id}`, { provider: 'team-app', client_id: 'c', webhook });
    const kind = { 'x-team-kind': 'bringing' };
    const bring = (key: string) => team.send({}, { path: `/webhooks/${id}`, headers: { ...kind, 'x-team-key': key } });
    expect((await bring('too early')).status).toBe(401);
    const opened = await team.broker.ask('POST', `/v1/integrations/${id}/webhook-handshake`, { minutes: 5 });
    expect(opened.status).toBe(200);
    const taken = await bring('the key');
    expect(taken.status).toBe(200);
    expect(taken.headers.get('x-team-key')).toBe('the key');
    expect((await bring('another')).status).toBe(401);
    const { body } = await team.broker.ask('GET', `/v1/integrations/${id}`);
    expect(body.webhook).toMatchObject({ secret_count: 1, handshake_until: null });
    const { createHmac } = await import('node:crypto');
    const text = JSON.stringify(anEvent({ team: 'T404' }));
    const send = (secret: string) => {
      const mac = createHmac('sha256', secret).update(text).digest('hex');
      return team.send(text, { path: `/webhooks/${id}`, headers: { ...kind, 'x-team-signature': mac } });
    };
    expect((await send('another')).status).toBe(401);
    expect((await send('the key')).status).toBe(200);
    await team.broker.ask('POST', `/v1/integrations/${id}/webhook-handshake`, { minutes: 1 });
    team.advance(61_000);
    expect((await bring('too late')).status).toBe(401);
  });
});

describe('received webhooks', () => {
  test('are for callers who may see those of every owner of the integration; for others they do not exist', async () => {
    const event = anEvent({ team: 'T404' });
    await team.send(event);
    const { id } = await processed(event.id);
    const key = (grant: object) => team.broker.callerKey(grant);
    const [may, narrow, elsewhere, other] = [
      await key({ actions: ['webhooks'], integrations: ['team'] }),
      await key({ actions: ['webhooks'], integrations: ['team'], owners: ['user:*'] }),
      await key({ actions: ['webhooks'], integrations: ['other'] }),
      await key({ actions: ['token'] }),
    ];
    const status = async (as: string) => (await team.broker.ask('GET', `/v1/webhooks/${id}`, undefined, as)).status;
    expect([await status(may), await status(narrow), await status(elsewhere), await status(other)]).toEqual([
      200, 404, 404, 404,
    ]);
    const list = (as: string) => team.broker.ask('GET', '/v1/webhooks', undefined, as);
    const integrations = ((await list(may)).body.data as unknown as { integration: string }[]).map(
      ({ integration }) => integration,
    );
    expect(new Set(integrations)).toEqual(new Set(['team']));
    expect((await list(elsewhere)).body.data).toEqual([]);
    expect((await list(other)).status).toBe(403);
    const process = (as: string) => team.broker.ask('POST', `/v1/webhooks/${id}/process`, undefined, as);
    expect((await process(elsewhere)).status).toBe(404);
    expect((await process(may)).status).toBe(202);
  });

  test('that are processed again find connections made since, and are not handed on a second time', async () => {
    const event = anEvent({ team: 'LATE', type: 'uninstalled' });
    await team.send(event);
    const { id } = await processed(event.id);
    const before = eventsOf(id);
    const connection = await team.connect('late', 'LATE');
    expect((await team.broker.ask('POST', `/v1/webhooks/${id}/process`)).status).toBe(202);
    await team.eventually(async () => ((await shown(id)).status === 'located' ? true : undefined));
    expect((await shown(id)).connections).toEqual([connection]);
    expect(eventsOf(id)).toEqual(before);
    // The uninstallation is older than its credentials: it is checked by a refresh, and not ended.
    expect(await statusOf(connection)).toBe('active null');
    const { body } = await team.broker.ask('GET', `/v1/connections/${connection}`);
    expect(Date.parse(String(body.next_refresh_at))).toBeLessThanOrEqual(team.now());
  });
});

test('metrics count by integration and outcome, without a name that a stranger made up', async () => {
  await team.send(anEvent(), { path: '/webhooks/made-up' });
  const text = await (await fetch(new URL('/metrics', team.broker.url))).text();
  expect(text).toContain('valetkey_webhooks_received_total{integration="team",outcome="received"}');
  expect(text).toContain('valetkey_webhooks_received_total{integration="",outcome="not_set_up"}');
  expect(text).not.toContain('made-up');
});

describe('bodies that strangers announce', () => {
  const opened: Socket[] = [];
  const address = () => new URL(team.broker.url);
  /** A request as far as its headers, which pass every check that is made of them. */
  function begun(header: string): Socket {
    const socket = connect(Number(address().port), address().hostname);
    socket.on('error', () => undefined);
    const at = Math.floor(team.now() / 1_000);
    socket.write(`POST /webhooks/team HTTP/1.1\r\nHost: x\r\nX-Team-Time: ${at}\r\n`);
    socket.write(`X-Team-Signature: v0=${'0'.repeat(64)}\r\n${header}\r\n\r\n`);
    opened.push(socket);
    return socket;
  }
  afterEach(() => {
    for (const socket of opened.splice(0)) socket.destroy();
  });

  test('and do not send take no room from senders', async () => {
    const mebibyte = `Content-Length: ${1024 * 1024}`;
    const asked = Array.from({ length: 200 }, () => begun(`${mebibyte}\r\nExpect: 100-continue`));
    await Promise.all(asked.map((socket) => once(socket, 'data')));
    expect((await team.send(anEvent())).status).toBe(200);
  });

  test('and send in very many chunks are refused before they fill the memory', async () => {
    const socket = begun('Transfer-Encoding: chunked');
    socket.write('1\r\nx\r\n'.repeat(200_000));
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1\.1 503 .*retry-after: \d+\r\n/is);
    expect((await team.send(anEvent())).status).toBe(200);
  });
});
