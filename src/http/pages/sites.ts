// What a page is made with, for one request: the owner's language, and the look of the integration.
import type { Look, Themes } from '../../broker/integrations/index.ts';
import type { ConnectSession } from '../../domain/integration.ts';
import { StoreError } from '../../ports/index.ts';
import type { Site } from './layout.ts';
import { textsFor } from './texts/index.ts';

/** What says how a page looks. */
export type Appearance = Pick<ConnectSession, 'integration' | 'uiLocales'>;

export interface Sites {
  /** Below the public URL. */
  base: string;
  /** Undefined: it is not known whose page it is. Never rejects: an error page is shown without the theme. */
  siteFor(about: Appearance | undefined, acceptLanguage: string | undefined): Promise<Site>;
}

interface Parts {
  themes: Pick<Themes, 'lookOf'>;
  base: string;
  appName: string;
}

export function createSites({ themes, base, appName }: Parts): Sites {
  async function look(integration: string): Promise<Look | undefined> {
    try {
      return await themes.lookOf(integration);
    } catch (error) {
      if (error instanceof StoreError) return undefined;
      throw error;
    }
  }

  return {
    base,
    async siteFor(about, acceptLanguage) {
      const texts = textsFor(about?.uiLocales ?? null, acceptLanguage);
      const found = await look(about?.integration ?? '');
      const theme = found && { ...found, stylesheet: found.stylesheet && `/assets/${found.stylesheet}` };
      return { base, appName: found?.name ?? appName, texts, theme };
    },
  };
}
