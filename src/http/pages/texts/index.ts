// The languages of the pages: which one an owner reads, and how names are filled into its texts.
import { html } from 'hono/html';
import { parseAccept } from 'hono/utils/accept';
import { de } from './de.ts';
import { en, type Texts } from './en.ts';
import { es } from './es.ts';
import { fr } from './fr.ts';
import { ja } from './ja.ts';
import { ptBr } from './pt-br.ts';

export { en, type Texts } from './en.ts';

/** As in the layout, which imports this. */
type Html = ReturnType<typeof html>;

/** Each in the form of RFC 5646. The first is for those who read none of them. */
export const LANGUAGES: readonly Texts[] = [en, de, es, fr, ja, ptBr];

/** Languages that a request may name; more are not looked at. */
const MOST = 20;

/**
 * The language of the pages: the first that there is of `uiLocales` (as OpenID Connect Core 3.1.2.1 has them, in the order of
 * preference), and then of `Accept-Language` (RFC 9110 12.5.4). Matched by RFC 4647 3.4, and a language without a region by its
 * only region: `pt` and `pt-PT` are answered in `pt-BR`.
 */
export function textsFor(uiLocales: string | null, acceptLanguage: string | undefined): Texts {
  const accepted = parseAccept(acceptLanguage ?? '').filter(({ q }) => q > 0);
  const wanted = [...(uiLocales?.split(' ') ?? []).slice(0, MOST), ...accepted.slice(0, MOST).map(({ type }) => type)];
  for (const tag of wanted) {
    const found = textsOf(tag.toLowerCase());
    if (found) return found;
  }
  return en;
}

function textsOf(tag: string): Texts | undefined {
  const [language] = tag.split('-');
  return (
    LANGUAGES.find(({ lang }) => lang.toLowerCase() === tag) ??
    LANGUAGES.find(({ lang }) => lang.toLowerCase().split('-')[0] === language)
  );
}

const PLACEHOLDER = /(\{[a-z]+\})/;

/** With names filled in, as text. */
export const worded = (text: string, names: Record<string, string>): string =>
  text
    .split(PLACEHOLDER)
    .map((part) => nameIn(part, names) ?? part)
    .join('');

/** With names filled in, as a part of a page: a name may be one, too. */
export const filled = (text: string, names: Record<string, string | Html>): Html =>
  html`${text.split(PLACEHOLDER).map((part) => nameIn(part, names) ?? part)}`;

const nameIn = <T>(part: string, names: Record<string, T>): T | undefined =>
  PLACEHOLDER.test(part) && Object.hasOwn(names, part.slice(1, -1)) ? names[part.slice(1, -1)] : undefined;
