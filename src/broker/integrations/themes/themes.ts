// The look of the connect pages: the deployment's theme, and over it that of an integration.
import { createHash } from 'node:crypto';
import { Refusal } from '../../../domain/errors.ts';
import { mergedTheme, type Theme, themeStylesheet } from '../../../domain/theme.ts';
import { THEME_SEARCH_INTERVAL_MS } from '../../../domain/time-limits.ts';
import type { Clock, Store } from '../../../ports/index.ts';
import type { Targets } from '../targets.ts';

/** A theme as pages show it. */
export interface Look {
  name: string | null;
  logo: string | null;
  /** The name of its stylesheet, which changes with its content; null: it needs none. */
  stylesheet: string | null;
}

export interface Themes {
  /** Empty or unknown: the deployment's. Undefined: there is none. Rejects with `StoreError`. */
  lookOf(integration: string): Promise<Look | undefined>;
  /**
   * The stylesheet of this name, also when another replica has named it. Undefined: no theme has it now. Strangers may ask: the
   * integrations are searched seldom. Rejects with `StoreError`.
   */
  stylesheet(name: string): Promise<string | undefined>;
}

interface Parts {
  store: Pick<Store, 'integrations'>;
  targets: Pick<Targets, 'find'>;
  /** Of the deployment. */
  deployment: Theme | undefined;
  clock: Pick<Clock, 'monotonic'>;
}

const PAGE = 100;
/** The oldest are forgotten, and found again. */
const MAX_SHEETS = 1_000;

export function createThemes({ store, targets, deployment, clock }: Parts): Themes {
  const sheets = new Map<string, string>();
  let searched = Number.NEGATIVE_INFINITY;
  let search: Promise<void> | undefined;

  function shown(theme: Theme | null): Look | undefined {
    if (theme === null) return undefined;
    const css = themeStylesheet(theme);
    const stylesheet = css === undefined ? null : nameOf(css);
    if (stylesheet !== null && css !== undefined) keep(stylesheet, css);
    return { name: theme.name ?? null, logo: theme.logo ?? null, stylesheet };
  }

  function keep(name: string, css: string): void {
    if (sheets.has(name)) return;
    const [oldest] = sheets.keys();
    if (sheets.size >= MAX_SHEETS && oldest !== undefined) sheets.delete(oldest);
    sheets.set(name, css);
  }

  async function searchAll(): Promise<void> {
    shown(mergedTheme(deployment));
    let after: string | undefined;
    do {
      const { data, next } = await store.integrations({ limit: PAGE, after });
      for (const { theme, isAuthentic } of data)
        if (theme && isAuthentic !== false) shown(mergedTheme(deployment, theme));
      after = next ?? undefined;
    } while (after !== undefined);
  }

  return {
    async lookOf(integration) {
      const found = integration === '' ? undefined : await targets.find(integration);
      const own = found === undefined || found instanceof Refusal ? null : found.integration.theme;
      return shown(mergedTheme(deployment, own));
    },
    async stylesheet(name) {
      if (!sheets.has(name)) {
        const now = clock.monotonic();
        if (search === undefined && now - searched < THEME_SEARCH_INTERVAL_MS) return undefined;
        searched = now;
        search ??= searchAll().finally(() => {
          search = undefined;
        });
        await search;
      }
      return sheets.get(name);
    },
  };
}

const nameOf = (css: string): string => `theme-${createHash('sha256').update(css).digest('hex').slice(0, 20)}.css`;
