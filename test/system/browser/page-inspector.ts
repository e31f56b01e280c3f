// Inspects pages in a browser: records console errors and loaded origins, and checks layout, contrast and focus.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import axe from 'axe-core';
import { type Browser, type BrowserContextOptions, type Page, chromium as playwright } from 'playwright-core';
import { expect, onTestFinished } from 'vitest';
import type { Chromium } from '../../support/chromium.ts';
import { isLong } from '../../support/long.ts';

const LOOK = readFileSync(new URL('./inspect-page.js', import.meta.url), 'utf8');

interface Looks {
  headings: number;
  lang: string;
  texts: number;
  styled: boolean;
  pale: string[];
  small: string[];
  overflow: number;
}

export interface PageInspector {
  page: Page;
  /** Console errors, including violations of the content security policy. */
  complaints: string[];
  /** The origins of everything that was loaded. */
  origins: Set<string>;
  /** Presses Tab until the element has the focus, and checks that the focus is visible. */
  tabTo(selector: string): Promise<void>;
  leave(): Promise<void>;
}

export const DESKTOP = { viewport: { width: 1280, height: 800 } };
export const PHONE = { viewport: { width: 375, height: 667 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** The Chromium of these tests (test/support/chromium.ts). */
export const launch = (installed: Chromium | undefined): Promise<Browser> =>
  playwright.launch({
    executablePath: installed!.path,
    env: { ...(process.env as Record<string, string>), ...installed!.env },
    args: ['--no-sandbox', '--disable-gpu'],
  });

export async function arrive(browser: Browser, options: BrowserContextOptions = DESKTOP): Promise<PageInspector> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  const origins = new Set<string>();
  page.on('console', (message) => {
    // An error page has an error status, which the browser logs.
    const noted = /the server responded with a status of [45]/.test(message.text());
    if (message.type() === 'error' && !(noted && message.location().url === page.url()))
      complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => origins.add(new URL(request.url()).origin));
  return {
    page,
    complaints,
    origins,
    async tabTo(selector) {
      for (let press = 0; press < 12; press++) {
        await page.keyboard.press('Tab');
        const target = page.locator(selector).and(page.locator(':focus-visible'));
        if ((await target.count()) === 0) continue;
        const [style, width] = await target.evaluate((element) => {
          const view = (element as { ownerDocument: { defaultView: { getComputedStyle(e: unknown): Outline } } })
            .ownerDocument;
          const { outlineStyle, outlineWidth } = view.defaultView.getComputedStyle(element);
          return [outlineStyle, Number.parseFloat(outlineWidth)] as const;
        });
        expect(style, `the focus on ${selector} shows`).not.toBe('none');
        expect(width).toBeGreaterThanOrEqual(1);
        return;
      }
      throw new Error(`Tab does not lead to ${selector}`);
    },
    leave: () => context.close(),
  };
}

/** As `arrive`. At the end of the test it must have loaded nothing from other origins and logged no errors. */
export async function arriveAt(
  browser: Browser,
  origins: string[],
  options?: BrowserContextOptions,
): Promise<PageInspector> {
  const visitor = await arrive(browser, options);
  onTestFinished(async () => {
    await visitor.leave();
    expect(visitor.complaints).toEqual([]);
    expect(origins).toEqual(expect.arrayContaining([...visitor.origins]));
  });
  return visitor;
}

export const heading = (page: Page): Promise<string> => page.locator('h1').innerText();

/** At the local provider. */
export async function signIn(page: Page, login: string): Promise<void> {
  await page.getByRole('textbox').fill(login);
  await page.keyboard.press('Enter');
}

type Outline = { outlineStyle: string; outlineWidth: string };

export const looksOf = (page: Page): Promise<Looks> => page.evaluate<Looks>(LOOK);

/** Checks what holds for every page: at its present width and the narrowest, in light and dark mode. */
export async function expectFit(page: Page, name: string): Promise<void> {
  const viewport = page.viewportSize()!;
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const width of [viewport.width, 320]) {
      await page.setViewportSize({ width, height: viewport.height });
      const looks = await looksOf(page);
      const where = `${name}, ${colorScheme}, ${width} px`;
      expect(looks, where).toMatchObject({ headings: 1, lang: 'en', styled: true, pale: [], small: [], overflow: 0 });
      expect(looks.texts, where).toBeGreaterThan(2);
      await saveScreenshot(page, where);
    }
    await page.setViewportSize(viewport);
  }
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
}

/** What passes is not described: that takes longer than to find it. */
const axeRun = (
  ...rules: string[]
) => `axe.run(document, { runOnly: ${JSON.stringify(rules)}, resultTypes: ['violations'] })
  .then(({ violations }) => violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html }) => html) })))`;

const RUN_AXE = axeRun('wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice');
const RUN_AXE_FOR_LOOKS = axeRun('color-contrast', 'target-size', 'scrollable-region-focusable', 'link-in-text-block');
/** Both in both schemes in the long run: colours hardly depend on the width. */
const WIDTHS = isLong ? { light: [360, 1_280], dark: [360, 1_280] } : { light: [360], dark: [1_280] };

/** What axe finds in the page as it is, in each scheme, on a phone and on a desktop: nothing, and nothing is wider than the page. */
export async function expectNoViolations(page: Page, name: string): Promise<void> {
  await page.evaluate(axe.source);
  let run = RUN_AXE;
  for (const colorScheme of ['light', 'dark'] as const)
    for (const width of WIDTHS[colorScheme]) {
      const where = `${name}, ${colorScheme}, ${width} px`;
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: 800 });
      expect(await page.evaluate<{ id: string; nodes: string[] }[]>(run), where).toEqual([]);
      expect(await page.evaluate(OVERFLOW), where).toBeLessThanOrEqual(0);
      await saveScreenshot(page, where);
      // The same document: what depends on colours and on layout.
      run = RUN_AXE_FOR_LOOKS;
    }
}

const OVERFLOW = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';

/** For people: saves a screenshot to the folder in `SCREENSHOTS`, if set. */
async function saveScreenshot(page: Page, where: string): Promise<void> {
  const folder = process.env.SCREENSHOTS;
  if (folder)
    await page.screenshot({ path: join(folder, `${where.replace(/[^a-z0-9]+/gi, '-')}.png`), fullPage: true });
}
