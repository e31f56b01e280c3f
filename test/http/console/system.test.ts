// The console's view of keys and system: the deployment, long work, and who is signed in; by role.
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { type ConsoleBrowser, consoleBrowser, openLink } from '../../support/console-browser.ts';

const ROLES = ['viewer', 'operator', 'admin'] as const;
type Role = (typeof ROLES)[number];
const XSS = '<img src=x onerror=alert(1)>';
const PATIENT = { timeout: 30_000, interval: 50 };

describe('console: keys and system', () => {
  let broker: TestBroker;
  const browsers = {} as Record<Role, ConsoleBrowser>;
  const page = (role: Role, path = '') => browsers[role].get(`/console/system${path}`);

  async function signIn(role: Role, key?: string): Promise<{ browser: ConsoleBrowser; id: string }> {
    const browser = consoleBrowser(broker.url);
    const { url, id } = (await broker.ask('POST', '/v1/console-links', { role }, key)).body;
    await openLink(browser, url);
    return { browser, id: String(id) };
  }

  beforeAll(async () => {
    broker = await startTestBroker({}, undefined, { jobsEveryMs: 50 });
    for (const role of ROLES) browsers[role] = (await signIn(role)).browser;
  });
  afterAll(() => broker?.stop());

  it('says how the deployment is, and which key does what', async () => {
    const { text, html, status } = await page('viewer');
    expect(status).toBe(200);
    for (const words of [
      'All is well',
      'Replicas alive 1',
      'takes writes',
      'whole at its end',
      'encrypts',
      'nothing waits',
    ])
      expect(text).toContain(words);
    expect(text).toContain('No key signs deliveries yet: the first one is made when an event is delivered.');
    expect(text).toContain('No long work has been started.');
    expect(html.match(/method="post"/g)).toHaveLength(1);
    expect(html).not.toContain(broker.adminKey);
    await expect.poll(async () => (await page('viewer')).text, PATIENT).toMatch(/Counted .*, over all tables/);
    // No integration has a client secret yet, and no owner has connected.
    expect((await page('viewer')).text).toMatch(/encrypts \d+ /);
  });

  it('lists who is signed in; an admin ends a session, and no one else', async () => {
    const caller = { name: XSS, grants: [{ actions: ['*'], integrations: ['*'], owners: ['*'] }] };
    const { key } = (await broker.ask('POST', '/v1/callers', caller)).body;
    const { browser, id } = await signIn('viewer', String(key));
    const admin = await page('admin');
    expect(admin.html).toContain(`/sessions/${id}/end`);
    expect(admin.html).toContain('&lt;img src=x onerror=alert(1)&gt;');
    expect(admin.html).not.toContain(XSS);
    expect(admin.text).toContain('yours');
    for (const role of ['viewer', 'operator'] as const) {
      expect((await page(role)).html).not.toContain('/sessions/');
      const refused = await browsers[role].post(`/console/system/sessions/${id}/end`);
      expect([refused.status, refused.text.includes('not valid any more')]).toEqual([403, false]);
    }
    const elsewhere = { 'sec-fetch-site': 'cross-site' };
    expect((await browsers.admin.post(`/console/system/sessions/${id}/end`, {}, elsewhere)).status).toBe(403);
    expect((await browser.get('/console')).url.pathname).toBe('/console');

    await page('admin');
    const ended = await browsers.admin.post(`/console/system/sessions/${id}/end`);
    expect([ended.url.pathname, ended.text.includes('The session was ended.')]).toEqual(['/console/system', true]);
    expect((await browser.get('/console')).url.pathname).toBe('/console/sign-in');
    expect((await browsers.admin.post(`/console/system/sessions/${id}/end`)).status).toBe(404);
  });

  it('an admin rotates the keys as a job that is found again', async () => {
    await page('operator');
    expect((await browsers.operator.post('/console/system/rotate-keys', { confirmation: 'rotate' })).status).toBe(403);
    await page('admin');
    expect((await browsers.admin.post('/console/system/rotate-keys', { confirmation: '' })).status).toBe(400);
    const started = await browsers.admin.post('/console/system/rotate-keys', { confirmation: 'rotate' });
    expect(started.text).toContain('It was started.');
    const path = started.url.pathname;
    await vi.waitFor(async () => {
      const job = await browsers.viewer.get(path);
      expect(job.text).toContain('completed');
      expect(job.text).toMatch(/remaining 0/);
    }, PATIENT);
    const list = await page('viewer');
    expect(list.html).toContain(path);
    expect((await browsers.viewer.get(path)).html.match(/method="post"/g)).toHaveLength(1);
  });

  it('hostile addresses are answered', async () => {
    for (const text of [XSS, '%00', 'x'.repeat(5_000)].map(encodeURIComponent))
      for (const path of [`?done=${text}`, `/jobs/${text}`, `/jobs/job_0?done=${text}`, `/sessions/${text}/end`]) {
        const shown = await page('admin', path);
        expect([path, shown.status < 500, shown.html.includes(XSS)]).toEqual([path, true, false]);
      }
  });
});
