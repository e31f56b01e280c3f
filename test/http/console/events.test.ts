// The console's view of events and webhooks: endpoints, deliveries and what was received, by role.
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type ConsoleBrowser, consoleBrowser, openLink } from '../../support/console-browser.ts';
import { expectOk } from '../../support/contract.ts';
import { startWebhookReceiver, status, type WebhookReceiver } from '../../support/webhook-receiver.ts';
import { SECRET, startTeamSetup, type TeamSetup } from '../../support/webhook-sender.ts';

const CANARY = 'canary-c4a1e2-secret';
const XSS = '<img src=x onerror=alert(1)>';
const ESCAPED = '&lt;img src=x onerror=alert(1)&gt;';
const ROLES = ['viewer', 'operator', 'admin'] as const;
type Role = (typeof ROLES)[number];
const PATIENT = { timeout: 30_000, interval: 50 };

describe('console: events and webhooks', () => {
  let team: TeamSetup;
  let receiver: WebhookReceiver;
  let endpoint: { id: string; secret: string };
  const browsers = {} as Record<Role, ConsoleBrowser>;
  const seen: string[] = [];

  const broker = () => team.broker;
  const get = async (role: Role, path: string) => {
    const page = await browsers[role].get(`/console${path}`);
    seen.push(page.html);
    return page;
  };
  /** From the page whose form it is. */
  const post = async (role: Role, path: string, fields: Record<string, string> = {}) => {
    const page = await browsers[role].post(`/console${path}`, fields);
    seen.push(page.html);
    return page;
  };
  const at = (rest = '') => `/events/endpoints/${endpoint.id}${rest}`;
  const stored = async () => (await broker().ask('GET', `/v1/webhook-endpoints/${endpoint.id}`)).body;

  beforeAll(async () => {
    team = await startTeamSetup();
    receiver = await startWebhookReceiver();
    for (const role of ROLES) {
      browsers[role] = consoleBrowser(broker().url);
      const { url } = (await broker().ask('POST', '/v1/console-links', { role })).body;
      await openLink(browsers[role], url);
    }
  });
  afterAll(async () => {
    await receiver?.close();
    await team?.close();
  });

  it('says what to do while there is nothing', async () => {
    expect((await get('viewer', '/events')).text).toContain('A caller creates one with its own key');
    expect((await get('viewer', '/events/deliveries')).text).toContain('Nothing has been sent yet.');
    expect((await get('viewer', '/events/received')).text).toContain('Nothing has been received yet.');
    expect((await get('viewer', '/events/received?status=dead')).text).toContain(
      'Nothing that was received is like that.',
    );
  });

  it('shows an endpoint, its deliveries with their answers, and sends one again', async () => {
    receiver.answer('/hook', status(503, {}, `${XSS} try later`));
    const settings = { url: `${receiver.url}/hook`, description: XSS, headers: { 'x-key': CANARY } };
    endpoint = expectOk(await broker().ask('POST', '/v1/webhook-endpoints', settings), 201) as typeof endpoint;
    const list = await get('viewer', '/events');
    expect(list.html).toContain(ESCAPED);
    expect(list.html).toContain(`/console/events/endpoints/${endpoint.id}`);

    await get('operator', at());
    const tested = await post('operator', at('/test'));
    expect([tested.url.pathname, tested.url.search.includes('event=msg_')]).toEqual([
      '/console/events/deliveries',
      true,
    ]);
    expect(tested.text).toContain('A test event is on its way.');
    await vi.waitFor(async () => {
      const page = await get('viewer', at());
      expect(page.text).toContain('failing, will be retried');
      expect(page.text).toContain('answered 503');
      expect(page.text).toContain('Every attempt has failed, the first one');
    }, PATIENT);
    const failing = await get('viewer', at('?status=failing'));
    const id = /deliveries\/(dlv_[0-9a-z]+)"/.exec(failing.html)![1]!;
    expect((await get('viewer', at('?status=dead'))).text).toContain('No delivery to it is in this state.');

    const delivery = await get('operator', `/events/deliveries/${id}`);
    expect(delivery.text).toContain('It has failed so far: answered 503.');
    expect(delivery.text).toContain('test.ping');
    expect(delivery.html).toContain(`${ESCAPED} try later`);
    receiver.answer('/hook', status(200, {}, 'thank you'));
    const retried = await post('operator', `/events/deliveries/${id}/retry`);
    expect(retried.text).toContain('The delivery is due now.');
    await vi.waitFor(async () => {
      const page = await get('viewer', `/events/deliveries/${id}`);
      expect(page.text).toContain('It was delivered, after');
      expect(page.text).toContain('thank you');
    }, PATIENT);
    expect((await get('viewer', '/events/deliveries?status=delivered')).html).toContain(id);
    expect((await get('viewer', `/events/deliveries?endpoint=${endpoint.id}&status=dead`)).text).toContain(
      'No delivery is like that.',
    );
  });

  it('sends the events of a time range again', async () => {
    const before = receiver.at('/hook').length;
    await get('operator', at());
    const range = { from: '2020-01-01T00:00', to: '', status: 'delivered' };
    const replayed = await post('operator', at('/replay'), range);
    expect([
      replayed.url.pathname.startsWith('/console/system/jobs/job_'),
      replayed.text.includes('It was started.'),
    ]).toEqual([true, true]);
    await vi.waitFor(() => expect(receiver.at('/hook')).toHaveLength(before + 1), PATIENT);
    for (const [from, to] of [
      ['', ''],
      ['yesterday', ''],
      ['2020-01-02T00:00', '2020-01-01T00:00'],
      ['2999-01-01T00:00', ''],
      ['2020-13-45T99:99', ''],
    ] as const)
      expect((await post('operator', at('/replay'), { from, to })).status).toBe(400);
  });

  it('an admin disables, enables and rotates; the new secret is shown once', async () => {
    await get('admin', at());
    expect((await post('admin', at('/disable'))).text).toContain('Nothing is sent to it from now on.');
    expect((await get('admin', at())).text).toContain('It was disabled by its caller or an admin.');
    expect((await post('operator', at('/test'))).status).toBe(400);
    await get('admin', at());
    expect((await post('admin', at('/enable'))).text).toContain('The endpoint is enabled.');
    expect(await stored()).toMatchObject({ enabled: true });

    expect((await post('admin', at('/rotate-secret'))).text).toContain(`to confirm, type exactly ${endpoint.id}`);
    const rotated = await browsers.admin.post(`/console${at('/rotate-secret')}`, { confirmation: endpoint.id });
    const secret = /whsec_[A-Za-z0-9+/=]+/.exec(rotated.html)![0];
    expect(secret).not.toBe(endpoint.secret);
    expect(rotated.headers.get('cache-control')).toBe('no-store');
    const page = await get('admin', at());
    expect(page.text).toContain('so does the one before');
    expect(seen.join()).not.toContain(secret.slice(6, 30));
  });

  it('shows what was received, what was refused and why, and processes one again', async () => {
    const event = { id: `Ev-${XSS}`, type: 'message', team: 'T404', text: CANARY };
    expect((await team.send(event)).status).toBe(200);
    const webhook = await vi.waitFor(async () => {
      const { data } = (await broker().ask('GET', '/v1/webhooks?status=unmatched')).body as { data: { id: string }[] };
      expect(data).toHaveLength(1);
      return data[0]!.id;
    }, PATIENT);
    await team.send({ id: 'Ev2' }, { headers: { 'x-team-signature': 'v0=00' } });
    const list = await vi.waitFor(async () => {
      const page = await get('viewer', '/events/received');
      expect(page.text).toContain('Refused, by reason');
      return page;
    }, PATIENT);
    expect(list.text).toContain('no connection');
    expect(list.html).not.toContain(`received/${webhook}`);
    expect((await get('viewer', `/events/received/${webhook}`)).status).toBe(404);
    expect((await get('viewer', '/events/received?status=refused&integration=team')).text).toContain('refused');

    const page = await browsers.operator.get(`/console/events/received/${webhook}`);
    expect(page.text).toContain('No connection fits it.');
    expect(page.html).toContain('&lt;img src=x');
    expect(page.html).toContain(CANARY);
    expect(page.html).not.toContain(XSS);
    await team.connect('ada', 'T404');
    const processed = await browsers.operator.post(`/console/events/received/${webhook}/process`);
    expect(processed.text).toContain('It is processed again.');
    await vi.waitFor(async () => {
      expect((await get('viewer', '/events/received?status=located')).text).toContain('located');
      expect((await browsers.operator.get(`/console/events/received/${webhook}`)).text).toContain(
        'about one connection',
      );
    }, PATIENT);
  });

  it('what third parties have sent is hidden from viewers where it was handed on, too', async () => {
    const id = await vi.waitFor(async () => {
      const { data } = (await broker().ask('GET', `/v1/deliveries?endpoint=${endpoint.id}`)).body as {
        data: { id: string; status: string }[];
      };
      for (const one of data) {
        const { body } = await broker().ask('GET', `/v1/deliveries/${one.id}`);
        if ((body.event as { type: string }).type === 'webhook.received') return one.id;
      }
      throw new Error('not handed on yet');
    }, PATIENT);
    expect((await get('viewer', `/events/deliveries/${id}`)).text).toContain('which your role does not show');
    expect((await browsers.operator.get(`/console/events/deliveries/${id}`)).html).toContain(CANARY);
    for (const [actions, isShown] of [
      [['admin:read'], false],
      [['admin:read', 'webhooks'], true],
    ] as const) {
      const { body } = await broker().ask(
        'GET',
        `/v1/deliveries/${id}`,
        undefined,
        await broker().callerKey({ actions: [...actions] }),
      );
      expect([body.id, body.event !== null]).toEqual([id, isShown]);
    }
  });

  it('a role is offered what it may do, and refused the rest', async () => {
    const [viewer, operator, admin] = await Promise.all(ROLES.map((role) => get(role, at())));
    expect(viewer!.html.match(/method="post"/g)).toHaveLength(1);
    expect(operator!.html).toContain('/replay');
    expect(operator!.html).not.toContain('/rotate-secret');
    expect(admin!.html).toContain('/rotate-secret');
    for (const path of ['/events', '/events/deliveries', '/events/received'])
      expect((await get('viewer', path)).html.match(/method="post"/g)).toHaveLength(1);
    const confirmed = { confirmation: endpoint.id, from: '2020-01-01T00:00' };
    const all = ['enable', 'disable', 'rotate-secret', 'delete'];
    for (const [role, action] of [
      ...['test', 'replay', ...all].map((one) => ['viewer', one] as const),
      ...all.map((one) => ['operator', one] as const),
    ]) {
      const refused = await post(role, at(`/${action}`), confirmed);
      // The role is judged before what was sent; for who may not manage it, it does not exist.
      const isJudged = role === 'viewer' || action === 'rotate-secret' || action === 'delete';
      expect([action, refused.status]).toEqual([action, isJudged ? 403 : 404]);
      expect(refused.text).not.toContain('not valid any more');
    }
    for (const [path, from] of [
      [at('/disable'), 'cross-site'],
      [at('/delete'), 'same-site'],
    ] as const) {
      const refused = await browsers.admin.post(`/console${path}`, confirmed, { 'sec-fetch-site': from });
      expect(refused.status).toBe(403);
    }
    expect(await stored()).toMatchObject({ enabled: true });
  });

  it('hostile addresses are answered, and nothing of them is shown as markup', async () => {
    const hostile = [XSS, '%00', "'; drop table deliveries; --", 'x'.repeat(5_000), '../../etc', '\u{1f600}'];
    for (const text of hostile.map(encodeURIComponent))
      for (const path of [
        `/events?cursor=${text}`,
        `/events/deliveries?status=${text}&endpoint=${text}&event=${text}`,
        `/events/deliveries?cursor=${text}`,
        `/events/deliveries/${text}`,
        `/events/endpoints/${text}`,
        `/events/endpoints/${endpoint.id}?status=${text}&done=${text}`,
        `/events/received?status=${text}&integration=${text}&connection=${text}`,
        `/events/received/${text}`,
      ]) {
        const page = await get('admin', path);
        expect([path, page.status < 500]).toEqual([path, true]);
        expect(page.html).not.toContain(XSS);
      }
  });

  it('deletes one that was confirmed; no page has shown a secret', async () => {
    await get('admin', at());
    expect((await post('admin', at('/delete'), { confirmation: 'something else' })).status).toBe(400);
    const deleted = await post('admin', at('/delete'), { confirmation: endpoint.id });
    expect([deleted.url.pathname, deleted.text.includes('The endpoint was deleted')]).toEqual([
      '/console/events',
      true,
    ]);
    expect((await get('viewer', at())).status).toBe(404);
    const all = seen.join();
    for (const secret of [endpoint.secret.slice(6), SECRET, CANARY, team.broker.adminKey])
      expect(all).not.toContain(secret);
    expect(all).not.toContain(XSS);
  });
});
