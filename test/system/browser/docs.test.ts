// The API reference in a real browser.
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { CODES } from '../../../src/http/errors/problem-table.ts';
import { type Description, operationsOf } from '../../../src/http/openapi/document.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { arrive, DESKTOP, launch, looksOf, type PageInspector, PHONE } from './page-inspector.ts';

const installed = inject('chromium');

describe.skipIf(installed === undefined)('the reference at /docs', () => {
  let broker: TestBroker;
  let browser: Browser;
  let visitor: PageInspector;
  let description: Description;

  beforeAll(async () => {
    [broker, browser] = await Promise.all([startTestBroker(), launch(installed)]);
    description = (await (await fetch(new URL('/openapi.json', broker.url))).json()) as Description;
    visitor = await arrive(browser);
    const response = await visitor.page.goto(`${broker.url}/docs`);
    expect(response?.status()).toBe(200);
  });
  afterAll(async () => {
    await browser?.close();
    await broker?.stop();
  });

  const texts = (selector: string) => visitor.page.locator(selector).allInnerTexts();
  const ids = (selector: string) =>
    visitor.page.locator(selector).evaluateAll((all) => all.map((one) => (one as { id: string }).id));

  it('loads nothing from other origins, and logs no errors', async () => {
    expect([...visitor.origins]).toEqual([broker.url]);
    expect(visitor.complaints).toEqual([]);
  });

  it('has a section for each operation and each problem, linked from the contents', async () => {
    const operations = operationsOf(description).map(({ operation }) => operation.operationId);
    const places = await ids('main section.operation');
    expect(places.sort()).toEqual([...operations, ...CODES.map((code) => `problem-${code}`)].sort());
    const links = await visitor.page
      .locator('a[href^="#"]')
      .evaluateAll((all) => all.map((one) => (one as { hash: string }).hash.slice(1)));
    const all = new Set(await ids('[id]'));
    expect(links.filter((link) => !all.has(link))).toEqual([]);
    expect(links).toEqual(expect.arrayContaining(operations));
  });

  it('shows the request, the response and the problems of an operation', async () => {
    const [text = ''] = await texts('#getTokenByOwner');
    for (const part of [
      'GET',
      '/v1/token',
      'min_ttl',
      'curl "$VALETKEY_URL/v1/token?integration=slack&owner=user_42"',
      '"access_token"',
      'ambiguous_connection',
    ])
      expect(text).toContain(part);
    const [importing = ''] = await texts('#importConnection');
    for (const part of ['credentials', 'refresh_token', 'required', "-d '{", '201']) expect(importing).toContain(part);
  });

  it('has one h1, and skips no heading level', async () => {
    const levels = await visitor.page
      .locator('h1, h2, h3, h4')
      .evaluateAll((all) => all.map((one) => Number((one as { tagName: string }).tagName[1])));
    expect(levels.filter((level) => level === 1)).toHaveLength(1);
    expect(levels.filter((level, i) => level - (levels[i - 1] ?? 0) > 1)).toEqual([]);
  });

  it('links to the OpenAPI document', async () => {
    expect(await visitor.page.locator('a[href="/openapi.json"]').count()).toBeGreaterThan(0);
  });

  it.each([
    ['a desktop', DESKTOP.viewport],
    ['a tablet', { width: 768, height: 1024 }],
    ['a phone', PHONE.viewport],
    ['the narrowest', { width: 320, height: 640 }],
  ])('is readable on %s, in light and dark mode', async (_, viewport) => {
    const { page } = visitor;
    await page.setViewportSize(viewport);
    await page.locator('details').evaluateAll((all) => {
      for (const one of all) Object.assign(one as object, { open: true });
    });
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      const { headings, lang, pale, overflow } = await looksOf(page);
      expect({ headings, lang, pale, overflow }, colorScheme).toEqual({
        headings: 1,
        lang: 'en',
        pale: [],
        overflow: 0,
      });
    }
  });
});
