// Texts of others, as people are shown them. Characters that are not seen change what is: they turn the direction of the text
// around them (U+202E and its like), or make two names look the same (zero width).

/** Control characters, and what breaks a line or turns its direction. */
const BREAKS = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]+/gu;
/** Other format controls, zero-width characters, fillers, variation selectors, tags, annotations. */
const UNSEEN = /[\p{Default_Ignorable_Code_Point}\uFFF9-\uFFFB]+/gu;

/** On one line, without what is not seen; `\uFFFD` if nothing is left. */
export function visibleText(text: string): string {
  const visible = text.replace(BREAKS, ' ').replace(UNSEEN, '');
  return visible.trim() === '' && text !== '' ? '\uFFFD' : visible;
}

const MARKUP = /(<textarea[\s\S]*?<\/textarea>|<[^>]*>)/;
const UNSEEN_OR_TURNING = /[\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\uFFF9-\uFFFB]+/gu;

/** The texts of a page without what is not seen; what its fields hold and its attributes say stays exactly what it is. */
export const visibleMarkup = (markup: string): string =>
  markup.search(UNSEEN_OR_TURNING) >= 0
    ? markup
        .split(MARKUP)
        .map((part, i) => (i % 2 === 0 ? part.replace(UNSEEN_OR_TURNING, '') : part))
        .join('')
    : markup;

/** What JSON leaves as it is and a terminal does not: also C1 controls, which may begin an escape sequence. */
const UNSEEN_IN_JSON = /[\x7F-\x9F\u2028\u2029\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\uFFF9-\uFFFB]+/gu;

/** The same JSON, with such characters as escape sequences. */
export const visibleJson = (json: string): string => json.replace(UNSEEN_IN_JSON, escaped);

/** Spaces that a reader takes for another one, or for none. */
const UNUSUAL_SPACES = /^ +| +$|(?<= ) +|[^\S ]/gu;

/** A name as someone can type it: with escape sequences for what is not seen. */
export const typeableText = (name: string): string =>
  name.replace(UNSEEN_IN_JSON, escaped).replace(UNUSUAL_SPACES, escaped);

/** Code units: JSON has no other escapes (RFC 8259 section 7). */
function escaped(unseen: string): string {
  const units = Array.from({ length: unseen.length }, (_, i) => unseen.charCodeAt(i));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}
