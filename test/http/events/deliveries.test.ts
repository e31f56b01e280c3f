// Deliveries: the schedule of retries by the clock, what disables an endpoint, order, replay, and that no endpoint delays
// another.
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { DELIVERY_RETRIES_MS } from '../../../src/domain/time-limits.ts';
import type { Json } from '../../support/broker.ts';
import { expectOk } from '../../support/contract.ts';
import { PATIENT, startEventDelivery, type TestEndpoint } from '../../support/event-delivery.ts';
import { status } from '../../support/webhook-receiver.ts';

const DAY = 86_400_000;
const { broker, receiver, now, advance, endpoint, arrived, ...setup } = await startEventDelivery(['pay']);
/** Due deliveries are not looked for while it runs. */
const unpolled = await startEventDelivery([], DAY);

beforeAll(async () => {
  // The first one loads the outbound client.
  const first = await endpoint();
  await ping(first);
  await arrived(first.path, 1);
});

const ping = async ({ at }: TestEndpoint) => String(expectOk(await broker.ask('POST', `${at}/test`), 202).event_id);
const connection = async (owner?: string) => (await setup.connection('pay', owner)).id;
const deliveriesOf = ({ id }: TestEndpoint) => setup.deliveriesOf(id);
const shown = (one: TestEndpoint, expected: Json) =>
  vi.waitFor(async () => {
    const [delivery] = await deliveriesOf(one);
    expect(delivery).toMatchObject(expected);
    return delivery!;
  }, PATIENT);
/** Seconds until the next attempt. */
const waitOf = ({ next_attempt_at, last_attempt_at }: Json) =>
  Date.parse(String(next_attempt_at)) - Date.parse(String(last_attempt_at));
/** The delivery after its next attempt. While that is under way, it is due again when the claim ends. */
async function attempted(one: TestEndpoint, attempts: number, before: Json | undefined): Promise<Json> {
  const { last_attempt_at } = before ?? { last_attempt_at: null };
  return vi.waitFor(async () => {
    const [delivery] = await deliveriesOf(one);
    expect(delivery).toMatchObject({ status: 'failing', attempts });
    expect(delivery!.last_attempt_at).not.toBe(last_attempt_at);
    return delivery!;
  }, PATIENT);
}
function expectWait(delivery: Json, least: number, most: number): void {
  expect(waitOf(delivery)).toBeGreaterThanOrEqual(least - 1);
  expect(waitOf(delivery)).toBeLessThanOrEqual(most + 3_000);
}
const untilNext = ({ next_attempt_at }: Json) => {
  advance(Math.max(0, Date.parse(String(next_attempt_at)) - now()));
};

describe('a delivery', () => {
  test('is attempted ten times, by the schedule, under one id; then it is dead, and can be retried', async () => {
    const target = await endpoint();
    receiver.answer(target.path, status(503, {}, 'down'));
    const event = await ping(target);
    let delivery: Json | undefined;
    for (const [i, wait] of DELIVERY_RETRIES_MS.entries()) {
      delivery = await attempted(target, i + 1, delivery);
      expectWait(delivery, 0.8 * wait, 1.2 * wait);
      expect(receiver.at(target.path)).toHaveLength(i + 1);
      untilNext(delivery);
    }
    const dead = await shown(target, { status: 'dead', attempts: 10, next_attempt_at: null, last_error: 'status_503' });
    const attempts = receiver.at(target.path);
    expect(new Set(attempts.map(({ id }) => id))).toEqual(new Set([event]));
    expect(new Set(attempts.map(({ body }) => body)).size).toBe(1);
    expect(new Set(attempts.map(({ headers }) => headers['webhook-timestamp'])).size).toBe(10);

    receiver.answer(target.path, status(204));
    expectOk(await broker.ask('POST', `/v1/deliveries/${dead.id}/retry`), 202);
    await shown(target, { status: 'delivered', last_status: 204 });
    expect((await arrived(target.path, 11)).at(-1)?.id).toBe(event);
  });

  test('waits as Retry-After asks, up to a day, and a minute after 429', async () => {
    const target = await endpoint();
    const answers: [number, Record<string, string>, number, number][] = [
      [503, { 'retry-after': '3600' }, 3_600, 3_600],
      [429, {}, 240, 360],
      [503, { 'retry-after': '900000' }, 86_400, 86_400],
    ];
    const [first] = answers;
    receiver.answer(target.path, status(first![0], first![1]));
    await ping(target);
    let delivery: Json | undefined;
    for (const [i, [, , least, most]] of answers.entries()) {
      delivery = await attempted(target, i + 1, delivery);
      expectWait(delivery, least * 1_000, most * 1_000);
      const next = answers[i + 1];
      if (next) receiver.answer(target.path, status(next[0], next[1]));
      untilNext(delivery);
    }
  });

  test('follows no redirect, and fails when the connection breaks', async () => {
    const [redirecting, broken] = [await endpoint(), await endpoint()];
    receiver.answer(redirecting.path, status(307, { location: `${receiver.url}/elsewhere` }));
    receiver.answer(broken.path, (response) => response.socket?.destroy());
    await Promise.all([ping(redirecting), ping(broken)]);
    await shown(redirecting, { status: 'failing', last_error: 'redirect', last_status: 307 });
    await shown(broken, { status: 'failing', last_error: 'network', last_status: null });
    expect(receiver.at('/elsewhere')).toEqual([]);
  });
});

describe('an endpoint', () => {
  test('that answers 410 is disabled at once; others of its caller are told; PATCH starts it again', async () => {
    const [gone, other] = [await endpoint(), await endpoint({ types: ['webhook_endpoint.disabled'] })];
    receiver.answer(gone.path, status(410));
    await ping(gone);
    const [told] = await arrived(other.path, 1);
    expect(told?.event).toMatchObject({
      type: 'webhook_endpoint.disabled',
      data: { event_id: told?.id, endpoint: { id: gone.id, url: receiver.url + gone.path, disabled_reason: 'gone' } },
    });
    expect(expectOk(await broker.ask('GET', gone.at))).toMatchObject({ enabled: false, disabled_reason: 'gone' });
    const audit = expectOk(await broker.ask('GET', '/v1/audit?action=webhook_endpoint.disabled&limit=1'))
      .data as Json[];
    expect(audit[0]).toMatchObject({ actor: 'system', detail: `${gone.id} gone` });
    expect((await broker.ask('POST', `${gone.at}/test`)).status).toBe(400);

    const before = receiver.at(gone.path).length;
    receiver.answer(gone.path, status(204));
    advance(10_000);
    expectOk(await broker.ask('PATCH', gone.at, { enabled: true }));
    await shown(gone, { status: 'delivered' });
    expect(receiver.at(gone.path).length).toBe(before + 1);
    const metrics = await (await fetch(new URL('/metrics', broker.url))).text();
    expect(metrics).toMatch(/valetkey_webhook_endpoints_disabled_total\{reason="gone"\} 1/);
    expect(metrics).toMatch(/valetkey_deliveries_total\{outcome="delivered"\} [1-9]/);
  });

  test('that only fails is disabled after five days, and not when it has succeeded meanwhile', async () => {
    const [failing, recovering] = [await endpoint(), await endpoint()];
    receiver.answer(failing.path, status(500));
    receiver.answer(recovering.path, status(500));
    await Promise.all([ping(failing), ping(recovering)]);
    const [first] = await Promise.all([
      shown(failing, { status: 'failing' }),
      shown(recovering, { status: 'failing' }),
    ]);
    receiver.answer(recovering.path, status(204));
    advance(6_000 + 10 * 60_000);
    await shown(recovering, { status: 'delivered' });
    const second = await attempted(failing, 2, first);
    receiver.answer(recovering.path, status(500));

    advance(DAY);
    await Promise.all([attempted(failing, 3, second), ping(recovering)]);
    advance(4 * DAY);
    await Promise.all([ping(failing), ping(recovering)]);
    await vi.waitFor(
      async () => expect(expectOk(await broker.ask('GET', failing.at))).toMatchObject({ disabled_reason: 'failing' }),
      PATIENT,
    );
    await shown(recovering, { status: 'failing' });
    expect(expectOk(await broker.ask('GET', recovering.at))).toMatchObject({ enabled: true, disabled_reason: null });
  });

  test('that is ordered gets the events of a connection one after the other, and others beside', async () => {
    const target = await endpoint({ ordered: true });
    const first: { held: () => void } = { held: () => undefined };
    receiver.answer(target.path, (response) => {
      first.held = () => response.writeHead(500).end();
      receiver.answer(target.path, status(204));
    });
    const slow = await connection();
    await arrived(target.path, 1);
    await broker.ask('DELETE', `/v1/connections/${slow}`);
    first.held();
    const other = await connection();
    await vi.waitFor(() => expect(typesOf(other)).toEqual(['connection.created']), PATIENT);
    await vi.waitFor(
      async () =>
        expect(
          (await deliveriesOf(target)).find((one) => one.attempts === 1 && one.status === 'failing'),
        ).toBeDefined(),
      PATIENT,
    );
    expect(typesOf(slow)).toEqual(['connection.created']);
    advance(7_000);
    await vi.waitFor(
      () => expect(typesOf(slow)).toEqual(['connection.created', 'connection.created', 'connection.revoked']),
      PATIENT,
    );
    function typesOf(id: string) {
      const mine = receiver.at(target.path).filter(({ event }) => (event.data.connection as Json)?.id === id);
      return mine.map(({ event }) => event.type);
    }
  });

  test('is replayed what it has missed, or what has a status, each event under its id', async () => {
    const target = await endpoint({ owners: ['replayed_*'] });
    receiver.answer(target.path, status(400));
    const from = new Date(now() - 1_000).toISOString();
    await Promise.all([connection('replayed_a'), connection('replayed_b')]);
    await arrived(target.path, 2);
    await vi.waitFor(
      async () => expect((await deliveriesOf(target)).map((one) => one.status)).toEqual(['failing', 'failing']),
      PATIENT,
    );
    receiver.answer(target.path, status(204));
    const replay = (body: Json) => broker.ask('POST', `${target.at}/replay`, body);
    expect(expectOk(await replay({ from, to: from }), 202)).toEqual({ deliveries: 0 });
    expect(expectOk(await replay({ from }), 202)).toEqual({ deliveries: 2 });
    const [a, b, again, andAgain] = (await arrived(target.path, 4)).map(({ id }) => id);
    expect(new Set([again, andAgain])).toEqual(new Set([a, b]));
    await vi.waitFor(
      async () => expect((await deliveriesOf(target)).map((one) => one.status)).toEqual(['delivered', 'delivered']),
      PATIENT,
    );
    expect(expectOk(await replay({ from }), 202)).toEqual({ deliveries: 0 });
    expect(expectOk(await replay({ from, status: 'delivered' }), 202)).toEqual({ deliveries: 2 });
    await arrived(target.path, 6);
  });

  test('whose caller has no valid key is sent nothing until it has one; what happened meanwhile waits', async () => {
    const grants = [{ actions: ['events'], integrations: ['*'], owners: ['*'] }];
    const key_expires_at = new Date(now() + DAY).toISOString();
    const made = expectOk(await broker.ask('POST', '/v1/callers', { name: 'expiring', grants, key_expires_at }), 201);
    const key = String(made.key);
    const settings = { types: ['connection.created'] };
    const [silent, heard] = [await endpoint(settings, key), await endpoint(settings)];
    await connection();
    await arrived(silent.path, 1);
    advance(2 * DAY);
    await connection();
    await arrived(heard.path, 2);
    // Looked for again, after the other's was sent.
    await connection();
    await arrived(heard.path, 3);
    const waiting = (await deliveriesOf(silent)).map((one) => [one.status, one.attempts]);
    expect(waiting.filter(([name]) => name !== 'delivered')).toEqual([
      ['pending', 0],
      ['pending', 0],
    ]);
    expect(receiver.at(silent.path)).toHaveLength(1);
    expectOk(await broker.ask('POST', `/v1/callers/${made.id}/keys`, {}), 201);
    await arrived(silent.path, 3);
  });

  test('that hangs delays no other', async () => {
    const hanging = await Promise.all(Array.from({ length: 30 }, () => endpoint({ types: ['test.ping'] })));
    let [open, ended] = [0, 0];
    for (const one of hanging) {
      receiver.answer(one.path, (response) => {
        open++;
        response.once('close', () => ended++);
      });
      await Promise.all([ping(one), ping(one), ping(one)]);
    }
    await vi.waitFor(() => expect(open).toBe(30), PATIENT);
    const fast = await endpoint({ types: ['connection.created'] });
    for (let i = 1; i <= 20; i++) {
      await connection();
      await arrived(fast.path, i);
    }
    expect(ended, 'none was waited for').toBe(0);
    // One that has not answered yet holds one attempt.
    expect(hanging.map(({ path }) => receiver.at(path).length)).toEqual(hanging.map(() => 1));
  });
});

test('a delivery begins with the commit, and not when due ones are looked for', async () => {
  const { path, at } = await unpolled.endpoint({ types: ['test.ping'] });
  for (let i = 1; i <= 3; i++) {
    expectOk(await unpolled.broker.ask('POST', `${at}/test`), 202);
    await unpolled.arrived(path, i);
  }
});
