// Webhook endpoints over HTTP: who may have them, what they are sent, and that it is signed as Standard Webhooks says.
import Database from 'better-sqlite3';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test, vi } from 'vitest';
import { verifyWebhook } from '../../../src/client/index.ts';
import type { Json } from '../../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../../support/contract.ts';
import { PATIENT, startEventDelivery } from '../../support/event-delivery.ts';
import { status } from '../../support/webhook-receiver.ts';

const usesPostgres = process.env.VALETKEY_TEST_STORE === 'postgres';
const HOUR = 3_600_000;
const { broker, receiver, now, advance, endpoint, connection, arrived, deliveriesOf } = await startEventDelivery([
  'pay',
  'mail',
]);

const settled = (id: string, expected: Json) =>
  vi.waitFor(async () => expect((await deliveriesOf(id))[0]).toMatchObject(expected), PATIENT);

describe('a webhook endpoint', () => {
  test('is sent what happens to connections, signed with its secret and the key of the deployment', async () => {
    const headers = { 'X-Api-Key': 'let-me-in', Authorization: 'Bearer receiver' };
    const { id, secret, path, body } = await endpoint({ headers, description: 'billing' });
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(body).toMatchObject({ headers_set: true, enabled: true, types: null, ordered: false });

    const { id: connectionId, owner } = await connection('pay');
    await broker.ask('DELETE', `/v1/connections/${connectionId}`);
    const [created, revoked] = await arrived(path, 2);
    expect(new Set([created!.event.type, revoked!.event.type])).toEqual(
      new Set(['connection.created', 'connection.revoked']),
    );
    const { keys } = expectKeys(await (await fetch(new URL('/.well-known/webhook-keys', broker.url))).json());
    const whpk = `whpk_${Buffer.from(keys[0]!.x, 'base64url').toString('base64')}`;
    for (const one of [created!, revoked!]) {
      expect(one.headers).toMatchObject({ 'x-api-key': 'let-me-in', authorization: 'Bearer receiver' });
      expect(one.headers['content-type']).toBe('application/json');
      expect(one.id).toMatch(/^msg_[a-z0-9]{26}$/);
      expect(Object.keys(one.event).sort()).toEqual(['data', 'timestamp', 'type']);
      expect(one.event.data).toMatchObject({ event_id: one.id, connection: { id: connectionId, owner } });
      new Webhook(secret).verify(one.body, one.headers);
      for (const key of [secret, whpk])
        expect(await verifyWebhook(one.headers, one.body, key)).toMatchObject({ ...one.event, id: one.id });
    }
    const sequences = [created, revoked].map((one) => [one!.event.type, one!.event.data.sequence]);
    expect(Object.fromEntries(sequences)).toEqual({ 'connection.created': 1, 'connection.revoked': 2 });

    const shown = JSON.stringify([
      await broker.ask('GET', `/v1/webhook-endpoints/${id}`),
      await broker.ask('GET', '/v1/webhook-endpoints'),
      await broker.ask('PATCH', `/v1/webhook-endpoints/${id}`, { description: 'mail' }),
      await broker.ask('GET', '/v1/audit'),
    ]);
    for (const hidden of [secret, secret.slice(6), 'let-me-in', 'Bearer receiver']) expect(shown).not.toContain(hidden);
    expect(shown).toContain('webhook_endpoint.created');
  });

  test('has its URL as it is requested, whatever characters it was given with', async () => {
    const { path } = await endpoint();
    const given = `${receiver.url}${path}/"<b>?q=ü {|}"`;
    const { url } = expectOk(await broker.ask('POST', '/v1/webhook-endpoints', { url: given }), 201);
    expect(url).toBe(`${receiver.url}${path}/%22%3Cb%3E?q=%C3%BC%20%7B%7C%7D%22`);
  });

  test('keeps what it answered, encrypted, for the log of deliveries', async () => {
    const { id, path, at } = await endpoint();
    receiver.answer(path, status(200, { 'content-type': 'text/plain' }, `thanks ${'é'.repeat(5_000)}`));
    expectOk(await broker.ask('POST', `${at}/test`), 202);
    await settled(id, { status: 'delivered', attempts: 1, last_status: 200, last_error: null, next_attempt_at: null });
    const [delivery] = await deliveriesOf(id);
    const detail = expectOk(await broker.ask('GET', `/v1/deliveries/${delivery!.id}`));
    expect(detail.last_response).toMatch(/^thanks é+/);
    expect(Buffer.byteLength(String(detail.last_response))).toBeLessThanOrEqual(4_098);
    expect(delivery).not.toHaveProperty('last_response');
    if (usesPostgres) return;
    const inside = new Database(broker.database, { readonly: true });
    const [row] = inside.prepare('select last_response from deliveries where id = ?').all(delivery!.id) as Json[];
    inside.close();
    expect(row?.last_response).toMatch(/^v\d\./);
  });

  test('belongs to its caller: others find none, admins all', async () => {
    const grant = { actions: ['events'], integrations: ['pay'], owners: ['*'] };
    const [mine, other, reader] = await Promise.all([
      broker.callerKey(grant),
      broker.callerKey(grant),
      broker.callerKey({ ...grant, actions: ['connections:read'] }),
    ]);
    const { id, at } = await endpoint({}, mine);
    expectOk(await broker.ask('GET', at, undefined, mine));
    expectOk(await broker.ask('GET', at));
    expectOk(await broker.ask('POST', `${at}/test`, undefined, mine), 202);
    const [delivery] = await vi.waitFor(async () => {
      const all = await deliveriesOf(id, mine);
      expect(all).toHaveLength(1);
      return all;
    }, PATIENT);
    const requests: [string, string, Json?][] = [
      ['GET', at],
      ['PATCH', at, { enabled: false }],
      ['DELETE', at],
      ['POST', `${at}/rotate-secret`],
      ['POST', `${at}/test`],
      ['POST', `${at}/replay`, { from: '2026-01-01T00:00:00Z' }],
      ['GET', `/v1/deliveries/${delivery!.id}`],
      ['POST', `/v1/deliveries/${delivery!.id}/retry`],
    ];
    for (const [method, path, body] of requests) {
      expectProblem(await broker.ask(method, path, body, other), 404, 'not_found');
      expectProblem(await broker.ask(method, path, body, reader), 403, 'forbidden');
    }
    expect(await deliveriesOf(id, other)).toEqual([]);
    expect(expectOk(await broker.ask('GET', '/v1/webhook-endpoints', undefined, other)).data).toEqual([]);
    for (const path of ['/v1/webhook-endpoints', '/v1/deliveries'])
      expectProblem(await broker.ask('GET', path, undefined, reader), 403, 'forbidden');
    const refused = await broker.ask('POST', '/v1/webhook-endpoints', { url: receiver.url }, reader);
    expectProblem(refused, 403, 'forbidden');
    const listed = expectOk(await broker.ask('GET', '/v1/webhook-endpoints')).data as Json[];
    expect(listed.map((one) => one.id)).toContain(id);
  });

  test('hears only what the grants of its caller and its own filters cover', async () => {
    const key = await broker.callerKey({ actions: ['events'], integrations: ['pay'], owners: ['team_*'] });
    const [all, revoked, mail] = [
      await endpoint({}, key),
      await endpoint({ types: ['connection.revoked'] }, key),
      await endpoint({ integrations: ['mail'] }),
    ];
    const { id: heard } = await connection('pay', 'team_a');
    await connection('pay', 'user_b');
    await connection('mail', 'team_a');
    await broker.ask('DELETE', `/v1/connections/${heard}`);
    await arrived(all.path, 2);
    await arrived(revoked.path, 1);
    await arrived(mail.path, 1);
    const about = ({ path }: { path: string }) =>
      receiver.at(path).map(({ event }) => (event.data.connection as Json).owner);
    expect(about(all)).toEqual(['team_a', 'team_a']);
    expect(about(revoked)).toEqual(['team_a']);
    expect(receiver.at(mail.path)[0]?.event.data.connection).toMatchObject({ integration: 'mail' });
  });

  test('shows its caller no event any more that the grants do not cover', async () => {
    const events = (owners: string[]) => ({ actions: ['events'], integrations: ['pay'], owners });
    const made = expectOk(
      await broker.ask('POST', '/v1/callers', { name: 'narrowed', grants: [events(['team_*'])] }),
      201,
    );
    const key = String(made.key);
    const { id, path } = await endpoint({}, key);
    receiver.answer(path, status(503));
    const { owner } = await connection('pay', 'team_c');
    await settled(id, { status: 'failing' });
    const [delivery] = await deliveriesOf(id, key);
    const at = `/v1/deliveries/${delivery!.id}`;
    const about = (event: unknown) => ((event as Json).data as Json).connection;
    expect(about(expectOk(await broker.ask('GET', at, undefined, key)).event)).toMatchObject({ owner });

    const narrower = { name: 'narrowed', grants: [events(['team_other'])] };
    expectOk(await broker.ask('PUT', `/v1/callers/${made.id}`, narrower));
    expectProblem(await broker.ask('GET', `/v1/events/${delivery!.event_id}`, undefined, key), 404, 'not_found');
    expect(expectOk(await broker.ask('GET', at, undefined, key))).toMatchObject({ id: delivery!.id, event: null });
    expect(about(expectOk(await broker.ask('GET', at)).event)).toMatchObject({ owner });
  });

  test('refuses URLs that may not be requested, and headers that are not its own', async () => {
    const post = (body: Json) => broker.ask('POST', '/v1/webhook-endpoints', body);
    for (const url of [
      'http://example.com/x',
      'https://10.0.0.1/x',
      'https://169.254.169.254/latest',
      'https://user:pw@example.com',
      'https://example.com/#part',
      'ftp://example.com',
    ])
      expectIssues(await post({ url }), 'url');
    const url = receiver.url;
    for (const name of ['webhook-id', 'Webhook-Signature', 'Host', 'content-length', 'a b', 'Content-Type'])
      expectIssues(await post({ url, headers: { [name]: 'x' } }), `headers.${name}`);
    expectIssues(await post({ url, headers: { 'x-a': 'a\r\nb: c' } }), 'headers.x-a');
    expectIssues(await post({ url, types: ['connection.unknown'] }), 'types.0');
    expectIssues(await post({ url, owners: ['a*b'] }), 'owners.0');
    expectIssues(await post({ url, secret: 'whsec_mine' }), 'secret');
    expectIssues(await post({}), 'url');
  });

  test('is signed with both secrets for a day after a rotation, then with the new one', async () => {
    const { secret: old, path, at } = await endpoint();
    const rotated = expectOk(await broker.ask('POST', `${at}/rotate-secret`));
    expect(Date.parse(String(rotated.previous_until)) - now()).toBeGreaterThan(24 * HOUR - 60_000);
    const ping = () => broker.ask('POST', `${at}/test`);
    await ping();
    const [both] = await arrived(path, 1);
    for (const secret of [old, String(rotated.secret)]) new Webhook(secret).verify(both!.body, both!.headers);

    advance(24 * HOUR + 1_000);
    await ping();
    const [, after] = await arrived(path, 2);
    await verifyWebhook(after!.headers, after!.body, String(rotated.secret), { now });
    await expect(verifyWebhook(after!.headers, after!.body, old, { now })).rejects.toThrow(/signature/i);
  });

  test('keeps the promise to each replaced secret when its secret is rotated again', async () => {
    const { secret: first, path, at } = await endpoint();
    const rotate = async () => String(expectOk(await broker.ask('POST', `${at}/rotate-secret`)).secret);
    const signing = async (count: number) => {
      await broker.ask('POST', `${at}/test`);
      const { body, headers } = (await arrived(path, count)).at(-1)!;
      const works = (secret: string) =>
        verifyWebhook(headers, body, secret, { now }).then(
          () => true,
          () => false,
        );
      return works;
    };
    const lost = await rotate();
    const second = await rotate();
    let works = await signing(1);
    expect(await Promise.all([first, lost, second].map(works))).toEqual([true, true, true]);

    advance(12 * HOUR);
    const third = await rotate();
    expectOk(await broker.ask('PATCH', at, { headers: { 'x-key': 'k' } }));
    works = await signing(2);
    expect(await Promise.all([first, lost, second, third].map(works))).toEqual([true, true, true, true]);

    advance(12 * HOUR + 1_000);
    works = await signing(3);
    expect(await Promise.all([first, lost, second, third].map(works))).toEqual([false, false, true, true]);

    // A client that repeats itself for long: what receivers have, and the latest.
    const many: string[] = [third];
    for (let i = 0; i < 10; i++) many.push(await rotate());
    works = await signing(4);
    const valid = await Promise.all([second, ...many].map(works));
    expect(valid).toEqual([true, false, false, false, ...Array.from({ length: 8 }, () => true)]);
  });

  test.skipIf(usesPostgres)('is sent nothing when its row was changed by something else than a broker', async () => {
    const { id, path, at } = await endpoint();
    const evil = `/evil-${path.slice(1)}`;
    const inside = new Database(broker.database);
    inside.prepare('update webhook_endpoints set url = ? where id = ?').run(receiver.url + evil, id);
    inside.close();
    await broker.ask('POST', `${at}/test`);
    await settled(id, { status: 'failing', last_error: 'not_authentic', last_status: null });
    expect(receiver.at(evil)).toEqual([]);
    expect(receiver.at(path)).toEqual([]);
  });

  test('goes on after its URL was changed by its caller, with the same secret', async () => {
    const { secret, at, path } = await endpoint({ headers: { 'x-key': 'k' } });
    const moved = `${path}/moved`;
    expectOk(await broker.ask('PATCH', at, { url: receiver.url + moved }));
    await broker.ask('POST', `${at}/test`);
    const [ping] = await arrived(moved, 1);
    expect(ping?.headers['x-key']).toBe('k');
    await verifyWebhook(ping!.headers, ping!.body, secret, { now });
    const audit = expectOk(await broker.ask('GET', '/v1/audit?action=webhook_endpoint.updated&limit=1')).data as Json[];
    expect(audit[0]).toMatchObject({ changed: ['url'] });
  });

  test('sends its headers to another origin only when they are given again', async () => {
    const { at } = await endpoint({ headers: { authorization: 'Bearer k' } });
    const url = receiver.url.replace(/\d+$/, (port) => String(Number(port) - 1));
    expectIssues(await broker.ask('PATCH', at, { url }), 'headers');
    expectIssues(await broker.ask('PATCH', at, { url: url.replace('http:', 'HTTP:'), enabled: true }), 'headers');
    expect((await broker.ask('GET', at)).body).not.toMatchObject({ url });
    for (const headers of [{ authorization: 'Bearer k' }, null])
      expect(expectOk(await broker.ask('PATCH', at, { url, headers }))).toMatchObject({ url });
    expectOk(await broker.ask('PATCH', at, { url: receiver.url }));
  });
});

function expectKeys(body: unknown): { keys: { x: string; kid: string }[] } {
  expect(body).toMatchObject({
    keys: [{ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig', kid: expect.stringMatching(/^sgk_/) }],
  });
  expect(JSON.stringify(body)).not.toContain('"d"');
  return body as ReturnType<typeof expectKeys>;
}
