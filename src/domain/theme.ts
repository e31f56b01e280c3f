// The look of the connect pages that a customer may choose: validated, checked for contrast (WCAG 2.2), and made a stylesheet.
import type { InputIssue } from './errors.ts';

/** Each member that is left out is as it is without a theme. */
export interface Theme {
  /** The customer's name, in place of ours and of the app's. */
  name?: string | undefined;
  /** A `data:` URL of an image: see `logoIssue`. */
  logo?: string | undefined;
  /** `#rrggbb`, in the light scheme: of the button and the mark. */
  accent_light?: string | undefined;
  accent_dark?: string | undefined;
  /** Pixels: of the corners. */
  radius?: number | undefined;
}

/** The grounds that an accent is on, as in the stylesheet of the pages (a test compares them). */
export const GROUNDS = {
  light: { paper: '#f3efe6', card: '#fffdf8' },
  dark: { paper: '#121816', card: '#1b2421' },
} as const;

const WHITE = '#ffffff';
const BLACK = '#000000';

/** WCAG 2.2, 1.4.3: text. It is more than 1.4.11 asks of what is no text. */
const MIN_CONTRAST = 4.5;

const luminance = (color: string): number => {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const channel = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};

/** Between 1 and 21 (WCAG 2.2, "contrast ratio"). Both as `#rrggbb`. */
export function contrast(one: string, other: string): number {
  const [low = 0, high = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

/** What is written on an accent: one of the two always has 4.5:1. */
const writtenOn = (accent: string): string => (contrast(accent, WHITE) >= contrast(accent, BLACK) ? WHITE : BLACK);

/** Accents that cannot be read on the pages. `path`: of the theme. */
export function themeIssues(path: string, theme: Theme): InputIssue[] {
  const schemes = [
    ['accent_light', 'light'],
    ['accent_dark', 'dark'],
  ] as const;
  return schemes.flatMap(([member, scheme]) => {
    const accent = theme[member];
    if (accent === undefined) return [];
    const ratios = Object.values(GROUNDS[scheme]).map((ground) => ({ ground, ratio: contrast(accent, ground) }));
    const worst = ratios.toSorted((a, b) => a.ratio - b.ratio)[0]!;
    if (worst.ratio >= MIN_CONTRAST) return [];
    const message = `its contrast with the page (${worst.ground}) is ${shown(worst.ratio)}:1, and must be at least ${MIN_CONTRAST}:1 (WCAG 2.2, 1.4.3): choose a ${scheme === 'light' ? 'darker' : 'lighter'} colour`;
    return [{ path: `${path}.${member}`, message }];
  });
}

/** Rounded down: what is shown as 4.5 is enough. */
const shown = (ratio: number): string => String(Math.floor(ratio * 100) / 100);

const MAX_LOGO = 32_768;
const LOGO = /^data:image\/(png|jpeg|webp|svg\+xml);base64,([A-Za-z0-9+/]+={0,2})$/;

/**
 * What is wrong with a logo. It is shown by an `<img>`, in which an SVG runs no script and loads nothing. What it says that it is
 * has to be what it is.
 */
export function logoIssue(logo: string): string | undefined {
  if (logo.length > MAX_LOGO) return `at most ${MAX_LOGO} characters`;
  const [, type, encoded] = LOGO.exec(logo) ?? [];
  if (type === undefined || encoded === undefined)
    return 'a data URL: data:image/png;base64,… (or jpeg, webp, svg+xml)';
  return BEGINS[type]?.(bytesOf(encoded)) ? undefined : `is no ${type} image`;
}

/** One character for each byte; an end that is no base64 is left out. */
const bytesOf = (base64: string): string => atob(base64.slice(0, base64.length - (base64.length % 4)));

const BEGINS: Record<string, (bytes: string) => boolean> = {
  png: (bytes) => bytes.startsWith('\x89PNG\r\n\x1a\n'),
  jpeg: (bytes) => bytes.startsWith('\xff\xd8\xff'),
  webp: (bytes) => bytes.startsWith('RIFF') && bytes.startsWith('WEBP', 8),
  'svg+xml': (bytes) => /^(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?<svg[\s>]/.test(bytes),
};

/** An integration's theme is over that of the deployment, member by member. Null: there is none. */
export function mergedTheme(...themes: (Theme | null | undefined)[]): Theme | null {
  const given = themes.flatMap((theme) => (theme ? [theme] : []));
  return given.length === 0 ? null : Object.assign({}, ...given.map(defined));
}

const defined = (theme: Theme): Theme =>
  Object.fromEntries(Object.entries(theme).filter(([, value]) => value !== undefined));

/** Undefined: it changes no colour and no corner. */
export function themeStylesheet({ accent_light: light, accent_dark: dark, radius }: Theme): string | undefined {
  const rules = [
    ...(radius === undefined ? [] : [`:root{--radius:${radius}px}`]),
    ...(light === undefined ? [] : [`:root{${accentOf(light)}}`]),
    // Without one of its own, the dark scheme keeps ours.
    ...(dark !== undefined || light !== undefined
      ? [`@media (prefers-color-scheme:dark){:root{${accentOf(dark ?? OWN_DARK)}}}`]
      : []),
  ];
  return rules.length === 0 ? undefined : `${rules.join('\n')}\n`;
}

/** The accent of our stylesheet, in the dark scheme. */
export const OWN_DARK = '#7fd6b8';

const accentOf = (accent: string): string => `--brand:${accent};--on-brand:${writtenOn(accent)}`;
