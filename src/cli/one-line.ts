// Texts of others, as a terminal may show them.

/** On one line: without control characters, line breaks, and what turns the direction of a terminal's text. */
export const oneLine = (text: string): string => text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]+/gu, ' ');
