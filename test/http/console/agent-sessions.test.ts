// The console's view of agent sessions: what each role sees and may end.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { type ConsoleBrowser, consoleBrowser, openLink } from '../../support/console-browser.ts';
import { expectOk, expectProblem } from '../../support/contract.ts';

const ROLES = ['viewer', 'operator'] as const;
const XSS = '<img src=x onerror=alert(1)>';

describe('console: agent sessions', () => {
  let broker: TestBroker;
  const browsers = {} as Record<(typeof ROLES)[number], ConsoleBrowser>;
  beforeAll(async () => {
    broker = await startTestBroker();
    const params = { authorization_url: 'http://localhost/a', token_url: 'http://localhost/t' };
    const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
    expectOk(await broker.ask('PUT', '/v1/integrations/acme', setup), 201);
    for (const role of ROLES) {
      browsers[role] = consoleBrowser(broker.url);
      await openLink(browsers[role], (await broker.ask('POST', '/v1/console-links', { role })).body.url);
    }
  });
  afterAll(() => broker?.stop());

  const made = async (owner: string, more: object = {}, key?: string) => {
    const wanted = {
      owner,
      integrations: ['acme'],
      actions: ['proxy'],
      purpose: XSS,
      actor: { id: 'a1', name: 'Agent One' },
    };
    return expectOk(await broker.ask('POST', '/v1/sessions', { ...wanted, ...more }, key), 201);
  };
  const page = (role: (typeof ROLES)[number], query = '') => browsers[role].get(`/console/sessions${query}`);
  const isOver = async ({ token }: Record<string, unknown>) =>
    void expectProblem(await broker.ask('GET', '/v1/whoami', undefined, String(token)), 401, 'unauthenticated');

  it('says who acts for whom and why; an operator ends one, and all of an owner, and a viewer none', async () => {
    expect((await page('viewer')).text).toContain('no agent has a session now');
    const [one, two, other] = [
      await made('ada', { max_uses: 5 }),
      await made('ada', { methods: ['GET'] }),
      await made('alan'),
    ];
    const seen = await page('viewer');
    for (const words of ['Agent One', 'proxy at acme', '0 of 5 uses', 'the admin key', 'active'])
      expect(seen.text).toContain(words);
    expect(seen.html).not.toContain(XSS);
    for (const { token } of [one, two, other]) expect(seen.html).not.toContain(String(token));
    expect(seen.html).not.toContain('/end"');
    expect((await browsers.viewer.post(`/console/sessions/${one.id}/end`)).status).toBe(403);
    const filtered = await page('operator', '?owner=alan');
    expect([filtered.text.includes('alan'), filtered.text.includes(' ada ')]).toEqual([true, false]);

    expect((await page('operator')).html).toContain(`/console/sessions/${one.id}/end`);
    expect((await browsers.operator.post(`/console/sessions/${one.id}/end`)).text).toContain('The session was ended');
    await isOver(one);
    expect((await page('operator', '?owner=ada')).text).toContain('End all sessions of ada');
    expect((await browsers.operator.post('/console/sessions/end', { owner: 'ada' })).text).toContain(
      'All sessions of this owner',
    );
    await isOver(two);
    expect((await page('viewer')).text).toContain('alan');
    expect((await page('viewer', '?status=all')).text).toContain('ended');
    const { text } = await browsers.viewer.get(`/console/audit?session=${one.id}`);
    for (const words of ['session.created', 'session.ended', 'agent Agent One']) expect(text).toContain(words);
  });

  it('names the caller that made one', async () => {
    const grants = [{ actions: ['sessions', 'proxy'], integrations: ['acme'], owners: ['*'] }];
    const caller = expectOk(await broker.ask('POST', '/v1/callers', { name: 'The assistant', grants }), 201);
    await made('grace', {}, String(caller.key));
    const { html, text } = await page('viewer', '?owner=grace');
    expect(text).toContain('by The assistant');
    expect(text).not.toContain(String(caller.id));
    expect(html).toContain(`href="/console/callers/${caller.id}"`);
  });
});
