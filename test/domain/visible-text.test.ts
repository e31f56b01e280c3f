// Texts of others: what is not seen in them changes nothing.
import { expect, test } from 'vitest';
import { typeableText, visibleJson, visibleMarkup, visibleText } from '../../src/domain/visible-text.ts';

const UNSEEN = [
  ...[0x61c, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e],
  ...[0x2060, 0x2066, 0x2067, 0x2068, 0x2069, 0xad, 0x180e, 0x3164, 0xfeff, 0xfff9, 0xe0041],
].map((code) => String.fromCodePoint(code));

test.each(UNSEEN)('%j is not in what is shown, and an escape sequence in JSON', (unseen) => {
  expect(visibleText(`pay${unseen}pal`)).toMatch(/^pay ?pal$/);
  const json = visibleJson(JSON.stringify({ name: `pay${unseen}pal` }));
  expect(json).toMatch(/^[ -~]+$/);
  expect(JSON.parse(json)).toEqual({ name: `pay${unseen}pal` });
});

test('control characters and line breaks become a space; other scripts stay', () => {
  expect(visibleText('a\u001b[31m\r\nb\u2028c\u009b2J')).toBe('a [31m b c 2J');
  for (const name of ['Ada Lovelace', '東京', 'Zoë', 'שרה', 'محمد', '👩']) expect(visibleText(name)).toBe(name);
});

test('a name of nothing that is seen is shown as something', () => {
  expect(visibleText('\u200b\u200b')).toBe('\uFFFD');
  expect(visibleText('\u202e')).toBe('\uFFFD');
  expect(visibleText('')).toBe('');
});

test('C1 controls, which JSON leaves as they are, begin no escape sequence of a terminal', () => {
  expect(visibleJson(JSON.stringify('\u009b2J\u007f'))).toBe('"\\u009b2J\\u007f"');
});

test('a name can be typed: what is not seen of it is an escape sequence', () => {
  expect(typeableText('user_42 at acme')).toBe('user_42 at acme');
  expect(typeableText('東京 ü')).toBe('東京 ü');
  expect(typeableText('pay\u200bpal\u202e')).toBe('pay\\u200bpal\\u202e');
  expect(typeableText(' a  b\u00a0c ')).toBe('\\u0020a \\u0020b\\u00a0c\\u0020');
  expect(typeableText('\u{e0041}')).toBe('\\udb40\\udc41');
});

test('the texts of a page lose what is not seen, its fields and attributes do not', () => {
  const field = '<input value="a\u200bb"><textarea>\n<b\u202e</textarea>';
  expect(visibleMarkup(`<p title="x\u202e">a\u200bb\u202e ${field} c\u2066`)).toBe(`<p title="x\u202e">ab ${field} c`);
  expect(visibleMarkup('<p>\n\tZoë</p>')).toBe('<p>\n\tZoë</p>');
});
