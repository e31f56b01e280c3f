// One text for one JSON value, however it was written: what a message authentication code is made of.

/**
 * Members sorted by name, those that are null or undefined left out, so that a column that a later version adds changes
 * nothing while it is empty. U+FFFD stands for a NUL in a text, as in a database that cannot hold one.
 */
export const canonicalJson = (value: unknown): string => JSON.stringify(canonical(value)) ?? 'null';

function canonical(value: unknown): unknown {
  if (typeof value === 'string') return withoutNul(value);
  if (Array.isArray(value)) return value.map((item) => canonical(item ?? null));
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).filter(([, member]) => member !== undefined && member !== null);
  members.sort(([a], [b]) => (a < b ? -1 : 1));
  // Not an object literal: `__proto__` is a name like any other.
  return Object.fromEntries(members.map(([name, member]) => [withoutNul(name), canonical(member)]));
}

const withoutNul = (text: string): string => (text.includes('\0') ? text.replaceAll('\0', '\uFFFD') : text);
