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

/** What JSON leaves as it is and a terminal does not: also C1 controls, which may begin an escape sequence. */
const UNSEEN_IN_JSON = /[\x7F-\x9F\u2028\u2029\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\uFFF9-\uFFFB]+/gu;

/** The same JSON, with such characters as escape sequences. */
export const visibleJson = (json: string): string =>
  json.replace(UNSEEN_IN_JSON, (unseen) =>
    // Code units: JSON has no other escapes (RFC 8259 section 7).
    Array.from({ length: unseen.length }, (_, i) => `\\u${unseen.charCodeAt(i).toString(16).padStart(4, '0')}`).join(
      '',
    ),
  );
