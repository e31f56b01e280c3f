// Themes: contrast as WCAG 2.2 has it, and the stylesheet.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  contrast,
  GROUNDS,
  logoIssue,
  mergedTheme,
  OWN_DARK,
  themeIssues,
  themeStylesheet,
} from '../../src/domain/theme.ts';

const dataUrl = (type: string, bytes: string) =>
  `data:image/${type};base64,${Buffer.from(bytes, 'latin1').toString('base64')}`;

describe('contrast', () => {
  // From the definition: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
  it.each([
    ['#000000', '#ffffff', 21],
    ['#777777', '#ffffff', 4.48],
    ['#767676', '#ffffff', 4.54],
    ['#ff0000', '#ffffff', 4],
  ])('%s on %s: %d', (one, other, ratio) => {
    expect(contrast(one, other)).toBeCloseTo(ratio, 1);
    expect(contrast(other, one)).toBe(contrast(one, other));
  });

  it('of an accent is judged on both grounds of its scheme, and says how much is missing', () => {
    expect(themeIssues('theme', { accent_light: '#0f5a47', accent_dark: OWN_DARK })).toEqual([]);
    const [light, dark] = themeIssues('theme', { accent_light: '#888888', accent_dark: '#444444' });
    expect(light).toMatchObject({ path: 'theme.accent_light', message: expect.stringMatching(/ 3\.\d+:1.*darker/) });
    expect(dark).toMatchObject({ path: 'theme.accent_dark', message: expect.stringMatching(/ 1\.\d+:1.*lighter/) });
  });

  it('the grounds and the accent are those of the stylesheet', () => {
    const css = readFileSync(new URL('../../src/http/pages/valetkey.css', import.meta.url), 'utf8');
    const [light, dark] = [...css.matchAll(/:root \{([^}]*)\}/g)].map(([, block]) => block!);
    for (const [name, color] of Object.entries(GROUNDS.light)) expect(light).toContain(`--${name}: ${color};`);
    for (const [name, color] of Object.entries(GROUNDS.dark)) expect(dark).toContain(`--${name}: ${color};`);
    expect(dark).toContain(`--brand: ${OWN_DARK};`);
  });
});

describe('the stylesheet', () => {
  it('writes on an accent in the colour that can be read', () => {
    for (let n = 0; n <= 0xffffff; n += 0x10307) {
      const accent = `#${n.toString(16).padStart(6, '0')}`;
      const [, on] = /--on-brand:(#[0-9a-f]{6})/.exec(themeStylesheet({ accent_light: accent })!)!;
      expect(contrast(accent, on!), accent).toBeGreaterThanOrEqual(4.5);
    }
  });

  it('of an accent for light alone keeps ours for dark', () => {
    expect(themeStylesheet({ accent_light: '#0f5a47' })).toContain(`dark){:root{--brand:${OWN_DARK}`);
    expect(themeStylesheet({ name: 'Acme' })).toBeUndefined();
    expect(themeStylesheet({ radius: 0 })).toBe(':root{--radius:0px}\n');
  });

  it('of an integration is over that of the deployment, member by member', () => {
    const theme = mergedTheme({ name: 'A', radius: 2 }, { name: undefined, radius: 8 });
    expect(theme).toEqual({ name: 'A', radius: 8 });
    expect(mergedTheme(undefined, null)).toBeNull();
  });
});

describe('a logo', () => {
  it.each([
    dataUrl('png', '\x89PNG\r\n\x1a\n'),
    dataUrl('jpeg', '\xff\xd8\xff\xe0'),
    dataUrl('webp', 'RIFF\0\0\0\0WEBPVP8 '),
    dataUrl('svg+xml', '<svg xmlns="http://www.w3.org/2000/svg"/>'),
    dataUrl('svg+xml', '\xef\xbb\xbf<?xml version="1.0"?>\n<svg>'),
  ])('%s: is one', (logo) => expect(logoIssue(logo)).toBeUndefined());

  it.each([
    dataUrl('png', '<svg/>'),
    dataUrl('gif', 'GIF89a'),
    dataUrl('svg+xml', '<html><svg></svg></html>'),
    'data:image/svg+xml,<svg/>',
    'data:image/png;base64,"><script>',
    dataUrl('png', `\x89PNG\r\n\x1a\n${'x'.repeat(40_000)}`),
    `data:image/svg+xml;base64,${'A'.repeat(32_000)}`,
  ])('%.40s: is none', (logo) => expect(logoIssue(logo)).toEqual(expect.any(String)));
});
