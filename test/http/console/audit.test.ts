// The audit log in the console: filters, links of requests, and the download.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditLog, Call } from '../../../src/broker/audit/index.ts';
import { exportedEntries } from '../../../src/http/console/views/audit/audit-export.ts';
import { anEntry } from '../../stores/builders.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { type ConsoleBrowser, consoleBrowser, openLink } from '../../support/console-browser.ts';

const XSS = '"><script>alert(1)</script>';

describe('console: audit log', () => {
  let broker: TestBroker;
  let viewer: ConsoleBrowser;
  beforeAll(async () => {
    broker = await startTestBroker();
    viewer = consoleBrowser(broker.url);
    await openLink(viewer, (await broker.ask('POST', '/v1/console-links', { role: 'viewer' })).body.url);
    for (const name of [`mailer ${XSS}`, 'other'])
      await broker.ask('POST', '/v1/callers', {
        name,
        grants: [{ actions: ['token'], integrations: ['*'], owners: ['*'] }],
      });
    const setup = { provider: 'slack', client_id: '1', client_secret: 'canary-of-the-audit-log' };
    for (const id of ['chat', 'mail']) await broker.ask('PUT', `/v1/integrations/${id}`, setup);
    const key = await broker.callerKey({ integrations: ['none'] });
    await broker.ask(
      'GET',
      `/v1/token?${new URLSearchParams({ integration: 'none', owner: XSS.replace('*', '') })}`,
      undefined,
      key,
    );
  });
  afterAll(() => broker?.stop());
  const list = (query: Record<string, string> = {}) => viewer.get(`/console/audit?${new URLSearchParams(query)}`);
  const rowsOf = (html: string) => html.split('<tbody>')[1]?.match(/<tr>/g)?.length ?? 0;

  it('lists what happened, for a viewer, without forms but filters, and without what others wrote as markup', async () => {
    const page = await list();
    for (const text of ['integration.put', 'caller.created', 'console_session.opened'])
      expect(page.text).toContain(text);
    expect(page.html.match(/method="post"/g)).toHaveLength(1);
    expect(page.html).not.toContain('<script>alert');
    expect(page.html).not.toContain('canary-of-the-audit-log');
  });

  it('filters by everything that the API filters by', async () => {
    expect(rowsOf((await list({ integration: 'chat', action: 'integration.put' })).html)).toBe(1);
    expect(rowsOf((await list({ action: 'integration.put' })).html)).toBe(2);
    expect(
      rowsOf((await list({ action: 'integration.put', from: '2001-01-01T00:00', to: '2001-01-02T00:00' })).html),
    ).toBe(0);
    expect((await list({ outcome: 'failed', actor: 'clr_none' })).text).toContain('No entry fits.');
    const [put] = (await broker.ask('GET', '/v1/audit?integration=chat&limit=1')).body.data as Record<string, string>[];
    const page = await list({ integration: 'chat' });
    const link = /href="([^"]*request_id=[^"]*)"/.exec(page.html)![1]!.replaceAll('&amp;', '&');
    expect(link).toContain(`request_id=${put!.request_id}`);
    const ofRequest = await viewer.get(link);
    expect([rowsOf(ofRequest.html), ofRequest.text.includes('integration.put')]).toEqual([1, true]);
  });

  it('says beside a filter that it is not valid, and keeps it', async () => {
    for (const query of [{ outcome: 'fine' }, { from: 'yesterday' }, { connection_id: 'x'.repeat(99) }] as Record<
      string,
      string
    >[]) {
      const page = await list(query);
      const [name, value] = Object.entries(query)[0]!;
      expect([page.status, page.html.includes(`id="f-${name.replaceAll('_', '-')}-error"`)]).toEqual([422, true]);
      if (name !== 'outcome') expect(page.html).toContain(`value="${value}"`);
    }
  });

  it('is downloaded as NDJSON, as the API has it', async () => {
    const page = await viewer.get('/console/audit/export?action=integration.put');
    expect(page.headers.get('content-disposition')).toMatch(/^attachment; filename="audit-[\d-]+\.ndjson"$/);
    const lines = page.html
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toEqual((await broker.ask('GET', '/v1/audit?action=integration.put')).body.data);
    expect((await viewer.get('/console/audit/export?action=none.such')).html).toBe('');
    expect((await viewer.get('/console/audit/export?outcome=x')).status).toBe(422);
    expect((await consoleBrowser(broker.url).get('/console/audit/export')).url.pathname).toBe('/console/sign-in');
  });

  it('a download reads no further than its client, ends at its bound, and says where to go on', async () => {
    const entries = Array.from({ length: 1_200 }, (_, i) => anEntry({ id: `evt_${9_999 - i}`, at: 5_000_000 - i }));
    let asked = 0;
    const log: AuditLog = async (_, __, { limit, after }) => {
      asked++;
      const from = after === undefined ? 0 : entries.findIndex(({ id }) => id === after) + 1;
      // As when many entries were looked through, and none fits.
      if (asked === 2) return { data: [], next: after ?? null };
      const data = entries.slice(from, from + limit);
      return { data, next: from + limit < entries.length ? data.at(-1)!.id : null };
    };
    const reader = exportedEntries(log, {} as Call, {}, 1_100).getReader();
    const first = await reader.read();
    expect(asked).toBeLessThan(4);
    let text = new TextDecoder().decode(first.value);
    for (let part = await reader.read(); !part.done; part = await reader.read())
      text += new TextDecoder().decode(part.value);
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(1_101);
    expect(lines.at(-1)).toEqual({ truncated: true, to: new Date(entries[1_099]!.at + 1).toISOString() });
  });

  it('answers hostile addresses without a fault of its own', async () => {
    for (const query of [
      '?cursor=x',
      '?cursor=%00',
      `?action=${encodeURIComponent(XSS)}`,
      '?from=%00&to=9999-99-99T99:99',
      '?integration=__proto__',
      `?owner=${'x'.repeat(4_000)}`,
      '?request_id=%F0%9F%98%80',
    ]) {
      const page = await viewer.get(`/console/audit${query}`);
      expect([query, page.status < 500, page.html.includes('<script>alert')]).toEqual([query, true, false]);
    }
  });
});
